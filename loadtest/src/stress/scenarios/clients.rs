//! Clients that come, go and come back, in every order.

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;
use wire::{Command, ErrorCode, Frame, Position};

use super::lasting;
use crate::{
    client::{Client, Connection, Greeting, Options},
    ensure,
    failure::{Failure, Outcome},
    stress::World,
};

/// How long everybody may take to be back.
const BACK: Duration = Duration::from_secs(15);

pub(super) async fn clients_cut_again_and_again(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(8).await?;
    let talk = cohort.talk();
    for _ in 0..world.scale(5, 30) {
        lasting(250).await;
        for client in &cohort.clients {
            client.cut().await;
        }
    }
    cohort.recovery(BACK).await?;
    cohort.quiet(talk).await?;
    let welcomes: u32 = cohort.clients.iter().map(|client| client.view().welcomes).sum();
    Ok(format!("{}; {welcomes} connections", cohort.finish().await?))
}

pub(super) async fn herd(world: &mut World) -> Outcome<String> {
    // Half of what a user may have: a connection that was lost counts until its gateway has noticed.
    let (people, each) = (world.scale(100, 1000), 5);
    let room = world.room(people).await?;
    let gateways = world.system.gateway_urls()?;
    let clients: Vec<Client> = (0..people * each)
        .map(|number| {
            let mut gateways = gateways.clone();
            gateways.rotate_left(number % 2);
            let token = &room.members[number % people].token;
            Client::start(Options { gateways, rooms: vec![room.id], keep: 10, ..Options::new("", token) })
        })
        .collect();
    for client in &clients {
        client.wait_live(BACK * 4).await?;
    }
    let began = Instant::now();
    for client in &clients {
        client.cut().await;
    }
    for client in &clients {
        client.wait_for(BACK * 4, "back", |view| view.welcomes >= 2 && view.live()).await?;
    }
    let took = began.elapsed();
    let sent = clients[0].send(room.id, "모두 돌아왔다").await?;
    for client in &clients {
        client.wait_seq(BACK, room.id, sent.seq).await?;
        let view = client.room(room.id);
        ensure!(view.gaps + view.duplicates + view.resets == 0, "a client did not resume cleanly: {view:?}");
    }
    let limit = world.scale(Duration::from_secs(10), Duration::from_secs(20));
    ensure!(took < limit, "{} clients needed {took:?}", clients.len());
    Ok(format!("{} clients back after {} ms", clients.len(), took.as_millis()))
}

pub(super) async fn join_while_a_thousand_messages_fly(world: &mut World) -> Outcome<String> {
    let gateway = world.gateway_with(&[("COMMANDS_PER_SECOND", "1000"), ("COMMAND_BURST", "1000")]).await?;
    let url = gateway.gateway()?.to_owned();
    let ordinary = world.system.gateway_urls()?.swap_remove(1);
    let mut cohort = world.cohort_at(world.scale(8, 24), std::slice::from_ref(&url)).await?;
    let talk = cohort.talk();
    let mut joined = 0;
    let mut guests = Vec::new();
    while cohort.clients[0].room(cohort.room.id).position.is_none_or(|head| head.seq < world.scale(1000, 5000)) {
        let member = &cohort.room.members[joined % cohort.room.members.len()];
        let url = if joined % 2 == 0 { &url } else { &ordinary };
        let guest = Client::start(Options { rooms: vec![cohort.room.id], ..Options::new(url, &member.token) });
        guest.wait_live(BACK).await?;
        joined += 1;
        // Nobody may be on more connections than a user is allowed.
        if guests.len() == cohort.room.members.len() {
            guests.remove(0);
        }
        guests.push(Arc::new(guest));
    }
    cohort.quiet(talk).await?;
    let guests_checked = guests.len();
    cohort.clients.extend(guests);
    Ok(format!("{}; {joined} joins under load, {guests_checked} stayed", cohort.finish().await?))
}

/// Reconnects in [`reconnects_in_waves`].
const RECONNECTS: usize = 5000;

