//! Requests of a client: decoding of text frames, and the queue of what is read but not executed yet.

use std::collections::VecDeque;

use serde::Deserialize;
use uuid::Uuid;
use wire::{Command, ErrorCode};

use crate::refusal::Refusal;

/// A request of a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// One command.
    Command(Command),
    /// Messages to one room that came one right after the other: they are appended together.
    Messages(Uuid, Vec<NewMessage>),
    /// Refused as soon as it was read, and answered in its turn.
    Refused(Refusal),
}

/// A message to be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// The command's id.
    pub id: u64,
    /// The same for every attempt to send this message.
    pub nonce: String,
    /// The text.
    pub text: String,
}

/// Requests that are read and not executed yet, in order. The session bounds them: it reads no further while there are any.
#[derive(Debug, Default)]
pub struct Pending(VecDeque<Request>);

impl Pending {
    /// Adds a command; a message joins those right before it if they are to the same room.
    pub fn push(&mut self, command: Command) {
        match (command, self.0.back_mut()) {
            (Command::Send { id, room, nonce, text }, Some(Request::Messages(same, messages))) if *same == room => {
                messages.push(NewMessage { id, nonce, text });
            }
            (Command::Send { id, room, nonce, text }, _) => {
                self.0.push_back(Request::Messages(room, vec![NewMessage { id, nonce, text }]));
            }
            (command, _) => self.0.push_back(Request::Command(command)),
        }
    }

    /// Adds a refusal.
    pub fn push_refusal(&mut self, refusal: Refusal) {
        self.0.push_back(Request::Refused(refusal));
    }

    /// The next request. Frees the memory of the queue once it is empty.
    pub fn pop(&mut self) -> Option<Request> {
        let next = self.0.pop_front();
        if next.is_none() {
            self.0 = VecDeque::new();
        }
        next
    }
}

/// Decodes the command of a text frame.
///
/// # Errors
/// [`ErrorCode::BadRequest`], with the command's `id` if it has a readable one.
pub fn decode(text: &str) -> Result<Command, Refusal> {
    #[derive(Deserialize)]
    struct Id {
        id: u64,
    }
    // serde would also decode a command from an array, which is not part of the protocol.
    if !text.trim_start().starts_with('{') {
        return Err(Refusal::new(None, ErrorCode::BadRequest, "a command is a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| {
        let id = serde_json::from_str::<Id>(text).ok().map(|id| id.id);
        Refusal::new(id, ErrorCode::BadRequest, error.to_string())
    })
}

/// Properties of decoding, for the fuzzer and its corpus: no text makes it panic; a decoded command survives encoding and
/// decoding; a refusal is `bad_request`.
///
/// # Panics
/// When a property does not hold.
#[doc(hidden)]
pub fn check_decoding(text: &str) {
    match decode(text) {
        Ok(command) => {
            let written = serde_json::to_string(&command).unwrap_or_default();
            assert_eq!(decode(&written).as_ref(), Ok(&command));
        }
        Err(refusal) => assert_eq!(refusal.code, ErrorCode::BadRequest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_of_a_bad_command_has_its_id_if_readable() {
        for (text, id) in [
            ("", None),
            ("{", None),
            ("[1]", None),
            (r#"{"type":"dance","id":7}"#, Some(7)),
            (r#"{"type":"join","id":7,"room":5}"#, Some(7)),
            (r#"{"type":"join","id":-7}"#, None),
            (r#"{"id":7}"#, Some(7)),
            (&"[".repeat(4000), None),
        ] {
            let refusal = decode(text).expect_err(text);
            assert_eq!((refusal.code, refusal.id), (ErrorCode::BadRequest, id), "{text}");
        }
    }

    #[test]
    fn decoding_properties_hold_for_the_fuzz_corpus() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/command");
        let mut inputs = 0;
        for file in std::fs::read_dir(corpus).expect("the corpus") {
            let bytes = std::fs::read(file.expect("a file").path()).expect("readable");
            check_decoding(&String::from_utf8_lossy(&bytes));
            inputs += 1;
        }
        assert!(inputs >= 20, "only {inputs} inputs");
    }

    #[test]
    fn consecutive_messages_to_a_room_are_one_request() {
        let [one, two] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let send = |id, room| Command::Send { id, room, nonce: "n".into(), text: "x".into() };
        let message = |id| NewMessage { id, nonce: "n".into(), text: "x".into() };
        let mut pending = Pending::default();
        for command in [send(1, one), send(2, one), send(3, two), Command::Leave { id: 4, room: two }, send(5, two)] {
            pending.push(command);
        }
        pending.push_refusal(Refusal::not_a_member());
        pending.push(send(6, two));
        let requests: Vec<Request> = std::iter::from_fn(|| pending.pop()).collect();
        let expected = [
            Request::Messages(one, vec![message(1), message(2)]),
            Request::Messages(two, vec![message(3)]),
            Request::Command(Command::Leave { id: 4, room: two }),
            Request::Messages(two, vec![message(5)]),
            Request::Refused(Refusal::not_a_member()),
            Request::Messages(two, vec![message(6)]),
        ];
        assert_eq!(requests, expected);
    }
}
