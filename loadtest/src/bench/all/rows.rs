//! Rows of the table: each a named measurement with its conditions, its goal and the figures it shows.

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Messages to rooms of many, at a rate in each.
    Deliveries { rooms: usize, members: usize, rate: f64, beside: Beside },
    /// Two loads of about the same work, the second with more rooms or members.
    Growth { small: (usize, usize, f64), large: (usize, usize, f64) },
    /// Memory of idle, joined connections.
    Idle,
    /// Connecting, authenticating and joining.
    Connect,
    /// Everyone connecting at once, under the default limits.
    Herd,
    /// Memory of idle rooms of two.
    Rooms,
    /// Commands to Redis while nobody does anything.
    Presence,
    /// Redis killed and started again.
    Return,
    /// Messages as fast as they are acknowledged.
    Send,
    /// Reads over REST.
    Rest,
    /// Completing an action of a workout.
    Completion,
    /// Room log in Redis against MariaDB.
    Store,
    /// From being started to being ready.
    Ready,
}

/// What a load is measured beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// The floor alone.
    Floor,
    /// The floor and the peers.
    Peers,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Its name on the command line.
    pub(super) name: &'static str,
    /// What it says.
    pub(super) title: &'static str,
    /// What is to be reached.
    pub(super) goal: &'static str,
    /// The figures that are shown, the most important first.
    pub(super) figures: &'static [&'static str],
    pub(super) kind: Kind,
}

const DELIVERY: &[&str] = &[
    "server µs a delivery",
    "× independent writes",
    "× writes together",
    "delivery p50 ms",
    "delivery p99 ms",
    "ack p99 ms",
    "deliveries a second",
    "redis µs a message",
    "redis µs a message, idle cost taken off",
    "redis idle, % of a core",
    "generator µs a delivery",
    "late p99 ms",
    "lost",
    "repeated or reordered",
];
const GROWTH: &[&str] = &["small: server µs a delivery", "large: server µs a delivery", "large ÷ small", "lost"];

const fn deliveries(name: &'static str, title: &'static str, goal: &'static str, rate: f64, beside: Beside) -> Row {
    Row { name, title, goal, figures: DELIVERY, kind: Kind::Deliveries { rooms: 20, members: 50, rate, beside } }
}

const fn growth(
    name: &'static str,
    title: &'static str,
    goal: &'static str,
    small: (usize, usize, f64),
    large: (usize, usize, f64),
) -> Row {
    Row { name, title, goal, figures: GROWTH, kind: Kind::Growth { small, large } }
}

const fn row(
    name: &'static str,
    title: &'static str,
    goal: &'static str,
    figures: &'static [&'static str],
    kind: Kind,
) -> Row {
    Row { name, title, goal, figures, kind }
}

