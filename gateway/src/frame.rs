//! Reading commands and writing frames.

use common::rooms::RawEntry;
use serde::Deserialize;
use wire::{Command, ErrorCode, Frame};

use crate::outgoing::Encoded;

/// A command that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of the command, if it had one.
    pub id: Option<u64>,
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people.
    pub message: String,
    /// How long to wait before trying again.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal that stands until the client changes something.
    pub fn new(id: impl Into<Option<u64>>, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { id: id.into(), code, message: message.into(), retry_after_ms: None }
    }

    /// The frame that says so.
    pub fn into_frame(self) -> Frame {
        Frame::Error {
            id: self.id,
            code: self.code,
            message: self.message,
            temporary: matches!(self.code, ErrorCode::RateLimited | ErrorCode::Unavailable),
            retry_after_ms: self.retry_after_ms,
        }
    }
}

/// The command in a text frame.
///
/// # Errors
/// [`ErrorCode::BadRequest`], with the command's `id` if it has a readable one.
pub fn decode(text: &str) -> Result<Command, Refusal> {
    #[derive(Deserialize)]
    struct Id {
        id: u64,
    }
    // Structures could be read from arrays too, which the protocol does not have.
    if !text.trim_start().starts_with('{') {
        return Err(Refusal::new(None, ErrorCode::BadRequest, "a command is a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| {
        let id = serde_json::from_str::<Id>(text).ok().map(|id| id.id);
        Refusal::new(id, ErrorCode::BadRequest, error.to_string())
    })
}

/// What holds for every text that a client may send, for fuzzing and its corpus: reading it does not panic, what is read is
/// written as something that reads the same, and a refusal is `bad_request`.
///
/// # Panics
/// When one of that does not hold.
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

/// A frame as it goes over the wire.
pub fn encode(frame: &Frame) -> Encoded {
    // Frames are made of texts, numbers and ids: nothing that JSON could refuse.
    Encoded::text(&serde_json::to_string(frame).unwrap_or_default())
}

/// A `joined` frame whose entries, empty in `frame`, are `entries` as they were encoded when appended.
pub fn encode_joined(frame: &Frame, entries: &[RawEntry]) -> Encoded {
    Encoded::text(&splice(frame, entries))
}

fn splice(frame: &Frame, entries: &[RawEntry]) -> String {
    const EMPTY: &str = r#""entries":["#;
    let text = serde_json::to_string(frame).unwrap_or_default();
    // Nothing before the entries comes from a user, so the first match is the place.
    let Some(place) = text.find(EMPTY).map(|start| start + EMPTY.len()) else { return text };
    let size = text.len() + entries.iter().map(|entry| entry.json.len() + 1).sum::<usize>();
    let mut spliced = String::with_capacity(size);
    spliced.push_str(&text[..place]);
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            spliced.push(',');
        }
        spliced.push_str(&entry.json);
    }
    spliced.push_str(&text[place..]);
    spliced
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use wire::{Notice, Person, Role};

    use super::*;

    #[test]
    fn bad_commands_keep_their_id_where_it_can_be_read() {
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
    fn the_corpus_of_the_fuzzer_holds() {
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
    fn entries_are_spliced_in_as_they_are() {
        let notice = Notice {
            text: r#""entries":["#.to_owned(),
            user: Person { id: Uuid::nil(), nickname: "밍기".into() },
            at: common::time::Timestamp(0),
        };
        let frame = Frame::Joined {
            id: Some(1),
            room: Uuid::nil(),
            epoch: Uuid::nil(),
            seq: 2,
            recovered: true,
            entries: Vec::new(),
            notice: Some(notice),
            role: Role::Host,
            online: 1,
            read_seq: 0,
            unread: 2,
        };
        let raw = |seq| RawEntry { seq, json: format!(r#"{{"seq":{seq}}}"#).into() };
        for entries in [vec![], vec![raw(1)], vec![raw(1), raw(2)]] {
            let text = splice(&frame, &entries);
            let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let seqs: Vec<u64> =
                value["entries"].as_array().expect("entries").iter().filter_map(|e| e["seq"].as_u64()).collect();
            assert_eq!(seqs, entries.iter().map(|e| e.seq).collect::<Vec<_>>());
        }
    }
}
