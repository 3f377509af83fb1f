//! Clients that stop reading, or stop living without saying so.

use std::time::Duration;

use tokio::time::Instant;
use wire::close;

use super::lasting;
use crate::{
    bench::raw::Receiver,
    client::{Connection, ConnectionError, Greeting},
    ensure,
    failure::{Failure, Outcome},
    process,
    servers::Mingizuk,
    stress::{Cohort, World},
};

/// What a connection's queue may hold, in bytes, and what the gateway may need besides for each.
const QUEUE_BYTES: u64 = 262_144;
const CONNECTION_BYTES: u64 = 48 * 1024;

/// A gateway with queues so small that they are soon full.
async fn short_queues(world: &World) -> Outcome<Mingizuk> {
    let settings = [("QUEUE_FRAMES", "64"), ("QUEUE_BYTES", "262144"), ("COMMANDS_PER_SECOND", "1000")];
    let limits = [("COMMAND_BURST", "1000"), ("CONNECTIONS_PER_USER", "12")];
    world.gateway_with(&[settings.as_slice(), &limits].concat()).await
}

/// How long each of `count` messages took from being sent to being seen by another, sorted.
async fn delays(cohort: &mut Cohort, count: usize, mark: &str) -> Outcome<Vec<Duration>> {
    let mut delays = Vec::with_capacity(count);
    for number in 0..count {
        let began = Instant::now();
        let said = format!("{mark} {number} {}", "뜨거운 방".repeat(150));
        let sent = cohort.clients[number % 2].send(cohort.room.id, &said).await?;
        cohort.clients[2].wait_seq(Duration::from_secs(10), cohort.room.id, sent.seq).await?;
        delays.push(began.elapsed());
        cohort.note(sent.seq, said)?;
    }
    delays.sort_unstable();
    Ok(delays)
}

pub(super) async fn hot_room_with_many_slow_readers(world: &mut World) -> Outcome<String> {
    let (people, each) = (world.scale(12, 102), 10);
    let mut gateway = short_queues(world).await?;
    let url = gateway.gateway()?.to_owned();
    let address = url.replace("ws://", "").replace("/ws", "");
    let mut room = world.room(people + 3).await?;
    let sleepers_of = room.members.split_off(3);
    let mut cohort = Cohort::start_at(world.rest()?, room, std::slice::from_ref(&url)).await?;
    let calm = delays(&mut cohort, 200, "전").await?;
    let mut sleepers = Vec::new();
    for number in 0..people * each {
        let mut sleeper = Receiver::open_slow(&address, &sleepers_of[number % people].token).await?;
        sleeper.join(cohort.room.id).await?;
        sleepers.push(sleeper);
    }
    let pid = gateway.program().pid()?;
    let before = process::resident(pid)?;
    let hot = delays(&mut cohort, world.scale(400, 600), "중").await?;
    let grown = process::resident(pid)?.saturating_sub(before);
    let bound = sleepers.len() as u64 * (QUEUE_BYTES + CONNECTION_BYTES) + (16 << 20);
    ensure!(grown < bound, "{} slow readers: {} KiB more memory", sleepers.len(), grown / 1024);
    let p99 = |sorted: &[Duration]| sorted[sorted.len() * 99 / 100];
    let (calm, hot) = (p99(&calm), p99(&hot));
    ensure!(hot < calm * 3 + Duration::from_millis(60), "p99 of the fast ones: {hot:?}, {calm:?} without slow ones");
    let slow = sleepers.len();
    let ops = gateway.ready().gateway_ops.clone().ok_or_else(|| Failure::new("no operations"))?;
    let overflows = format!("mingizuk_gateway_closes_total{{code=\"{}\"}}", close::SLOW_READER);
    let closed = world.metric(&ops, &overflows).await?;
    ensure!(closed == slow as u64, "{closed} of {slow} slow readers were closed as such");
    drop(sleepers);
    Ok(format!(
        "{slow} slow readers, {} KiB more memory; p99 of the fast ones {} ms, {} ms before; {}",
        grown / 1024,
        hot.as_millis(),
        calm.as_millis(),
        cohort.finish().await?
    ))
}

pub(super) async fn slow_readers_among_fast_ones(world: &mut World) -> Outcome<String> {
    let mut gateway = short_queues(world).await?;
    let url = gateway.gateway()?.to_owned();
    let mut cohort = world.cohort_at(4, std::slice::from_ref(&url)).await?;
    let address = url.replace("ws://", "").replace("/ws", "");
    let mut sleepers = Vec::new();
    let token = &cohort.room.members[3].token;
    // As many connections as one user may have, the client's own included.
    for _ in 0..9 {
        let mut sleeper = Receiver::open_slow(&address, token).await?;
        sleeper.join(cohort.room.id).await?;
        sleepers.push(sleeper);
    }
    let before = process::resident(gateway.program().pid()?)?;
    // Long texts: the kernel's buffers are filled before a gateway feels that a reader is slow.
    let text = "느림보".repeat(300);
    let began = Instant::now();
    for number in 0..world.scale(1000, 8000) {
        let sent = cohort.clients[number % 3].send(cohort.room.id, format!("{number} {text}")).await?;
        cohort.note(sent.seq, format!("{number} {text}"))?;
    }
    let after = process::resident(gateway.program().pid()?)?;
    let grown = after.saturating_sub(before) / 1024;
    ensure!(grown < 64 * 1024, "the gateway grew by {grown} KiB");
    let mut closed = 0;
    for sleeper in &mut sleepers {
        // Reading now finds what was buffered, and then the end.
        let end = async { while sleeper.receive(|_| {}).await.is_ok() {} };
        closed += usize::from(tokio::time::timeout(Duration::from_secs(2), end).await.is_ok());
    }
    ensure!(closed == sleepers.len(), "only {closed} of {} slow readers were closed", sleepers.len());
    let took = began.elapsed();
    Ok(format!("{closed} closed, {grown} KiB more memory, {} ms; {}", took.as_millis(), cohort.finish().await?))
}

pub(super) async fn silent_connections_are_closed(world: &mut World) -> Outcome<String> {
    let gateway = world.gateway_with(&[("HEARTBEAT", "1000"), ("PONG_TIMEOUT", "500")]).await?;
    let url = gateway.gateway()?.to_owned();
    let cohort = world.cohort_at(2, std::slice::from_ref(&url)).await?;
    let (mut dead, _) = Connection::greet(&url, Greeting::Header(&cohort.room.members[0].token)).await?;
    // Not reading means not answering pings.
    lasting(4000).await;
    let code = dead.close_code().await;
    let closed = matches!(code, Ok(close::NO_PONG | 1006) | Err(ConnectionError::Closed(_)));
    ensure!(closed, "a dead connection was not closed: {code:?}");
    ensure!(cohort.clients.iter().all(|client| client.view().welcomes == 1), "a living one was closed too");
    Ok(format!("closed with {code:?}; {}", cohort.finish().await?))
}