/// Every row, in the order of the document.
pub(super) const ROWS: [Row; 19] = [
    deliveries(
        "deliveries-20",
        "20 messages a second in each of 20 rooms of 50 (20,000 deliveries a second)",
        "≤ 1.35 × independent writes, p99 ≤ 5 ms",
        20.0,
        Beside::Peers,
    ),
    deliveries(
        "deliveries-80",
        "80 messages a second in each of 20 rooms of 50 (80,000 deliveries a second)",
        "≤ 1.35 × independent writes, p50 ≤ 2 ms, p99 ≤ 10 ms",
        80.0,
        Beside::Peers,
    ),
    deliveries(
        "deliveries-300",
        "300 messages a second in each of 20 rooms of 50 (300,000 deliveries a second)",
        "≤ 0.35 × writes together, ≤ 2.5 µs, p99 ≤ 20 ms, Redis ≤ 22 µs a message without its idle cost",
        300.0,
        Beside::Peers,
    ),
    deliveries(
        "deliveries-600",
        "600 messages a second in each of 20 rooms of 50 (600,000 deliveries a second)",
        "≤ 1.5 µs, nothing lost",
        600.0,
        Beside::Floor,
    ),
    growth(
        "growth-rooms",
        "Growth by rooms: 10 rooms of 10 at 60 messages a second each, then 600 rooms of 10 at 1 each",
        "≤ 1.15 ×",
        (10, 10, 60.0),
        (600, 10, 1.0),
    ),
    growth(
        "growth-members",
        "Growth by members: 100 rooms of 10 at 20 messages a second each, then 1 room of 5,000 at 4",
        "≤ 1.2 ×",
        (100, 10, 20.0),
        (1, 5000, 4.0),
    ),
    growth(
        "growth-receivers",
        "10 members a room instead of 50, the same deliveries a second (20,000)",
        "≤ 1.5 ×",
        (20, 50, 20.0),
        (20, 10, 100.0),
    ),
    row(
        "idle",
        "Memory of an idle, authenticated, joined connection, 10,000 of them, after three rounds of connecting and 30 s",
        "≤ 5.5 KiB",
        &["KiB a connection", "KiB a connection at first", "µs of heartbeat a second", "connections", "closed"],
        Kind::Idle,
    ),
    row(
        "connect",
        "Connect, authenticate and join: processor time",
        "≤ 100 µs, ≤ 60 µs in Redis and SQL",
        &["server µs", "redis µs", "database µs", "connect p50 ms", "connect p99 ms", "connections a second"],
        Kind::Connect,
    ),
    row(
        "herd",
        "10,000 connects, 200 at a time, under the default limits",
        "none refused",
        &["refused", "seconds until all were in", "connect p50 ms", "connect p99 ms"],
        Kind::Herd,
    ),
    row(
        "rooms",
        "Memory of an idle room of two on a gateway, 50,000 of them",
        "≤ 3 KiB",
        &["KiB a room", "rooms"],
        Kind::Rooms,
    ),
    row(
        "presence",
        "Commands to Redis a second while nobody does anything: 10 rooms of 10, then 100 rooms of 10",
        "the same for both",
        &["commands a second, 100 connections", "commands a second, 1,000 connections", "ratio"],
        Kind::Presence,
    ),
    row(
        "redis-returns",
        "Live again after Redis was killed and started again, 50,000 rooms",
        "≤ 5 s",
        &["seconds until every probed room is live", "rooms", "rooms probed"],
        Kind::Return,
    ),
    row(
        "send",
        "Accepted sends, 100 connections with 16 under way each",
        "≥ 30,000 a second, ≤ 25 µs",
        &["acknowledged a second", "server µs a send", "ack p50 ms", "ack p99 ms", "redis cores"],
        Kind::Send,
    ),
    row(
        "store",
        "Rooms in Redis against rooms in MariaDB, the same script",
        "latency down by 75 %",
        &[
            "ack p50 ms",
            "ack p95 ms",
            "ack p99 ms",
            "delivery p50 ms",
            "delivery p95 ms",
            "delivery p99 ms",
            "history p50 ms",
            "history p95 ms",
            "history p99 ms",
            "deliveries a second",
            "server µs a delivery",
            "stores µs a delivery",
            "server µs a page",
        ],
        Kind::Store,
    ),
    row(
        "rest",
        "Reads over REST: 10,000 meetups, at 500 requests a second and saturated",
        "p99 ≤ 10 ms; saturated ≥ 15 times cheaper than the first version of this service",
        &[
            "me p99 ms",
            "today p99 ms",
            "habits p99 ms",
            "meetups p99 ms",
            "room p99 ms",
            "me µs saturated",
            "today µs saturated",
            "habits µs saturated",
            "meetups µs saturated",
            "room µs saturated",
            "me, times cheaper",
            "today, times cheaper",
            "habits, times cheaper",
            "meetups, times cheaper",
            "room, times cheaper",
        ],
        Kind::Rest,
    ),
    row(
        "completion",
        "Completing an action of a workout, with its award",
        "≤ 400 µs",
        &["server µs", "database µs", "statements", "p50 ms", "p99 ms"],
        Kind::Completion,
    ),
    row("ready", "From being started to being ready, embedded, schema in place", "≤ 300 ms", &["ms"], Kind::Ready),
    row(
        "deliveries-small",
        "One message a second in each of 20 rooms of 50: what a quiet evening costs",
        "–",
        DELIVERY,
        Kind::Deliveries { rooms: 20, members: 50, rate: 1.0, beside: Beside::Floor },
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_and_shows_something() {
        let mut names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
        assert!(ROWS.iter().all(|row| !row.figures.is_empty() && !row.title.is_empty()));
    }
}
