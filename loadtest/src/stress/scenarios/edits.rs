//! Messages that change after they were sent.

use uuid::Uuid;
use wire::{Body, Command, Frame};

use super::lasting;
use crate::{
    client::Client,
    ensure,
    failure::{Failure, Outcome},
    stress::World,
};

/// Carries a command out, waiting where it has to.
async fn carry_out(client: &Client, command: impl Fn(u64) -> Command + Clone + Send + 'static) -> Outcome {
    for _ in 0..100 {
        match client.request(command.clone()).await {
            Ok(Frame::Ack { .. }) => return Ok(()),
            Ok(Frame::Error { temporary: true, retry_after_ms, .. }) => lasting(retry_after_ms.unwrap_or(100)).await,
            // The connection was lost: whether it was carried out is unknown, and repeating an edit is safe.
            Err(_) => lasting(50).await,
            Ok(other) => return Err(Failure::new(format!("answered with {other:?}"))),
        }
    }
    Err(Failure::new("never carried out"))
}

pub(super) async fn edits_and_deletions_under_load(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(6).await?;
    let room = cohort.room.id;
    let talk = cohort.talk_of(4);
    let mut deleted: Vec<u64> = Vec::new();
    let author = std::sync::Arc::clone(&cohort.clients[5]);
    for number in 0..world.scale(24, 120) {
        let sent = author.send(room, format!("초안 {number}")).await?;
        let text = format!("고친 글 {number}");
        let edit = text.clone();
        carry_out(&author, move |id| Command::Edit { id, room, seq: sent.seq, text: edit.clone() }).await?;
        if number % 3 == 0 {
            // The host deletes what others wrote.
            let host = &cohort.clients[0];
            carry_out(host, move |id| Command::Delete { id, room, seq: sent.seq }).await?;
            deleted.push(sent.seq);
        } else {
            cohort.note(sent.seq, text)?;
        }
        if number == 10 {
            world.kill_gateway(1).await?;
            world.start_gateway(1).await?;
        }
    }
    cohort.quiet(talk).await?;
    tombstones(world, &cohort.room.members[0], room, &deleted).await?;
    Ok(format!("{} deleted; {}", deleted.len(), cohort.finish().await?))
}

async fn tombstones(world: &World, reader: &crate::rest::User, room: Uuid, deleted: &[u64]) -> Outcome {
    let history = world.rest()?.by(reader).history(room).await?;
    for entry in &history {
        let Body::Message { text, deleted_at, .. } = &entry.body else { continue };
        let expected = deleted.contains(&entry.seq);
        ensure!(
            (text.is_none() && deleted_at.is_some()) == expected,
            "{} is {text:?}, deleted {deleted_at:?}, and should{} be a tombstone",
            entry.seq,
            if expected { "" } else { " not" }
        );
    }
    Ok(())
}
