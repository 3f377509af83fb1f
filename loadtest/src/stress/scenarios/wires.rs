//! The connections between a gateway and Redis, cut and frozen one kind at a time by a proxy.

use std::time::Duration;

use super::lasting;
use crate::{
    failure::{Failure, Outcome},
    proxy::{Proxy, Which},
    servers::Mingizuk,
    stress::{Cohort, World},
};

/// Everything is live again this long after the wires are whole, noticing included.
const LIVE_AGAIN: Duration = Duration::from_secs(10);
/// A silent stream turns readiness red this long after, at the latest.
const NOTICED: Duration = Duration::from_secs(5);

/// A gateway behind a proxy, and a room whose people are on it and on an ordinary one in turn.
async fn proxied(world: &World) -> Outcome<(Proxy, Mingizuk, Cohort)> {
    let proxy = Proxy::start(([127, 0, 0, 1], world.system.redis.port()).into()).await?;
    let gateway = world.gateway_with(&[("REDIS_URL", &format!("redis://{}", proxy.address()))]).await?;
    let ordinary = world.system.gateway_urls()?.swap_remove(0);
    let cohort = world.cohort_at(8, &[gateway.gateway()?.to_owned(), ordinary]).await?;
    Ok((proxy, gateway, cohort))
}

async fn cut_again_and_again(world: &mut World, which: Which) -> Outcome<String> {
    let (proxy, _gateway, mut cohort) = proxied(world).await?;
    let talk = cohort.talk();
    for _ in 0..world.scale(4, 15) {
        lasting(400).await;
        proxy.cut(which);
    }
    let back = cohort.recovery(LIVE_AGAIN).await?;
    cohort.quiet(talk).await?;
    Ok(format!("{}; live again after {} ms", cohort.finish().await?, back.as_millis()))
}

pub(super) async fn subscriber_cut(world: &mut World) -> Outcome<String> {
    cut_again_and_again(world, Which::Subscribers).await
}

pub(super) async fn commands_cut(world: &mut World) -> Outcome<String> {
    cut_again_and_again(world, Which::Commands).await
}

pub(super) async fn every_wire_cut(world: &mut World) -> Outcome<String> {
    cut_again_and_again(world, Which::All).await
}

pub(super) async fn subscriber_silent(world: &mut World) -> Outcome<String> {
    let (proxy, gateway, mut cohort) = proxied(world).await?;
    let ops = gateway.ready().gateway_ops.clone().ok_or_else(|| Failure::new("no operations"))?;
    let talk = cohort.talk();
    lasting(500).await;
    proxy.freeze(Which::Subscribers, true);
    let red = world.readiness(&ops, false, NOTICED).await?;
    // The wire stays frozen: only noticing the silence and subscribing anew over another one helps. A frozen proxy
    // forwards nothing on new subscriptions either, so it thaws for those that come after the cut.
    lasting(world.scale(3000, 12_000)).await;
    proxy.cut(Which::Subscribers);
    proxy.freeze(Which::Subscribers, false);
    let back = cohort.recovery(LIVE_AGAIN).await?;
    cohort.quiet(talk).await?;
    Ok(format!(
        "{}; red after {} ms, live again after {} ms",
        cohort.finish().await?,
        red.as_millis(),
        back.as_millis()
    ))
}

pub(super) async fn commands_silent(world: &mut World) -> Outcome<String> {
    let (proxy, _gateway, mut cohort) = proxied(world).await?;
    let talk = cohort.talk();
    lasting(500).await;
    proxy.freeze(Which::Commands, true);
    lasting(world.scale(3000, 8000)).await;
    proxy.freeze(Which::Commands, false);
    let back = cohort.recovery(LIVE_AGAIN).await?;
    cohort.quiet(talk).await?;
    Ok(format!("{}; live again after {} ms", cohort.finish().await?, back.as_millis()))
}

pub(super) async fn redis_unreachable_for_one_gateway(world: &mut World) -> Outcome<String> {
    let (proxy, gateway, mut cohort) = proxied(world).await?;
    let talk = cohort.talk();
    lasting(400).await;
    proxy.refuse(true);
    proxy.cut(Which::All);
    let ops = gateway.ready().gateway_ops.clone().ok_or_else(|| Failure::new("no operations"))?;
    let red = world.readiness(&ops, false, LIVE_AGAIN).await?;
    lasting(world.scale(1000, 6000)).await;
    proxy.refuse(false);
    let back = cohort.recovery(LIVE_AGAIN).await?;
    cohort.quiet(talk).await?;
    Ok(format!(
        "{}; red after {} ms, live again after {} ms",
        cohort.finish().await?,
        red.as_millis(),
        back.as_millis()
    ))
}
