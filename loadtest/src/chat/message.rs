//! Measured chat message: its text carries the time it was sent at, who sent it, and its number among the sender's.
//!
//! The text is a run of 32 digits, `stamp (20) sender (5) number (7)`, followed by filler. It is found wherever a server
//! puts it into a frame, so that every protocol that passes the text on can be measured.

/// Digits of a measured message.
pub const DIGITS: usize = 32;
/// Digits of the stamp: every number of 64 bits fits.
const STAMP: usize = 20;
/// Digits of the sender.
const SENDER: usize = 5;

/// What a measured message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// When it was sent, in nanoseconds of [`crate::clock::stamp`].
    pub stamp: u64,
    /// The sender's place in the room, below 100,000.
    pub sender: u32,
    /// Its number among the sender's messages of this room, from 0, below 10,000,000.
    pub number: u32,
}

impl Message {
    /// The text, filled up to `length` characters; never shorter than [`DIGITS`].
    pub fn text(&self, length: usize) -> String {
        let Self { stamp, sender, number } = self;
        let number = number % 10_000_000;
        format!("{stamp:020}{sender:05}{number:07}{:x<fill$}", "", fill = length.saturating_sub(DIGITS))
    }

    fn parse(digits: &[u8]) -> Self {
        let read =
            |digits: &[u8]| digits.iter().fold(0_u64, |n, d| n.wrapping_mul(10).wrapping_add(u64::from(d - b'0')));
        let small = |digits: &[u8]| u32::try_from(read(digits)).unwrap_or(u32::MAX);
        Self {
            stamp: read(&digits[..STAMP]),
            sender: small(&digits[STAMP..STAMP + SENDER]),
            number: small(&digits[STAMP + SENDER..]),
        }
    }
}

/// Calls `take` with every measured message in a frame, in order.
///
/// Only every 32nd byte is looked at until one is a digit: a run of 32 digits cannot hide between two of them.
pub fn each(frame: &[u8], mut take: impl FnMut(Message)) {
    let mut at = DIGITS - 1;
    while let Some(byte) = frame.get(at) {
        if !byte.is_ascii_digit() {
            at += DIGITS;
            continue;
        }
        let digits = |byte: &&u8| byte.is_ascii_digit();
        let before = frame[..at].iter().rev().take_while(digits).count();
        let after = frame[at..].iter().take_while(digits).count();
        if before + after == DIGITS {
            take(Message::parse(&frame[at - before..at + after]));
        }
        at += after + DIGITS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Message = Message { stamp: u64::MAX, sender: 99_999, number: 9_999_999 };
    const B: Message = Message { stamp: 1, sender: 0, number: 0 };

    fn found(frame: &str) -> Vec<Message> {
        let mut found = Vec::new();
        each(frame.as_bytes(), |message| found.push(message));
        found
    }

    #[test]
    fn messages_are_found_wherever_they_stand() {
        assert_eq!(A.text(0).len(), DIGITS);
        assert_eq!(B.text(40), format!("{}xxxxxxxx", B.text(0)));
        for offset in 0..70 {
            let pad = "x".repeat(offset);
            let frame = format!("{pad}{}{pad}y{}", A.text(40), B.text(0));
            assert_eq!(found(&frame), [A, B], "after {offset} bytes");
        }
    }

    #[test]
    fn other_digits_are_no_messages() {
        for other in ["1".repeat(31), "1".repeat(33), r#"{"seq":12,"at":"2026-01-01"}"#.into(), String::new()] {
            assert_eq!(found(&other), [], "{other}");
        }
    }
}
