//! `/actions` and `/presets`.

use poem_openapi::{Object, OpenApi, payload::Json, types::Example};

use super::catalogue::{ACTIONS, CatalogueAction, Kind, PRESETS, Preset};
use crate::{
    page::Page,
    problem::Problem,
    routines::model::{Actions, RoutineAction},
    tags::Tag,
};

/// The operations.
pub struct Endpoints;

/// An action of the catalogue.
#[derive(Debug, Object)]
#[oai(rename = "CatalogueAction", example)]
pub struct ActionView {
    /// Stable; `action_id` where a routine is made.
    pub id: String,
    /// Its name in Korean.
    pub name_ko: String,
    /// Its name in English.
    pub name_en: String,
    /// What it is good for.
    pub kind: Kind,
}

impl From<&CatalogueAction> for ActionView {
    fn from(action: &CatalogueAction) -> Self {
        let CatalogueAction { id, name_ko, name_en, kind } = *action;
        Self { id: id.to_owned(), name_ko: name_ko.to_owned(), name_en: name_en.to_owned(), kind }
    }
}

impl Example for ActionView {
    fn example() -> Self {
        Self::from(&ACTIONS[0])
    }
}

/// A routine to copy.
#[derive(Debug, Object)]
#[oai(rename = "Preset", example)]
pub struct PresetView {
    /// Stable; `preset_id` where a routine is made.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What to do, in order.
    pub actions: Vec<RoutineAction>,
}

impl From<&Preset> for PresetView {
    fn from(preset: &Preset) -> Self {
        Self { id: preset.id.to_owned(), name: preset.name.to_owned(), actions: Actions::of_preset(preset).0 }
    }
}

impl Example for PresetView {
    fn example() -> Self {
        Self::from(&PRESETS[0])
    }
}

#[OpenApi(tag = "Tag::Routines")]
impl Endpoints {
    /// The catalogue of actions
    ///
    /// Open to everyone. It fits on one page.
    #[oai(path = "/actions", method = "get", operation_id = "list_actions")]
    async fn list_actions(&self) -> Result<Json<Page<ActionView>>, Problem<0>> {
        Ok(Json(Page { items: ACTIONS.iter().map(Into::into).collect(), next_cursor: None }))
    }

    /// Routines to copy
    ///
    /// Open to everyone. They fit on one page. Make one your own with its `preset_id`.
    #[oai(path = "/presets", method = "get", operation_id = "list_presets")]
    async fn list_presets(&self) -> Result<Json<Page<PresetView>>, Problem<0>> {
        Ok(Json(Page { items: PRESETS.iter().map(Into::into).collect(), next_cursor: None }))
    }
}
