//! `/auth`: sign up, log in, refresh, log out.

use poem::{Request, web::Data};
use poem_openapi::{ApiResponse, Object, OpenApi, payload::Json};
use serde::Deserialize;

use super::{
    login, rules,
    sessions::{self, Device, Grant, Refreshed},
    store::{self, AccountError, NewUser},
};
use crate::{
    caller::Caller,
    context::Context,
    input::{Fields, Input},
    me::{model::Profile, withdrawal},
    meetups,
    no_content::no_content,
    problem::{Code, Failure, Problem, SECURED, WITH_BODY, codes},
    tags::Tag,
};

/// Characters of a device's name that are kept.
const MAX_DEVICE_CHARS: usize = 200;

/// The operations.
pub struct Endpoints;

/// Who signs up.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct SignUp {
    /// At most 254 characters, unique ignoring case.
    pub email: String,
    /// 8 characters to 72 bytes, at least a letter and a digit.
    pub password: String,
    /// 1–16 characters, unique ignoring case.
    pub nickname: String,
    /// An IANA name; `Asia/Seoul` if absent.
    pub timezone: Option<String>,
    /// `monday` or `sunday`; `monday` if absent.
    pub week_start: Option<String>,
}

impl poem_openapi::types::Example for SignUp {
    fn example() -> Self {
        Self {
            email: "mingi@example.com".to_owned(),
            password: "stretch2gether".to_owned(),
            nickname: "밍기".to_owned(),
            timezone: Some("Asia/Seoul".to_owned()),
            week_start: None,
        }
    }
}

/// Who logs in.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct LogIn {
    /// The account's email, in any case.
    pub email: String,
    /// The account's password.
    pub password: String,
}

impl poem_openapi::types::Example for LogIn {
    fn example() -> Self {
        Self { email: "mingi@example.com".to_owned(), password: "stretch2gether".to_owned() }
    }
}

/// A refresh token.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct Refresh {
    /// The latest one of this session. It is used up by this.
    pub refresh_token: String,
}

impl poem_openapi::types::Example for Refresh {
    fn example() -> Self {
        Self { refresh_token: "pX0m3cYt8bq5T1oWk7hJ2vR9sL4nZ6aDfGuEiBwQxyM".to_owned() }
    }
}

/// A restore token.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct Restore {
    /// From the log-in that was refused with `account_withdrawn`, at most 10 minutes ago.
    pub restore_token: String,
}

impl poem_openapi::types::Example for Restore {
    fn example() -> Self {
        Self { restore_token: "Zk4T0v8bq5pX0m3cYt1oWk7hJ2vR9sL4nZ6aDfGuEiBw".to_owned() }
    }
}

/// A session's tokens.
#[derive(Debug, Object)]
#[oai(example)]
pub struct LoggedIn {
    /// The account.
    pub user: Profile,
    /// Send it as `Authorization: Bearer …`, to the REST service and to the gateway.
    pub access_token: String,
    /// Swap it for new tokens at `/auth/refresh` before `access_token` expires. Shown once.
    pub refresh_token: String,
    /// Seconds until `access_token` expires.
    pub expires_in: u64,
}

impl poem_openapi::types::Example for LoggedIn {
    fn example() -> Self {
        Self {
            user: Profile::example(),
            access_token: "eyJhbGciOiJIUzI1NiIsImtpZCI6ImxvY2FsIn0.eyJzdWIiOiLigKYifQ.c2lnbmF0dXJl".to_owned(),
            refresh_token: Refresh::example().refresh_token,
            expires_in: 900,
        }
    }
}

/// The account is made and logged in.
#[derive(ApiResponse)]
pub enum SignedUp {
    /// The account is made and logged in.
    #[oai(status = 201)]
    Created(Json<LoggedIn>),
}

no_content!(LoggedOut, " The session has ended.");

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::EmailTaken => Code::EmailTaken.into(),
            AccountError::NicknameTaken => Code::NicknameTaken.into(),
            AccountError::Db(error) => error.into(),
        }
    }
}

#[OpenApi(prefix_path = "/auth", tag = "Tag::Auth")]
impl Endpoints {
    /// Sign up
    ///
    /// Makes an account and logs it in on this device.
    #[oai(path = "/signup", method = "post", operation_id = "sign_up")]
    async fn sign_up(
        &self,
        cx: Data<&Context>,
        request: &Request,
        input: Input<SignUp>,
    ) -> Result<SignedUp, Problem<{ WITH_BODY | codes(&[Code::EmailTaken, Code::NicknameTaken]) }>> {
        let SignUp { email, password, nickname, timezone, week_start } = input.0;
        let mut fields = Fields::new();
        let email = rules::email(&mut fields, &email);
        rules::password(&mut fields, "password", &password);
        let nickname = rules::nickname(&mut fields, &nickname);
        let time_zone = rules::time_zone(&mut fields, timezone.as_deref());
        let week_start = rules::week_start(&mut fields, week_start.as_deref());
        fields.finish()?;
        let password_hash = cx.passwords.hash(password).await?;
        let new = NewUser { email, password_hash, nickname, time_zone, week_start };
        let (user, grant) = store::sign_up(&cx.db, &cx.env, new, &device(&cx, request)).await?;
        Ok(SignedUp::Created(Json(logged_in(&cx, user, grant)?)))
    }

