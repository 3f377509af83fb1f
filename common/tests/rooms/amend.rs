//! Edits and deletions: the target changes in the step that logs them.

use std::sync::Arc;

use common::rooms::{AppendError, Draft, Range, RoomError, RoomStore};
use testing::RoomLog;
use uuid::Uuid;
use wire::{Body, Role};

use super::{NOW, fill, message, next_entry, person, place, texts};

testing::on_each_room_log!(
    pages_show_the_present_and_the_stream_the_change,
    what_may_not_be_changed_is_refused_and_nothing_is_logged,
    of_edits_and_a_deletion_at_once_the_log_tells_the_same_story_as_the_page,
);

pub(super) fn edit(author: Uuid, target: u64, text: &str) -> Draft {
    let body = Body::Edited { user: person(author), target, text: text.to_owned() };
    Draft { author, role: Role::Member, nonce: None, at: NOW, body }
}

fn delete(author: Uuid, role: Role, target: u64) -> Draft {
    Draft { author, role, nonce: None, at: NOW, body: Body::Deleted { user: person(author), target } }
}

async fn pages_show_the_present_and_the_stream_the_change(log: RoomLog) {
    let store = log.fresh().await;
    let room = Uuid::now_v7();
    let author = fill(&*store, room, 3).await;
    let mut live = store.subscribe(room).await.expect("a subscription");
    assert_eq!(place(store.append(room, edit(author, 1, "고침 ✏️")).await.expect("appended")), (4, false));
    store.append(room, delete(Uuid::now_v7(), Role::Host, 2)).await.expect("appended");
    store.append(room, delete(author, Role::Member, 3)).await.expect("appended");
    for target in 1..=3_u64 {
        let entry = next_entry(&mut live).await.parse().expect("an entry");
        assert_eq!((entry.seq, entry.body.target()), (target + 3, Some(target)));
    }
    let page = store.read(room, Range::Latest, 10).await.expect("a page");
    assert_eq!((texts(&page), page.entries.len()), (vec!["고침 ✏️".into(), "-".into(), "-".into()], 6));
    let Body::Message { edited_at, .. } = page.entries[0].parse().expect("an entry").body else {
        panic!("not a message")
    };
    assert_eq!(edited_at, Some(NOW));
}

async fn what_may_not_be_changed_is_refused_and_nothing_is_logged(log: RoomLog) {
    let store = log.fresh().await;
    let (room, stranger) = (Uuid::now_v7(), Uuid::now_v7());
    let author = fill(&*store, room, 2).await;
    store.append(room, delete(author, Role::Member, 2)).await.expect("appended");
    for (draft, expected) in [
        (edit(stranger, 1, "남의 말"), AppendError::NotTheAuthor),
        (delete(stranger, Role::Member, 1), AppendError::NotTheAuthor),
        (edit(author, 2, "지운 말"), AppendError::NoSuchMessage),
        (delete(author, Role::Host, 2), AppendError::NoSuchMessage),
        (edit(author, 3, "말이 아님"), AppendError::NoSuchMessage),
        (edit(author, 0, "없음"), AppendError::NoSuchMessage),
        (edit(author, 99, "아직 없음"), AppendError::NoSuchMessage),
    ] {
        let refused = store.append(room, draft.clone()).await;
        assert!(matches!(refused, Err(RoomError::Refused(why)) if why == expected), "{draft:?} {refused:?}");
    }
    let empty = store.append(Uuid::now_v7(), edit(author, 1, "빈 방")).await;
    assert!(matches!(empty, Err(RoomError::Refused(AppendError::NoSuchMessage))), "{empty:?}");
    assert_eq!(store.head(room).await.expect("a head").seq, 3);
}

async fn of_edits_and_a_deletion_at_once_the_log_tells_the_same_story_as_the_page(log: RoomLog) {
    let store = log.fresh().await;
    let room = Uuid::now_v7();
    let author = fill(&*store, room, 1).await;
    let edits = (0..6).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.append(room, edit(author, 1, &format!("고침 {n}"))).await })
    });
    let edits: Vec<_> = edits.collect();
    for task in edits {
        task.await.expect("a task").expect("appended");
    }
    let page = store.read(room, Range::Latest, 10).await.expect("a page");
    let Body::Edited { text, .. } = page.entries.last().expect("an entry").parse().expect("an entry").body else {
        panic!("not an edit")
    };
    assert_eq!(texts(&page), [text]);
    assert_eq!(page.head.seq, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_the_archive_is_edited_there() {
    let store = testing::redis_rooms().await;
    let room = Uuid::now_v7();
    let author = fill(&store, room, 1300).await;
    store.archive(room).await.expect("archive");
    store.append(room, edit(author, 7, "오래된 말")).await.expect("edit");
    store.append(room, delete(author, Role::Member, 8)).await.expect("delete");
    let again = store.append(room, delete(author, Role::Member, 8)).await;
    assert!(matches!(again, Err(RoomError::Refused(AppendError::NoSuchMessage))), "{again:?}");
    let page = store.read(room, Range::After(5), 4).await.expect("page");
    assert_eq!(texts(&page), ["6", "오래된 말", "-", "9"]);
    assert_eq!(page.head.seq, 1302);
    let stranger = store.append(room, message(Uuid::now_v7(), "n", "새 말")).await.expect("append");
    assert_eq!(place(stranger), (1303, false));
}
