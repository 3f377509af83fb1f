//! A system on a Redis Cluster: masters that die, with a replica and without, and slots that move.

use std::time::Duration;

use super::lasting;
use crate::{
    ensure,
    failure::{Failure, Outcome},
    rest::Rest,
    servers::{Cluster, Mingizuk, Role},
    stress::{Cohort, World, cohort::Talk},
    system::{System, populate},
};

/// Everything is live again this long after the failover.
const LIVE_AGAIN: Duration = Duration::from_secs(10);
/// How many rooms make it likely that every master has some.
const ROOMS: usize = 6;
/// A room that nothing is wrong with answers within this time.
const UNDISTURBED: Duration = Duration::from_secs(3);

/// A system beside the first, with a database of its own: it ends when this is dropped.
struct OnCluster {
    cluster: Cluster,
    cohorts: Vec<Cohort>,
    /// Where a gateway says whether it is ready.
    ops: String,
    _processes: Vec<Mingizuk>,
}

async fn on_cluster(world: &World, cluster: Cluster, rooms: usize) -> Outcome<OnCluster> {
    let System { setup, mariadb, .. } = &world.system;
    let setup = setup.clone().with("DATABASE_URL", mariadb.another_url()).with("REDIS_URL", cluster.url());
    setup.migrate().await?;
    let api = setup.start(Role::Api).await?;
    let gateways = [setup.start(Role::Gateway).await?, setup.start(Role::Gateway).await?];
    let rest = Rest::new(api.api()?)?;
    let urls = [gateways[0].gateway()?.to_owned(), gateways[1].gateway()?.to_owned()];
    let mut cohorts = Vec::new();
    for room in populate(&rest, rooms, 4).await? {
        cohorts.push(Cohort::start_at(rest.clone(), room, &urls).await?);
    }
    let mut processes = vec![api];
    processes.extend(gateways);
    let ops = processes[1].ready().gateway_ops.clone().ok_or_else(|| Failure::new("no operations"))?;
    Ok(OnCluster { cluster, cohorts, ops, _processes: processes })
}

pub(super) async fn rooms_spread_over_a_cluster(world: &mut World) -> Outcome<String> {
    let mut system = on_cluster(world, Cluster::start().await?, ROOMS).await?;
    let talks: Vec<_> = system.cohorts.iter().map(Cohort::talk).collect();
    lasting(world.scale(1500, 6000)).await;
    finish(&mut system.cohorts, talks).await
}

pub(super) async fn cluster_master_killed_under_load(world: &mut World) -> Outcome<String> {
    let mut system = on_cluster(world, Cluster::start().await?, ROOMS).await?;
    let talks: Vec<_> = system.cohorts.iter().map(Cohort::talk).collect();
    lasting(800).await;
    // Replication is asynchronous: what a master acknowledged in its last instant may not have reached its replica, in
    // Redis itself. So nobody talks in the instant of its death, and everything before it must be there.
    quiet(&mut system.cohorts, talks).await?;
    lasting(200).await;
    let takeover = system.cluster.kill_master(0).await?;
    let talks: Vec<_> = system.cohorts.iter().map(Cohort::talk).collect();
    let mut slowest = Duration::ZERO;
    for cohort in &mut system.cohorts {
        slowest = slowest.max(cohort.recovery(LIVE_AGAIN).await?);
    }
    system.cluster.restart(0).await?;
    lasting(world.scale(500, 4000)).await;
    let checked = finish(&mut system.cohorts, talks).await?;
    ensure!(slowest < LIVE_AGAIN, "live again after {slowest:?}");
    Ok(format!("{checked}; taken over after {} ms, live again {} ms later", takeover.as_millis(), slowest.as_millis()))
}

/// Every cohort but the first must not notice what happens to that one.
async fn others_undisturbed(cohorts: &mut [Cohort]) -> Outcome<Duration> {
    let mut slowest = Duration::ZERO;
    for cohort in &mut cohorts[1..] {
        slowest = slowest.max(cohort.recovery(UNDISTURBED).await?);
    }
    Ok(slowest)
}

