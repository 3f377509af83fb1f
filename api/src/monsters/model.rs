//! Monsters as clients see them.

use common::time::Timestamp;
use poem_openapi::{Object, types::Example};
use uuid::Uuid;

use super::{
    rules,
    species::{self, SPECIES},
};

/// A species of monsters.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct Species {
    /// Stable.
    pub id: String,
    /// Its name in Korean.
    pub name_ko: String,
    /// Its name in English.
    pub name_en: String,
    /// What its three forms are called, the youngest first.
    pub forms: Vec<String>,
}

impl From<&species::Species> for Species {
    fn from(species: &species::Species) -> Self {
        let species::Species { id, name_ko, name_en, forms } = *species;
        let [id, name_ko, name_en] = [id, name_ko, name_en].map(str::to_owned);
        Self { id, name_ko, name_en, forms: forms.map(str::to_owned).to_vec() }
    }
}

impl Example for Species {
    fn example() -> Self {
        Self::from(&SPECIES[0])
    }
}

/// A user's monster.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct Monster {
    /// Its id.
    pub id: Uuid,
    /// What it is.
    pub species: Species,
    /// Up to 100,000; then it is grown.
    pub experience: i64,
    /// 1 to 10.
    pub level: i64,
    /// Which of its three forms it has, 1 to 3.
    pub form: i64,
    /// The experience at which the next level begins; absent at the last.
    #[oai(skip_serializing_if_is_none)]
    pub next_level_at: Option<i64>,
    /// When it was drawn.
    pub drawn_at: Timestamp,
    /// When it was grown, and moved to the collection.
    #[oai(skip_serializing_if_is_none)]
    pub grown_at: Option<Timestamp>,
}

impl Monster {
    /// A monster with this experience. A species that is not in the catalogue any more is seen as the first.
    pub fn new(id: Uuid, species: &str, experience: i64, drawn_at: Timestamp, grown_at: Option<Timestamp>) -> Self {
        let level = rules::level(experience);
        Self {
            id,
            species: species::find(species).unwrap_or(&SPECIES[0]).into(),
            experience,
            level,
            form: rules::form(level),
            next_level_at: rules::next_level_at(experience),
            drawn_at,
            grown_at,
        }
    }
}

impl Example for Monster {
    fn example() -> Self {
        let id = Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a11);
        Self::new(id, "muneo", 34_500, Timestamp(1_772_323_200_000), None)
    }
}

/// The monster that grows, if one does.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct Current {
    /// The monster that grows; absent if the next is still to be drawn.
    #[oai(skip_serializing_if_is_none)]
    pub monster: Option<Monster>,
    /// Experience that waits for the next monster.
    pub kept_experience: i64,
}

impl Example for Current {
    fn example() -> Self {
        Self { monster: Some(Monster::example()), kept_experience: 0 }
    }
}
