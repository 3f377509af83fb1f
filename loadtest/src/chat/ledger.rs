//! Delivery ledger of one receiver in one room: what came, what came twice, what came too late, and in which order.
//! Pure state.

/// The sums of one or many ledgers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Messages received for the first time.
    pub received: u64,
    /// Messages received again.
    pub duplicates: u64,
    /// Messages that came after a later one of the same sender.
    pub reordered: u64,
    /// Times at which numbers of a sender were skipped, whether they came later or never.
    pub gaps: u64,
}

impl Sums {
    /// Adds another ledger's.
    pub const fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.gaps += other.gaps;
    }
}

/// Numbers of one sender that have arrived: all below `next`, but for those in `missing`.
#[derive(Clone, Debug, Default)]
struct FromSender {
    next: u32,
    missing: Vec<u32>,
}

/// What one receiver has received in one room.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    senders: Vec<FromSender>,
    /// The sums so far.
    pub sums: Sums,
    order: u64,
}

impl Ledger {
    /// Takes in message `number` of `sender`. The first message of each sender is number 0. Returns whether it is new.
    pub fn take(&mut self, sender: u32, number: u32) -> bool {
        let place = usize::try_from(sender).unwrap_or(usize::MAX).min(99_999);
        if place >= self.senders.len() {
            self.senders.resize_with(place + 1, FromSender::default);
        }
        let from = &mut self.senders[place];
        if number < from.next {
            let Some(found) = from.missing.iter().position(|missing| *missing == number) else {
                self.sums.duplicates += 1;
                return false;
            };
            from.missing.swap_remove(found);
            self.sums.reordered += 1;
        } else {
            if number > from.next {
                self.sums.gaps += 1;
                from.missing.extend(from.next..number);
            }
            from.next = number + 1;
        }
        self.sums.received += 1;
        let item = (u64::from(sender) << 32) | u64::from(number);
        // FNV-1a over whole words: enough to tell orders apart.
        self.order = (self.order ^ item).wrapping_mul(0x0000_0100_0000_01b3);
        true
    }

    /// A digest of what was received in which order. Receivers that received the same in the same order have the same.
    pub const fn order(&self) -> u64 {
        self.order
    }

    /// Whether a message has arrived.
    pub fn has(&self, sender: u32, number: u32) -> bool {
        let from = usize::try_from(sender).ok().and_then(|place| self.senders.get(place));
        from.is_some_and(|from| number < from.next && !from.missing.contains(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_repetition_and_order_are_told_apart() {
        let sums = |received, duplicates, reordered, gaps| Sums { received, duplicates, reordered, gaps };
        for (numbers, expected) in [
            (&[0, 1, 2, 3][..], sums(4, 0, 0, 0)),
            (&[0, 1, 1, 2, 0], sums(3, 2, 0, 0)),
            (&[0, 2, 3], sums(3, 0, 0, 1)),
            (&[0, 2, 1, 3], sums(4, 0, 1, 1)),
            (&[3, 2, 1, 0, 0], sums(4, 1, 3, 1)),
            (&[0, 5, 9], sums(3, 0, 0, 2)),
        ] {
            let mut ledger = Ledger::default();
            for number in numbers {
                ledger.take(1, *number);
            }
            assert_eq!(ledger.sums, expected, "{numbers:?}");
            assert!(numbers.iter().all(|number| ledger.has(1, *number)) && !ledger.has(1, 4) && !ledger.has(0, 0));
        }
    }

    #[test]
    fn receivers_of_the_same_order_have_the_same_digest() {
        let digest = |items: &[(u32, u32)]| {
            let mut ledger = Ledger::default();
            for (sender, number) in items {
                ledger.take(*sender, *number);
            }
            ledger.order()
        };
        assert_eq!(digest(&[(0, 0), (1, 0), (0, 1)]), digest(&[(0, 0), (1, 0), (0, 1)]));
        assert_ne!(digest(&[(0, 0), (1, 0), (0, 1)]), digest(&[(1, 0), (0, 0), (0, 1)]));
        // A repetition changes nothing: it was taken in before.
        assert_eq!(digest(&[(0, 0), (0, 0)]), digest(&[(0, 0)]));
    }
}
