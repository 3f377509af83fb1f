//! Routines as clients see them.

use common::time::Timestamp;
use poem_openapi::{Object, types::Example};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::actions::catalogue::{self, CatalogueAction, Kind, Preset};

/// An action of a routine.
#[derive(Clone, Debug, PartialEq, Eq, Object, Serialize, Deserialize)]
#[oai(example)]
pub struct RoutineAction {
    /// Which of the catalogue it is; absent if the user made it up.
    #[oai(skip_serializing_if_is_none)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_id: Option<String>,
    /// What to do; the Korean name for an action of the catalogue.
    pub name: String,
    /// What it is good for.
    pub kind: Kind,
    /// How often.
    pub repetitions: u32,
}

impl RoutineAction {
    /// An action of the catalogue.
    pub fn of_catalogue(action: &CatalogueAction, repetitions: u32) -> Self {
        let CatalogueAction { id, name_ko, kind, .. } = *action;
        Self { action_id: Some(id.to_owned()), name: name_ko.to_owned(), kind, repetitions }
    }
}

impl Example for RoutineAction {
    fn example() -> Self {
        Self::of_catalogue(&catalogue::ACTIONS[13], 10)
    }
}

/// The actions of a routine as they are stored: a JSON list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actions(pub Vec<RoutineAction>);

impl Actions {
    /// What a preset has one do.
    pub fn of_preset(preset: &Preset) -> Self {
        let actions = preset.actions.iter().filter_map(|id| catalogue::action(id));
        Self(actions.map(|action| RoutineAction::of_catalogue(action, catalogue::PRESET_REPETITIONS)).collect())
    }

    /// The JSON text to store.
    pub fn to_text(&self) -> String {
        // Texts, numbers and names of variants: nothing that JSON could refuse.
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

impl TryFrom<String> for Actions {
    type Error = serde_json::Error;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        serde_json::from_str(&text).map(Self)
    }
}

/// A routine.
#[derive(Debug, Object)]
#[oai(example)]
pub struct Routine {
    /// Its id.
    pub id: Uuid,
    /// Unique among the user's own, ignoring case.
    pub name: String,
    /// What to do, in order.
    pub actions: Vec<RoutineAction>,
    /// Whether it is the user's main routine.
    pub main: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl Example for Routine {
    fn example() -> Self {
        Self {
            id: Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a10),
            name: "점심 먹고 10분".to_owned(),
            actions: vec![RoutineAction::example()],
            main: true,
            created_at: Timestamp(1_772_323_200_000),
            updated_at: Timestamp(1_772_323_200_000),
        }
    }
}

/// An action of a routine to be: one of the catalogue by `action_id`, or one of the user's own by `name` and `kind`.
#[derive(Clone, Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct NewAction {
    /// One of the catalogue.
    #[oai(skip_serializing_if_is_none)]
    pub action_id: Option<String>,
    /// 1–30 characters.
    #[oai(skip_serializing_if_is_none)]
    pub name: Option<String>,
    /// What it is good for.
    #[oai(skip_serializing_if_is_none)]
    pub kind: Option<Kind>,
    /// 1–999.
    pub repetitions: u32,
}

impl Example for NewAction {
    fn example() -> Self {
        Self { action_id: Some("squat".to_owned()), name: None, kind: None, repetitions: 10 }
    }
}

/// A routine to be: a copy of a preset, or a name and actions.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct NewRoutine {
    /// The preset to copy; then without `actions`.
    #[oai(skip_serializing_if_is_none)]
    pub preset_id: Option<String>,
    /// 1–30 characters, unique among your own ignoring case. A copy of a preset without one is called as the preset is.
    #[oai(skip_serializing_if_is_none)]
    pub name: Option<String>,
    /// 1–20 actions, in order.
    #[oai(skip_serializing_if_is_none)]
    pub actions: Option<Vec<NewAction>>,
}

impl Example for NewRoutine {
    fn example() -> Self {
        let own = NewAction {
            action_id: None,
            name: Some("계단 오르기".to_owned()),
            kind: Some(Kind::Strength),
            repetitions: 3,
        };
        Self {
            preset_id: None,
            name: Some("점심 먹고 10분".to_owned()),
            actions: Some(vec![NewAction::example(), own]),
        }
    }
}

/// What a routine is to become.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct EditedRoutine {
    /// 1–30 characters, unique among your own ignoring case.
    pub name: String,
    /// 1–20 actions, in order.
    pub actions: Vec<NewAction>,
}

impl Example for EditedRoutine {
    fn example() -> Self {
        Self { name: "퇴근 전 10분".to_owned(), actions: vec![NewAction::example()] }
    }
}
