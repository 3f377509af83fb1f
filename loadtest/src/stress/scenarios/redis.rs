//! Redis that dies, freezes, restarts and forgets.

use std::time::Duration;

use tokio::time::Instant;
use wire::{Command, ErrorCode, Frame};

use super::lasting;
use crate::{
    client::{Connection, Greeting},
    ensure,
    failure::{Failure, Outcome},
    servers::free_port,
    stress::{Cohort, World},
};

/// Everything is live again this long after Redis is back.
const LIVE_AGAIN: Duration = Duration::from_secs(5);

pub(super) async fn redis_killed_under_load(world: &mut World) -> Outcome<String> {
    kill_times(world, 1).await
}

pub(super) async fn redis_killed_three_times(world: &mut World) -> Outcome<String> {
    kill_times(world, 3).await
}

async fn kill_times(world: &mut World, times: usize) -> Outcome<String> {
    let mut cohort = world.cohort(8).await?;
    let talk = cohort.talk();
    let mut slowest = Duration::ZERO;
    for _ in 0..times {
        lasting(500).await;
        world.system.redis.kill().await?;
        lasting(world.scale(800, 4000)).await;
        world.system.redis.restart().await?;
        slowest = slowest.max(cohort.recovery(LIVE_AGAIN).await?);
    }
    cohort.quiet(talk).await?;
    Ok(format!("{}; live again after {} ms", cohort.finish().await?, slowest.as_millis()))
}

pub(super) async fn redis_restarted_in_order(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(8).await?;
    let talk = cohort.talk();
    lasting(500).await;
    world.system.redis.program().terminate().await?;
    world.system.redis.restart().await?;
    let back = cohort.recovery(LIVE_AGAIN).await?;
    cohort.quiet(talk).await?;
    Ok(format!("{}; live again after {} ms", cohort.finish().await?, back.as_millis()))
}

pub(super) async fn redis_paused_under_load(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(8).await?;
    let talk = cohort.talk();
    lasting(500).await;
    world.system.redis.pause()?;
    // Longer than any time limit between a gateway and Redis, in the short form too.
    lasting(10_000).await;
    world.system.redis.resume()?;
    let back = cohort.recovery(LIVE_AGAIN).await?;
    cohort.quiet(talk).await?;
    Ok(format!("{}; live again after {} ms", cohort.finish().await?, back.as_millis()))
}

pub(super) async fn sends_fail_at_once_without_redis(world: &mut World) -> Outcome<String> {
    let room = world.room(1).await?;
    let url = world.system.gateway_urls()?.swap_remove(0);
    let (mut connection, _) = Connection::greet(&url, Greeting::Header(&room.members[0].token)).await?;
    connection.join(room.id).await?;
    world.system.redis.kill().await?;
    let mut slowest = Duration::ZERO;
    for number in 0..5 {
        let (id, began) = (connection.next_id(), Instant::now());
        let send = Command::Send { id, room: room.id, nonce: format!("n{number}"), text: "거기 있나요?".into() };
        let reply = connection.request(id, &send).await?;
        let unavailable = matches!(reply, Frame::Error { code: ErrorCode::Unavailable, temporary: true, .. });
        ensure!(unavailable, "without Redis a message was answered with {reply:?}");
        slowest = slowest.max(began.elapsed());
    }
    ensure!(slowest < Duration::from_secs(3), "an answer took {slowest:?}");
    world.system.redis.restart().await?;
    // The same connection, and the same nonce: whatever happened to the first attempt, there is one entry.
    let accepted = until_accepted(&mut connection, room.id).await?;
    Ok(format!("slowest answer {} ms; accepted again as {accepted}", slowest.as_millis()))
}

async fn until_accepted(connection: &mut Connection, room: uuid::Uuid) -> Outcome<u64> {
    let deadline = Instant::now() + LIVE_AGAIN;
    loop {
        let id = connection.next_id();
        let send = Command::Send { id, room, nonce: "n4".into(), text: "거기 있나요?".into() };
        match connection.request(id, &send).await? {
            Frame::Ack { seq: Some(seq), .. } => return Ok(seq),
            reply => ensure!(Instant::now() < deadline, "still not accepted: {reply:?}"),
        }
        lasting(50).await;
    }
}

pub(super) async fn readiness_follows_redis(world: &mut World) -> Outcome<String> {
    let ops = world.system.gateways[0].ready().gateway_ops.clone().ok_or_else(|| Failure::new("no operations"))?;
    world.system.redis.kill().await?;
    let red = world.readiness(&ops, false, LIVE_AGAIN).await?;
    world.system.redis.restart().await?;
    let green = world.readiness(&ops, true, LIVE_AGAIN).await?;
    Ok(format!("red after {} ms, green after {} ms", red.as_millis(), green.as_millis()))
}

