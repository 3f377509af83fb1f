//! Append and read: invariants 1 and 3, ranges, notices, nonces.

use std::{collections::HashSet, sync::Arc, time::Duration};

use common::rooms::{AppendError, NONCE_WINDOW, Range, RoomError, RoomStore, SYSTEM};
use testing::RoomLog;
use uuid::Uuid;
use wire::{Body, Change, Position};

use super::{NOW, amend::edit, fill, member, message, next_entry, notice, person, place, seqs, texts};

testing::on_each_room_log!(
    an_acknowledged_entry_is_stored_once_at_its_number,
    entries_appended_together_are_as_if_one_after_the_other,
    appends_at_once_get_numbers_without_gap_and_each_its_own_entry,
    one_nonce_raced_is_one_entry,
    a_nonce_is_its_authors_and_is_remembered_for_its_window,
    nonces_are_compared_byte_by_byte,
    the_latest_nonces_of_an_author_are_kept_however_many_there_were,
    what_the_outbox_relays_is_remembered_for_good,
    ranges_have_edges,
    a_page_has_a_limit,
    the_epoch_stays_and_each_room_has_its_own,
    every_text_comes_back_as_it_was,
    the_notice_is_the_latest_that_was_set,
    a_room_closed_for_good_is_read_and_takes_nothing,
    a_purged_person_disappears_from_every_log,
);

async fn an_acknowledged_entry_is_stored_once_at_its_number(log: RoomLog) {
    let store = log.fresh().await;
    let (room, author) = (Uuid::now_v7(), Uuid::now_v7());
    for n in 1..=3_u64 {
        let appended = store.append(room, message(author, &n.to_string(), "안녕")).await.expect("appended");
        assert_eq!((place(appended), appended.at), ((n, false), NOW));
    }
    let again = store.append(room, message(author, "2", "안녕")).await.expect("appended");
    assert_eq!(place(again), (2, true));
    let page = store.read(room, Range::Latest, 10).await.expect("a page");
    assert_eq!(seqs(&page.entries), [1, 2, 3]);
    assert_eq!(page.head, store.head(room).await.expect("a head"));
    for entry in page.entries {
        let parsed = entry.parse().expect("an entry");
        assert_eq!((parsed.seq, parsed.room, parsed.at), (entry.seq, room, NOW));
    }
}

async fn entries_appended_together_are_as_if_one_after_the_other(log: RoomLog) {
    let store = log.fresh().await;
    let (room, one, other) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let mut live = store.subscribe(room).await.expect("a subscription");
    let drafts = [
        (message(one, "a", "하나"), Ok((1, false))),
        (message(one, "a", "하나"), Ok((1, true))),
        (message(one, "b", "둘"), Ok((2, false))),
        (edit(one, 1, "고친 하나"), Ok((3, false))),
        (edit(other, 2, "남의 말"), Err(AppendError::NotTheAuthor)),
        (edit(one, 99, "없는 말"), Err(AppendError::NoSuchMessage)),
        (message(other, "a", "셋"), Ok((4, false))),
        (notice(one, Some("공지")), Ok((5, false))),
    ];
    let (drafts, expected): (Vec<_>, Vec<_>) = drafts.into_iter().unzip();
    let outcomes = store.append_all(room, drafts).await.expect("appended");
    assert_eq!(outcomes.into_iter().map(|outcome| outcome.map(place)).collect::<Vec<_>>(), expected);
    for seq in 1..=5 {
        assert_eq!(next_entry(&mut live).await.seq, seq);
    }
    let page = store.read(room, Range::Latest, 10).await.expect("a page");
    assert_eq!((texts(&page).join(" "), page.head.seq), ("고친 하나 둘 셋".into(), 5));
    assert_eq!(page.notice.map(|notice| notice.text), Some("공지".to_owned()));
    let many = (0..200).map(|n| message(one, &format!("many-{n}"), "말")).collect();
    let outcomes = store.append_all(room, many).await.expect("appended");
    let seqs: Vec<u64> = outcomes.iter().flatten().map(|appended| appended.position.seq).collect();
    assert_eq!(seqs, (6..=205).collect::<Vec<_>>());
    assert_eq!(store.append_all(room, Vec::new()).await.expect("appended"), []);
    store.retire(room, NOW).await.expect("retired");
    let late = vec![message(one, "c", "늦은 말"), message(one, "d", "더 늦은 말")];
    let refused = store.append_all(room, late).await.expect("appended");
    assert_eq!(refused, [Err(AppendError::RoomClosed); 2]);
}

