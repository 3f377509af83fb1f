//! Size of the demo data, and the error of making it.

use std::io;

use common::{db::DbError, rooms::RoomError};

use crate::problem::Failure;

/// The password of every demo account.
pub const PASSWORD: &str = "mingizuk-demo-1";

/// How much data to make.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Accounts.
    pub users: usize,
    /// Upcoming meetups whose rooms accept messages for as long as the tokens are valid. Half as many are added that
    /// begin soon, are under way, have ended or are cancelled.
    pub meetups: usize,
    /// Members of each meetup, its host among them.
    pub members: usize,
    /// Age of every account in days; workouts are spread over them.
    pub days: u32,
    /// Seed: the same seed on an empty database makes the same data.
    pub seed: u64,
}

/// Why demo data was not made.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The profile is production.
    #[error("demo data is refused in the production profile (MINGIZUK_ENV)")]
    Production,
    /// The numbers contradict each other.
    #[error("--members must be between 1 and --users, --users at most 1,000,000, and --days at most 1,000")]
    Plan,
    /// The database.
    #[error("the demo data could not be stored: {0}")]
    Db(#[from] DbError),
    /// The room log.
    #[error("the demo rooms could not be filled: {0}")]
    Rooms(#[from] RoomError),
    /// Hashing or signing.
    #[error("the demo accounts could not be made: {0}")]
    Accounts(#[from] Failure),
    /// The file of the tokens.
    #[error("the tokens could not be written: {0}")]
    File(#[from] io::Error),
}
