//! A whole Mingizuk in production shape on this machine, and people who use it.

use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use crate::{
    failure::{Failure, Outcome},
    rest::{Rest, User},
    servers::{MariaDb, Mingizuk, Redis, Role, Setup, Sync},
};

/// Sign-ups and joins under way at a time.
const PARALLEL: usize = 16;

/// MariaDB, Redis, one REST service and some gateways, all of them this process's children.
#[derive(Debug)]
pub struct System {
    /// The Redis of the room log.
    pub redis: Redis,
    /// The relational database.
    pub mariadb: MariaDb,
    /// The REST service.
    pub api: Mingizuk,
    /// The gateways.
    pub gateways: Vec<Mingizuk>,
    /// How they were started, for starting more.
    pub setup: Setup,
    _folder: tempfile::TempDir,
}

/// A room and the people in it; the first is the host.
#[derive(Clone, Debug)]
pub struct Room {
    /// The meetup's id.
    pub id: Uuid,
    /// Its members.
    pub members: Vec<User>,
}

impl System {
    /// Starts all of it with `gateways` gateways and the settings (`QUEUE_FRAMES`, without the prefix) changed as given.
    ///
    /// # Errors
    /// When a part is not installed or does not become ready.
    pub async fn start(binary: &Path, gateways: usize, sync: Sync, settings: &[(&str, &str)]) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("mingizuk-system-").tempdir()?;
        let (redis, mariadb) = tokio::join!(Redis::start(sync), MariaDb::start());
        let (redis, mariadb) = (redis?, mariadb?);
        let binary: PathBuf = binary.canonicalize()?;
        let setup = Setup::shared(binary, folder.path(), &mariadb.url(), &redis.url());
        let setup = settings.iter().fold(setup, |setup, (name, value)| setup.with(name, *value));
        setup.migrate().await?;
        let api = setup.start(Role::Api).await?;
        let mut system = Self { redis, mariadb, api, gateways: Vec::new(), setup, _folder: folder };
        for _ in 0..gateways {
            system.add_gateway().await?;
        }
        Ok(system)
    }

    /// Starts one more gateway.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn add_gateway(&mut self) -> Outcome {
        self.gateways.push(self.setup.start(Role::Gateway).await?);
        Ok(())
    }

    /// The REST service, without a caller.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn rest(&self) -> Outcome<Rest> {
        Rest::new(self.api.api()?)
    }

    /// The gateways' addresses (`ws://…/ws`).
    ///
    /// # Errors
    /// Never, as long as they are gateways.
    pub fn gateway_urls(&self) -> Outcome<Vec<String>> {
        self.gateways.iter().map(|gateway| gateway.gateway().map(str::to_owned)).collect()
    }

    /// Signs up people and puts them in rooms.
    ///
    /// # Errors
    /// Every refusal.
    pub async fn populate(&self, rooms: usize, members: usize) -> Outcome<Vec<Room>> {
        populate(&self.rest()?, rooms, members).await
    }
}

/// Signs up `rooms` × `members` people and opens the rooms they are in.
///
/// # Errors
/// Every refusal.
pub async fn populate(rest: &Rest, rooms: usize, members: usize) -> Outcome<Vec<Room>> {
    let people: Vec<User> = stream::iter(0..rooms * members)
        .map(|_| async { rest.sign_up(&Uuid::new_v4().simple().to_string()[16..]).await })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    stream::iter(people.chunks(members.max(1)).map(<[User]>::to_vec))
        .map(|members| async move {
            let host = members.first().ok_or_else(|| Failure::new("a room needs a member"))?;
            let id = rest.by(host).open_meetup("모여서 스트레칭").await?;
            stream::iter(&members[1..])
                .map(|member| async move { rest.by(member).join(id).await })
                .buffer_unordered(PARALLEL)
                .try_collect::<()>()
                .await?;
            Ok(Room { id, members })
        })
        .buffer_unordered(4)
        .try_collect()
        .await
}
