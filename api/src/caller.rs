//! Who is calling: the access token of the `Authorization` header (RFC 6750, section 2.1).

use common::tokens::{Access, AccessTokens};
use poem::Request;
use poem_openapi::{SecurityScheme, auth::Bearer};

use crate::problem::{Code, Failure};

/// The user who is calling. Taking it as a parameter makes an operation need an access token.
#[derive(SecurityScheme)]
#[oai(rename = "access_token", ty = "bearer", bearer_format = "JWT", checker = "verify")]
pub struct Caller(pub Access);

async fn verify(request: &Request, bearer: Bearer) -> poem::Result<Access> {
    let tokens = request.data::<AccessTokens>().ok_or_else(|| Failure::from(Code::Internal))?;
    Ok(tokens.verify(&bearer.token).map_err(Failure::from)?)
}
