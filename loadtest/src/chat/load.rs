//! Chat load: every member of every room connected, messages at a rate, each timed at every receiver.
//!
//! A message is stamped when it is sent. If the generator or a full socket held it back for longer than [`LATE`], it is
//! stamped with the time it was due at, so that a stall counts for all who would have spoken meanwhile (coordinated
//! omission).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Member, Room,
    arrivals::{Arrivals, Times},
    ledger::{Ledger, Sums},
    message::{self, Message},
    protocol::{Heard, Protocol, Step, fill},
};
use crate::{
    clock::{between, stamp},
    failure::{Failure, Outcome, While, within},
    socket::{Ended, Sender, Socket, contains},
};

/// How far behind its time a message may be sent and still be stamped with the time it was sent at: what timers cost.
pub const LATE: Duration = Duration::from_millis(5);
/// How long a connection or an answer may take; a patience that fits most loads.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long deliveries may be awaited after the last message, as long as some still come.
const SETTLE: Duration = Duration::from_secs(60);
/// Messages of one connection whose acknowledgements are awaited, at most; older ones are forgotten.
const PENDING: usize = 65_536;

/// Where the rooms are and how they are spoken to.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The protocol.
    pub protocol: Arc<Protocol>,
    /// Servers, `host:port`; connections are dealt to them in turn.
    pub addresses: Vec<String>,
    /// The rooms.
    pub rooms: Vec<Room>,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Messages a second in each room.
    pub rate: f64,
    /// When they are due.
    pub arrivals: Arrivals,
    /// Characters of a text, 32 or more.
    pub text: usize,
    /// Time before measuring.
    pub warm_up: Duration,
    /// Time measured.
    pub measure: Duration,
    /// How long deliveries are awaited after the last message while none comes.
    pub patience: Duration,
    /// Seed of the times.
    pub seed: u64,
}

/// Connections of every member, by room.
#[derive(Debug)]
pub struct Connected {
    /// Sockets of each room, in the order of its members.
    pub rooms: Vec<Vec<Socket>>,
    /// Microseconds from opening a connection to being subscribed.
    pub took: Histogram<u64>,
}

/// What happened.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Length of the measured time.
    pub seconds: f64,
    /// Deliveries within the measured time.
    pub deliveries: u64,
    /// Messages sent, over all the time.
    pub sent: u64,
    /// Messages acknowledged, over all the time; equal to `sent` if the protocol has no acknowledgement.
    pub acknowledged: u64,
    /// Messages refused.
    pub refused: u64,
    /// Deliveries that had to come, over all the time; none where the server speaks by itself.
    pub expected: Option<u64>,
    /// What came.
    pub sums: Sums,
    /// Receivers that saw another order than most of their room.
    pub order_differs: u64,
    /// Connections closed by the server, by close code.
    pub closes: BTreeMap<u16, u64>,
    /// Microseconds from the sender's stamp to a receiver, of messages sent within the measured time.
    pub latency: Histogram<u64>,
    /// Microseconds from the sender's stamp to its acknowledgement, of the same messages.
    pub acked: Histogram<u64>,
    /// Microseconds by which messages were sent after their time.
    pub late: Histogram<u64>,
    /// Bytes of frames that delivered.
    pub bytes: u64,
}

impl Measured {
    /// Deliveries that never came.
    pub fn lost(&self) -> u64 {
        self.expected.map_or(0, |expected| expected.saturating_sub(self.sums.received))
    }
}

/// A histogram of microseconds up to a minute, to two digits.
///
/// # Errors
/// Never, with these bounds.
pub fn histogram() -> Outcome<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 2)?)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counters and histograms are never half written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Microseconds, at least 1: what a histogram can hold.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

impl Scene {
    /// Connects every member `times` times, `parallel` at a time, and subscribes.
    ///
    /// # Errors
    /// The first refusal.
    pub async fn connect(&self, times: usize, parallel: usize) -> Outcome<Connected> {
        let seats: Vec<(usize, &Room, &Member)> = self
            .rooms
            .iter()
            .enumerate()
            .flat_map(|(index, room)| room.members.iter().map(move |member| (index, room, member)))
            .flat_map(|seat| std::iter::repeat_n(seat, times))
            .collect();
        let mut joined: Vec<(usize, usize, Socket, Duration)> = stream::iter(seats.into_iter().enumerate())
            .map(|(number, (index, room, member))| async move {
                let address = &self.addresses[number % self.addresses.len()];
                let began = Instant::now();
                let socket = self.open(address, room, member).await?;
                Ok::<_, Failure>((index, number, socket, began.elapsed()))
            })
            .buffer_unordered(parallel)
            .try_collect()
            .await?;
        joined.sort_by_key(|(_, number, ..)| *number);
        let mut connected = Connected { rooms: self.rooms.iter().map(|_| Vec::new()).collect(), took: histogram()? };
        for (index, _, socket, took) in joined {
            connected.took.saturating_record(micros(took));
            connected.rooms[index].push(socket);
        }
        Ok(connected)
    }

