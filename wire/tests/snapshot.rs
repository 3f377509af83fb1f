//! The protocol as bytes: every line of the snapshot files is read into its type and written again unchanged.
//!
//! A client of an older version must understand a newer gateway, so lines are added and never changed.
#![expect(clippy::expect_used, reason = "tests")]

use serde::{Serialize, de::DeserializeOwned};
use wire::{Command, Entry, Ephemeral, Frame, close};

fn unchanged<T: Serialize + DeserializeOwned>(snapshot: &str) {
    assert!(snapshot.lines().count() >= 3, "the snapshot was read");
    for line in snapshot.lines() {
        let value: T = serde_json::from_str(line).expect(line);
        assert_eq!(serde_json::to_string(&value).expect("JSON"), line);
    }
}

#[test]
fn commands() {
    unchanged::<Command>(include_str!("snapshot/commands.jsonl"));
}

#[test]
fn frames() {
    unchanged::<Frame>(include_str!("snapshot/frames.jsonl"));
}

#[test]
fn entries() {
    unchanged::<Entry>(include_str!("snapshot/entries.jsonl"));
}

#[test]
fn ephemeral_events() {
    unchanged::<Ephemeral>(include_str!("snapshot/ephemeral.jsonl"));
}

#[test]
fn every_error_code_has_its_name() {
    let snapshot = include_str!("snapshot/frames.jsonl");
    let mut codes = 0;
    for line in snapshot.lines() {
        if let Frame::Error { code, .. } = serde_json::from_str::<Frame>(line).expect(line) {
            assert!(line.contains(&format!("\"code\":\"{}\"", code.as_str())), "{line}");
            codes += 1;
        }
    }
    assert_eq!(codes, 13);
}

#[test]
fn close_codes() {
    let codes = [
        (close::GOING_AWAY, 1001),
        (close::RESTART, 1012),
        (close::TRY_AGAIN, 1013),
        (close::BAD_FRAME, 4400),
        (close::UNAUTHENTICATED, 4401),
        (close::FORBIDDEN, 4403),
        (close::NO_HELLO, 4408),
        (close::TOO_MANY, 4429),
        (close::SLOW_READER, 4508),
        (close::NO_PONG, 4509),
    ];
    for (code, expected) in codes {
        assert_eq!(code, expected);
    }
    assert_eq!(wire::SUBPROTOCOL, "mingizuk.v1");
}
