//! The same message sent twice, by every road there is.

use serde_json::json;
use wire::{Command, Frame};

use crate::{
    client::{Connection, Greeting},
    ensure,
    failure::{Failure, Outcome},
    stress::World,
};

/// The `seq` and the mark of a duplicate that an acknowledgement carries.
fn acknowledged(frame: &Frame) -> Outcome<(u64, bool)> {
    match frame {
        Frame::Ack { seq: Some(seq), duplicate, .. } => Ok((*seq, duplicate.unwrap_or(false))),
        other => Err(Failure::new(format!("not acknowledged: {other:?}"))),
    }
}

pub(super) async fn send(connection: &mut Connection, room: uuid::Uuid, nonce: &str) -> Outcome<(u64, bool)> {
    let id = connection.next_id();
    let command = Command::Send { id, room, nonce: nonce.to_owned(), text: nonce.to_owned() };
    let mut reply = connection.request(id, &command).await?;
    while let Frame::Error { temporary: true, retry_after_ms, .. } = reply {
        super::lasting(retry_after_ms.unwrap_or(100)).await;
        reply = connection.request(id, &command).await?;
    }
    acknowledged(&reply)
}

async fn seat(world: &World, gateway: usize, token: &str, room: uuid::Uuid) -> Outcome<Connection> {
    let url = world.system.gateway_urls()?.swap_remove(gateway);
    let (mut connection, _) = Connection::greet(&url, Greeting::Header(token)).await?;
    connection.join(room).await?;
    Ok(connection)
}

pub(super) async fn racing_nonces(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(2).await?;
    let (room, token) = (cohort.room.id, cohort.room.members[0].token.clone());
    let (mut a, mut b) = (seat(world, 0, &token, room).await?, seat(world, 1, &token, room).await?);
    let count = world.scale(60, 200);
    for number in 0..count {
        // Within the limit of commands a second once the burst is over: whoever meets it again and again is closed.
        super::lasting(world.scale(0, 55)).await;
        let nonce = format!("경주 {number}");
        let (first, second) = tokio::join!(send(&mut a, room, &nonce), send(&mut b, room, &nonce));
        let ((seq, one), (other_seq, other)) = (first?, second?);
        ensure!(seq == other_seq && one != other, "{nonce}: {seq} {one} and {other_seq} {other}");
        cohort.note(seq, nonce)?;
    }
    Ok(format!("{count} races; {}", cohort.finish().await?))
}

pub(super) async fn resent_after_a_lost_reply(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(2).await?;
    let (room, token) = (cohort.room.id, cohort.room.members[0].token.clone());
    let (count, mut again) = (world.scale(20, 100), 0);
    for number in 0..count {
        let nonce = format!("잃어버린 답 {number}");
        let mut first = seat(world, number % 2, &token, room).await?;
        let id = first.next_id();
        first.send(&Command::Send { id, room, nonce: nonce.clone(), text: nonce.clone() }).await?;
        // Gone before the reply is read; the gateway may or may not have accepted the message.
        drop(first);
        let mut second = seat(world, (number + 1) % 2, &token, room).await?;
        let (seq, duplicate) = send(&mut second, room, &nonce).await?;
        again += usize::from(duplicate);
        cohort.note(seq, nonce)?;
        second.close().await;
    }
    Ok(format!("{count} resent, {again} had been accepted; {}", cohort.finish().await?))
}

pub(super) async fn same_nonce_of_two_authors(world: &mut World) -> Outcome<String> {
    let cohort = world.cohort(2).await?;
    let room = cohort.room.id;
    let mut a = seat(world, 0, &cohort.room.members[0].token, room).await?;
    let mut b = seat(world, 1, &cohort.room.members[1].token, room).await?;
    let count = world.scale(20, 100);
    for number in 0..count {
        let nonce = format!("n-{number}");
        let (first, second) = tokio::join!(send(&mut a, room, &nonce), send(&mut b, room, &nonce));
        let ((seq, one), (other_seq, other)) = (first?, second?);
        ensure!(seq != other_seq && !one && !other, "{nonce}: two authors' messages were taken for one");
    }
    Ok(format!("{} entries for {count} nonces; {}", 2 * count, cohort.finish().await?))
}

pub(super) async fn nonce_sent_by_rest_and_socket(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(2).await?;
    let room = cohort.room.id;
    let rest = world.rest()?.by(&cohort.room.members[0]);
    let mut socket = seat(world, 0, &cohort.room.members[0].token.clone(), room).await?;
    let count = world.scale(30, 200);
    for number in 0..count {
        let nonce = format!("두 길 {number}");
        let path = format!("/meetups/{room}/messages");
        let post = rest.post(&path, json!({"text": &nonce, "nonce": &nonce}));
        let (sent, posted) = tokio::join!(send(&mut socket, room, &nonce), post);
        let ((seq, one), posted) = (sent?, posted?);
        let (other_seq, other) = (posted["seq"].as_u64(), posted["duplicate"].as_bool());
        ensure!(other_seq == Some(seq) && other == Some(!one), "{nonce}: {seq} {one} and {posted}");
        cohort.note(seq, nonce)?;
    }
    Ok(format!("{count} nonces; {}", cohort.finish().await?))
}
