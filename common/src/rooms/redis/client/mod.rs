//! Redis client: commands go to the server that has their slot, on a single Redis and on a Cluster alike.
//!
//! Every command ends within the timeout of the settings. Redirections of a Cluster (`MOVED`, `ASK`, `TRYAGAIN`) are
//! followed within that time. Each server has connections of its own, so that one that is gone, or that is being moved
//! away from, takes nothing from the others. No command is ever sent twice unless the server said that it did not carry
//! it out.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`endpoint`] | Redis URLs |
//! | [`command`] | commands as they are sent, and Lua scripts |
//! | [`reply`] | replies as values of Rust |
//! | [`slots`] | slots of a cluster, and redirections |
//! | [`socket`] | a connection to one server: TCP, TLS, log-in |
//! | [`pipe`] | a pipelined connection for commands, made anew when it is lost or silent |

mod command;
mod endpoint;
mod pipe;
mod reply;
mod slots;
mod socket;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout, timeout_at},
};

pub(super) use self::{
    command::{Command, Script},
    endpoint::{Address, Endpoint},
    reply::{FromReply, Reply, error_of, text_of},
    slots::{Redirection, SLOTS, slot_of_tag},
    socket::{Socket, Writer},
};
use self::{pipe::Pipe, slots::SlotMap};
use crate::rooms::RoomError;

/// Redirections followed without a pause; a cluster that has settled needs one.
const REDIRECTIONS: u32 = 4;
/// Pauses before trying again while a slot is being moved: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(50)];
/// How long a command is tried again while its keys are at two servers. A room's keys are moved within milliseconds.
const TORN: Duration = Duration::from_millis(500);
/// Servers asked at the same time which server has which slot.
const ASKED_AT_ONCE: usize = 4;
/// The slot map is not read more often than this because of what commands ran into.
const READ_PAUSE: Duration = Duration::from_millis(100);

/// The connections for commands to one server, used in turn.
struct Server {
    pipes: Vec<Pipe>,
    turn: AtomicUsize,
}

impl Server {
    async fn send(&self, commands: &[&Command]) -> Result<Vec<Reply>, RoomError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.pipes[turn % self.pipes.len()].send(commands).await
    }
}

/// See the module.
pub(super) struct Client {
    endpoint: Arc<Endpoint>,
    connections: usize,
    timeout: Duration,
    servers: Mutex<HashMap<Address, Arc<Server>>>,
    slots: RwLock<Arc<SlotMap>>,
    /// How often the slot map was read.
    reads: AtomicU64,
    reading: tokio::sync::Mutex<()>,
    moved: Arc<Notify>,
}

impl Drop for Client {
    fn drop(&mut self) {
        // Ends `keep_slots`.
        self.moved.notify_one();
    }
}

impl Client {
    /// Connects to a single server, or finds out who has which slot of a cluster.
    ///
    /// # Errors
    /// [`RoomError::Unavailable`] that says why no server can be used.
    pub(super) async fn connect(
        endpoint: Arc<Endpoint>,
        connections: usize,
        timeout: Duration,
    ) -> Result<Arc<Self>, RoomError> {
        let first = endpoint.seeds.first().cloned();
        let first = first.ok_or_else(|| RoomError::Unavailable("the URL names no host".to_owned()))?;
        let client = Arc::new(Self {
            endpoint,
            connections: connections.max(1),
            timeout,
            servers: Mutex::default(),
            slots: RwLock::new(Arc::new(SlotMap::single(first.clone()))),
            reads: AtomicU64::new(0),
            reading: tokio::sync::Mutex::default(),
            moved: Arc::default(),
        });
        if client.is_clustered() {
            client.read_slots().await?;
            tokio::spawn(keep_slots(Arc::downgrade(&client), Arc::clone(&client.moved)));
        } else {
            client.run::<()>(&Command::without_key("PING")).await?;
        }
        Ok(client)
    }

    pub(super) fn endpoint(&self) -> Arc<Endpoint> {
        Arc::clone(&self.endpoint)
    }

    pub(super) fn is_clustered(&self) -> bool {
        self.endpoint.clustered
    }

