//! People who join and leave the meetup while its room talks.

use std::time::Duration;

use futures_util::future::try_join_all;
use reqwest::Method;
use uuid::Uuid;
use wire::{Body, Change, Command, Frame};

use super::lasting;
use crate::{
    client::{Connection, Greeting},
    ensure,
    failure::Outcome,
    rest::User,
    stress::World,
};

/// How long a change may take to reach everybody.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn member_leaves_mid_stream(world: &mut World) -> Outcome<String> {
    let (checked, _) = departs(world, Change::Left).await?;
    Ok(checked)
}

pub(super) async fn member_removed_mid_stream(world: &mut World) -> Outcome<String> {
    let (checked, (room, removed)) = departs(world, Change::Removed).await?;
    let (status, _) =
        world.rest()?.by(&removed).call(Method::PUT, &format!("/meetups/{room}/membership"), None).await?;
    ensure!(status.is_client_error(), "the one who was removed joined again: {status}");
    Ok(checked)
}

/// One of six is gone, by their own will or the host's; says what was checked, and who is gone from where.
async fn departs(world: &mut World, how: Change) -> Outcome<(String, (Uuid, User))> {
    let mut cohort = world.cohort(6).await?;
    let room = cohort.room.id;
    let leaver = cohort.room.members.pop().unwrap_or_else(|| cohort.room.members[0].clone());
    let client = cohort.clients.pop().unwrap_or_else(|| cohort.clients[0].clone());
    let talk = cohort.talk();
    lasting(400).await;
    let (host, rest) = (&cohort.room.members[0], world.rest()?);
    match how {
        Change::Removed => rest.by(host).delete(&format!("/meetups/{room}/members/{}", leaver.id)).await?,
        _ => rest.by(&leaver).delete(&format!("/meetups/{room}/membership")).await?,
    };
    let told = |view: &crate::client::View| {
        let is_told =
            |body: &Body| matches!(body, Body::Member { user, change } if user.id == leaver.id && *change == how);
        view.rooms.get(&room).is_some_and(|room| room.entries.iter().any(|entry| is_told(&entry.body)))
    };
    for other in cohort.clients.iter().chain([&client]) {
        other.wait_for(PATIENCE, "the entry that tells of leaving", told).await?;
    }
    lasting(world.scale(400, 2000)).await;
    let seen = client.room(room).entries;
    let last = seen.back().map(|entry| matches!(&entry.body, Body::Member { user, .. } if user.id == leaver.id));
    ensure!(last == Some(true), "the one who left still hears: {:?}", seen.back());
    ensure!(client.send(room, "아직 들리나요?").await.is_err(), "the one who left can still talk");
    let url = world.system.gateway_urls()?.swap_remove(0);
    let (mut again, _) = Connection::greet(&url, Greeting::Header(&leaver.token)).await?;
    let reply = again.join(room).await?;
    ensure!(matches!(reply, Frame::Error { .. }), "the one who left can come back in: {reply:?}");
    cohort.quiet(talk).await?;
    Ok((cohort.finish().await?, (room, leaver)))
}

pub(super) async fn join_storm(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(4).await?;
    let talk = cohort.talk();
    let room = cohort.room.id;
    let newcomers: Vec<User> = world.room(world.scale(40, 150)).await?.members;
    let rest = world.rest()?;
    try_join_all(newcomers.iter().map(|user| {
        let rest = rest.by(user);
        async move { rest.join(room).await }
    }))
    .await?;
    cohort.quiet(talk).await?;
    let ids: Vec<Uuid> = newcomers.iter().map(|user| user.id).collect();
    everybody_is_told_once(world, &cohort, &ids).await?;
    Ok(format!("{} joined; {}", ids.len(), cohort.finish().await?))
}

/// Waits until the room has one entry for each of `joined`, and fails if it has two.
pub(super) async fn everybody_is_told_once(world: &World, cohort: &crate::stress::Cohort, joined: &[Uuid]) -> Outcome {
    let room = cohort.room.id;
    let times = |entries: &mut dyn Iterator<Item = &wire::Entry>, id: Uuid| {
        let about = |body: &Body| matches!(body, Body::Member { user, change: Change::Joined } if user.id == id);
        entries.filter(|entry| about(&entry.body)).count()
    };
    for client in &cohort.clients {
        let all =
            |view: &crate::client::View| joined.iter().all(|id| times(&mut view.rooms[&room].entries.iter(), *id) >= 1);
        client.wait_for(PATIENCE * 2, "an entry for everybody who joined", all).await?;
    }
    let history = world.rest()?.by(&cohort.room.members[0]).history(room).await?;
    for id in joined {
        let times = times(&mut history.iter(), *id);
        ensure!(times == 1, "the log tells {times} times that {id} joined");
    }
    Ok(())
}

pub(super) async fn notices_under_load(world: &mut World) -> Outcome<String> {
    let mut cohort = world.cohort(6).await?;
    let talk = cohort.talk();
    let room = cohort.room.id;
    let count = world.scale(15, 60);
    for number in 0..=count {
        let set = async || {
            let text = Some(format!("공지 {number} 📌"));
            cohort.clients[0].request(move |id| Command::Notice { id, room, text }).await
        };
        let mut reply = set().await?;
        // The host talks too, and has to keep to the limit of commands a second.
        while let Frame::Error { temporary: true, retry_after_ms, .. } = reply {
            lasting(retry_after_ms.unwrap_or(100)).await;
            reply = set().await?;
        }
        ensure!(matches!(reply, Frame::Ack { .. }), "the notice was answered with {reply:?}");
        lasting(80).await;
    }
    let last = format!("공지 {count} 📌");
    for client in &cohort.clients {
        let shown = |view: &crate::client::View| view.rooms[&room].notice.as_ref().is_some_and(|now| now.text == last);
        client.wait_for(PATIENCE, "the last notice", shown).await?;
    }
    cohort.quiet(talk).await?;
    let newcomer = world.rest()?.by(&cohort.room.members[1]).get(&format!("/meetups/{room}/notice")).await?;
    ensure!(newcomer["text"] == last.as_str(), "REST shows {newcomer}");
    Ok(format!("{} notices; {}", count + 1, cohort.finish().await?))
}
