//! Clients that stop reading, or stop living without saying so.

use std::time::Duration;

use common::wire::close;
use tokio::time::Instant;

use super::lasting;
use crate::{
    bench::raw::Receiver,
    client::{Connection, ConnectionError, Greeting},
    ensure,
    failure::Outcome,
    process,
    stress::World,
};

pub(super) async fn slow_readers_among_fast_ones(world: &mut World) -> Outcome<String> {
    // Small queues and a heartbeat of seconds, so that it does not take minutes to fill them.
    let settings =
        [("QUEUE_FRAMES", "64"), ("QUEUE_BYTES", "65536"), ("COMMANDS_PER_SECOND", "1000"), ("COMMAND_BURST", "1000")];
    let mut gateway = world.gateway_with(&settings).await?;
    let url = gateway.gateway()?.to_owned();
    let mut party = world.party_at(4, std::slice::from_ref(&url)).await?;
    let address = url.replace("ws://", "").replace("/ws", "");
    let mut sleepers = Vec::new();
    let token = &party.room.members[3].token;
    // As many connections as one user may have, the client's own included.
    for _ in 0..9 {
        let mut sleeper = Receiver::open(&address, token).await?;
        sleeper.join(party.room.id).await?;
        sleepers.push(sleeper);
    }
    let before = process::resident(gateway.program().pid()?)?;
    // Kernel buffers take megabytes before a gateway feels that a reader is slow: long texts, as many as it takes.
    let text = "느림보".repeat(300);
    let began = Instant::now();
    for number in 0..world.scale(3000, 12_000) {
        let sent = party.clients[number % 3].send(party.room.id, format!("{number} {text}")).await?;
        party.note(sent.seq, format!("{number} {text}"))?;
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
    Ok(format!("{closed} closed, {grown} KiB more memory, {} ms; {}", took.as_millis(), party.finish().await?))
}

pub(super) async fn silent_connections_are_closed(world: &mut World) -> Outcome<String> {
    let gateway = world.gateway_with(&[("HEARTBEAT", "1000"), ("PONG_TIMEOUT", "500")]).await?;
    let url = gateway.gateway()?.to_owned();
    let party = world.party_at(2, std::slice::from_ref(&url)).await?;
    let (mut dead, _) = Connection::greet(&url, Greeting::Header(&party.room.members[0].token)).await?;
    // Not reading means not answering pings.
    lasting(4000).await;
    let code = dead.close_code().await;
    let closed = matches!(code, Ok(close::NO_PONG | 1006) | Err(ConnectionError::Closed(_)));
    ensure!(closed, "a dead connection was not closed: {code:?}");
    ensure!(party.clients.iter().all(|client| client.view().welcomes == 1), "a living one was closed too");
    Ok(format!("closed with {code:?}; {}", party.finish().await?))
}