    /// Log in
    ///
    /// Begins a session on this device. An unknown email and a wrong password get the same answer, in the same time.
    /// A withdrawn account is answered `account_withdrawn`, with a `restore_token` that is valid for 10 minutes.
    #[oai(path = "/login", method = "post", operation_id = "log_in")]
    async fn log_in(
        &self,
        cx: Data<&Context>,
        request: &Request,
        input: Input<LogIn>,
    ) -> Result<Json<LoggedIn>, Problem<{ WITH_BODY | codes(&[Code::WrongCredentials, Code::AccountWithdrawn]) }>> {
        let LogIn { email, password } = input.0;
        let user = store::user_by_email(&cx.db, &email).await?;
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        let right = cx.passwords.verify(password, hash).await?;
        let user = user.filter(|_| right).ok_or(Code::WrongCredentials)?;
        match login::log_in(&cx.db, &cx.env, &user, &device(&cx, request)).await? {
            login::LogInOutcome::Granted(user, grant) => Ok(Json(logged_in(&cx, user, grant)?)),
            login::LogInOutcome::Withdrawn(token) => {
                Err(Failure { restore_token: Some(token), ..Code::AccountWithdrawn.into() }.into())
            }
            login::LogInOutcome::Stale => Err(Code::WrongCredentials.into()),
        }
    }

    /// Restore a withdrawn account
    ///
    /// Takes the withdrawal back and logs in on this device. Everything is as it was, but meetups that the withdrawal
    /// cancelled stay cancelled.
    #[oai(path = "/restore", method = "post", operation_id = "restore_account")]
    async fn restore(
        &self,
        cx: Data<&Context>,
        request: &Request,
        input: Input<Restore>,
    ) -> Result<Json<LoggedIn>, Problem<{ WITH_BODY | codes(&[Code::BadRestoreToken]) }>> {
        let device = device(&cx, request);
        let restored = withdrawal::restore(&cx.db, &cx.env, &input.0.restore_token, &device).await?;
        let grant = restored.ok_or(Code::BadRestoreToken)?;
        let user = store::active_user(&cx.db, grant.user).await?.ok_or(Code::BadRestoreToken)?;
        if let Err(error) = meetups::members::move_up_restored(&cx, user.id).await {
            // The account is restored; the next person who joins or leaves moves it up.
            tracing::warn!(%error, user = %user.id, "moving up a restored account in its waiting lists failed");
        }
        Ok(Json(logged_in(&cx, user, grant)?))
    }

    /// Refresh the tokens
    ///
    /// Swaps a refresh token for new tokens. Each is good for one use; using one again, more than 10 s later, ends the
    /// session.
    #[oai(path = "/refresh", method = "post", operation_id = "refresh")]
    async fn refresh(
        &self,
        cx: Data<&Context>,
        input: Input<Refresh>,
    ) -> Result<Json<LoggedIn>, Problem<{ WITH_BODY | codes(&[Code::BadRefreshToken]) }>> {
        let ttl = cx.config.refresh_token_ttl;
        let refreshed = sessions::refresh(&cx.db, &cx.env, &input.0.refresh_token, ttl).await?;
        let grant = match refreshed {
            Refreshed::Granted(grant) => grant,
            Refreshed::Refused => return Err(Code::BadRefreshToken.into()),
            Refreshed::Reused { user, session } => {
                tracing::warn!(%user, %session, "refresh token reused; session revoked");
                cx.publish_sessions_ended(user).await;
                return Err(Code::BadRefreshToken.into());
            }
        };
        let user = store::active_user(&cx.db, grant.user).await?.ok_or(Code::BadRefreshToken)?;
        Ok(Json(logged_in(&cx, user, grant)?))
    }

    /// Log out
    ///
    /// Ends the session of the access token: its refresh token is refused from now on.
    #[oai(path = "/logout", method = "post", operation_id = "log_out")]
    async fn log_out(&self, cx: Data<&Context>, caller: Caller) -> Result<LoggedOut, Problem<SECURED>> {
        let now = cx.env.clock.now();
        if sessions::revoke_session(&cx.db, caller.0.user, caller.0.session, now).await? {
            cx.publish_sessions_ended(caller.0.user).await;
        }
        Ok(LoggedOut::Done)
    }
}

fn device(cx: &Context, request: &Request) -> Device {
    let name = request.header("user-agent").unwrap_or_default().chars().take(MAX_DEVICE_CHARS).collect();
    Device { name, ttl: cx.config.refresh_token_ttl }
}

fn logged_in(cx: &Context, user: store::User, grant: Grant) -> Result<LoggedIn, Failure> {
    let ttl = cx.config.access_token_ttl;
    let access_token = cx.tokens.issue(grant.user, grant.session, ttl)?;
    Ok(LoggedIn { user: user.into(), access_token, refresh_token: grant.refresh_token, expires_in: ttl.as_secs() })
}
