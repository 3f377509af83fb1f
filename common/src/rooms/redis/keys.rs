//! The names of keys and channels.

use uuid::Uuid;

use crate::rooms::SYSTEM;

pub(super) fn log(room: Uuid) -> String {
    format!("mz:{{{room}}}:log")
}

pub(super) fn meta(room: Uuid) -> String {
    format!("mz:{{{room}}}:meta")
}

pub(super) fn nonces(room: Uuid, author: Uuid) -> String {
    format!("mz:{{{room}}}:nonces:{author}")
}

pub(super) fn people(room: Uuid) -> String {
    format!("mz:{{{room}}}:people")
}

pub(super) fn seats(room: Uuid) -> String {
    format!("mz:{{{room}}}:seats")
}

pub(super) fn present(room: Uuid) -> String {
    format!("mz:{{{room}}}:present")
}

pub(super) fn reads(room: Uuid) -> String {
    format!("mz:{{{room}}}:reads")
}

/// What a room keeps until it is closed for good, `meta` first; the nonces of users expire by themselves.
pub(super) fn kept(room: Uuid) -> Vec<String> {
    let kept = [meta, log, people, seats, present, reads].map(|key| key(room));
    kept.into_iter().chain([nonces(room, SYSTEM)]).collect()
}

pub(super) fn connections(user: Uuid) -> String {
    format!("mz:{{user:{user}}}:connections")
}

pub(super) fn channel(room: Uuid) -> String {
    format!("mz:{{{room}}}")
}

pub(super) fn sessions() -> String {
    "mz:{sessions}".to_owned()
}

/// A channel of one process, the `n`th: their hash tags spread over the slots of a cluster.
pub(super) fn probe(process: Uuid, n: usize) -> String {
    format!("mz:{{probe:{process}:{n}}}")
}

/// What a message is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Room(Uuid),
    Sessions,
    /// The `n`th probe.
    Probe(usize),
}

/// What a channel is about; `None` if it is none of ours.
pub(super) fn topic(channel: &str) -> Option<Topic> {
    let tag = channel.strip_prefix("mz:{")?.strip_suffix('}')?;
    match tag.strip_prefix("probe:") {
        Some(probe) => probe.rsplit_once(':')?.1.parse().ok().map(Topic::Probe),
        None if tag == "sessions" => Some(Topic::Sessions),
        None => tag.parse().ok().map(Topic::Room),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_tell_what_they_are_about() {
        let id = Uuid::from_u128(5);
        for (name, expected) in [
            (channel(id), Some(Topic::Room(id))),
            (sessions(), Some(Topic::Sessions)),
            (probe(id, 12), Some(Topic::Probe(12))),
            ("mz:{nothing}".to_owned(), None),
            ("other".to_owned(), None),
            (log(id), None),
        ] {
            assert_eq!(topic(&name), expected, "{name}");
        }
    }
}