async fn appends_at_once_get_numbers_without_gap_and_each_its_own_entry(log: RoomLog) {
    let store = log.fresh().await;
    let room = Uuid::now_v7();
    let tasks = (0..8).map(|task| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let author = Uuid::now_v7();
            let mut acknowledged = Vec::new();
            for n in 0..25 {
                let text = format!("{task}-{n}");
                let appended = store.append(room, message(author, &text, &text)).await.expect("appended");
                acknowledged.push((appended.position.seq, text));
            }
            acknowledged
        })
    });
    let mut acknowledged = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        acknowledged.extend(task.await.expect("a task"));
    }
    acknowledged.sort();
    let page = store.read(room, Range::Latest, 1000).await.expect("a page");
    assert_eq!(seqs(&page.entries), (1..=200).collect::<Vec<_>>());
    let expected: Vec<String> = acknowledged.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts(&page), expected);
}

async fn one_nonce_raced_is_one_entry(log: RoomLog) {
    let store = log.fresh().await;
    race_nonces(&[Arc::clone(&store), store]).await;
    if log == RoomLog::Redis {
        race_nonces(&[RoomLog::Redis.fresh().await, RoomLog::Redis.fresh().await]).await;
    }
}

async fn race_nonces(stores: &[Arc<dyn RoomStore>; 2]) {
    let (room, author) = (Uuid::now_v7(), Uuid::now_v7());
    for round in 0..20_u64 {
        let nonce = round.to_string();
        let (first, second) = tokio::join!(
            stores[0].append(room, message(author, &nonce, "둘 중 하나")),
            stores[1].append(room, message(author, &nonce, "둘 중 하나")),
        );
        let (first, second) = (first.expect("appended"), second.expect("appended"));
        assert_eq!((first.position.seq, second.position.seq), (round + 1, round + 1));
        assert_ne!(first.duplicate, second.duplicate);
    }
    assert_eq!(stores[0].head(room).await.expect("a head").seq, 20);
}

async fn a_nonce_is_its_authors_and_is_remembered_for_its_window(log: RoomLog) {
    let store = log.fresh().await;
    let (room, author) = (Uuid::now_v7(), Uuid::now_v7());
    let at = |draft, later| common::rooms::Draft { at: NOW + later, ..draft };
    let second = Duration::from_secs(1);
    // Redis counts the window by its own clock, whatever those of the processes say.
    let (late, latest) = if log == RoomLog::Redis { ((1, true), (1, true)) } else { ((3, false), (3, true)) };
    for (draft, expected) in [
        (message(author, "n", "처음"), (1, false)),
        (message(Uuid::now_v7(), "n", "남의 것"), (2, false)),
        (at(message(author, "n", "다시"), NONCE_WINDOW - second), (1, true)),
        (at(message(author, "n", "한참 뒤"), NONCE_WINDOW + second), late),
        (at(message(author, "n", "또"), NONCE_WINDOW + second * 2), latest),
    ] {
        assert_eq!(place(store.append(room, draft.clone()).await.expect("appended")), expected, "{draft:?}");
    }
    let other_room = store.append(Uuid::now_v7(), message(author, "n", "다른 방")).await.expect("appended");
    assert_eq!(place(other_room), (1, false));
}

async fn the_latest_nonces_of_an_author_are_kept_however_many_there_were(log: RoomLog) {
    let store = log.fresh().await;
    let room = Uuid::now_v7();
    let author = fill(&*store, room, 700).await;
    for n in [445_u64, 500, 700] {
        let again = store.append(room, message(author, &format!("fill-{n}"), "x")).await.expect("appended");
        assert_eq!(place(again), (n, true));
    }
}

