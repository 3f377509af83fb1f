//! One conformance suite for every backend of the room log.

use common::{
    rooms::{Draft, Range},
    testing,
    time::Timestamp,
    wire::{Body, Person, Role},
};
use uuid::Uuid;

fn message(author: Uuid, nonce: &str, text: &str) -> Draft {
    let user = Person { id: author, nickname: "밍기".to_owned() };
    let body =
        Body::Message { user, nonce: nonce.to_owned(), text: Some(text.to_owned()), edited_at: None, deleted_at: None };
    Draft { author, role: Role::Member, nonce: Some(nonce.to_owned()), at: Timestamp(1_700_000_000_000), body }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_entry_is_stored_once_at_its_number() {
    for (name, store) in testing::room_stores().await {
        let room = Uuid::now_v7();
        let author = Uuid::now_v7();
        for n in 1..=3_u64 {
            let appended = store.append(room, message(author, &n.to_string(), "안녕")).await.expect(name);
            assert_eq!((appended.position.seq, appended.duplicate), (n, false), "{name}");
        }
        let again = store.append(room, message(author, "2", "안녕")).await.expect(name);
        assert_eq!((again.position.seq, again.duplicate), (2, true), "{name}");
        let page = store.read(room, Range::Latest, 10).await.expect(name);
        assert_eq!(page.entries.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3], "{name}");
        assert_eq!(page.head, store.head(room).await.expect(name));
        for entry in page.entries {
            assert_eq!(entry.parse().expect(name).seq, entry.seq, "{name}");
        }
    }
}
