//! Who is there, and up to where they have read, when gateways die.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;
use wire::{Command, Ephemeral, Frame};

use crate::{
    client::{Connection, Greeting, Incoming},
    ensure,
    failure::{Failure, Outcome},
    rest::Rest,
    stress::World,
    system::Room,
};

/// A crashed gateway's people are gone this long after, at the latest.
const GONE: Duration = Duration::from_secs(15);

async fn seat(url: &str, token: &str, room: Uuid) -> Outcome<(Connection, Frame)> {
    let (mut connection, _) = Connection::greet(url, Greeting::Header(token)).await?;
    let joined = connection.join(room).await?;
    Ok((connection, joined))
}

async fn online(rest: &Rest, room: Uuid) -> Outcome<u64> {
    let presence = rest.get(&format!("/meetups/{room}/presence")).await?;
    presence["online"].as_u64().ok_or_else(|| Failure::new(format!("no count: {presence}")))
}

/// Waits until so many are online, by REST, and says how long that took.
async fn until_online(rest: &Rest, room: Uuid, wanted: u64) -> Outcome<Duration> {
    let began = Instant::now();
    loop {
        let now = online(rest, room).await?;
        if now == wanted {
            return Ok(began.elapsed());
        }
        ensure!(began.elapsed() < GONE, "{now} are online after {:?}, not {wanted}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(super) async fn crashed_gateway_leaves_no_ghosts(world: &mut World) -> Outcome<String> {
    let Room { id, members } = world.room(8).await?;
    let rest = world.rest()?.by(&members[0]);
    let urls = world.system.gateway_urls()?;
    let mut connections = Vec::new();
    // Of the second half everybody is on the gateway that will die, and the last also on the other: one person, who stays.
    for (number, member) in members.iter().enumerate() {
        connections.push(seat(&urls[usize::from(number < 4)], &member.token, id).await?.0);
    }
    connections.push(seat(&urls[1], &members[7].token, id).await?.0);
    until_online(&rest, id, 8).await?;
    world.kill_gateway(0).await?;
    let took = until_online(&rest, id, 5).await?;
    let mut left = Vec::new();
    while left.len() < 3 {
        let user = connections[0].expect(|incoming| match incoming {
            Incoming::Ephemeral(event) => match *event {
                Ephemeral::Presence { left: Some(user), .. } => Some(user.id),
                _ => None,
            },
            _ => None,
        });
        left.push(user.await?);
    }
    let mut expected: Vec<Uuid> = members[4..7].iter().map(|member| member.id).collect();
    left.sort_unstable();
    expected.sort_unstable();
    ensure!(left == expected, "{left:?} were said to have left, not {expected:?}");
    Ok(format!("3 people gone after {} ms, the one who was also elsewhere stays", took.as_millis()))
}

pub(super) async fn read_marks_only_advance(world: &mut World) -> Outcome<String> {
    let Room { id, members } = world.room(2).await?;
    let urls = world.system.gateway_urls()?;
    let rest = world.rest()?.by(&members[0]);
    let count = world.scale(20, 60);
    let mut head = 0;
    for number in 0..count {
        let body = serde_json::json!({"text": format!("{number}")});
        head = rest.post(&format!("/meetups/{id}/messages"), body).await?["seq"].as_u64().unwrap_or(0);
    }
    let (mut one, _) = seat(&urls[0], &members[1].token, id).await?;
    let (mut other, _) = seat(&urls[1], &members[1].token, id).await?;
    // The same person reads on two devices at two gateways; what arrives late must not turn the mark back.
    for back in 0..10 {
        one.send(&Command::Read { room: id, seq: head - 2 - back }).await?;
        other.send(&Command::Read { room: id, seq: head - 1 - back }).await?;
    }
    let began = Instant::now();
    let (mark, unread) = loop {
        let (_watching, joined) = seat(&urls[1], &members[1].token, id).await?;
        let Frame::Joined { read_seq, unread, .. } = joined else { return Err(Failure::new("not joined")) };
        if read_seq == head - 1 || began.elapsed() > Duration::from_secs(5) {
            break (read_seq, unread);
        }
    };
    ensure!((mark, unread) == (head - 1, 1), "read up to {mark} of {head}, {unread} unread");
    Ok(format!("read up to {mark} of {head}, {unread} unread"))
}
