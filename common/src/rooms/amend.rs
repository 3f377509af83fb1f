//! Edit and delete rules: permission checks and the tombstone. Pure functions.

use super::{Draft, RawEntry, RoomError, decode, encode};
use wire::{Body, Entry, Person, Role};

/// Why an entry is not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The target is not there, is no message, or has been deleted.
    #[error("there is no such message")]
    NoSuchMessage,
    /// Only the author edits a message; only the author and the host delete it.
    #[error("the message is someone else's")]
    NotTheAuthor,
    /// The room is closed for good.
    #[error("the room is closed")]
    RoomClosed,
}

/// The message `target` as an edit or a deletion leaves it.
///
/// # Errors
/// Why it may not be changed so.
pub fn amend(mut target: Entry, draft: &Draft) -> Result<Entry, AppendError> {
    let Body::Message { user, text, edited_at, deleted_at, .. } = &mut target.body else {
        return Err(AppendError::NoSuchMessage);
    };
    if deleted_at.is_some() {
        return Err(AppendError::NoSuchMessage);
    }
    let own = user.id == draft.author;
    match &draft.body {
        Body::Edited { text: new, .. } if own => {
            *text = Some(new.clone());
            *edited_at = Some(draft.at);
        }
        Body::Deleted { .. } if own || draft.role == Role::Host => {
            *text = None;
            *deleted_at = Some(draft.at);
        }
        _ => return Err(AppendError::NotTheAuthor),
    }
    Ok(target)
}

/// The same for an entry as it is stored.
pub(super) fn amend_raw(target: &RawEntry, draft: &Draft) -> Result<String, RoomError> {
    encode(&amend(target.parse()?, draft)?)
}

/// The stored entry without `user`; `None` if it does not name them.
pub(super) fn anonymise_raw(json: &str, user: uuid::Uuid) -> Result<Option<String>, RoomError> {
    let mut entry: Entry = decode(json)?;
    match entry.body.person_mut() {
        Some(person) if person.id == user => {
            *person = Person::withdrawn();
            encode(&entry).map(Some)
        }
        _ => Ok(None),
    }
}

/// The stored notice without `user`; `None` if it does not name them.
pub(super) fn anonymise_notice(json: &str, user: uuid::Uuid) -> Result<Option<String>, RoomError> {
    let mut notice: wire::Notice = decode(json)?;
    if notice.user.id != user {
        return Ok(None);
    }
    notice.user = Person::withdrawn();
    encode(&notice).map(Some)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::time::Timestamp;

    const AUTHOR: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn person(id: Uuid) -> Person {
        Person { id, nickname: "밍기".into() }
    }

    fn message(text: Option<&str>, edited: Option<i64>, deleted: Option<i64>) -> Entry {
        let body = Body::Message {
            user: person(AUTHOR),
            nonce: "n".into(),
            text: text.map(str::to_owned),
            edited_at: edited.map(Timestamp),
            deleted_at: deleted.map(Timestamp),
        };
        Entry { seq: 3, room: Uuid::from_u128(9), at: Timestamp(1), body }
    }

    #[test]
    fn the_author_edits_and_the_author_or_the_host_deletes() {
        let edit = |user| Body::Edited { user: person(user), target: 3, text: "새로".into() };
        let delete = |user| Body::Deleted { user: person(user), target: 3 };
        let notice = Entry { body: Body::Notice { user: person(AUTHOR), text: None }, ..message(None, None, None) };
        let fresh = || message(Some("처음"), None, None);
        for (target, author, role, body, expected) in [
            (fresh(), AUTHOR, Role::Member, edit(AUTHOR), Ok(message(Some("새로"), Some(5), None))),
            (
                message(Some("x"), Some(2), None),
                AUTHOR,
                Role::Member,
                edit(AUTHOR),
                Ok(message(Some("새로"), Some(5), None)),
            ),
            (fresh(), AUTHOR, Role::Member, delete(AUTHOR), Ok(message(None, None, Some(5)))),
            (fresh(), OTHER, Role::Host, delete(OTHER), Ok(message(None, None, Some(5)))),
            (fresh(), OTHER, Role::Member, delete(OTHER), Err(AppendError::NotTheAuthor)),
            (fresh(), OTHER, Role::Host, edit(OTHER), Err(AppendError::NotTheAuthor)),
            (message(None, None, Some(2)), AUTHOR, Role::Host, edit(AUTHOR), Err(AppendError::NoSuchMessage)),
            (message(None, None, Some(2)), AUTHOR, Role::Host, delete(AUTHOR), Err(AppendError::NoSuchMessage)),
            (notice, AUTHOR, Role::Host, delete(AUTHOR), Err(AppendError::NoSuchMessage)),
        ] {
            let draft = Draft { author, role, nonce: None, at: Timestamp(5), body };
            assert_eq!(amend(target.clone(), &draft), expected, "{target:?} {draft:?}");
        }
    }

    #[test]
    fn a_person_disappears_from_what_they_said_and_only_there() {
        let json = encode(&message(Some("안녕"), None, None)).expect("json");
        assert_eq!(anonymise_raw(&json, OTHER).expect("entry"), None);
        let gone = anonymise_raw(&json, AUTHOR).expect("entry").expect("named");
        assert_eq!(decode::<Entry>(&gone).expect("entry").body.person(), Some(&Person::withdrawn()));
        assert!(gone.contains("안녕"));
    }
}
