//! A gateway whose wall clock jumps.

use super::lasting;
use crate::{
    client::{Connection, Greeting},
    ensure,
    failure::Outcome,
    servers::{Clock, Role},
    stress::World,
};

pub(super) async fn clock_jumps(world: &mut World) -> Outcome<String> {
    let clock = Clock::start().await?;
    let gateway = clock.rules(world.system.setup.clone()).start(Role::Gateway).await?;
    let ordinary = world.system.gateway_urls()?.swap_remove(0);
    let urls = [gateway.gateway()?.to_owned(), ordinary];
    let mut cohort = world.cohort_at(8, &urls).await?;
    let (room, token) = (cohort.room.id, cohort.room.members[0].token.clone());
    let mut connections = Vec::new();
    for url in &urls {
        let (mut connection, _) = Connection::greet(url, Greeting::Header(&token)).await?;
        connection.join(room).await?;
        connections.push(connection);
    }
    let talk = cohort.talk();
    let mut again = 0;
    // Minutes fast, but not past the life of a token; an hour slow; right again.
    for seconds in [0, 780, -3600, 0] {
        clock.jump(seconds)?;
        lasting(world.scale(500, 3000)).await;
        // Whoever comes back to it resumes; and each message sent before the jump is known after it.
        for client in &cohort.clients {
            client.cut().await;
        }
        for (number, connection) in connections.iter_mut().enumerate() {
            let (_, duplicate) = super::nonces::send(connection, room, "뛰는 시계").await?;
            ensure!(duplicate || (seconds == 0 && number == 0 && again == 0), "at {seconds} s a nonce was forgotten");
            again += usize::from(duplicate);
        }
    }
    cohort.recovery(crate::stress::cohort::PATIENCE).await?;
    cohort.quiet(talk).await?;
    Ok(format!("sent again {again} times, still one entry; {}", cohort.finish().await?))
}
