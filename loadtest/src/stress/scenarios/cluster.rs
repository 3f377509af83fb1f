//! A system on a Redis Cluster, and a master that dies.

use std::time::Duration;

use super::lasting;
use crate::{
    ensure,
    failure::Outcome,
    rest::Rest,
    servers::{Cluster, Mingizuk, Role},
    stress::{Cohort, World, cohort::Talk},
    system::{System, populate},
};

/// Everything is live again this long after the failover.
const LIVE_AGAIN: Duration = Duration::from_secs(10);
/// How many rooms make it likely that every master has some.
const ROOMS: usize = 6;

/// A system beside the first, with a database of its own: it ends when this is dropped.
struct OnCluster {
    cluster: Cluster,
    cohorts: Vec<Cohort>,
    _processes: Vec<Mingizuk>,
}

async fn on_cluster(world: &World) -> Outcome<OnCluster> {
    let cluster = Cluster::start().await?;
    let System { setup, mariadb, .. } = &world.system;
    let setup = setup.clone().with("DATABASE_URL", mariadb.another_url()).with("REDIS_URL", cluster.url());
    setup.migrate().await?;
    let api = setup.start(Role::Api).await?;
    let gateways = [setup.start(Role::Gateway).await?, setup.start(Role::Gateway).await?];
    let rest = Rest::new(api.api()?)?;
    let urls = [gateways[0].gateway()?.to_owned(), gateways[1].gateway()?.to_owned()];
    let mut cohorts = Vec::new();
    for room in populate(&rest, ROOMS, 4).await? {
        cohorts.push(Cohort::start_at(rest.clone(), room, &urls).await?);
    }
    let mut processes = vec![api];
    processes.extend(gateways);
    Ok(OnCluster { cluster, cohorts, _processes: processes })
}

pub(super) async fn rooms_spread_over_a_cluster(world: &mut World) -> Outcome<String> {
    let mut system = on_cluster(world).await?;
    let talks: Vec<_> = system.cohorts.iter().map(Cohort::talk).collect();
    lasting(world.scale(1500, 6000)).await;
    finish(&mut system.cohorts, talks).await
}

pub(super) async fn cluster_master_killed_under_load(world: &mut World) -> Outcome<String> {
    let mut system = on_cluster(world).await?;
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
