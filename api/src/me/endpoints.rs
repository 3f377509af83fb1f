//! `/me`.

use poem::web::Data;
use poem_openapi::{OpenApi, payload::Json};

use super::{
    export::{self, model::Export},
    model::{PasswordChange, Profile, ProfileChanges},
    password, rules, withdrawal,
};
use crate::{
    auth::{rules as account_rules, store},
    caller::Caller,
    context::Context,
    input::{Fields, Input},
    no_content::no_content,
    problem::{Code, Problem, SECURED, WITH_BODY, codes},
    stream::JsonStream,
    tags::Tag,
};

/// The operations.
pub struct Endpoints;

no_content!(Changed, " Done.");

#[OpenApi(prefix_path = "/me", tag = "Tag::Me")]
impl Endpoints {
    /// Your profile
    #[oai(path = "/", method = "get", operation_id = "get_me")]
    async fn get_me(&self, cx: Data<&Context>, caller: Caller) -> Result<Json<Profile>, Problem<SECURED>> {
        Ok(Json(caller.account(&cx).await?.into()))
    }

    /// Change your profile
    ///
    /// What is absent stays as it is. Entries of rooms keep the nickname of their time.
    #[oai(path = "/", method = "patch", operation_id = "update_me")]
    async fn update_me(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        input: Input<ProfileChanges>,
    ) -> Result<Json<Profile>, Problem<{ SECURED | WITH_BODY | codes(&[Code::NicknameTaken]) }>> {
        let mut fields = Fields::new();
        let change = rules::change(&mut fields, input.0);
        fields.finish()?;
        let changed = store::change_profile(&cx.db, caller.0.user, &change).await?;
        Ok(Json(changed.ok_or(Code::Unauthenticated)?.into()))
    }

    /// Change your password
    ///
    /// Ends every other session: their refresh tokens are refused, and the gateway closes their connections.
    #[oai(path = "/password", method = "put", operation_id = "change_password")]
    async fn change_password(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        input: Input<PasswordChange>,
    ) -> Result<Changed, Problem<{ SECURED | WITH_BODY | codes(&[Code::WrongPassword]) }>> {
        let PasswordChange { old_password, new_password } = input.0;
        let mut fields = Fields::new();
        account_rules::password(&mut fields, "new_password", &new_password);
        fields.finish()?;
        let old = caller.account(&cx).await?.password_hash;
        if !cx.passwords.verify(old_password, old.clone()).await? {
            return Err(Code::WrongPassword.into());
        }
        let new = cx.passwords.hash(new_password).await?;
        let (user, session, now) = (caller.0.user, caller.0.session, cx.env.clock.now());
        let ended = password::replace_password(&cx.db, user, &old.unwrap_or_default(), &new, session, now).await?;
        ended.ok_or(Code::WrongPassword)?;
        cx.publish_sessions_ended(user).await;
        Ok(Changed::Done)
    }

    /// Withdraw
    ///
    /// Every session ends and the gateway closes your connections (4403). Upcoming meetups that you host are cancelled:
    /// hand them over first if they are to take place. For a month logging in offers to restore everything; then the
    /// account is removed with what is its own. Chat messages stay, from "탈퇴한 회원".
    #[oai(path = "/", method = "delete", operation_id = "withdraw")]
    async fn withdraw(&self, cx: Data<&Context>, caller: Caller) -> Result<Changed, Problem<SECURED>> {
        withdrawal::withdraw(&cx, caller.0.user).await?;
        cx.publish_sessions_ended(caller.0.user).await;
        Ok(Changed::Done)
    }

    /// Export everything about you
    ///
    /// One JSON document, written while it is read: it has no limit of size.
    #[oai(path = "/export", method = "get", operation_id = "export_me")]
    async fn export_me(&self, cx: Data<&Context>, caller: Caller) -> Result<JsonStream<Export>, Problem<SECURED>> {
        let user = caller.account(&cx).await?;
        Ok(JsonStream::new(export::stream(cx.0.clone(), user).await?))
    }
}
