//! Demo meetups around Seoul in every state, with members, waiting lists and reactions.

use std::time::Duration;

use chrono_tz::Asia::Seoul;
use common::{
    bootstrap::Backends,
    db::{DbError, Value},
    ids::Env,
    membership::MemberState,
    time::Timestamp,
    transaction,
};
use rand::{Rng, rngs::StdRng};
use uuid::Uuid;
use wire::CloseReason;

use super::{
    people::Account,
    plan::{DemoError, Plan},
    reactions::Reactions,
    table::Table,
    time::{DAY, HOUR, between, midnight, moments},
    words,
};
use crate::{
    day::Day,
    meetups::{
        model::NewMeetup,
        place::{Place, Region},
        rules::CAPACITY,
        store,
    },
};

/// The longest time between opening and beginning of a meetup.
const AHEAD: Duration = Duration::from_secs(21 * 86_400);
/// Meetups begin at full and half hours.
const HALF_HOUR_MS: i64 = 30 * 60 * 1_000;
/// People on a waiting list, at most.
const WAITING: usize = 6;

/// State of a demo meetup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Begins in two days at the earliest, so that its room can be written to for as long as the tokens are valid.
    Ahead,
    /// Begins within the day.
    Near,
    UnderWay,
    Over,
    Cancelled,
}

/// States of the meetups that are added to the upcoming ones, in turn.
const BESIDES: [Phase; 5] = [Phase::Over, Phase::UnderWay, Phase::Cancelled, Phase::Over, Phase::Near];

/// A demo meetup. Members and waiting people are indexes into the list of accounts, with the moment of joining.
pub(super) struct DemoMeetup {
    pub(super) id: Uuid,
    /// In the order of joining, the host first.
    pub(super) members: Vec<(usize, Timestamp)>,
    /// When its room was closed, and the reason.
    pub(super) closed: Option<(Timestamp, CloseReason)>,
    /// End of the conversations in its room.
    pub(super) until: Timestamp,
    phase: Phase,
    waiting: Vec<(usize, Timestamp)>,
    new: NewMeetup,
}

impl DemoMeetup {
    /// Whether its room accepts messages for a day at least.
    pub(super) fn stays_open(&self) -> bool {
        self.phase == Phase::Ahead
    }

    /// When it was opened: the host joined then.
    pub(super) fn opened_at(&self) -> Timestamp {
        self.members[0].1
    }

    fn row(&self, accounts: &[Account], likes: usize, comments: usize) -> Vec<(&'static str, Value)> {
        let host = accounts[self.members[0].0].person.id;
        let mut row = store::row(self.id, host, &self.new, self.opened_at());
        let at = |reason| self.closed.and_then(|(at, why)| (why == reason).then_some(at));
        row.extend([
            ("member_count", self.members.len().into()),
            ("waiting_count", self.waiting.len().into()),
            ("like_count", likes.into()),
            ("comment_count", comments.into()),
            ("cancelled_at", at(CloseReason::Cancelled).into()),
            ("end_told_at", at(CloseReason::Ended).into()),
        ]);
        row
    }
}

/// The meetups of the plan, all upcoming, and half as many in other states, in the order of opening.
pub(super) fn draw(plan: Plan, env: &Env, rng: &mut StdRng) -> Vec<DemoMeetup> {
    let besides = BESIDES.into_iter().cycle().take(plan.meetups.div_ceil(2));
    let phases = std::iter::repeat_n(Phase::Ahead, plan.meetups).chain(besides);
    let now = env.clock.now();
    let mut meetups: Vec<DemoMeetup> =
        phases.enumerate().map(|(number, phase)| draw_one(plan, number, phase, now, rng)).collect();
    meetups.sort_by_key(DemoMeetup::opened_at);
    // Lists sort by id for the order of opening.
    for meetup in &mut meetups {
        meetup.id = env.ids.next_id();
    }
    meetups
}

