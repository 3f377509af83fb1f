//! Access tokens that expire while people talk.

use std::time::Duration;

use serde_json::json;
use wire::close;

use super::lasting;
use crate::{
    client::Client,
    ensure,
    failure::{Failure, Outcome},
    rest::{Rest, User},
    servers::{Mingizuk, Role},
    stress::{Cohort, World},
    system::populate,
};

/// How long the tokens of these scenarios are valid, in milliseconds.
const TTL: &str = "4000";
/// How long things may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// A REST service that gives short-lived tokens, and a room of people who have them.
async fn short_lived(world: &World) -> Outcome<(Mingizuk, Rest, Cohort)> {
    let api = world.system.setup.clone().with("ACCESS_TOKEN_TTL", TTL).start(Role::Api).await?;
    let rest = Rest::new(api.api()?)?;
    let room = populate(&rest, 1, 4).await?.pop().ok_or_else(|| Failure::new("no room"))?;
    let cohort = Cohort::start_at(rest.clone(), room, &world.system.gateway_urls()?).await?;
    Ok((api, rest, cohort))
}

async fn renew(rest: &Rest, user: &mut User, client: &Client) -> Outcome {
    let answer = rest.post("/auth/refresh", json!({"refresh_token": user.refresh_token})).await?;
    let text = |name: &str| answer[name].as_str().map(str::to_owned).ok_or_else(|| Failure::new("no token"));
    (user.token, user.refresh_token) = (text("access_token")?, text("refresh_token")?);
    client.set_token(&user.token).await;
    Ok(())
}

async fn renew_all(rest: &Rest, cohort: &mut Cohort) -> Outcome {
    for (user, client) in cohort.room.members.iter_mut().zip(&cohort.clients) {
        renew(rest, user, client).await?;
    }
    Ok(())
}

pub(super) async fn tokens_renewed_in_time(world: &mut World) -> Outcome<String> {
    let (_api, rest, mut cohort) = short_lived(world).await?;
    let talk = cohort.talk();
    for _ in 0..world.scale(4, 14) {
        lasting(1500).await;
        renew_all(&rest, &mut cohort).await?;
    }
    let all = cohort.clients.iter().all(|client| client.view().welcomes == 1);
    ensure!(all, "a connection with a renewed token was closed");
    cohort.quiet(talk).await?;
    renew_all(&rest, &mut cohort).await?;
    cohort.finish().await
}

pub(super) async fn tokens_expire_mid_stream(world: &mut World) -> Outcome<String> {
    let (_api, rest, mut cohort) = short_lived(world).await?;
    let talk = cohort.talk();
    lasting(2500).await;
    cohort.quiet(talk).await?;
    for client in &cohort.clients {
        let refused = |view: &crate::client::View| view.stopped == Some(close::UNAUTHENTICATED);
        client.wait_for(PATIENCE, "the end of an expired token", refused).await?;
    }
    renew_all(&rest, &mut cohort).await?;
    let back = cohort.recovery(PATIENCE).await?;
    let talk = cohort.talk();
    lasting(500).await;
    cohort.quiet(talk).await?;
    Ok(format!("{}; back after {} ms", cohort.finish().await?, back.as_millis()))
}
