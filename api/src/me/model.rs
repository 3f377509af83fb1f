//! Account as its owner sees and changes it.

use common::time::Timestamp;
use poem_openapi::{
    Object,
    types::{Example, MaybeUndefined},
};
use serde::Deserialize;
use uuid::Uuid;

use crate::auth::store::User;

/// An account as its owner sees it.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct Profile {
    /// The account's id.
    pub id: Uuid,
    /// Absent for accounts made by social log-in without one.
    #[oai(skip_serializing_if_is_none)]
    pub email: Option<String>,
    /// As others see it.
    pub nickname: String,
    /// An IANA name: in which the user's days begin and end.
    pub timezone: String,
    /// `monday` or `sunday`.
    pub week_start: String,
    /// When the account was made.
    pub created_at: Timestamp,
}

impl From<User> for Profile {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            nickname: user.nickname,
            timezone: user.time_zone,
            week_start: user.week_start,
            created_at: user.created_at,
        }
    }
}

impl Example for Profile {
    fn example() -> Self {
        Self {
            id: Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a11),
            email: Some("mingi@example.com".to_owned()),
            nickname: "밍기".to_owned(),
            timezone: "Asia/Seoul".to_owned(),
            week_start: "monday".to_owned(),
            created_at: Timestamp(1_780_000_000_000),
        }
    }
}

/// What to change; what is absent stays.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct ProfileChanges {
    /// 1–16 characters, unique ignoring case.
    #[serde(default)]
    pub nickname: MaybeUndefined<String>,
    /// An IANA name. Days that were lived stay as they were.
    #[serde(default)]
    pub timezone: MaybeUndefined<String>,
    /// `monday` or `sunday`.
    #[serde(default)]
    pub week_start: MaybeUndefined<String>,
}

impl Example for ProfileChanges {
    fn example() -> Self {
        Self {
            nickname: MaybeUndefined::Value("무너".to_owned()),
            timezone: MaybeUndefined::Undefined,
            week_start: MaybeUndefined::Value("sunday".to_owned()),
        }
    }
}

/// A new password.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct PasswordChange {
    /// The present one.
    pub old_password: String,
    /// 8 characters to 72 bytes, at least a letter and a digit.
    pub new_password: String,
}

impl Example for PasswordChange {
    fn example() -> Self {
        Self { old_password: "stretch2gether".to_owned(), new_password: "stretch4ever".to_owned() }
    }
}
