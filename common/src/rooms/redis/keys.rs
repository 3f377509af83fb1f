//! Names of keys and channels. Those of a room begin with the hash tag of its partition.

use uuid::Uuid;

use super::partitions::{partition_of, partition_with, tag_of};
use crate::rooms::SYSTEM;

/// The partition of the channel of ended sessions.
pub(super) const SESSIONS_PARTITION: usize = 0;

/// A room's channel, and the beginning of the names of its keys.
pub(super) fn channel(room: Uuid) -> String {
    format!("mz:{{{}}}:{room}", tag_of(partition_of(room)))
}

pub(super) fn log(room: Uuid) -> String {
    format!("{}:log", channel(room))
}

pub(super) fn meta(room: Uuid) -> String {
    format!("{}:meta", channel(room))
}

pub(super) fn nonces(room: Uuid, author: Uuid) -> String {
    format!("{}:nonces:{author}", channel(room))
}

pub(super) fn people(room: Uuid) -> String {
    format!("{}:people", channel(room))
}

pub(super) fn seats(room: Uuid) -> String {
    format!("{}:seats", channel(room))
}

pub(super) fn present(room: Uuid) -> String {
    format!("{}:present", channel(room))
}

pub(super) fn reads(room: Uuid) -> String {
    format!("{}:reads", channel(room))
}

/// The keys that a room keeps until it is closed for good, `meta` first; the nonces of users expire by themselves.
pub(super) fn kept(room: Uuid) -> Vec<String> {
    let kept = [meta, log, people, seats, present, reads].map(|key| key(room));
    kept.into_iter().chain([nonces(room, SYSTEM)]).collect()
}

pub(super) fn connections(user: Uuid) -> String {
    format!("mz:{{user:{user}}}:connections")
}

pub(super) fn sessions() -> String {
    format!("mz:{{{}}}:sessions", tag_of(SESSIONS_PARTITION))
}

/// The key and the channel of a process's probe of a partition.
pub(super) fn probe(partition: usize, process: Uuid) -> String {
    format!("mz:{{{}}}:probe:{process}", tag_of(partition))
}

/// The subject of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Room(Uuid),
    Sessions,
    /// The probe of a process.
    Probe(Uuid),
}

/// The partition and the subject of a channel; `None` if it is not one of these.
pub(super) fn topic(channel: &str) -> Option<(usize, Topic)> {
    let (tag, rest) = channel.strip_prefix("mz:{")?.split_once("}:")?;
    let topic = match rest.strip_prefix("probe:") {
        Some(process) => Topic::Probe(process.parse().ok()?),
        None if rest == "sessions" => Topic::Sessions,
        None => Topic::Room(rest.parse().ok()?),
    };
    Some((partition_with(tag)?, topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_tell_their_partition_and_subject() {
        let id = Uuid::from_u128(5);
        for (name, expected) in [
            (channel(id), Some((5, Topic::Room(id)))),
            (sessions(), Some((SESSIONS_PARTITION, Topic::Sessions))),
            (probe(12, id), Some((12, Topic::Probe(id)))),
            ("mz:{nothing}:sessions".to_owned(), None),
            ("other".to_owned(), None),
            (log(id), None),
        ] {
            assert_eq!(topic(&name), expected, "{name}");
        }
    }
}
