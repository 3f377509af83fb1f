//! Completion bitmask of a workout; bit *i* is action *i* + 1. Pure functions.

/// Completion bitmask. Positions are from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct CompletionMask(pub i64);

impl CompletionMask {
    /// Whether the action at a position is completed.
    pub const fn has(self, position: usize) -> bool {
        self.0 & bit(position) != 0
    }

    /// With the action at a position completed.
    pub const fn with(self, position: usize) -> Self {
        Self(self.0 | bit(position))
    }

    /// With the action at a position not completed.
    pub const fn without(self, position: usize) -> Self {
        Self(self.0 & !bit(position))
    }

    /// Whether all of `actions` actions are completed.
    pub const fn is_all_of(self, actions: usize) -> bool {
        self.0 == bit(actions + 1) - 1
    }
}

const fn bit(position: usize) -> i64 {
    1 << (position - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_independent() {
        let mut completed = CompletionMask(0);
        for position in [3, 1, 20, 3] {
            assert!(!completed.is_all_of(3));
            completed = completed.with(position);
            assert!(completed.has(position) && !completed.has(2));
        }
        assert_eq!(completed.without(20).with(2), CompletionMask(0b111));
        assert!(
            CompletionMask(0b111).is_all_of(3)
                && !CompletionMask(0b111).is_all_of(4)
                && !CompletionMask(0b110).is_all_of(3)
        );
        assert!(CompletionMask((1 << 20) - 1).is_all_of(20));
    }
}
