//! The chat load against a server that loses, repeats, reorders, delays and stalls on purpose: each is reported as what it is.
#![expect(clippy::expect_used, reason = "tests")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use loadtest::chat::{
    arrivals::Arrivals,
    load::{Load, Measured, Scene},
    message,
    protocol::Protocol,
    strangers,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Mutex as AsyncMutex,
};

const MEMBERS: u64 = 3;

/// What the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Every tenth message does not reach the first receiver.
    Lose,
    /// Every tenth message comes twice.
    Repeat,
    /// Every tenth message comes after the next one of its sender.
    Swap,
    /// Everything comes 40 ms late.
    Delay,
    /// Once, nothing is taken in for 2 s.
    Stall,
    /// Every tenth message is refused.
    Refuse,
}

/// One room of everyone who connects, with a fault.
struct Server {
    fault: Fault,
    seats: AsyncMutex<Vec<OwnedWriteHalf>>,
    messages: AtomicU64,
    /// A frame that is held back for each sender, by the sender's number.
    held: Mutex<Vec<(u32, Vec<u8>)>>,
}

fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("a short text");
    assert!(length < 126);
    [&[0x81, length], text.as_bytes()].concat()
}

impl Server {
    async fn start(fault: Fault) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (seats, messages, held) = (AsyncMutex::default(), AtomicU64::new(0), Mutex::default());
        let server = Arc::new(Self { fault, seats, messages, held });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&server).serve(stream));
            }
        });
        address
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        stream.set_nodelay(true).expect("an option");
        let (mut reader, mut writer) = stream.into_split();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(reader.read_u8().await.expect("a head"));
        }
        writer.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.expect("written");
        writer.write_all(&frame("joined")).await.expect("written");
        let seat = {
            let mut seats = self.seats.lock().await;
            seats.push(writer);
            seats.len() - 1
        };
        while let Some(text) = read_frame(&mut reader).await {
            self.take(seat, &text).await;
        }
    }

    /// `say ID TEXT`
    async fn take(&self, seat: usize, text: &str) {
        let (id, text) = text.strip_prefix("say ").and_then(|rest| rest.split_once(' ')).expect("a message");
        let number = self.messages.fetch_add(1, Ordering::Relaxed);
        let odd = number % 10 == 5;
        let mut seats = self.seats.lock().await;
        if self.fault == Fault::Refuse && odd {
            return seats[seat].write_all(&frame(&format!("no{id}"))).await.expect("written");
        }
        if self.fault == Fault::Stall && number == 40 {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        if self.fault == Fault::Delay {
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        seats[seat].write_all(&frame(&format!("ok{id}"))).await.expect("written");
        let delivery = frame(&format!("room {text}"));
        let mut sender = 0;
        message::each(text.as_bytes(), |message| sender = message.sender);
        let mut frames = vec![delivery];
        {
            let mut held = self.held.lock().expect("a lock");
            if let Some(place) = held.iter().position(|(of, _)| *of == sender) {
                frames.push(held.swap_remove(place).1);
            } else if self.fault == Fault::Swap && odd {
                held.push((sender, frames.remove(0)));
            }
        }
        if self.fault == Fault::Repeat && odd {
            frames.push(frames[0].clone());
        }
        let skipped = usize::from(self.fault == Fault::Lose && odd);
        for seat in seats.iter_mut().skip(skipped) {
            seat.write_all(&frames.concat()).await.expect("written");
        }
    }
}

/// A client's frame; `None` at the end of the connection.
async fn read_frame(reader: &mut OwnedReadHalf) -> Option<String> {
    reader.read_u8().await.ok()?;
    let length = usize::from(reader.read_u8().await.ok()? & 0x7f);
    assert!(length < 126);
    let mut bytes = vec![0; 4 + length];
    reader.read_exact(&mut bytes).await.ok()?;
    assert_eq!(bytes[..4], [0; 4], "the generator's mask");
    Some(String::from_utf8_lossy(&bytes[4..]).into_owned())
}

async fn run(fault: Fault) -> Measured {
    let protocol: Protocol = toml::from_str(
        "path = '/'\nsubscribe = [{ expect = 'joined' }]\n\
         publish = { send = 'say {id} {text}', ack = 'ok{id}', refused = 'no{id}' }\nreceive = { contains = 'room ' }",
    )
    .expect("a protocol");
    let scene = Scene {
        protocol: Arc::new(protocol),
        addresses: vec![Server::start(fault).await],
        rooms: strangers(1, usize::try_from(MEMBERS).expect("few")),
    };
    let load = Load {
        rate: 100.0,
        arrivals: Arrivals::Poisson,
        text: 32,
        warm_up: Duration::ZERO,
        measure: Duration::from_secs(3),
        patience: Duration::from_secs(3),
        seed: 1,
    };
    let connected = scene.connect(1, 8).await.expect("connected");
    scene.run(connected, &load, || Ok(())).await.expect("measured")
}

/// Milliseconds at a quantile.
fn millis(measured: &Measured, quantile: f64) -> u64 {
    measured.latency.value_at_quantile(quantile) / 1000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_faultless_server_has_no_faults() {
    let measured = run(Fault::None).await;
    assert!(measured.sent > 200 && measured.acknowledged == measured.sent && measured.refused == 0, "{measured:?}");
    assert_eq!(measured.expected, Some(measured.sent * MEMBERS));
    assert_eq!((measured.lost(), measured.sums.received), (0, measured.sent * MEMBERS));
    assert_eq!((measured.sums.gaps, measured.sums.duplicates, measured.sums.reordered), (0, 0, 0));
    assert_eq!((measured.order_differs, measured.closes.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loss_is_counted_where_it_happens() {
    let measured = run(Fault::Lose).await;
    let faults = (measured.sent + 4) / 10;
    assert_eq!((measured.lost(), measured.sums.duplicates, measured.sums.reordered), (faults, 0, 0));
    assert!(measured.sums.gaps > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repetition_is_no_delivery() {
    let measured = run(Fault::Repeat).await;
    let faults = (measured.sent + 4) / 10;
    assert_eq!((measured.lost(), measured.sums.duplicates, measured.sums.reordered), (0, faults * MEMBERS, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reordering_is_no_loss() {
    let measured = run(Fault::Swap).await;
    assert!(measured.sums.reordered >= MEMBERS * 5, "{measured:?}");
    assert_eq!((measured.sums.duplicates, measured.sums.reordered), (0, measured.sums.gaps));
    // A message that was held back for one that never came is lost, for everyone.
    assert!(measured.lost() <= MEMBERS * MEMBERS && measured.lost() % MEMBERS == 0, "{}", measured.lost());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_neither_accepted_nor_lost() {
    let measured = run(Fault::Refuse).await;
    assert_eq!((measured.refused, measured.lost()), ((measured.sent + 4) / 10, 0));
    assert_eq!(measured.acknowledged + measured.refused, measured.sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_is_in_every_latency() {
    let measured = run(Fault::Delay).await;
    assert!(millis(&measured, 0.0) >= 39, "{} ms", millis(&measured, 0.0));
    assert!(measured.acked.value_at_quantile(0.0) >= 39_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_counts_for_everyone_who_spoke_meanwhile() {
    let measured = run(Fault::Stall).await;
    // Of 3 s, 2 s were a stall: two thirds of all messages waited, half of those for more than a second.
    let slow = measured.latency.count_between(1_000_000, 60_000_000);
    let share = slow * 100 / measured.latency.len().max(1);
    assert!((15..=70).contains(&share) && millis(&measured, 1.0) >= 1900, "{share} % waited for a second");
    assert_eq!(measured.lost(), 0);
}
