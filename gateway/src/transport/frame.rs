//! Encoding of protocol frames: JSON in a WebSocket text frame.

use common::rooms::RawEntry;
use wire::Frame;

use super::encoded::Encoded;

/// Encodes a frame.
pub fn encode(frame: &Frame) -> Encoded {
    // Texts, numbers and ids can always be encoded.
    Encoded::text(&serde_json::to_string(frame).unwrap_or_default())
}

/// Encodes a `joined` frame with `entries`, which are spliced in as they were encoded when appended; `frame` has none.
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
    fn joined_contains_the_raw_entries() {
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
        let raw = |seq| RawEntry::new(seq, format!(r#"{{"seq":{seq}}}"#));
        for entries in [vec![], vec![raw(1)], vec![raw(1), raw(2)]] {
            let text = splice(&frame, &entries);
            let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let seqs: Vec<u64> =
                value["entries"].as_array().expect("entries").iter().filter_map(|e| e["seq"].as_u64()).collect();
            assert_eq!(seqs, entries.iter().map(|e| e.seq).collect::<Vec<_>>());
        }
    }
}
