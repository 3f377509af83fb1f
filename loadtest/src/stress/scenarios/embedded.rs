//! The all-in-one on its embedded database, killed and restarted.

use std::time::Duration;

use super::lasting;
use crate::{
    ensure,
    failure::{Failure, Outcome},
    rest::Rest,
    servers::{Role, Setup, Signal},
    stress::{Cohort, World},
    system::populate,
};

/// How long everybody may take to be back.
const BACK: Duration = Duration::from_secs(15);

pub(super) async fn embedded_killed_under_load(world: &mut World) -> Outcome<String> {
    end_and_start_again(world, Signal::KILL).await
}

pub(super) async fn embedded_restarted_in_order(world: &mut World) -> Outcome<String> {
    end_and_start_again(world, Signal::TERM).await
}

async fn end_and_start_again(world: &mut World, signal: Signal) -> Outcome<String> {
    let folder = tempfile::Builder::new().prefix("mingizuk-embedded-").tempdir()?;
    let mut process = Setup::embedded(world.system.setup.binary(), folder.path()).start(Role::AllInOne).await?;
    let (rest, gateway) = (Rest::new(process.api()?)?, process.gateway()?.to_owned());
    let room = populate(&rest, 1, 6).await?.pop().ok_or_else(|| Failure::new("no room"))?;
    let mut cohort = Cohort::start_at(rest, room, &[gateway]).await?;
    let talk = cohort.talk();
    for _ in 0..world.scale(2, 5) {
        lasting(600).await;
        process.program().signal(signal)?;
        let status = process.program().wait(BACK).await?;
        ensure!(signal == Signal::KILL || status.success(), "ended with {status}");
        process.start_again().await?;
        cohort.recovery(BACK).await?;
    }
    cohort.quiet(talk).await?;
    cohort.finish().await
}
