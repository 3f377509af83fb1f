//! Frames on their way to a socket, and how they are written.
//!
//! A server does not mask its frames (RFC 6455, section 5.1), so a frame is the same bytes on every connection: each is
//! encoded once, and written from where it is, past the buffer of the WebSocket library, which would keep a copy for each
//! connection.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
};

use tokio_tungstenite::tungstenite::Bytes;

/// Frames of one system call, at most.
const SLICES: usize = 32;
/// Memory for so many frames is kept once they are written.
const KEPT_FRAMES: usize = 16;
/// A final text frame.
const TEXT: u8 = 0x81;

/// A WebSocket frame as it goes over the wire; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(Bytes);

impl Encoded {
    /// A ping without a text.
    pub const PING: Self = Self(Bytes::from_static(&[0x89, 0]));

    /// A frame with this text.
    pub fn text(text: &str) -> Self {
        let mut bytes = Vec::with_capacity(text.len() + 10);
        bytes.push(TEXT);
        // The three forms of a length: RFC 6455, section 5.2.
        if let Some(length) = u8::try_from(text.len()).ok().filter(|length| *length < 126) {
            bytes.push(length);
        } else if let Ok(length) = u16::try_from(text.len()) {
            bytes.push(126);
            bytes.extend_from_slice(&length.to_be_bytes());
        } else {
            bytes.push(127);
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        }
        bytes.extend_from_slice(text.as_bytes());
        Self(bytes.into())
    }

    /// Whole frames that the WebSocket library has made.
    pub fn made(frames: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(frames))
    }

    /// Bytes on the wire.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

/// Frames to be written, in order, the first of them perhaps written in part.
#[derive(Debug, Default)]
pub struct Outgoing {
    frames: VecDeque<Encoded>,
    /// Bytes of the first one that are written.
    offset: usize,
    bytes: usize,
}

impl Outgoing {
    /// Adds a frame behind the others.
    pub fn push(&mut self, frame: Encoded) {
        self.bytes += frame.size();
        self.frames.push_back(frame);
    }

    /// Frames that are not written whole.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Bytes that are not written.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Writes with `write` until everything is written or it would block. Returns whether everything is written; what is not
    /// is exactly what is left.
    ///
    /// # Errors
    /// What `write` fails with, but that it would block.
    pub fn write_with(&mut self, mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<bool> {
        while !self.frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            match write(self.fill(&mut slices)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => self.advance(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.frames.shrink_to(KEPT_FRAMES);
        Ok(true)
    }

    /// Gives up all but the rest of a frame that was begun: the other side could read nothing after half a frame.
    pub fn keep_begun(&mut self) {
        self.frames.truncate(usize::from(self.offset > 0));
        self.frames.shrink_to_fit();
        self.bytes = self.frames.front().map_or(0, |frame| frame.size() - self.offset);
    }

    fn fill<'a, 'b>(&'a self, slices: &'b mut [IoSlice<'a>; SLICES]) -> &'b [IoSlice<'a>] {
        let mut skip = self.offset;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(&frame.0[skip..]);
            skip = 0;
        }
        &slices[..self.frames.len().min(SLICES)]
    }

    fn advance(&mut self, mut bytes: usize) {
        self.bytes -= bytes;
        while let Some(frame) = self.frames.front() {
            let left = frame.size() - self.offset;
            if bytes < left {
                self.offset += bytes;
                return;
            }
            bytes -= left;
            self.offset = 0;
            self.frames.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

    use super::*;

    fn outgoing(texts: &[String]) -> Outgoing {
        let mut outgoing = Outgoing::default();
        texts.iter().for_each(|text| outgoing.push(Encoded::text(text)));
        outgoing
    }

    /// What the other side takes, `at_once` bytes at a time, when every third attempt would block.
    fn wire(outgoing: &mut Outgoing, at_once: usize) -> Vec<u8> {
        let (mut taken, mut attempt) = (Vec::new(), 0);
        let mut write = |slices: &[IoSlice<'_>]| {
            attempt += 1;
            if attempt % 3 == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).take(at_once).collect();
            taken.extend_from_slice(&bytes);
            Ok(bytes.len())
        };
        while !outgoing.write_with(&mut write).expect("written") {}
        assert_eq!((outgoing.len(), outgoing.bytes()), (0, 0));
        taken
    }

    fn read(bytes: Vec<u8>) -> Vec<String> {
        let mut socket = WebSocket::from_raw_socket(io::Cursor::new(bytes), Role::Client, None);
        std::iter::from_fn(|| socket.read().ok())
            .map(|message| message.into_text().expect("text").to_string())
            .collect()
    }

    #[test]
    fn frames_of_every_size_are_read_as_they_were_written() {
        let sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000];
        let mut texts: Vec<String> = sizes.iter().map(|size| "가".repeat(size / 3) + &"x".repeat(size % 3)).collect();
        texts.extend((0..100).map(|n| n.to_string()));
        for at_once in [1, 7, 4096, usize::MAX] {
            assert_eq!(read(wire(&mut outgoing(&texts), at_once)), texts);
        }
    }

    #[test]
    fn a_frame_that_was_begun_is_finished_and_no_other() {
        let texts = ["one".to_owned(), "two".to_owned(), "three".to_owned()];
        for (written, expected) in [(0, vec![]), (2, vec!["one"]), (5, vec!["one"]), (6, vec!["one", "two"])] {
            let mut out = outgoing(&texts);
            let mut taken: Vec<u8> = out.frames.iter().flat_map(|frame| frame.0.clone()).take(written).collect();
            out.advance(written);
            out.keep_begun();
            taken.extend(wire(&mut out, 2));
            assert_eq!(read(taken), expected);
        }
    }
}
