//! A Redis Cluster of a test's own: three masters, each with a replica.

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
    nodes: Vec<Redis>,
}

impl Cluster {
    /// Starts six nodes on free ports of 127.0.0.1 and joins them.
    ///
    /// # Errors
    /// When Redis is not installed, or the nodes do not find each other.
    pub async fn start() -> Outcome<Self> {
        let mut nodes = Vec::new();
        for _ in 0..2 * MASTERS {
            let bus = free_port()?.to_string();
            let arguments =
                ["--cluster-enabled", "yes", "--cluster-node-timeout", NODE_TIMEOUT, "--cluster-port", bus.as_str()];
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
            let id = master.command("CLUSTER MYID").await?;
            let id = id.lines().nth(1).ok_or_else(|| Failure::new(format!("no id: {id}")))?.to_owned();
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
                let known = format!("cluster_known_nodes:{}", 2 * MASTERS);
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

    /// Kills a master (SIGKILL) and waits until its replica has taken over; says how long that took.
    ///
    /// # Errors
    /// When nobody takes over.
    pub async fn kill_master(&mut self, index: usize) -> Outcome<Duration> {
        let began = Instant::now();
        self.nodes[index].kill().await?;
        eventually("a new master", async || {
            let role = self.nodes[MASTERS + index].command("ROLE").await?;
            Ok(role.contains("master").then_some(()))
        })
        .await?;
        Ok(began.elapsed())
    }

    /// Starts a killed node again: it becomes the replica of the one that took over.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart(&mut self, index: usize) -> Outcome {
        self.nodes[index].restart().await
    }
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