fn draw_one(plan: Plan, number: usize, phase: Phase, now: Timestamp, rng: &mut StdRng) -> DemoMeetup {
    let everyone_since = now - DAY * plan.days;
    let words = words::meetup(rng);
    let mut new = new_meetup(words, number, rng);
    (new.starts_at, new.ends_at) = times(phase, now, everyone_since, words, rng);
    let earliest = everyone_since.max(new.starts_at.min(now) - AHEAD);
    let opened_at = between(rng, earliest, new.starts_at.min(now));
    let closed = match phase {
        Phase::Ahead | Phase::Near | Phase::UnderWay => None,
        Phase::Over => Some((new.ends_at, CloseReason::Ended)),
        Phase::Cancelled => Some((between(rng, opened_at, now), CloseReason::Cancelled)),
    };
    let until = closed.map_or(now, |(at, _)| at);
    // One third is full with a waiting list, one third has free places, one third has no limit.
    let (capacity, waiting) = match number % 3 {
        0 => (Some(plan.members), rng.random_range(1..=WAITING).min(plan.users - plan.members)),
        1 => (Some(plan.members + rng.random_range(1..=20)), 0),
        _ => (None, 0),
    };
    new.capacity = capacity.and_then(|places| u32::try_from(places).ok()).filter(|places| CAPACITY.contains(places));
    let waiting = new.capacity.map_or(0, |_| waiting);
    let mut places = (0..plan.members + waiting).map(|place| (number * plan.members + place) % plan.users);
    let since = std::iter::once(opened_at).chain(moments(rng, opened_at, until, plan.members - 1));
    let members: Vec<(usize, Timestamp)> = places.by_ref().zip(since).collect();
    let full_at = members.last().map_or(opened_at, |(_, at)| *at);
    let waiting = places.zip(moments(rng, full_at, until, waiting)).collect();
    DemoMeetup { id: Uuid::nil(), members, closed, until, phase, waiting, new }
}

/// Texts and place; the times are set by the caller.
fn new_meetup(words: &words::MeetupWords, number: usize, rng: &mut StdRng) -> NewMeetup {
    let place = words::place(rng);
    let region =
        Region {
            sido: "서울특별시".to_owned(), sigungu: place.sigungu.to_owned(), code: place.region_code.to_owned()
        };
    let place = Place {
        name: place.name.to_owned(),
        road_address: place.road_address.to_owned(),
        lot_address: place.lot_address.to_owned(),
        // Spread the meetups around each place.
        latitude: place.latitude + rng.random_range(-0.004..0.004),
        longitude: place.longitude + rng.random_range(-0.004..0.004),
        region,
        kakao_place_id: None,
        kakao_place_url: None,
    };
    NewMeetup {
        title: words.title.to_owned(),
        description: words.description.to_owned(),
        image_url: rng.random_bool(0.6).then(|| format!("https://picsum.photos/seed/mingizuk-{number}/800/600")),
        place,
        starts_at: Timestamp(0),
        ends_at: Timestamp(0),
        capacity: None,
    }
}

/// Begin and end of a meetup.
fn times(
    phase: Phase,
    now: Timestamp,
    everyone_since: Timestamp,
    words: &words::MeetupWords,
    rng: &mut StdRng,
) -> (Timestamp, Timestamp) {
    let half_hour = Duration::from_millis(HALF_HOUR_MS.unsigned_abs());
    let last_half_hour = Timestamp(now.0 - now.0.rem_euclid(HALF_HOUR_MS));
    let on_day = |rng: &mut StdRng, days: i64| {
        midnight(Day::at(now, Seoul).plus(days), Seoul, now)
            + HOUR * rng.random_range(words.from..=words.until)
            + half_hour * rng.random_range(0..=1)
    };
    let starts_at = match phase {
        Phase::Ahead | Phase::Cancelled => {
            let days = rng.random_range(2..=14);
            on_day(rng, days)
        }
        Phase::Over => {
            let days = -rng.random_range(1..=20);
            on_day(rng, days)
        }
        Phase::Near => last_half_hour + half_hour * rng.random_range(1..=36),
        Phase::UnderWay => last_half_hour,
    };
    let starts_at = starts_at.max(everyone_since);
    let ends_at = starts_at + half_hour * rng.random_range(2..=6);
    (starts_at, if phase == Phase::Over { ends_at.min(now) } else { ends_at })
}

/// Inserts meetups with their members, likes and comments.
pub(super) async fn insert(
    backends: &Backends,
    meetups: &[DemoMeetup],
    accounts: &[Account],
    rng: &mut StdRng,
) -> Result<(), DemoError> {
    let mut rows = Table::new("meetups", &[]);
    let mut terms = Table::new("meetup_terms", &["term", "meetup_id"]);
    let mut members = Table::new("meetup_members", &["meetup_id", "user_id", "state", "since"]);
    let mut reactions = Reactions::new();
    for meetup in meetups {
        let (likes, comments) = reactions.draw((meetup.id, meetup.opened_at()), accounts, &backends.env, rng);
        rows.push_named(meetup.row(accounts, likes, comments));
        store::term_rows(meetup.id, &meetup.new).into_iter().for_each(|row| terms.push(row));
        for (people, state) in [(&meetup.members, MemberState::Member), (&meetup.waiting, MemberState::Waiting)] {
            for (place, since) in people {
                let person = accounts[*place].person.id;
                members.push(vec![meetup.id.into(), person.into(), state.as_str().into(), (*since).into()]);
            }
        }
    }
    transaction!(backends.db, |tx| async {
        // Referenced rows come first.
        for table in [&rows, &terms, &members, &reactions.likes, &reactions.comments] {
            table.insert(tx).await?;
        }
        Ok::<_, DbError>(())
    })?;
    Ok(())
}
