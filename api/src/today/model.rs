//! Today as clients see it.

use poem_openapi::{Object, types::Example};
use serde::Deserialize;
use uuid::Uuid;

/// Which routine is to be the main one.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct MainRoutine {
    /// One of your routines; null for none.
    #[oai(skip_serializing_if_is_none)]
    #[serde(deserialize_with = "Option::deserialize")]
    pub routine_id: Option<Uuid>,
}

impl Example for MainRoutine {
    fn example() -> Self {
        Self { routine_id: Some(Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a10)) }
    }
}
