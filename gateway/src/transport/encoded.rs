//! Encoded WebSocket frames, shared by all their receivers, and the buffer of frames that a socket has not taken yet.
//!
//! A server does not mask its frames (RFC 6455, section 5.1), so a frame is the same bytes on every connection: it is encoded
//! once and written from where it is. The buffer of the WebSocket library is bypassed, because it would hold a copy for each
//! connection.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
};

use tokio_tungstenite::tungstenite::Bytes;

/// Frames of one system call, at most.
const SLICES: usize = 32;
/// Capacity, in frames, that an empty buffer keeps.
const KEPT_FRAMES: usize = 16;
/// First byte of an unfragmented text frame: FIN and opcode 1.
const TEXT: u8 = 0x81;

/// An encoded WebSocket frame. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(Bytes);

impl Encoded {
    /// A ping without payload.
    pub const PING: Self = Self(Bytes::from_static(&[0x89, 0]));

    /// A text frame.
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

    /// Whole frames that the WebSocket library has encoded.
    pub fn raw(frames: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(frames))
    }

    /// Its size in bytes, header included.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

/// Frames to be written, in order. The first of them may have been written in part.
#[derive(Debug, Default)]
pub struct WriteBuffer {
    frames: VecDeque<Encoded>,
    /// Bytes of the first frame that are written.
    offset: usize,
    bytes: usize,
}

impl WriteBuffer {
    /// Appends a frame.
    pub fn push(&mut self, frame: Encoded) {
        self.bytes += frame.size();
        self.frames.push_back(frame);
    }

    /// Frames that are not written completely.
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

    /// Writes with `write` until everything is written or it would block. Returns whether everything is written; the rest stays
    /// in the buffer.
    ///
    /// # Errors
    /// Those of `write`, except that it would block.
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

    /// Drops all frames except the rest of one that was written in part: after half a frame the other side could read nothing.
    pub fn keep_partial(&mut self) {
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

    fn buffer(texts: &[String]) -> WriteBuffer {
        let mut buffer = WriteBuffer::default();
        texts.iter().for_each(|text| buffer.push(Encoded::text(text)));
        buffer
    }

    /// The bytes written to a socket that takes `at_once` bytes at a time and blocks at every third attempt.
    fn write_all(buffer: &mut WriteBuffer, at_once: usize) -> Vec<u8> {
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
        while !buffer.write_with(&mut write).expect("written") {}
        assert_eq!((buffer.len(), buffer.bytes()), (0, 0));
        taken
    }

    fn read(bytes: Vec<u8>) -> Vec<String> {
        let mut socket = WebSocket::from_raw_socket(io::Cursor::new(bytes), Role::Client, None);
        std::iter::from_fn(|| socket.read().ok())
            .map(|message| message.into_text().expect("text").to_string())
            .collect()
    }

    #[test]
    fn frames_of_every_length_form_survive_partial_writes() {
        let sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000];
        let mut texts: Vec<String> = sizes.iter().map(|size| "가".repeat(size / 3) + &"x".repeat(size % 3)).collect();
        texts.extend((0..100).map(|n| n.to_string()));
        for at_once in [1, 7, 4096, usize::MAX] {
            assert_eq!(read(write_all(&mut buffer(&texts), at_once)), texts);
        }
    }

    #[test]
    fn keep_partial_keeps_only_a_frame_written_in_part() {
        let texts = ["one".to_owned(), "two".to_owned(), "three".to_owned()];
        for (written, expected) in [(0, vec![]), (2, vec!["one"]), (5, vec!["one"]), (6, vec!["one", "two"])] {
            let mut out = buffer(&texts);
            let mut taken: Vec<u8> = out.frames.iter().flat_map(|frame| frame.0.clone()).take(written).collect();
            out.advance(written);
            out.keep_partial();
            taken.extend(write_all(&mut out, 2));
            assert_eq!(read(taken), expected);
        }
    }
}
