//! Amounts of experience and the cap of a day. Pure functions.

/// Experience for a completed action.
pub const ACTION: i64 = 100;
/// Experience for finishing, per action of the workout.
const FINISH_PER_ACTION: i64 = 20;
/// Experience of a day, at most.
pub const DAY_CAP: i64 = 2_000;

/// Experience for finishing a workout of `actions` actions.
pub fn finish(actions: usize) -> i64 {
    i64::try_from(actions).unwrap_or(i64::MAX / FINISH_PER_ACTION) * FINISH_PER_ACTION
}

/// The part of `entitled` that the cap allows on a day that has already brought `so_far`.
pub fn cut(entitled: i64, so_far: i64) -> i64 {
    entitled.min(DAY_CAP - so_far).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_award_is_cut_to_what_is_left_of_the_day() {
        for (entitled, so_far, amount) in
            [(100, 0, 100), (100, 1_900, 100), (100, 1_950, 50), (100, 2_000, 0), (400, 1_700, 300), (100, 2_500, 0)]
        {
            assert_eq!(cut(entitled, so_far), amount, "{entitled} after {so_far}");
        }
        assert_eq!((finish(1), finish(5), finish(20)), (20, 100, 400));
    }
}
