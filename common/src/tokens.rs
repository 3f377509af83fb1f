//! Access tokens: JSON Web Tokens (RFC 7519), verified by both services without a look-up.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    config::JwtKeys,
    time::{Clock, Timestamp},
};

/// The issuer named in every token.
const ISSUER: &str = "mingizuk";
/// Value of the claim `typ`, so that no other kind of token is accepted.
const TYPE: &str = "access";
/// Longest accepted token, in bytes.
const MAX_LENGTH: usize = 2048;

/// Claims of a verified token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The user.
    pub user: Uuid,
    /// The log-in session (one device), for log-out.
    pub session: Uuid,
    /// When the token stops being valid.
    pub expires_at: Timestamp,
}

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token, a wrong signature, or another kind of token.
    #[error("the access token is not valid")]
    Invalid,
    /// The token has expired.
    #[error("the access token has expired")]
    Expired,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    typ: String,
    sub: Uuid,
    sid: Uuid,
    iat: i64,
    exp: i64,
}

/// Signs and verifies access tokens with HS256 (RFC 7518, section 3.2).
#[derive(Clone)]
pub struct AccessTokens {
    signing: Arc<(String, EncodingKey)>,
    verifying: Arc<[(String, DecodingKey)]>,
    clock: Arc<dyn Clock>,
}

impl AccessTokens {
    /// Tokens signed with the first of `keys` and verified with any; `None` when there is no key.
    pub fn new(keys: &JwtKeys, clock: Arc<dyn Clock>) -> Option<Self> {
        let (kid, secret) = keys.0.first()?;
        let verifying =
            keys.0.iter().map(|(kid, s)| (kid.clone(), DecodingKey::from_secret(s.expose().as_bytes()))).collect();
        Some(Self {
            signing: Arc::new((kid.clone(), EncodingKey::from_secret(secret.expose().as_bytes()))),
            verifying,
            clock,
        })
    }

    /// A token for `user`, valid for `ttl` (whole seconds) from now.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] if signing fails, which no key accepted by [`JwtKeys`] makes it do.
    pub fn issue(&self, user: Uuid, session: Uuid, ttl: Duration) -> Result<String, TokenError> {
        let now = self.clock.now();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            typ: TYPE.to_owned(),
            sub: user,
            sid: session,
            iat: now.seconds(),
            exp: (now + ttl).seconds(),
        };
        let header = Header { kid: Some(self.signing.0.clone()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims, &self.signing.1).map_err(|_| TokenError::Invalid)
    }

    /// Claims of a verified token.
    ///
    /// # Errors
    /// [`TokenError`] says whether a newer token would help.
    pub fn verify(&self, token: &str) -> Result<Access, TokenError> {
        if token.len() > MAX_LENGTH {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let kid = header.kid.ok_or(TokenError::Invalid)?;
        let (_, key) = self.verifying.iter().find(|(known, _)| *known == kid).ok_or(TokenError::Invalid)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        // Expiry is judged below by the clock that was passed in.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation).map_err(|_| TokenError::Invalid)?.claims;
        if claims.typ != TYPE {
            return Err(TokenError::Invalid);
        }
        let expires_at = Timestamp(claims.exp.saturating_mul(1000));
        if expires_at <= self.clock.now() {
            return Err(TokenError::Expired);
        }
        Ok(Access { user: claims.sub, session: claims.sid, expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ManualClock;

    const OLD: &str = "old:0123456789abcdef0123456789abcdef";
    const NEW: &str = "new:fedcba9876543210fedcba9876543210";

    fn tokens(keys: &str, clock: &ManualClock) -> AccessTokens {
        AccessTokens::new(&keys.parse().expect("keys"), Arc::new(clock.clone())).expect("a key")
    }

    #[test]
    fn a_token_lives_exactly_as_long_as_it_says() {
        let clock = ManualClock::new(Timestamp(1_000_000));
        let tokens = tokens(OLD, &clock);
        let (user, session) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let token = tokens.issue(user, session, Duration::from_secs(900)).expect("signed");
        clock.advance(Duration::from_millis(899_999));
        assert_eq!(tokens.verify(&token), Ok(Access { user, session, expires_at: Timestamp(1_900_000) }));
        clock.advance(Duration::from_millis(1));
        assert_eq!(tokens.verify(&token), Err(TokenError::Expired));
    }

    #[test]
    fn keys_rotate_without_logging_anyone_out() {
        let clock = ManualClock::new(Timestamp(0));
        let id = Uuid::from_u128(1);
        let token = tokens(OLD, &clock).issue(id, id, Duration::from_secs(9)).expect("signed");
        assert!(tokens(&format!("{NEW},{OLD}"), &clock).verify(&token).is_ok());
        assert_eq!(tokens(NEW, &clock).verify(&token), Err(TokenError::Invalid));
    }

    #[test]
    fn forgeries_are_refused() {
        let clock = ManualClock::new(Timestamp(0));
        let tokens = tokens(OLD, &clock);
        let id = Uuid::from_u128(1);
        let token = tokens.issue(id, id, Duration::from_secs(9)).expect("signed");
        let (head, rest) = token.split_once('.').expect("three parts");
        let none =
            base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, br#"{"alg":"none","kid":"old"}"#);
        assert_ne!(head, none);
        for forged in ["", "a.b.c", &format!("{none}.{rest}"), &token[..token.len() - 2], &"x".repeat(5000)] {
            assert_eq!(tokens.verify(forged), Err(TokenError::Invalid), "{forged}");
        }
    }
}