async fn nonces_are_compared_byte_by_byte(log: RoomLog) {
    let store = log.fresh().await;
    let (room, author) = (Uuid::now_v7(), Uuid::now_v7());
    let nonces = ["k", "k ", "k  ", " k", "K", "k\t", "ķ", "k\u{327}"];
    for duplicate in [false, true] {
        for (seq, nonce) in (1..).zip(nonces) {
            let appended = store.append(room, message(author, nonce, "말")).await.expect("appended");
            assert_eq!(place(appended), (seq, duplicate), "{nonce:?}");
        }
    }
}

async fn what_the_outbox_relays_is_remembered_for_good(log: RoomLog) {
    let store = log.fresh().await;
    let (room, nonce) = (Uuid::now_v7(), Uuid::now_v7());
    let draft = member(Uuid::now_v7(), Change::Joined, nonce);
    assert_eq!(place(store.append(room, draft.clone()).await.expect("appended")), (1, false));
    let later = common::rooms::Draft { at: NOW + NONCE_WINDOW * 1000, ..draft };
    assert_eq!(later.author, SYSTEM);
    assert_eq!(place(store.append(room, later).await.expect("appended")), (1, true));
}

async fn ranges_have_edges(log: RoomLog) {
    let store = log.fresh().await;
    let room = Uuid::now_v7();
    let empty = store.read(room, Range::Latest, 10).await.expect("a page");
    assert_eq!((empty.head.seq, empty.entries.len()), (0, 0));
    fill(&*store, room, 20).await;
    let seq = |from: u64, to: u64| (from..=to).collect::<Vec<_>>();
    for (range, limit, expected) in [
        (Range::Latest, 5, seq(16, 20)),
        (Range::Latest, 100, seq(1, 20)),
        (Range::Latest, 0, vec![]),
        (Range::After(0), 3, seq(1, 3)),
        (Range::After(18), 5, seq(19, 20)),
        (Range::After(20), 5, vec![]),
        (Range::After(1_000_000), 5, vec![]),
        (Range::After(u64::MAX >> 12), 5, vec![]),
        (Range::Before(21), 2, seq(19, 20)),
        (Range::Before(4), 10, seq(1, 3)),
        (Range::Before(1), 10, vec![]),
        (Range::Before(0), 10, vec![]),
        (Range::Before(1_000_000), 2, seq(19, 20)),
    ] {
        let page = store.read(room, range, limit).await.expect("a page");
        assert_eq!(seqs(&page.entries), expected, "{range:?} {limit}");
        assert_eq!(page.head.seq, 20, "{range:?}");
    }
}

async fn a_page_has_a_limit(log: RoomLog) {
    let store = log.fresh().await;
    let room = Uuid::now_v7();
    fill(&*store, room, 1010).await;
    let page = store.read(room, Range::After(0), usize::MAX).await.expect("a page");
    assert_eq!(page.entries.len(), common::rooms::MAX_PAGE);
}

async fn the_epoch_stays_and_each_room_has_its_own(log: RoomLog) {
    let store = log.fresh().await;
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    let Position { epoch, seq } = store.head(one).await.expect("a head");
    assert_eq!(seq, 0);
    fill(&*store, one, 2).await;
    assert_eq!(store.head(one).await.expect("a head"), Position { epoch, seq: 2 });
    assert_ne!(store.head(other).await.expect("a head").epoch, epoch);
}

