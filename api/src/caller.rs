//! Authentication of a request: the bearer token of its `Authorization` header (RFC 6750, section 2.1).

use common::tokens::{Access, AccessTokens};
use poem::{Request, http::header};
use poem_openapi::{SecurityScheme, auth::Bearer};
use uuid::Uuid;

use crate::{
    auth::store::{self, User},
    context::Context,
    problem::{Code, Failure},
};

/// The user who is calling. Taking it as a parameter makes an operation need an access token.
#[derive(SecurityScheme)]
#[oai(rename = "access_token", ty = "bearer", bearer_format = "JWT", checker = "verify")]
pub struct Caller(pub Access);

impl Caller {
    /// The caller's account. After a withdrawal, access tokens stay valid for some minutes.
    ///
    /// What changes data reads the account in its own transaction instead.
    ///
    /// # Errors
    /// [`Code::Unauthenticated`] if it is withdrawn or gone.
    pub async fn account(&self, cx: &Context) -> Result<User, Failure> {
        Ok(store::active_user(&cx.db, self.0.user).await?.ok_or(Code::Unauthenticated)?)
    }
}

/// Optional authentication: the operation is public and returns more with an access token.
#[derive(SecurityScheme)]
pub enum Visitor {
    /// A user.
    Caller(Caller),
    /// No valid access token.
    #[oai(fallback)]
    Stranger,
}

impl Visitor {
    /// The authenticated user, if any.
    ///
    /// # Errors
    /// As [`Caller`], if there is an access token and it is not valid: its owner would miss what they asked for.
    pub fn user(&self, request: &Request, tokens: &AccessTokens) -> Result<Option<Uuid>, Failure> {
        match (self, request.header(header::AUTHORIZATION)) {
            (Self::Caller(caller), _) => Ok(Some(caller.0.user)),
            (Self::Stranger, None) => Ok(None),
            (Self::Stranger, Some(given)) => {
                let token = given.split_once(' ').map_or("", |(_, token)| token);
                Err(tokens.verify(token).err().map_or(Code::Unauthenticated.into(), Failure::from))
            }
        }
    }
}

async fn verify(request: &Request, bearer: Bearer) -> poem::Result<Access> {
    let tokens = request.data::<AccessTokens>().ok_or_else(|| Failure::from(Code::Internal))?;
    Ok(tokens.verify(&bearer.token).map_err(Failure::from)?)
}
