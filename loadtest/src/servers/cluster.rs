//! A Redis Cluster of a test's own: three masters, with or without replicas, whose slots can be moved step by step.

use std::time::Duration;

use tokio::time::Instant;

use super::{PATIENCE, Redis, Sync, free_port};
use crate::{
    ensure,
    failure::{Failure, Outcome},
};

/// Slots of a cluster.
const SLOTS: usize = 16_384;
/// Masters; as many replicas follow them.
const MASTERS: usize = 3;
/// How long a node may be silent before the others take it for dead, in milliseconds.
const NODE_TIMEOUT: &str = "1000";

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    /// The masters, then their replicas in the same order, if there are any.
    nodes: Vec<Redis>,
}

impl Cluster {
    /// Starts three masters, each with a replica, on free ports of 127.0.0.1 and joins them.
    ///
    /// # Errors
    /// When Redis is not installed, or the nodes do not find each other.
    pub async fn start() -> Outcome<Self> {
        Self::start_nodes(2 * MASTERS).await
    }

    /// Starts three masters without replicas. While one is dead, the others go on serving their slots
    /// (`cluster-require-full-coverage no`).
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_without_replicas() -> Outcome<Self> {
        Self::start_nodes(MASTERS).await
    }

    async fn start_nodes(count: usize) -> Outcome<Self> {
        let mut nodes = Vec::new();
        for _ in 0..count {
            let bus = free_port()?.to_string();
            let arguments = [
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                NODE_TIMEOUT,
                "--cluster-require-full-coverage",
                "no",
                "--cluster-port",
                bus.as_str(),
            ];
            nodes.push((Redis::start_with(Sync::Always, arguments.map(str::to_owned).to_vec()).await?, bus));
        }
        for (index, (node, _)) in nodes.iter().take(MASTERS).enumerate() {
            let (first, last) = (index * SLOTS / MASTERS, (index + 1) * SLOTS / MASTERS - 1);
            node.command(&format!("CLUSTER ADDSLOTSRANGE {first} {last}")).await?;
        }
        for (node, bus) in &nodes[1..] {
            nodes[0].0.command(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port())).await?;
        }
        let cluster = Self { nodes: nodes.into_iter().map(|(node, _)| node).collect() };
        cluster.follow().await?;
        cluster.healthy().await?;
        Ok(cluster)
    }

    /// Makes every second half node a replica of one of the first half.
    async fn follow(&self) -> Outcome {
        for (master, replica) in self.nodes.iter().zip(&self.nodes[MASTERS..]) {
            let id = id_of(master).await?;
            // Until the nodes have heard of each other, a replica does not know whom to follow.
            eventually("a replica", async || {
                let answer = replica.command(&format!("CLUSTER REPLICATE {id}")).await?;
                Ok(answer.starts_with("+OK").then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until every node sees all slots served, and every master its replica.
    ///
    /// # Errors
    /// When they do not in time.
    pub async fn healthy(&self) -> Outcome {
        for node in &self.nodes {
            eventually("a healthy cluster", async || {
                let info = node.command("CLUSTER INFO").await?;
                let known = format!("cluster_known_nodes:{}", self.nodes.len());
                Ok((info.contains("cluster_state:ok") && info.contains(&known)).then_some(()))
            })
            .await?;
        }
        for replica in &self.nodes[MASTERS..] {
            eventually("a replica in step", async || {
                let info = replica.command("INFO replication").await?;
                Ok(info.contains("master_link_status:up").then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// `redis-cluster://…` by its first node.
    pub fn url(&self) -> String {
        self.nodes[0].url().replace("redis://", "redis-cluster://")
    }

    /// The masters of the start, in the order of their slots.
    pub fn masters(&self) -> &[Redis] {
        &self.nodes[..MASTERS]
    }

    /// The slot of the first key whose name has `part` in it, and the index of the master that has it.
    ///
    /// # Errors
    /// When no master has such a key.
    pub async fn slot_of(&self, part: &str) -> Outcome<(u16, usize)> {
        for (index, master) in self.masters().iter().enumerate() {
            let keys = master.command(&format!("KEYS *{part}*")).await?;
            if let Some(key) = keys.lines().find(|line| line.contains(part)) {
                return Ok((number(&master.command(&format!("CLUSTER KEYSLOT {key}")).await?)?, index));
            }
        }
        Err(Failure::new(format!("no master has a key of {part}")))
    }

    /// Opens a slot for moving: `from` begins to hand its keys over to `to`.
    ///
    /// # Errors
    /// When a node refuses.
    pub async fn open_slot(&self, slot: u16, from: usize, to: usize) -> Outcome {
        let (source, target) = (id_of(&self.nodes[from]).await?, id_of(&self.nodes[to]).await?);
        accepted(&self.nodes[to], &format!("CLUSTER SETSLOT {slot} IMPORTING {source}")).await?;
        accepted(&self.nodes[from], &format!("CLUSTER SETSLOT {slot} MIGRATING {target}")).await
    }

    /// Moves the keys of an open slot whose names have `part` in them; all of them if it is empty.
    ///
    /// # Errors
    /// When a key cannot be moved.
    pub async fn move_keys(&self, slot: u16, part: &str, from: usize, to: usize) -> Outcome {
        let keys = self.nodes[from].command(&format!("CLUSTER GETKEYSINSLOT {slot} 40")).await?;
        let keys = keys.lines().filter(|line| line.starts_with("mz:") && line.contains(part));
        for key in keys {
            // A key may expire meanwhile.
            let moved = format!("MIGRATE 127.0.0.1 {} {key} 0 2000", self.nodes[to].port());
            let moved = self.nodes[from].command(&moved).await?;
            ensure!(moved.starts_with("+OK") || moved.starts_with("+NOKEY"), "{key}: {moved}");
        }
        Ok(())
    }

    /// Ends the move of a slot: `to` has it, and every master knows.
    ///
    /// # Errors
    /// When a node refuses, as the one does that still has keys of it.
    pub async fn assign_slot(&self, slot: u16, to: usize) -> Outcome {
        let id = id_of(&self.nodes[to]).await?;
        let others = self.masters().iter().enumerate().filter(|(index, _)| *index != to).map(|(_, node)| node);
        for node in std::iter::once(&self.nodes[to]).chain(others) {
            accepted(node, &format!("CLUSTER SETSLOT {slot} NODE {id}")).await?;
        }
        Ok(())
    }

    /// Moves slots with their keys from one master to another, one after the other, as `redis-cli --cluster reshard` does.
    ///
    /// # Errors
    /// When a slot cannot be moved.
    pub async fn move_slots(&self, slots: std::ops::Range<u16>, from: usize, to: usize) -> Outcome {
        for slot in slots {
            if self.keys_in(slot, from).await? == 0 {
                // Nothing to hand over: the two say so, and the others hear of it.
                let id = id_of(&self.nodes[to]).await?;
                for node in [to, from] {
                    accepted(&self.nodes[node], &format!("CLUSTER SETSLOT {slot} NODE {id}")).await?;
                }
                continue;
            }
            self.open_slot(slot, from, to).await?;
            // Keys may be written until the slot is handed over.
            eventually("a slot without keys", async || {
                self.move_keys(slot, "", from, to).await?;
                Ok((self.keys_in(slot, from).await? == 0).then_some(()))
            })
            .await?;
            self.assign_slot(slot, to).await?;
        }
        Ok(())
    }

    async fn keys_in(&self, slot: u16, node: usize) -> Outcome<u16> {
        number(&self.nodes[node].command(&format!("CLUSTER COUNTKEYSINSLOT {slot}")).await?)
    }

    /// Kills a node (SIGKILL).
    ///
    /// # Errors
    /// When the system does not let us.
    pub async fn kill(&mut self, index: usize) -> Outcome {
        self.nodes[index].kill().await
    }

    /// Kills a master (SIGKILL) and waits until its replica has taken over; says how long that took.
    ///
    /// # Errors
    /// When nobody takes over.
    pub async fn kill_master(&mut self, index: usize) -> Outcome<Duration> {
        let began = Instant::now();
        self.kill(index).await?;
        eventually("a new master", async || {
            let role = self.nodes[MASTERS + index].command("ROLE").await?;
            Ok(role.contains("master").then_some(()))
        })
        .await?;
        Ok(began.elapsed())
    }

    /// Has the replica of a master of the start take over in good order; the old master lives on as its replica.
    ///
    /// # Errors
    /// When it does not.
    pub async fn fail_over(&self, index: usize) -> Outcome {
        let replica = &self.nodes[MASTERS + index];
        accepted(replica, "CLUSTER FAILOVER").await?;
        eventually("a new master", async || Ok(replica.command("ROLE").await?.contains("master").then_some(()))).await
    }

    /// Starts a killed node again: it becomes the replica of the one that took over, if one did.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart(&mut self, index: usize) -> Outcome {
        self.nodes[index].restart().await
    }
}

async fn id_of(node: &Redis) -> Outcome<String> {
    let id = node.command("CLUSTER MYID").await?;
    Ok(id.lines().nth(1).ok_or_else(|| Failure::new(format!("no id: {id}")))?.to_owned())
}

async fn accepted(node: &Redis, command: &str) -> Outcome {
    let answer = node.command(command).await?;
    ensure!(answer.starts_with("+OK"), "{command}: {answer}");
    Ok(())
}

/// The number of a RESP integer.
fn number(answer: &str) -> Outcome<u16> {
    let number = answer.trim_end().strip_prefix(':').and_then(|number| number.parse().ok());
    number.ok_or_else(|| Failure::new(format!("not a number: {answer}")))
}

/// Tries until there is something.
async fn eventually<T>(awaited: &str, attempt: impl AsyncFn() -> Outcome<Option<T>>) -> Outcome<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let outcome = attempt().await;
        if let Ok(Some(found)) = outcome {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "{awaited}: not in time; {:?}", outcome.map(drop));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