pub(super) async fn reconnects_in_waves(world: &mut World) -> Outcome<String> {
    let (people, each) = (world.scale(100, 200), 5);
    let mut cohort = world.cohort(4).await?;
    let room = world.room(people).await?;
    let gateways = world.system.gateway_urls()?;
    let clients: Vec<Client> = (0..people * each)
        .map(|number| {
            let mut gateways = gateways.clone();
            gateways.rotate_left(number % 2);
            let token = &room.members[number % people].token;
            Client::start(Options { gateways, rooms: vec![room.id], keep: 10, ..Options::new("", token) })
        })
        .collect();
    for client in &clients {
        client.wait_live(BACK * 4).await?;
    }
    let talk = cohort.talk();
    let waves = u32::try_from(RECONNECTS / clients.len())?;
    let began = Instant::now();
    for wave in 1..=waves {
        for client in &clients {
            client.cut().await;
        }
        for client in &clients {
            client.wait_for(BACK * 4, "back", |view| view.welcomes > wave && view.live()).await?;
        }
    }
    let took = began.elapsed();
    for client in &clients {
        let view = client.room(room.id);
        ensure!(view.gaps + view.duplicates + view.resets == 0, "a client did not resume cleanly: {view:?}");
    }
    let limit = world.scale(Duration::from_secs(30), Duration::from_secs(15));
    ensure!(took < limit, "{RECONNECTS} reconnects took {took:?}");
    cohort.quiet(talk).await?;
    let count = clients.len();
    drop(clients);
    Ok(format!("{count} clients, {RECONNECTS} reconnects in {} ms; {}", took.as_millis(), cohort.finish().await?))
}

/// What came back from a join with `since`.
async fn resume(url: &str, token: &str, room: Uuid, since: Position) -> Outcome<(bool, Position, Vec<u64>)> {
    let (mut connection, _) = Connection::greet(url, Greeting::Header(token)).await?;
    let id = connection.next_id();
    match connection.request(id, &Command::Join { id, room, since: Some(since) }).await? {
        Frame::Joined { epoch, seq, recovered, entries, .. } => {
            Ok((recovered, Position { epoch, seq }, entries.iter().map(|entry| entry.seq).collect()))
        }
        other => Err(Failure::new(format!("join was answered with {other:?}"))),
    }
}

pub(super) async fn resume_at_another_gateway(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(2).await?;
    let urls = world.system.gateway_urls()?;
    let start = cohort.clients[0].room(cohort.room.id).position.ok_or_else(|| Failure::new("no position"))?;
    for number in 0..30 {
        let text = format!("{number}번째");
        let sent = cohort.clients[0].send(cohort.room.id, &text).await?;
        cohort.note(sent.seq, text)?;
    }
    for url in &urls {
        for back in [0, 1, 30] {
            let head = start.seq + 30;
            let since = Position { seq: head - back, ..start };
            let (recovered, position, entries) =
                resume(url, &cohort.room.members[1].token, cohort.room.id, since).await?;
            let expected: Vec<u64> = (since.seq + 1..=head).collect();
            ensure!(
                recovered && position.seq == head && entries == expected,
                "from {since:?}: {recovered} {position:?} {entries:?}"
            );
        }
    }
    cohort.finish().await
}

pub(super) async fn resume_far_behind(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(2).await?;
    let (behind, count) = (Arc::clone(&cohort.clients[1]), world.scale(600, 3000));
    // Whoever is in the tunnel is dropped; the others fill the log by REST, which has no limit of commands a second.
    let position = behind.room(cohort.room.id).position.ok_or_else(|| Failure::new("no position"))?;
    cohort.clients.remove(1);
    drop(behind);
    let rest = world.rest()?.by(&cohort.room.members[0]);
    for chunk in (0..count).collect::<Vec<_>>().chunks(32) {
        let posts = chunk.iter().map(|number| {
            let text = format!("{number}번째");
            let path = format!("/meetups/{}/messages", cohort.room.id);
            let rest = &rest;
            async move {
                let posted = rest.post(&path, json!({"text": &text, "nonce": &text})).await?;
                Ok::<_, Failure>((posted["seq"].as_u64().unwrap_or(0), text))
            }
        });
        for (seq, text) in try_join_all(posts).await? {
            cohort.note(seq, text)?;
        }
    }
    let url = world.system.gateway_urls()?.swap_remove(0);
    let (recovered, reached, entries) = resume(&url, &cohort.room.members[1].token, cohort.room.id, position).await?;
    let contiguous = entries.windows(2).all(|pair| pair[1] == pair[0] + 1) && entries.last() == Some(&reached.seq);
    ensure!(contiguous, "the page is not contiguous up to {}", reached.seq);
    ensure!(!recovered || entries.first() == Some(&(position.seq + 1)), "recovered, but not from where it was");
    Ok(format!("{} behind: recovered {recovered}, first page of {}; {}", count, entries.len(), cohort.finish().await?))
}