async fn every_text_comes_back_as_it_was(log: RoomLog) {
    let long = "가".repeat(1000);
    let texts =
        ["👩‍👩‍👧‍👦 가족", "\"quotes\" \\ / \u{7f} \u{2028}", "{\"seq\":1}", "한\n글\t", &long, "%s %d $1 ]]", "é", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"];
    let store = log.fresh().await;
    let (room, author) = (Uuid::now_v7(), Uuid::now_v7());
    for (n, text) in texts.iter().enumerate() {
        store.append(room, message(author, &format!("넌스-{n}-💪"), text)).await.expect("appended");
    }
    let page = store.read(room, Range::Latest, 100).await.expect("a page");
    assert_eq!(super::texts(&page), texts);
}

async fn the_notice_is_the_latest_that_was_set(log: RoomLog) {
    let store = log.fresh().await;
    let (room, host) = (Uuid::now_v7(), Uuid::now_v7());
    assert_eq!(store.notice(room).await.expect("a notice"), None);
    store.append(room, notice(host, Some("첫 공지"))).await.expect("appended");
    store.append(room, notice(host, Some("둘째 \"공지\" 📌"))).await.expect("appended");
    store.append(room, message(host, "n", "안녕")).await.expect("appended");
    let found = store.notice(room).await.expect("an answer").expect("a notice");
    assert_eq!((found.text.as_str(), found.user, found.at), ("둘째 \"공지\" 📌", person(host), NOW));
    store.append(room, notice(host, None)).await.expect("appended");
    assert_eq!(store.notice(room).await.expect("a notice"), None);
    assert_eq!(store.head(room).await.expect("a head").seq, 4);
}

async fn a_room_closed_for_good_is_read_and_takes_nothing(log: RoomLog) {
    let store = log.fresh().await;
    let room = Uuid::now_v7();
    let author = fill(&*store, room, 5).await;
    store.append(room, notice(author, Some("마지막 공지"))).await.expect("appended");
    let before = store.read(room, Range::Latest, 10).await.expect("a page");
    for _ in 0..2 {
        store.retire(room, NOW).await.expect("retired");
        assert_eq!(store.read(room, Range::Latest, 10).await.expect("a page"), before);
        assert_eq!(store.head(room).await.expect("a head"), before.head);
        assert_eq!(store.notice(room).await.expect("a notice").map(|n| n.text).as_deref(), Some("마지막 공지"));
        let refused = store.append(room, message(author, "late", "늦었다")).await;
        assert!(matches!(refused, Err(RoomError::Refused(AppendError::RoomClosed))), "{refused:?}");
    }
    let silent = Uuid::now_v7();
    store.retire(silent, NOW).await.expect("retired");
    assert_eq!(store.read(silent, Range::Latest, 10).await.expect("a page").entries, []);
}

async fn a_purged_person_disappears_from_every_log(log: RoomLog) {
    let (store, db) = log.fresh_with_database().await;
    let (gone, stays) = (Uuid::now_v7(), Uuid::now_v7());
    let mut rooms = Vec::new();
    for _ in 0..2 {
        let room = testing::meetup(&db).await;
        for (n, author) in [gone, stays, gone].into_iter().enumerate() {
            store.append(room, message(author, &n.to_string(), "남는 말")).await.expect("appended");
        }
        store.append(room, notice(gone, Some("공지"))).await.expect("appended");
        store.append(room, member(gone, Change::Left, Uuid::now_v7())).await.expect("appended");
        rooms.push(room);
    }
    let reader = wire::Person { id: gone, nickname: "곧 갈 사람".to_owned() };
    assert_eq!(store.mark_read(rooms[0], &reader, 2).await.expect("a mark"), 2);
    // One of the logs is in SQL, whatever the backend.
    store.retire(rooms[1], NOW).await.expect("retired");
    for _ in 0..2 {
        store.anonymise(gone).await.expect("anonymised");
    }
    let entered = store.enter(rooms[0], &reader, Uuid::now_v7()).await.expect("entered");
    assert_eq!(entered.read_seq, 0);
    let rooms_of = async |user, after, limit| store.rooms_of(user, after, limit).await.expect("rooms");
    assert!(rooms_of(gone, Uuid::nil(), 10).await.is_empty());
    assert_eq!(rooms_of(stays, Uuid::nil(), 10).await, rooms);
    assert_eq!(rooms_of(stays, Uuid::nil(), 1).await, rooms[..1]);
    assert_eq!(rooms_of(stays, rooms[0], 10).await, rooms[1..]);
    for room in rooms {
        let page = store.read(room, Range::Latest, 10).await.expect("a page");
        let people: HashSet<_> =
            page.entries.iter().filter_map(|e| e.parse().expect("an entry").body.person().map(|p| p.id)).collect();
        assert_eq!(people, HashSet::from([stays, Uuid::nil()]));
        assert_eq!(texts(&page), ["남는 말"; 3]);
        let user = store.notice(room).await.expect("an answer").expect("a notice").user;
        assert_eq!(user.nickname, "탈퇴한 회원");
        assert!(
            !page
                .entries
                .iter()
                .any(|e| matches!(e.parse(), Ok(wire::Entry { body: Body::Message { text: None, .. }, .. })))
        );
    }
}
