//! Growth of monsters: levels, forms, and feeding. Pure functions.

/// Experience of a level.
const LEVEL: i64 = 10_000;
const MAX_LEVEL: i64 = 10;
/// Experience of a grown monster.
pub const GROWN: i64 = 100_000;

/// The level at an experience, 1 to 10.
pub const fn level(experience: i64) -> i64 {
    let level = experience / LEVEL + 1;
    if level > MAX_LEVEL { MAX_LEVEL } else { level }
}

/// The form at a level, 1 to 3.
pub const fn form(level: i64) -> i64 {
    match level {
        ..=3 => 1,
        4..=6 => 2,
        _ => 3,
    }
}

/// The experience at which the next level begins; `None` at the last.
pub const fn next_level_at(experience: i64) -> Option<i64> {
    let level = level(experience);
    if level == MAX_LEVEL { None } else { Some(level * LEVEL) }
}

/// Result of feeding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fed {
    /// Experience of the monster.
    pub experience: i64,
    /// Experience kept for the next one; negative if more was taken back than the monster had.
    pub kept: i64,
}

/// Adds `food` to a monster, or takes it back if negative. No experience is lost.
pub fn feed(experience: i64, food: i64) -> Fed {
    let total = experience + food;
    let experience = total.clamp(0, GROWN);
    Fed { experience, kept: total - experience }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_forms_follow_experience() {
        for (experience, expected_level, expected_form, next) in [
            (0, 1, 1, Some(10_000)),
            (9_999, 1, 1, Some(10_000)),
            (10_000, 2, 1, Some(20_000)),
            (29_999, 3, 1, Some(30_000)),
            (30_000, 4, 2, Some(40_000)),
            (59_999, 6, 2, Some(60_000)),
            (60_000, 7, 3, Some(70_000)),
            (89_999, 9, 3, Some(90_000)),
            (90_000, 10, 3, None),
            (99_999, 10, 3, None),
            (100_000, 10, 3, None),
        ] {
            let at = level(experience);
            assert_eq!((at, form(at)), (expected_level, expected_form), "{experience}");
            assert_eq!(next_level_at(experience), next, "{experience}");
        }
    }

    #[test]
    fn feeding_preserves_the_sum() {
        for (experience, food, after, kept) in [
            (0, 100, 100, 0),
            (99_950, 100, 100_000, 50),
            (100_000, -100, 99_900, 0),
            (0, 250_000, 100_000, 150_000),
            (50, -100, 0, -50),
        ] {
            assert_eq!(feed(experience, food), Fed { experience: after, kept }, "{experience} + {food}");
        }
    }
}
