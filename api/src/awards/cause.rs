//! Cause of an award, which is half of its key: a workout is awarded once at most for each cause.

use common::db::Value;

/// The column `cause` of `awards`: 0 for finishing, otherwise the position of the action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The workout was finished.
    Finish,
    /// The action at this position of the workout, from 1, was completed.
    Action(usize),
}

impl From<Cause> for Value {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Finish => 0_i64.into(),
            Cause::Action(position) => position.into(),
        }
    }
}