pub(super) async fn redis_takes_no_writes(world: &mut World) -> Outcome<String> {
    let ops = world.system.gateways[0].ready().gateway_ops.clone().ok_or_else(|| Failure::new("no operations"))?;
    let mut cohort = world.cohort(8).await?;
    let talk = cohort.talk();
    let read_only = format!("REPLICAOF 127.0.0.1 {}", free_port()?);
    let (mut red, mut back) = (Duration::ZERO, Duration::ZERO);
    for (breaks, repairs) in [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("ACL SETUSER default -evalsha -eval", "ACL SETUSER default +evalsha +eval"),
        (read_only.as_str(), "REPLICAOF NO ONE"),
    ] {
        lasting(300).await;
        ensure!(world.system.redis.command(breaks).await?.starts_with("+OK"), "{breaks} was refused");
        red = red.max(world.readiness(&ops, false, LIVE_AGAIN).await?);
        lasting(world.scale(500, 5000)).await;
        ensure!(world.system.redis.command(repairs).await?.starts_with("+OK"), "{repairs} was refused");
        back = back.max(cohort.recovery(LIVE_AGAIN).await?);
        world.readiness(&ops, true, LIVE_AGAIN).await?;
    }
    cohort.quiet(talk).await?;
    let checked = cohort.finish().await?;
    Ok(format!("{checked}; red after {} ms, live again after {} ms", red.as_millis(), back.as_millis()))
}

pub(super) async fn redis_emptied(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(6).await?;
    let talk = cohort.talk();
    lasting(world.scale(500, 3000)).await;
    cohort.quiet(talk).await?;
    cohort.check().await?;
    let before = cohort.clients[0].room(cohort.room.id).position.ok_or_else(|| Failure::new("no position"))?;
    let answer = world.system.redis.command("FLUSHALL").await?;
    ensure!(answer.trim() == "+OK", "{answer}");
    let sent = cohort.clients[0].send(cohort.room.id, "새 시작 🌱").await?;
    for client in &cohort.clients {
        let fresh = |view: &crate::client::View| {
            let room = &view.rooms[&cohort.room.id];
            room.position.is_some_and(|position| position.epoch != before.epoch && position.seq >= sent.seq)
        };
        client.wait_for(Duration::from_secs(15), "the new epoch", fresh).await?;
        let room = client.room(cohort.room.id);
        ensure!(room.resets == 1, "told {} times that the log began anew", room.resets);
        let texts: Vec<String> = room.messages().into_iter().map(|(_, text)| text).collect();
        ensure!(texts == ["새 시작 🌱"], "the new log shows {texts:?}");
    }
    Ok(format!("all {} clients are in the new epoch", cohort.clients.len()))
}

pub(super) async fn archivers_killed_under_load(world: &mut World) -> Outcome<String> {
    // Lists so short that entries leave for SQL all the time; the REST service reads them from there.
    // The connections of a gateway that was killed count for a while yet: more than a user may have otherwise.
    let limits = [("COMMANDS_PER_SECOND", "1000"), ("COMMAND_BURST", "1000"), ("CONNECTIONS_PER_USER", "100")];
    let settings = [[("REDIS_ROOM_ENTRIES", "20")].as_slice(), &limits].concat();
    let mut gateways = [world.gateway_with(&settings).await?, world.gateway_with(&settings).await?];
    let urls = [gateways[0].gateway()?.to_owned(), gateways[1].gateway()?.to_owned()];
    let mut cohort = world.cohort_at(8, &urls).await?;
    let talk = cohort.talk();
    for round in 0..world.scale(6, 20) {
        lasting(300 + 70 * round as u64).await;
        let gateway = &mut gateways[round % 2];
        gateway.program().kill().await?;
        gateway.start_again().await?;
    }
    cohort.recovery(Duration::from_secs(15)).await?;
    cohort.quiet(talk).await?;
    let key = world.system.redis.key(&format!("mz:*{}:log", cohort.room.id)).await?;
    let listed = world.system.redis.command(&format!("LLEN {key}")).await?;
    let listed: u64 = listed.trim().trim_start_matches(':').parse()?;
    let head = cohort.clients[0].room(cohort.room.id).position.map_or(0, |position| position.seq);
    ensure!(listed < head, "all {head} entries are still in Redis");
    Ok(format!("{head} entries, {} of them archived; {}", head - listed, cohort.finish().await?))
}

pub(super) async fn redis_and_gateway_killed_together(world: &mut World) -> Outcome<String> {
    let mut cohort: Cohort = world.cohort(8).await?;
    let talk = cohort.talk();
    lasting(500).await;
    world.system.redis.kill().await?;
    world.kill_gateway(0).await?;
    lasting(500).await;
    world.system.redis.restart().await?;
    world.start_gateway(0).await?;
    let back = cohort.recovery(Duration::from_secs(15)).await?;
    cohort.quiet(talk).await?;
    Ok(format!("{}; live again after {} ms", cohort.finish().await?, back.as_millis()))
}
