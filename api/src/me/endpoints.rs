//! `/me`.

use common::time::Timestamp;
use poem::web::Data;
use poem_openapi::{Object, OpenApi, payload::Json};
use uuid::Uuid;

use crate::{
    auth::store::{self, User},
    caller::Caller,
    context::Context,
    problem::{Code, Problem, SECURED},
    server::Tag,
};

/// The operations.
pub struct Endpoints;

/// An account as its owner sees it.
#[derive(Debug, Object)]
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

#[OpenApi(prefix_path = "/me", tag = "Tag::Me")]
impl Endpoints {
    /// Your profile
    #[oai(path = "/", method = "get", operation_id = "get_me")]
    async fn get_me(&self, cx: Data<&Context>, caller: Caller) -> Result<Json<Profile>, Problem<SECURED>> {
        // An account that is gone has left valid tokens behind for a few minutes.
        let user = store::user(&cx.db, caller.0.user).await?.ok_or(Code::Unauthenticated)?;
        Ok(Json(user.into()))
    }
}