    /// Opens one connection and subscribes.
    ///
    /// # Errors
    /// When a step has no answer within 10 s.
    pub async fn open(&self, address: &str, room: &Room, member: &Member) -> Outcome<Socket> {
        let open = async {
            let mut socket = Socket::open(&self.protocol.upgrade(address, member, &room.id)).await?;
            for step in self.protocol.connect.iter().chain(&self.protocol.subscribe) {
                take_step(&mut socket, &self.protocol, step, member, &room.id).await?;
            }
            Ok::<_, Ended>(socket)
        };
        within(PATIENCE, "connecting and subscribing", open).await?.doing("connecting and subscribing")
    }

    /// Sends and measures. `at_edges` is called when the measured time begins and when it ends.
    ///
    /// # Errors
    /// When a histogram cannot be made, or `at_edges` fails.
    pub async fn run(
        &self,
        connected: Connected,
        load: &Load,
        mut at_edges: impl FnMut() -> Outcome,
    ) -> Outcome<Measured> {
        let run = Arc::new(Run::new(Arc::clone(&self.protocol))?);
        let (stop_sending, stop) = (CancellationToken::new(), CancellationToken::new());
        let (mut senders, mut receivers) = (JoinSet::new(), JoinSet::new());
        let start = Instant::now();
        for (index, (room, sockets)) in self.rooms.iter().zip(connected.rooms).enumerate() {
            let latency = Arc::new(Mutex::new(histogram()?));
            lock(&run.latencies).push(Arc::clone(&latency));
            let pendings: Vec<Pending> = sockets.iter().map(|_| Pending::default()).collect();
            let writers = sockets.iter().map(Socket::sender).zip(pendings.iter().cloned()).collect();
            if self.protocol.publish.is_some() {
                let times = Times::new(load.arrivals, load.rate, index, load.seed);
                let speaker = Speaker { run: Arc::clone(&run), room: room.clone(), writers, text: load.text };
                senders.spawn(speaker.run(times, start, stop_sending.clone()));
            }
            for (socket, pending) in sockets.into_iter().zip(pendings) {
                let receiver = Receiver { run: Arc::clone(&run), latency: Arc::clone(&latency), pending };
                receivers.spawn(receiver.run(index, socket, stop.clone()));
            }
        }
        sleep(load.warm_up).await;
        let (began, before) = (Instant::now(), run.received.load(Ordering::Relaxed));
        run.from.store(stamp(), Ordering::Relaxed);
        at_edges()?;
        sleep(load.measure).await;
        at_edges()?;
        run.until.store(stamp(), Ordering::Relaxed);
        let deliveries = run.received.load(Ordering::Relaxed) - before;
        let seconds = began.elapsed().as_secs_f64();
        stop_sending.cancel();
        senders.join_all().await;
        let members = self.rooms.first().map_or(0, |room| room.members.len()) as u64;
        run.settle(load.patience, self.expects(&run, members)).await;
        stop.cancel();
        let ended = receivers.join_all().await;
        run.finish(ended, seconds, deliveries, |run| self.expects(run, members)())
    }

    /// How many deliveries must come by what is known now.
    fn expects(&self, run: &Run, members: u64) -> impl Fn() -> Option<u64> {
        let (has_ack, speaks) = match &self.protocol.publish {
            Some(publish) => (publish.ack.is_some(), true),
            None => (false, false),
        };
        let (sent, acknowledged) = (Arc::clone(&run.sent), Arc::clone(&run.acknowledged));
        move || {
            let accepted = if has_ack { &acknowledged } else { &sent };
            speaks.then(|| accepted.load(Ordering::Relaxed) * members)
        }
    }
}

/// Sends what a step says, then waits for what it expects; the protocol's own pings are answered meanwhile.
pub(super) async fn take_step(
    socket: &mut Socket,
    protocol: &Protocol,
    step: &Step,
    member: &Member,
    room: &str,
) -> Result<(), Ended> {
    if let Some(send) = &step.send {
        socket.sender().send(&fill(send, member, room)).await?;
    }
    let Some(expect) = &step.expect else { return Ok(()) };
    let expect = fill(expect, member, room);
    let mut found = false;
    while !found {
        let mut pings = 0;
        socket
            .receive(|frame| {
                found |= contains(frame, expect.as_bytes());
                pings += u64::from(protocol.hear(frame) == Heard::Ping);
            })
            .await?;
        if let Some(heartbeat) = protocol.heartbeat.as_ref().filter(|_| pings > 0) {
            socket.sender().send(&heartbeat.send).await?;
        }
    }
    Ok(())
}

