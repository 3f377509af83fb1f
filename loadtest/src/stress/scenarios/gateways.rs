//! Gateways that die, restart, freeze and multiply.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use wire::{Frame, close};

use super::lasting;
use crate::{
    client::{Client, Connection, ConnectionError, Greeting, Incoming, Options},
    ensure,
    failure::{Failure, Outcome},
    process,
    servers::Signal,
    stress::World,
};

/// How long everybody may take to be back.
const BACK: Duration = Duration::from_secs(15);

pub(super) async fn calm(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(8).await?;
    let talk = cohort.talk();
    lasting(world.scale(1500, 8000)).await;
    cohort.quiet(talk).await?;
    cohort.finish().await
}

pub(super) async fn gateway_killed_under_load(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(8).await?;
    let talk = cohort.talk();
    lasting(700).await;
    world.kill_gateway(0).await?;
    lasting(world.scale(1000, 5000)).await;
    let back = cohort.recovery(BACK).await?;
    cohort.quiet(talk).await?;
    Ok(format!("{}; all back after {} ms", cohort.finish().await?, back.as_millis()))
}

pub(super) async fn both_gateways_killed_in_turn(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(8).await?;
    let talk = cohort.talk();
    for index in [0, 1] {
        lasting(500).await;
        world.kill_gateway(index).await?;
        lasting(world.scale(500, 3000)).await;
        world.start_gateway(index).await?;
        cohort.recovery(BACK).await?;
    }
    cohort.quiet(talk).await?;
    cohort.finish().await
}

pub(super) async fn all_gateways_killed_at_once(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(8).await?;
    let talk = cohort.talk();
    lasting(500).await;
    for index in [0, 1] {
        world.kill_gateway(index).await?;
    }
    lasting(500).await;
    for index in [0, 1] {
        world.start_gateway(index).await?;
    }
    let back = cohort.recovery(BACK).await?;
    cohort.quiet(talk).await?;
    Ok(format!("{}; all back after {} ms", cohort.finish().await?, back.as_millis()))
}

pub(super) async fn rolling_restart(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(8).await?;
    let talk = cohort.talk();
    let mut slowest = Duration::ZERO;
    for index in [0, 1] {
        lasting(500).await;
        let began = Instant::now();
        let gateway = world.system.gateways[index].program();
        gateway.signal(Signal::TERM)?;
        let status = gateway.wait(BACK).await?;
        ensure!(status.success(), "the gateway ended with {status}");
        slowest = slowest.max(began.elapsed());
        world.start_gateway(index).await?;
        cohort.recovery(BACK).await?;
    }
    cohort.quiet(talk).await?;
    Ok(format!("{}; slowest end {} ms", cohort.finish().await?, slowest.as_millis()))
}

pub(super) async fn gateway_drains(world: &mut World) -> Outcome<String> {
    let people = world.scale(40, 300);
    let room = world.room(people).await?;
    let url = world.system.gateway_urls()?.swap_remove(0);
    let mut connections = Vec::new();
    for member in &room.members {
        let (mut connection, _) = Connection::greet(&url, Greeting::Header(&member.token)).await?;
        connection.join(room.id).await?;
        connections.push(connection);
    }
    let began = Instant::now();
    let gateway = world.system.gateways[0].program();
    gateway.signal(Signal::TERM)?;
    let ends = connections.iter_mut().map(|connection| async {
        let mut after = None;
        let code = loop {
            match connection.next().await {
                Ok(Incoming::Frame(frame)) => {
                    if let Frame::Reconnect { after_ms } = *frame {
                        after = Some(after_ms);
                    }
                }
                Ok(_) => {}
                Err(ConnectionError::Closed(code)) => break code,
                Err(error) => return Err(Failure::from(error)),
            }
        };
        Ok((after, code))
    });
    let ends: Vec<(Option<u64>, u16)> = futures_util::future::try_join_all(ends).await?;
    let status = gateway.wait(BACK).await?;
    ensure!(status.success() && began.elapsed() < BACK, "ended with {status} after {:?}", began.elapsed());
    let good =
        |(after, code): &(Option<u64>, u16)| after.is_some() && matches!(*code, close::RESTART | close::GOING_AWAY);
    ensure!(ends.iter().all(good), "some were not told, or not closed as documented: {ends:?}");
    let mut waits: Vec<u64> = ends.iter().filter_map(|(after, _)| *after).collect();
    waits.sort_unstable();
    waits.dedup();
    ensure!(waits.len() > 1, "everybody was told to come back at the same time");
    Ok(format!(
        "{people} connections, {} different delays, ended after {} ms",
        waits.len(),
        began.elapsed().as_millis()
    ))
}