pub(super) async fn resume_with_a_foreign_epoch(world: &mut World) -> Outcome<String> {
    let cohort = world.cohort(2).await?;
    let client = &cohort.clients[0];
    for number in 0..5 {
        let sent = client.send(cohort.room.id, format!("{number}")).await?;
        client.wait_seq(BACK, cohort.room.id, sent.seq).await?;
    }
    let head = client.room(cohort.room.id).position.ok_or_else(|| Failure::new("no position"))?;
    let url = world.system.gateway_urls()?.swap_remove(0);
    for since in [
        Position { epoch: Uuid::new_v4(), seq: 3 },
        Position { epoch: Uuid::new_v4(), seq: head.seq },
        Position { seq: head.seq + 1000, ..head },
        Position { seq: u64::from(u32::MAX) * 1000, ..head },
    ] {
        let (recovered, position, entries) = resume(&url, &cohort.room.members[1].token, cohort.room.id, since).await?;
        ensure!(!recovered, "{since:?} was taken for a position of {head:?}");
        ensure!(position == head && entries.last() == Some(&head.seq), "no fresh page: {position:?} {entries:?}");
    }
    cohort.finish().await
}

pub(super) async fn many_rooms_on_one_connection(world: &mut World) -> Outcome<String> {
    let rest = world.rest()?;
    let user = rest.sign_up(&Uuid::new_v4().simple().to_string()[16..]).await?;
    let url = world.system.gateway_urls()?.swap_remove(0);
    let (mut connection, welcome) = Connection::greet(&url, Greeting::Header(&user.token)).await?;
    let limit = welcome.limits.rooms_per_connection;
    let mut rooms = Vec::new();
    for number in 0..=limit {
        rooms.push(rest.by(&user).open_meetup(&format!("{number}번 모임")).await?);
    }
    let mut refused = Vec::new();
    for room in &rooms {
        let mut reply = connection.join(*room).await?;
        // Joining is a command like any other: over the limit of commands a second one waits as told.
        while let Frame::Error { code: ErrorCode::RateLimited, retry_after_ms, .. } = reply {
            lasting(retry_after_ms.unwrap_or(100)).await;
            reply = connection.join(*room).await?;
        }
        if let Frame::Error { code, .. } = reply {
            refused.push(code);
        }
    }
    ensure!(refused == [ErrorCode::TooManyRooms], "{limit} rooms are allowed, refused were {refused:?}");
    connection.close().await;
    Ok(format!("{limit} rooms joined, one more refused"))
}

pub(super) async fn rest_and_sockets_together(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(6).await?;
    let talk = cohort.talk();
    let rest = world.rest()?;
    for number in 0..world.scale(60, 400) {
        let user = &cohort.room.members[number % 6];
        let text = format!("REST {number}");
        let posted =
            rest.by(user).post(&format!("/meetups/{}/messages", cohort.room.id), json!({"text": &text})).await?;
        cohort.note(posted["seq"].as_u64().unwrap_or(0), text)?;
    }
    cohort.quiet(talk).await?;
    cohort.finish().await
}

pub(super) async fn one_user_on_many_connections(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(2).await?;
    let urls = world.system.gateway_urls()?;
    for number in 0..5 {
        let options =
            Options { rooms: vec![cohort.room.id], ..Options::new(&urls[number % 2], &cohort.room.members[0].token) };
        let client = Client::start(options);
        client.wait_live(BACK).await?;
        cohort.clients.push(Arc::new(client));
    }
    let talk = cohort.talk();
    lasting(world.scale(1000, 5000)).await;
    cohort.quiet(talk).await?;
    cohort.finish().await
}