/// Messages of one connection that were sent and not answered: id and stamp, oldest first.
type Pending = Arc<Mutex<VecDeque<(u64, u64)>>>;

/// What all connections share.
struct Run {
    protocol: Arc<Protocol>,
    sent: Arc<AtomicU64>,
    acknowledged: Arc<AtomicU64>,
    refused: AtomicU64,
    received: AtomicU64,
    bytes: AtomicU64,
    /// Stamps between which messages are measured.
    from: AtomicU64,
    until: AtomicU64,
    latencies: Mutex<Vec<Arc<Mutex<Histogram<u64>>>>>,
    acked: Mutex<Histogram<u64>>,
    late: Mutex<Histogram<u64>>,
}

impl Run {
    fn new(protocol: Arc<Protocol>) -> Outcome<Self> {
        Ok(Self {
            protocol,
            sent: Arc::default(),
            acknowledged: Arc::default(),
            refused: AtomicU64::new(0),
            received: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            from: AtomicU64::new(u64::MAX),
            until: AtomicU64::new(u64::MAX),
            latencies: Mutex::default(),
            acked: Mutex::new(histogram()?),
            late: Mutex::new(histogram()?),
        })
    }

    fn is_measured(&self, stamp: u64) -> bool {
        stamp >= self.from.load(Ordering::Relaxed) && stamp < self.until.load(Ordering::Relaxed)
    }