pub(super) async fn second_signal_ends_at_once(world: &mut World) -> Outcome<String> {
    let room = world.room(1).await?;
    let url = world.system.gateway_urls()?.swap_remove(0);
    // Somebody who is there but never reads, so that draining has something to wait for.
    let (_connection, _) = Connection::greet(&url, Greeting::Header(&room.members[0].token)).await?;
    let gateway = world.system.gateways[0].program();
    gateway.signal(Signal::TERM)?;
    let began = Instant::now();
    lasting(50).await;
    if gateway.is_running() {
        gateway.signal(Signal::TERM)?;
    }
    gateway.wait(Duration::from_secs(2)).await?;
    Ok(format!("ended after {} ms", began.elapsed().as_millis()))
}

pub(super) async fn gateway_added_under_load(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(8).await?;
    let talk = cohort.talk_of(4);
    lasting(400).await;
    world.system.add_gateway().await?;
    let url = world.system.gateway_urls()?.swap_remove(2);
    for number in 4..8 {
        let options = Options { rooms: vec![cohort.room.id], ..Options::new(&url, &cohort.room.members[number].token) };
        let moved = Arc::new(Client::start(options));
        moved.wait_live(BACK).await?;
        cohort.clients[number] = moved;
    }
    let second = cohort.talk();
    lasting(world.scale(800, 5000)).await;
    cohort.quiet(talk).await?;
    cohort.quiet(second).await?;
    cohort.finish().await
}

/// Memory that a gateway may have more after the last round than after the first, in KiB: what an allocator keeps for
/// later, in the short form and for five times as many connections.
const SPARE_MEMORY: [u64; 2] = [12 << 10, 32 << 10];

pub(super) async fn memory_returns(world: &mut World) -> Outcome<String> {
    let room = world.room(world.scale(40, 200)).await?;
    let urls = world.system.gateway_urls()?;
    let mut resident = Vec::new();
    for _ in 0..world.scale(4, 10) {
        let clients: Vec<Client> = (0..room.members.len() * 5)
            .map(|number| {
                let (url, user) = (&urls[number % 2], &room.members[number % room.members.len()]);
                Client::start(Options { rooms: vec![room.id], keep: 10, ..Options::new(url, &user.token) })
            })
            .collect();
        for client in &clients {
            client.wait_live(BACK).await?;
        }
        for number in 0..10 {
            let sent = clients[number].send(room.id, "오고 가고".repeat(50)).await?;
            for client in &clients {
                client.wait_seq(BACK, room.id, sent.seq).await?;
            }
        }
        drop(clients);
        world.settled().await?;
        resident.push(process::resident(world.system.gateways[0].program().pid()?)? >> 10);
    }
    let grown = resident[resident.len() - 1].saturating_sub(resident[0]);
    let [short, full] = SPARE_MEMORY;
    ensure!(grown < world.scale(short, full), "memory after each round, in KiB: {resident:?}");
    Ok(format!("{} connections a round; KiB after each: {resident:?}", room.members.len() * 5))
}

pub(super) async fn gateway_paused(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(8).await?;
    let talk = cohort.talk();
    lasting(400).await;
    world.system.gateways[0].program().signal(Signal::STOP)?;
    lasting(world.scale(2000, 8000)).await;
    world.system.gateways[0].program().signal(Signal::CONT)?;
    let back = cohort.recovery(BACK).await?;
    cohort.quiet(talk).await?;
    Ok(format!("{}; caught up after {} ms", cohort.finish().await?, back.as_millis()))
}