pub(super) async fn slot_half_moved_under_load(world: &mut World) -> Outcome<String> {
    let mut system = on_cluster(world, Cluster::start_without_replicas().await?, ROOMS).await?;
    let talks: Vec<_> = system.cohorts.iter().map(Cohort::talk).collect();
    lasting(500).await;
    let room = system.cohorts[0].room.id.to_string();
    let (slot, from) = system.cluster.slot_of(&room).await?;
    let to = (from + 1) % 3;
    system.cluster.open_slot(slot, from, to).await?;
    // The room's keys are at two servers: TRYAGAIN.
    system.cluster.move_keys(slot, ":log", from, to).await?;
    let mut slowest = others_undisturbed(&mut system.cohorts).await?;
    lasting(world.scale(1000, 10_000)).await;
    // All of them are at the one that does not have the slot yet: ASK.
    system.cluster.move_keys(slot, "", from, to).await?;
    let ahead = system.cohorts[0].recovery(LIVE_AGAIN).await?;
    lasting(world.scale(1000, 60_000)).await;
    slowest = slowest.max(others_undisturbed(&mut system.cohorts).await?);
    world.readiness(&system.ops, true, UNDISTURBED).await?;
    system.cluster.move_keys(slot, "", from, to).await?;
    system.cluster.assign_slot(slot, to).await?;
    let after = system.cohorts[0].recovery(LIVE_AGAIN).await?;
    let checked = finish(&mut system.cohorts, talks).await?;
    let (slowest, ahead, after) = (slowest.as_millis(), ahead.as_millis(), after.as_millis());
    Ok(format!(
        "{checked}; other rooms within {slowest} ms; the moving one after {ahead} ms, and {after} ms at the end"
    ))
}

pub(super) async fn slots_moved_under_load(world: &mut World) -> Outcome<String> {
    let mut system = on_cluster(world, Cluster::start_without_replicas().await?, 2 * ROOMS).await?;
    let talks: Vec<_> = system.cohorts.iter().map(Cohort::talk).collect();
    lasting(300).await;
    let mut slots = world.scale(100, 3000);
    system.cluster.move_slots(0..u16::try_from(slots)?, 0, 1).await?;
    // And the slot of each room that the first master still has.
    for cohort in &system.cohorts {
        let (slot, master) = system.cluster.slot_of(&cohort.room.id.to_string()).await?;
        if master == 0 {
            system.cluster.move_slots(slot..slot + 1, 0, 1).await?;
            slots += 1;
        }
    }
    let mut slowest = Duration::ZERO;
    for cohort in &mut system.cohorts {
        slowest = slowest.max(cohort.recovery(LIVE_AGAIN).await?);
    }
    world.readiness(&system.ops, true, LIVE_AGAIN).await?;
    let checked = finish(&mut system.cohorts, talks).await?;
    Ok(format!("{slots} slots; {checked}; live after {} ms", slowest.as_millis()))
}

pub(super) async fn cluster_master_without_replica_killed(world: &mut World) -> Outcome<String> {
    let mut system = on_cluster(world, Cluster::start_without_replicas().await?, ROOMS).await?;
    let (_, master) = system.cluster.slot_of(&system.cohorts[0].room.id.to_string()).await?;
    let (mut dead, mut alive) = (Vec::new(), Vec::new());
    for cohort in system.cohorts.drain(..) {
        let (_, other) = system.cluster.slot_of(&cohort.room.id.to_string()).await?;
        if other == master { &mut dead } else { &mut alive }.push(cohort);
    }
    let talks: Vec<_> = dead.iter().chain(&alive).map(Cohort::talk).collect();
    lasting(500).await;
    system.cluster.kill(master).await?;
    let mut slowest = Duration::ZERO;
    for _ in 0..world.scale(3, 10) {
        for cohort in &mut alive {
            slowest = slowest.max(cohort.recovery(UNDISTURBED).await?);
        }
        world.readiness(&system.ops, true, UNDISTURBED).await?;
        lasting(500).await;
    }
    system.cluster.restart(master).await?;
    let mut back = Duration::ZERO;
    for cohort in &mut dead {
        back = back.max(cohort.recovery(LIVE_AGAIN).await?);
    }
    let (lost, mut cohorts) = (dead.len(), dead);
    cohorts.append(&mut alive);
    let checked = finish(&mut cohorts, talks).await?;
    let (slowest, back) = (slowest.as_millis(), back.as_millis());
    Ok(format!(
        "{checked}; {lost} rooms on the dead one, live {back} ms after its return; the others within {slowest} ms"
    ))
}

async fn quiet(cohorts: &mut [Cohort], talks: Vec<Talk>) -> Outcome {
    for (cohort, talk) in cohorts.iter_mut().zip(talks) {
        cohort.quiet(talk).await?;
    }
    Ok(())
}

async fn finish(cohorts: &mut Vec<Cohort>, talks: Vec<Talk>) -> Outcome<String> {
    quiet(cohorts, talks).await?;
    let rooms = cohorts.len();
    let mut last = String::new();
    for cohort in cohorts.drain(..) {
        last = cohort.finish().await?;
    }
    Ok(format!("{rooms} rooms, in the last: {last}"))
}
