//! One connection's socket, and what is being written to it.
//!
//! A server does not mask its frames (RFC 6455, section 5.1), so a frame is the same bytes on every connection: each is
//! encoded once, and written from where it is, past the buffer of the WebSocket library, which would keep a copy for each
//! connection. Reading, pings, pongs and closing are the library's.

use std::io::{self, IoSlice};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Bytes, Error, Message, Utf8Bytes, protocol::CloseFrame},
};

use crate::queue::Closing;

/// Frames of one system call, at most.
const SLICES: usize = 32;
/// A final text frame.
const TEXT: u8 = 0x81;

/// A WebSocket text frame as it goes over the wire; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(Bytes);

impl Encoded {
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

    /// Bytes on the wire.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

/// Frames under way, in order, the next of them perhaps in part.
#[derive(Debug, Default)]
struct Outgoing {
    frames: Vec<Encoded>,
    /// How many of them are written.
    written: usize,
    /// Bytes of the next one that are written.
    offset: usize,
}

impl Outgoing {
    /// Writes with `write` until everything is written or it would block. Returns whether everything is written; what is not
    /// is exactly what is left.
    fn write_with(&mut self, mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<bool> {
        while self.written < self.frames.len() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            match write(self.fill(&mut slices)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => self.advance(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.frames.clear();
        self.written = 0;
        Ok(true)
    }

    /// Gives up all but the rest of a frame that was begun: the other side could read nothing after half a frame.
    fn keep_begun(&mut self) {
        let keep = self.written + usize::from(self.offset > 0);
        self.frames.truncate(keep);
    }

    fn fill<'a, 'b>(&'a self, slices: &'b mut [IoSlice<'a>; SLICES]) -> &'b [IoSlice<'a>] {
        let left = &self.frames[self.written..];
        let mut skip = self.offset;
        for (slice, frame) in slices.iter_mut().zip(left) {
            *slice = IoSlice::new(&frame.0[skip..]);
            skip = 0;
        }
        &slices[..left.len().min(SLICES)]
    }

    fn advance(&mut self, mut bytes: usize) {
        while let Some(frame) = self.frames.get(self.written) {
            let left = frame.size() - self.offset;
            if bytes < left {
                self.offset += bytes;
                return;
            }
            bytes -= left;
            self.written += 1;
            self.offset = 0;
        }
    }
}

/// The socket of a connection.
pub struct Socket {
    web: WebSocketStream<TcpStream>,
    outgoing: Outgoing,
}

impl Socket {
    /// After the upgrade.
    pub fn new(web: WebSocketStream<TcpStream>) -> Self {
        Self { web, outgoing: Outgoing::default() }
    }

    /// The next message; `None` when the connection is closed. Safe to cancel.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        self.web.next().await
    }

    /// Writes frames, and leaves `frames` empty. When this is cancelled, the next call goes on where it was.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn write(&mut self, frames: &mut Vec<Encoded>) -> Result<(), Error> {
        if self.outgoing.frames.is_empty() {
            std::mem::swap(&mut self.outgoing.frames, frames);
        } else {
            self.outgoing.frames.append(frames);
        }
        // The library may have begun a frame of its own.
        self.web.flush().await?;
        let stream = self.web.get_ref();
        while !self.outgoing.write_with(|slices| stream.try_write_vectored(slices))? {
            stream.writable().await?;
        }
        // Its memory is the caller's next batch.
        std::mem::swap(&mut self.outgoing.frames, frames);
        Ok(())
    }

    /// Sends a ping.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.web.send(Message::Ping(Bytes::new())).await
    }

    /// Writes what the library has answered by itself: pongs.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.web.flush().await
    }

    /// Sends the close frame and waits for the other side's, so that what was sent before it is not lost (RFC 6455, section
    /// 7.1.1). What was not begun is not sent.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn close(&mut self, closing: Closing) -> Result<(), Error> {
        self.outgoing.keep_begun();
        self.write(&mut Vec::new()).await?;
        let reason = Utf8Bytes::from_static(closing.reason);
        self.web.close(Some(CloseFrame { code: closing.code.into(), reason })).await?;
        while let Some(message) = self.web.next().await {
            message?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

    use super::*;

    fn outgoing(texts: &[String]) -> Outgoing {
        Outgoing { frames: texts.iter().map(|text| Encoded::text(text)).collect(), ..Outgoing::default() }
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
