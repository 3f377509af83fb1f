//! MariaDB and the REST service going away. Chatting needs neither.

use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use super::{asking, lasting, members::everybody_is_told_once};
use crate::{
    client::{Client, Options},
    ensure,
    failure::Outcome,
    servers::{Role, Signal},
    stress::World,
};

/// How long things may take to work again.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn mariadb_killed_under_load(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(8).await?;
    let room = cohort.room.id;
    let talk = cohort.talk();
    lasting(400).await;
    world.system.mariadb.kill().await?;
    let before = cohort.clients[0].room(room).position.map_or(0, |position| position.seq);
    cohort.clients[1].wait_seq(PATIENCE, room, before + 20).await?;
    world.system.mariadb.restart().await?;
    let url = world.system.gateway_urls()?.swap_remove(0);
    let newcomer = Client::start(Options { rooms: vec![room], ..Options::new(url, &cohort.room.members[0].token) });
    newcomer.wait_live(PATIENCE).await?;
    newcomer.close().await;
    cohort.quiet(talk).await?;
    cohort.finish().await
}

pub(super) async fn mariadb_paused(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(8).await?;
    let room = cohort.room.id;
    let talk = cohort.talk();
    let asking = asking::begin(world, &cohort.room)?;
    lasting(400).await;
    world.system.mariadb.program().signal(Signal::STOP)?;
    let before = cohort.clients[0].room(room).position.map_or(0, |position| position.seq);
    let went_on = cohort.clients[1].wait_seq(PATIENCE, room, before + 20).await;
    // Longer than readiness waits for an answer.
    lasting(world.scale(3200, 8000)).await;
    world.system.mariadb.program().signal(Signal::CONT)?;
    went_on?;
    let during = asking.end().await?;
    for ops in world.operations() {
        world.readiness(&ops, true, PATIENCE).await?;
    }
    let after = asking::each_is_right(world, &cohort.room, 50).await?;
    cohort.quiet(talk).await?;
    Ok(format!("{during}, then {after} right answers; {}", cohort.finish().await?))
}

pub(super) async fn api_killed_right_after_joins(world: &mut World) -> Outcome<String> {
    let cohort = world.cohort(3).await?;
    let room = cohort.room.id;
    let newcomers = world.room(world.scale(24, 100)).await?.members;
    let rest = world.rest()?;
    let mut joined: Vec<Uuid> = Vec::new();
    for (round, chunk) in newcomers.chunks(8).enumerate() {
        let answers = join_all(chunk.iter().map(|user| {
            let rest = rest.by(user);
            async move { rest.join(room).await.is_ok().then_some(user.id) }
        }));
        // Killed in the middle of some of them, and before the outbox of the others is empty.
        let (answers, killed) = tokio::join!(answers, async {
            lasting(15 + 25 * round as u64).await;
            world.system.api.program().kill().await
        });
        killed?;
        joined.extend(answers.into_iter().flatten());
        world.system.api.start_again().await?;
    }
    for user in newcomers.iter().filter(|user| !joined.contains(&user.id)) {
        rest.by(user).join(room).await?;
    }
    let unanswered = newcomers.len() - joined.len();
    let everybody: Vec<Uuid> = newcomers.iter().map(|user| user.id).collect();
    everybody_is_told_once(world, &cohort, &everybody).await?;
    Ok(format!("{} joined, {unanswered} asked twice; {}", everybody.len(), cohort.finish().await?))
}

pub(super) async fn relay_paused_while_another_works(world: &mut World) -> Outcome<String> {
    let cohort = world.cohort(3).await?;
    let room = cohort.room.id;
    let second = world.system.setup.start(Role::Api).await?;
    let rest = crate::rest::Rest::new(second.api()?)?;
    let newcomers = world.room(world.scale(60, 200)).await?.members;
    for (round, chunk) in newcomers.chunks(20).enumerate() {
        let joins = join_all(chunk.iter().map(|user| {
            let rest = rest.by(user);
            async move { rest.join(room).await }
        }));
        // The first service may be anywhere in its relaying when it stops, and when it goes on.
        let (answers, paused) = tokio::join!(joins, async {
            lasting(5 * round as u64).await;
            world.system.api.program().signal(Signal::STOP)
        });
        paused?;
        answers.into_iter().collect::<Outcome<Vec<()>>>()?;
        lasting(world.scale(300, 6000)).await;
        world.system.api.program().signal(Signal::CONT)?;
    }
    let everybody: Vec<Uuid> = newcomers.iter().map(|user| user.id).collect();
    everybody_is_told_once(world, &cohort, &everybody).await?;
    Ok(format!("{} joined; {}", everybody.len(), cohort.finish().await?))
}

pub(super) async fn two_rest_services_relay(world: &mut World) -> Outcome<String> {
    let cohort = world.cohort(3).await?;
    let room = cohort.room.id;
    let second = world.system.setup.start(Role::Api).await?;
    let newcomers = world.room(world.scale(30, 120)).await?.members;
    let services = [world.rest()?, crate::rest::Rest::new(second.api()?)?];
    let answers = join_all(newcomers.iter().enumerate().map(|(number, user)| {
        let rest = services[number % 2].by(user);
        async move { rest.join(room).await }
    }))
    .await;
    for answer in answers {
        answer?;
    }
    let everybody: Vec<Uuid> = newcomers.iter().map(|user| user.id).collect();
    everybody_is_told_once(world, &cohort, &everybody).await?;
    ensure!(cohort.clients.iter().all(|client| client.view().connected), "somebody was disconnected");
    Ok(format!("{} joined; {}", everybody.len(), cohort.finish().await?))
}