    /// Carries out a command.
    ///
    /// # Errors
    /// [`RoomError::Unavailable`] when it was refused, or when it is not known whether it was carried out;
    /// [`RoomError::Corrupt`] when the reply is not of the expected type.
    pub(super) async fn run<T: FromReply>(&self, command: &Command) -> Result<T, RoomError> {
        T::from_reply(self.carry_out(command).await?.0).ok_or_else(|| RoomError::corrupt("a reply of another kind"))
    }

    /// Runs a script on keys that are all in one slot.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(super) async fn eval<T: FromReply>(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[String],
    ) -> Result<T, RoomError> {
        match self.run(&script.by_name(keys, arguments)).await {
            // A server that has restarted has forgotten its scripts.
            Err(RoomError::Unavailable(error)) if error.starts_with("NOSCRIPT") => {
                self.run(&script.by_text(keys, arguments)).await
            }
            outcome => outcome,
        }
    }

    /// Runs a script, and says where its slot is being moved to if that is where its keys are, or would be, already.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(super) async fn eval_where(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Option<Address>, RoomError> {
        let outcome = match self.carry_out(&script.by_name(keys, arguments)).await {
            Err(RoomError::Unavailable(error)) if error.starts_with("NOSCRIPT") => {
                self.carry_out(&script.by_text(keys, arguments)).await
            }
            outcome => outcome,
        };
        outcome.map(|(_, ahead)| ahead)
    }

    /// Carries out commands on keys of one slot by one pipeline, each by itself.
    ///
    /// # Errors
    /// When one of them was refused, or it is not known whether it was carried out.
    pub(super) async fn run_all(&self, commands: &[Command]) -> Result<Vec<Reply>, RoomError> {
        let Some(first) = commands.first() else { return Ok(Vec::new()) };
        let server = self.server(&self.owner(first.slot())?);
        let all: Vec<&Command> = commands.iter().collect();
        let replies = timeout(self.timeout, server.send(&all)).await.map_err(|_| self.too_late())??;
        let mut carried_out = Vec::with_capacity(commands.len());
        for (command, reply) in commands.iter().zip(replies) {
            // A redirection, as a rule.
            carried_out.push(if error_of(&reply).is_some() { self.run(command).await? } else { reply });
        }
        Ok(carried_out)
    }

    /// The reply to a command, and where its slot is being moved to if it was carried out there.
    async fn carry_out(&self, command: &Command) -> Result<(Reply, Option<Address>), RoomError> {
        let deadline = Instant::now() + self.timeout;
        timeout_at(deadline, self.follow(command)).await.unwrap_or_else(|_| {
            // Somebody else may have taken over from a server that does not answer.
            self.slots_may_have_moved();
            Err(self.too_late())
        })
    }

    /// Sends a command to the server that has its slot, and on to where that one says.
    async fn follow(&self, command: &Command) -> Result<(Reply, Option<Address>), RoomError> {
        let asking = Command::without_key("ASKING");
        let (mut redirections, mut pause, torn_until) = (0, PAUSES[0], Instant::now() + TORN);
        let mut ask: Option<Address> = None;
        loop {
            let address = match &ask {
                Some(address) => address.clone(),
                None => self.owner(command.slot())?,
            };
            let commands: &[&Command] = if ask.is_some() { &[&asking, command] } else { &[command] };
            let replies = self.server(&address).send(commands).await;
            let reply = replies.inspect_err(|_| self.slots_may_have_moved())?.pop();
            let reply = reply.ok_or_else(|| RoomError::corrupt("no reply"))?;
            let Some(error) = error_of(&reply) else { return Ok((reply, ask)) };
            ask = match Redirection::parse(error, &address) {
                Some(Redirection::Moved(to)) => {
                    self.assign(command.slot(), to);
                    None
                }
                Some(Redirection::Ask(to)) => Some(to),
                Some(Redirection::TryAgain) if Instant::now() < torn_until => None,
                _ => {
                    if error.starts_with("CLUSTERDOWN") {
                        self.slots_may_have_moved();
                    }
                    return Err(RoomError::Unavailable(error.to_owned()));
                }
            };
            redirections += 1;
            if ask.is_none() && redirections > REDIRECTIONS || error.starts_with("TRYAGAIN") {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES[1]);
            }
        }
    }

    fn too_late(&self) -> RoomError {
        RoomError::Unavailable(format!("no answer within {} ms", self.timeout.as_millis()))
    }

    /// The server that has a slot, as far as is known.
    ///
    /// # Errors
    /// When none has it.
    pub(super) fn owner(&self, slot: u16) -> Result<Address, RoomError> {
        let slots = self.slots();
        let owner = slots.owner(slot).cloned();
        owner.ok_or_else(|| RoomError::Unavailable(format!("no server of the cluster has slot {slot}")))
    }

    fn slots(&self) -> Arc<SlotMap> {
        Arc::clone(&self.slots.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The connections to a server, which begin when it is first needed.
    fn server(&self, address: &Address) -> Arc<Server> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let server = servers.entry(address.clone()).or_insert_with(|| {
            let open = || Pipe::open(Arc::clone(&self.endpoint), address.clone(), self.timeout);
            let pipes = std::iter::repeat_with(open).take(self.connections).collect();
            Arc::new(Server { pipes, turn: AtomicUsize::new(0) })
        });
        Arc::clone(server)
    }

    /// Remembers what a server said about one slot, and has the others looked at.
    pub(super) fn assign(&self, slot: u16, to: Address) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut slots).assign(slot, to);
        drop(slots);
        self.slots_may_have_moved();
    }

    /// Has the slot map read again soon.
    fn slots_may_have_moved(&self) {
        self.moved.notify_one();
    }

    /// Asks the cluster which server has which slot. Of many callers at the same time one asks.
    ///
    /// # Errors
    /// When no server answers.
    pub(super) async fn read_slots(&self) -> Result<(), RoomError> {
        if !self.is_clustered() {
            return Ok(());
        }
        let reads = self.reads.load(Ordering::SeqCst);
        let _turn = self.reading.lock().await;
        if self.reads.load(Ordering::SeqCst) != reads {
            return Ok(());
        }
        let slots = self.slots();
        let mut others = [slots.replicas(), &self.endpoint.seeds].concat();
        // One that is not among the slots' owners yet is only what the URL said.
        let owners = if reads == 0 { std::mem::take(&mut others) } else { slots.owners() };
        let mut outcome = Err(RoomError::Unavailable("no server of the cluster is known".to_owned()));
        for addresses in owners.chunks(ASKED_AT_ONCE).chain(others.chunks(ASKED_AT_ONCE)) {
            outcome = self.ask_slots(addresses).await;
            if outcome.is_ok() {
                break;
            }
        }
        self.install(outcome?);
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// The first good answer of several servers.
    async fn ask_slots(&self, addresses: &[Address]) -> Result<SlotMap, RoomError> {
        let mut answers: FuturesUnordered<_> = addresses.iter().map(|address| self.ask_slots_of(address)).collect();
        let mut failure = RoomError::Unavailable("no server of the cluster is known".to_owned());
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(slots) => return Ok(slots),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn ask_slots_of(&self, address: &Address) -> Result<SlotMap, RoomError> {
        let server = self.server(address);
        let command = Command::without_key("CLUSTER").arg("SLOTS");
        let commands = [&command];
        let replies = timeout(self.timeout / 2, server.send(&commands)).await.map_err(|_| self.too_late())??;
        let reply = replies.into_iter().next().ok_or_else(|| RoomError::corrupt("no reply"))?;
        if let Some(error) = error_of(&reply) {
            return Err(RoomError::Unavailable(format!("{address}: {error}")));
        }
        let none = || RoomError::Unavailable(format!("{address}: no server has any slot"));
        SlotMap::parse(reply, address).ok_or_else(none)
    }

    /// Uses a slot map from now on, and closes the connections to servers without slots.
    fn install(&self, slots: SlotMap) {
        let owners = slots.owners();
        *self.slots.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(slots);
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|address, _| owners.contains(address));
    }

    /// Closes every connection.
    pub(super) fn close(&self) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Reads the slot map whenever a command ran into something that a newer one may explain.
async fn keep_slots(client: Weak<Client>, moved: Arc<Notify>) {
    loop {
        moved.notified().await;
        let Some(client) = client.upgrade() else { return };
        if let Err(error) = client.read_slots().await {
            tracing::debug!(%error, "the slots of the cluster could not be read");
        }
        drop(client);
        sleep(READ_PAUSE).await;
    }
}
