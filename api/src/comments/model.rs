//! Comments as clients see them.

use common::time::Timestamp;
use poem_openapi::{Object, types::Example};
use serde::Deserialize;
use uuid::Uuid;
use wire::Person;

/// A comment.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct Comment {
    /// Its id.
    pub id: Uuid,
    /// The meetup it is on.
    pub meetup_id: Uuid,
    /// Who wrote it.
    pub user: Person,
    /// 1–200 characters.
    pub text: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was last edited; `created_at` if never.
    pub updated_at: Timestamp,
}

impl Example for Comment {
    fn example() -> Self {
        Self {
            id: Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a13),
            meetup_id: Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a10),
            user: Person {
                id: Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a11),
                nickname: "밍기".to_owned(),
            },
            text: "처음인데 가도 될까요?".to_owned(),
            created_at: Timestamp(1_780_000_000_000),
            updated_at: Timestamp(1_780_000_000_000),
        }
    }
}

/// What a comment is to say.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct CommentText {
    /// 1–200 characters.
    pub text: String,
}

impl Example for CommentText {
    fn example() -> Self {
        Self { text: Comment::example().text }
    }
}

/// A comment of one's own, with its meetup.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct MyComment {
    /// Its id.
    pub id: Uuid,
    /// The meetup it is on.
    pub meetup_id: Uuid,
    /// The meetup's title.
    pub meetup_title: String,
    /// 1–200 characters.
    pub text: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was last edited; `created_at` if never.
    pub updated_at: Timestamp,
}

impl Example for MyComment {
    fn example() -> Self {
        let Comment { id, meetup_id, text, created_at, updated_at, .. } = Comment::example();
        Self { id, meetup_id, meetup_title: "점심 스트레칭".to_owned(), text, created_at, updated_at }
    }
}
