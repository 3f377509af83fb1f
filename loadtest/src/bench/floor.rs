//! Floor: one blocking thread that writes a frame to every socket of a room, at the same arrivals as a measurement.
//! What a delivery costs at least, if it is a write.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    thread::sleep,
    time::{Duration, Instant},
};

use clap::Args;

use crate::{
    chat::{
        arrivals::{Arrivals, Times},
        load::LATE,
        message::Message,
    },
    clock::stamp,
    failure::{Failure, Outcome},
    socket::server_frame,
};

/// How long connections may take to come.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long it writes, at most: it is ended before by the measurement that started it.
const LONGEST: Duration = Duration::from_secs(3600);
/// Bytes of a request's head, at most.
const HEAD: usize = 4096;

/// Write frames to sockets, as `bench` has it done in a process of its own.
#[derive(Args)]
pub struct Floor {
    /// Port of 127.0.0.1 to listen on.
    #[arg(long)]
    port: u16,
    /// Rooms; a connection says which it is in by its path, `/0`, `/1`, …
    #[arg(long)]
    rooms: usize,
    /// Connections to wait for.
    #[arg(long)]
    connections: usize,
    /// Messages a second in each room.
    #[arg(long)]
    rate: f64,
    /// When they are due.
    #[arg(long, value_enum, default_value = "poisson")]
    arrivals: Arrivals,
    /// Bytes of a frame's text.
    #[arg(long, default_value_t = 250)]
    bytes: usize,
    /// Seed of the times.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Floor {
    /// Accepts the connections, then writes until one is closed.
    ///
    /// # Errors
    /// When the connections do not come.
    pub fn run(&self) -> Outcome {
        let mut rooms = self.accept()?;
        let start = Instant::now();
        let mut times: Vec<Times> =
            (0..self.rooms).map(|room| Times::new(self.arrivals, self.rate, room, self.seed)).collect();
        let mut due: BinaryHeap<Reverse<(Duration, usize)>> =
            times.iter_mut().enumerate().filter_map(|(room, times)| Some(Reverse((times.next()?, room)))).collect();
        let mut numbers = vec![0_u32; self.rooms];
        while let Some(Reverse((after, room))) = due.pop() {
            let late = start.elapsed().saturating_sub(after);
            if late == Duration::ZERO {
                sleep(after.saturating_sub(start.elapsed()));
            } else if start.elapsed() > LONGEST {
                break;
            }
            let held_back = if late > LATE { u64::try_from(late.as_nanos())? } else { 0 };
            let message = Message { stamp: stamp().saturating_sub(held_back), sender: 0, number: numbers[room] };
            numbers[room] += 1;
            let frame = server_frame(message.text(self.bytes).as_bytes());
            for socket in &mut rooms[room] {
                // The measurement has ended.
                let Ok(()) = socket.write_all(&frame) else { return Ok(()) };
            }
            due.extend(times[room].next().map(|next| Reverse((next, room))));
        }
        Ok(())
    }

    fn accept(&self) -> Outcome<Vec<Vec<TcpStream>>> {
        let listener = TcpListener::bind(("127.0.0.1", self.port))?;
        listener.set_nonblocking(true)?;
        let deadline = Instant::now() + PATIENCE;
        let mut rooms: Vec<Vec<TcpStream>> = (0..self.rooms).map(|_| Vec::new()).collect();
        let mut count = 0;
        while count < self.connections {
            match listener.accept() {
                // A connection that says nothing only looked whether somebody listens.
                Ok((stream, _)) => {
                    if let Ok((room, stream)) = upgrade(stream) {
                        rooms.get_mut(room).ok_or_else(|| Failure::new(format!("no room {room}")))?.push(stream);
                        count += 1;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                    sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(rooms)
    }
}

/// Reads the head of an upgrade, answers it, and returns the number that its path is.
fn upgrade(mut stream: TcpStream) -> io::Result<(usize, TcpStream)> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => head.extend_from_slice(&bytes[..read]),
        }
        if head.len() > HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let room = head.split(' ').nth(1).and_then(|path| path.strip_prefix('/')?.parse().ok());
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")?;
    Ok((room.ok_or(io::ErrorKind::InvalidData)?, stream))
}
