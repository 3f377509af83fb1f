//! Property tests of the merge logic: however pages and live entries overlap, what is delivered is the log.

use common::rooms::merge::{Progress, Step};
use proptest::prelude::*;
use uuid::Uuid;
use wire::Position;

const EPOCH: Uuid = Uuid::from_u128(1);

/// Follows a log of `head` entries from `since`: hears `live` (in any order, with gaps and repetitions), reads pages of
/// `page` entries where something is missing, and compares with the head at the end.
fn follow(head: u64, since: u64, page: u64, live: &[u64]) -> Vec<u64> {
    let mut progress = Progress::at(Position { epoch: EPOCH, seq: since });
    let mut delivered = Vec::new();
    let catch_up = |progress: &mut Progress, delivered: &mut Vec<u64>, until: u64| {
        while progress.position().seq < until {
            let after = progress.position().seq;
            for seq in after + 1..=(after + page).min(head) {
                assert_eq!(progress.step(EPOCH, seq), Step::Deliver);
                delivered.push(seq);
            }
        }
    };
    for seq in live {
        match progress.step(EPOCH, *seq) {
            Step::Deliver => delivered.push(*seq),
            Step::Known => assert!(*seq <= progress.position().seq),
            Step::Gap { after } => {
                assert_eq!(after, progress.position().seq);
                catch_up(&mut progress, &mut delivered, *seq);
            }
            Step::NewEpoch => panic!("it is the same log"),
        }
    }
    if let Step::Gap { .. } = progress.compare(Position { epoch: EPOCH, seq: head }) {
        catch_up(&mut progress, &mut delivered, head);
    }
    delivered
}

proptest! {
    #[test]
    fn whatever_is_heard_the_log_is_delivered_in_order_once(
        (head, since, live) in (1..200_u64).prop_flat_map(|head| {
            (Just(head), 0..=head, prop::collection::vec(1..=head, 0..300))
        }),
        page in 1..50_u64,
    ) {
        prop_assert_eq!(follow(head, since, page, &live), (since + 1..=head).collect::<Vec<_>>());
    }

    #[test]
    fn a_log_in_order_needs_no_reading(since in 0..1_000_u64, count in 0..100_u64) {
        let mut progress = Progress::at(Position { epoch: EPOCH, seq: since });
        for seq in since + 1..=since + count {
            prop_assert_eq!(progress.step(EPOCH, seq), Step::Deliver);
            prop_assert_eq!(progress.step(EPOCH, seq), Step::Known);
        }
        prop_assert_eq!(progress.position().seq, since + count);
    }

    #[test]
    fn another_log_is_never_mixed_in(since in 0..1_000_u64, seq in 0..2_000_u64, other in 2..u128::MAX) {
        let mut progress = Progress::at(Position { epoch: EPOCH, seq: since });
        let epoch = Uuid::from_u128(other);
        prop_assert_eq!(progress.step(epoch, seq), Step::NewEpoch);
        prop_assert_eq!(progress.compare(Position { epoch, seq }), Step::NewEpoch);
        prop_assert_eq!(progress.position(), Position { epoch: EPOCH, seq: since });
    }

    #[test]
    fn a_log_that_is_shorter_than_what_was_delivered_is_another(since in 1..1_000_u64, less in 1..1_000_u64) {
        let progress = Progress::at(Position { epoch: EPOCH, seq: since });
        let head = Position { epoch: EPOCH, seq: since.saturating_sub(less) };
        prop_assert_eq!(progress.compare(head), Step::NewEpoch);
    }
}
