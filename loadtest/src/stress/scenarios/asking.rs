//! People who ask the REST service, and monitors that ask for readiness, while something else goes on: an answer may be
//! "not now", but never the answer to another question.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    ensure,
    failure::{Failure, Outcome},
    rest::{Rest, User, http_client},
    stress::World,
    system::Room,
};

/// Between two questions of one person, or of one monitor.
const BREATH: Duration = Duration::from_millis(20);
/// How long a monitor waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came back.
#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    right: u64,
    not_now: u64,
}

/// Asking in the background.
#[derive(Debug)]
pub(super) struct Asking {
    stop: CancellationToken,
    people: JoinSet<Outcome<Answers>>,
}

/// Every member of a room, and a monitor for each process, begin to ask.
pub(super) fn begin(world: &World, room: &Room) -> Outcome<Asking> {
    let (stop, mut people) = (CancellationToken::new(), JoinSet::new());
    let rest = world.rest()?;
    for member in room.members.clone() {
        let (rest, stop, room) = (rest.by(&member), stop.clone(), room.id);
        people.spawn(async move {
            let mut answers = Answers::default();
            while !stop.is_cancelled() {
                ask(&rest, &member, room, &mut answers).await?;
                tokio::time::sleep(BREATH).await;
            }
            Ok(answers)
        });
    }
    let http = http_client(PATIENCE)?;
    for ops in world.operations() {
        let (http, stop) = (http.clone(), stop.clone());
        people.spawn(async move {
            while !stop.is_cancelled() {
                let status = http.get(format!("{ops}/readyz")).send().await?.status();
                let known = matches!(status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE);
                ensure!(known, "/readyz answered {status}");
                tokio::time::sleep(BREATH).await;
            }
            Ok(Answers::default())
        });
    }
    Ok(Asking { stop, people })
}

impl Asking {
    /// Waits for the last answers, and says how many there were.
    pub(super) async fn end(mut self) -> Outcome<String> {
        self.stop.cancel();
        let mut sum = Answers::default();
        while let Some(answers) = self.people.join_next().await {
            let answers = answers??;
            sum = Answers { right: sum.right + answers.right, not_now: sum.not_now + answers.not_now };
        }
        ensure!(sum.right > 0, "nobody was answered");
        Ok(format!("{} right answers and {} times not now", sum.right, sum.not_now))
    }
}

/// Everybody asks so many times more, and is always answered. Returns how many answers that were.
pub(super) async fn each_is_right(world: &World, room: &Room, times: u64) -> Outcome<u64> {
    let (rest, mut answers) = (world.rest()?, Answers::default());
    for _ in 0..times {
        for member in &room.members {
            ask(&rest.by(member), member, room.id, &mut answers).await?;
        }
    }
    ensure!(answers.not_now == 0, "{} times not now though every process is ready", answers.not_now);
    Ok(answers.right)
}

/// Three questions of one person, whose answers are known.
async fn ask(rest: &Rest, member: &User, room: Uuid, answers: &mut Answers) -> Outcome {
    for path in ["/me".to_owned(), format!("/meetups/{room}"), "/me/meetups?role=joined&limit=50".to_owned()] {
        let (status, body) = rest.call(Method::GET, &path, None).await?;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answers.not_now += 1;
            continue;
        }
        ensure!(status == StatusCode::OK, "GET {path} was answered {status}: {body}");
        let right = match path.as_str() {
            "/me" => body["id"] == member.id.to_string() && body["nickname"] == member.nickname,
            path if path.starts_with("/meetups/") => body["id"] == room.to_string(),
            _ => items(&body)?.iter().any(|meetup| meetup["id"] == room.to_string()),
        };
        ensure!(right, "GET {path} of {} was answered with something else: {body}", member.id);
        answers.right += 1;
    }
    Ok(())
}

fn items(body: &serde_json::Value) -> Outcome<&Vec<serde_json::Value>> {
    body["items"].as_array().ok_or_else(|| Failure::new(format!("no items in {body}")))
}