    /// Waits until everything has arrived that must, or nothing has for `patience`.
    async fn settle(&self, patience: Duration, expected: impl Fn() -> Option<u64>) {
        let deadline = Instant::now() + SETTLE;
        let (mut seen, mut seen_at) = (0, Instant::now());
        while Instant::now() < deadline && seen_at.elapsed() < patience {
            let received = self.received.load(Ordering::Relaxed);
            let answered = self.acknowledged.load(Ordering::Relaxed) + self.refused.load(Ordering::Relaxed);
            let acks = self.protocol.publish.as_ref().is_some_and(|publish| publish.ack.is_some());
            let all_answered = !acks || answered >= self.sent.load(Ordering::Relaxed);
            if all_answered && expected().is_none_or(|expected| received >= expected) {
                return;
            }
            if received + answered > seen {
                (seen, seen_at) = (received + answered, Instant::now());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn finish(
        &self,
        ended: Vec<Received>,
        seconds: f64,
        deliveries: u64,
        expected: impl Fn(&Self) -> Option<u64>,
    ) -> Outcome<Measured> {
        let mut latency = histogram()?;
        for room in lock(&self.latencies).iter() {
            latency.add(&*lock(room))?;
        }
        let (mut sums, mut closes) = (Sums::default(), BTreeMap::new());
        for received in &ended {
            sums.add(&received.ledger.sums);
            if let Some(code) = received.closed {
                *closes.entry(code).or_default() += 1;
            }
        }
        let sent = self.sent.load(Ordering::Relaxed);
        let acks = self.protocol.publish.as_ref().is_some_and(|publish| publish.ack.is_some());
        Ok(Measured {
            seconds,
            deliveries,
            sent,
            acknowledged: if acks { self.acknowledged.load(Ordering::Relaxed) } else { sent },
            refused: self.refused.load(Ordering::Relaxed),
            expected: expected(self),
            sums,
            order_differs: other_orders(&ended),
            closes,
            latency,
            acked: lock(&self.acked).clone(),
            late: lock(&self.late).clone(),
            bytes: self.bytes.load(Ordering::Relaxed),
        })
    }
}

/// Receivers that saw another order than most of those in their room who received as much.
fn other_orders(ended: &[Received]) -> u64 {
    let mut orders: BTreeMap<(usize, u64), BTreeMap<u64, u64>> = BTreeMap::new();
    for received in ended {
        let of = orders.entry((received.room, received.ledger.sums.received)).or_default();
        *of.entry(received.ledger.order()).or_default() += 1;
    }
    orders.values().map(|of| of.values().sum::<u64>() - of.values().max().copied().unwrap_or(0)).sum()
}

/// Speaks in one room, its members in turn.
struct Speaker {
    run: Arc<Run>,
    room: Room,
    writers: Vec<(Sender, Pending)>,
    text: usize,
}

impl Speaker {
    async fn run(self, times: Times, start: Instant, stop: CancellationToken) {
        let mut numbers = vec![0_u32; self.writers.len()];
        for (turn, after) in times.enumerate() {
            let due = start + after;
            tokio::select! {
                () = sleep_until(due) => {}
                () = stop.cancelled() => return,
            }
            let turn = turn % self.writers.len();
            if self.say(turn, numbers[turn], due).await.is_ok() {
                numbers[turn] += 1;
            }
        }
    }

    async fn say(&self, turn: usize, number: u32, due: Instant) -> Result<(), Ended> {
        let Some(publish) = &self.run.protocol.publish else { return Ok(()) };
        let late = due.elapsed();
        lock(&self.run.late).saturating_record(micros(late));
        let now = stamp();
        let held_back = if late > LATE { u64::try_from(late.as_nanos()).unwrap_or(0) } else { 0 };
        let stamp = now.saturating_sub(held_back);
        let message = Message { stamp, sender: u32::try_from(turn).unwrap_or(u32::MAX), number };
        // The first command of the connection was the subscription.
        let id = u64::from(number) + 2;
        let frame = publish.frame(&self.room.members[turn], &self.room.id, id, &message.text(self.text));
        let (writer, pending) = &self.writers[turn];
        if publish.ack.is_some() {
            let mut pending = lock(pending);
            if pending.len() == PENDING {
                pending.pop_front();
            }
            pending.push_back((id, stamp));
        }
        self.run.sent.fetch_add(1, Ordering::Relaxed);
        writer.send(&frame).await
    }
}

/// Hears one room on one connection.
struct Receiver {
    run: Arc<Run>,
    latency: Arc<Mutex<Histogram<u64>>>,
    pending: Pending,
}

/// What one connection received.
struct Received {
    room: usize,
    ledger: Ledger,
    closed: Option<u16>,
}

/// What one read brought.
#[derive(Default)]
struct Batch {
    received: u64,
    bytes: u64,
    acknowledged: u64,
    refused: u64,
    pings: u64,
    delays: Vec<u64>,
    acks: Vec<u64>,
}

impl Receiver {
    async fn run(self, room: usize, mut socket: Socket, stop: CancellationToken) -> Received {
        let (mut ledger, mut batch) = (Ledger::default(), Batch::default());
        loop {
            let read = socket.receive(|frame| self.take(frame, &mut ledger, &mut batch));
            let ended = tokio::select! {
                read = read => read.err(),
                () = stop.cancelled() => return Received { room, ledger, closed: None },
            };
            self.publish_counts(&mut batch);
            if batch.pings > 0 {
                batch.pings = 0;
                if let Some(heartbeat) = &self.run.protocol.heartbeat
                    && let Err(ended) = socket.sender().send(&heartbeat.send).await
                {
                    return Received { room, ledger, closed: Some(ended.code()) };
                }
            }
            if let Some(ended) = ended {
                return Received { room, ledger, closed: Some(ended.code()) };
            }
        }
    }

    fn take(&self, frame: &[u8], ledger: &mut Ledger, batch: &mut Batch) {
        match self.run.protocol.hear(frame) {
            Heard::Ack(id) => {
                batch.acknowledged += 1;
                self.answered(id, Some(batch));
            }
            Heard::Refused(id) => {
                batch.refused += 1;
                self.answered(id, None);
            }
            Heard::Ping => batch.pings += 1,
            Heard::Other => {}
            Heard::Delivery => message::each(frame, |message| {
                if ledger.take(message.sender, message.number) {
                    batch.received += 1;
                    batch.bytes += frame.len() as u64;
                    if self.run.is_measured(message.stamp) {
                        batch.delays.push(micros(between(message.stamp, stamp())));
                    }
                }
            }),
        }
    }

    fn answered(&self, id: u64, batch: Option<&mut Batch>) {
        let mut pending = lock(&self.pending);
        let Some(place) = pending.iter().position(|(sent, _)| *sent == id) else { return };
        if let (Some((_, at)), Some(batch)) = (pending.remove(place), batch)
            && self.run.is_measured(at)
        {
            batch.acks.push(micros(between(at, stamp())));
        }
    }

    fn publish_counts(&self, batch: &mut Batch) {
        for (counter, count) in [
            (&self.run.received, &mut batch.received),
            (&self.run.bytes, &mut batch.bytes),
            (&*self.run.acknowledged, &mut batch.acknowledged),
            (&self.run.refused, &mut batch.refused),
        ] {
            if *count > 0 {
                counter.fetch_add(std::mem::take(count), Ordering::Relaxed);
            }
        }
        for (histogram, values) in [(&*self.latency, &mut batch.delays), (&self.run.acked, &mut batch.acks)] {
            if !values.is_empty() {
                let mut histogram = lock(histogram);
                for value in values.drain(..) {
                    histogram.saturating_record(value);
                }
            }
        }
    }
}
