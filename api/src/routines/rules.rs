//! Validation of routines. Pure functions.

use common::text::fold;

use super::model::{Actions, EditedRoutine, NewAction, NewRoutine, RoutineAction};
use crate::{actions::catalogue, input::Fields};

/// Routines of a user, at most.
pub const MAX_ROUTINES: i64 = 100;
/// Actions of a routine, at most.
pub const MAX_ACTIONS: usize = 20;
/// Characters of a routine's and an action's name, at most.
const MAX_NAME_CHARS: usize = 30;
/// Characters of a folded name, at most: as many as its column has.
const MAX_KEY_CHARS: usize = 120;
const REPETITIONS: std::ops::RangeInclusive<u32> = 1..=999;

/// The name and actions of a routine, cleaned.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    /// Its name.
    pub name: String,
    /// Its actions.
    pub actions: Actions,
}

/// What a new routine is made of. Notes in `fields` what is wrong with it.
pub fn new_routine(fields: &mut Fields, new: NewRoutine) -> Content {
    match new {
        NewRoutine { preset_id: Some(id), name: own, actions } => {
            fields.check(actions.is_none(), "actions", "not_with_preset");
            let preset = catalogue::preset(&id);
            fields.check(preset.is_some(), "preset_id", "unknown");
            let preset_name = preset.map(|preset| preset.name.to_owned());
            let own = own.map(|own| routine_name(fields, &own));
            let actions = preset.map_or_else(|| Actions(Vec::new()), Actions::of_preset);
            Content { name: own.or(preset_name).unwrap_or_default(), actions }
        }
        NewRoutine { preset_id: None, name, actions } => {
            fields.check(name.is_some(), "name", "missing");
            fields.check(actions.is_some(), "actions", "missing");
            match (name, actions) {
                (Some(name), Some(actions)) => edited_routine(fields, EditedRoutine { name, actions }),
                _ => Content { name: String::new(), actions: Actions(Vec::new()) },
            }
        }
    }
}

/// What a routine is to become. Notes in `fields` what is wrong with it.
pub fn edited_routine(fields: &mut Fields, edited: EditedRoutine) -> Content {
    let name = routine_name(fields, &edited.name);
    fields.check(!edited.actions.is_empty(), "actions", "empty");
    fields.check(edited.actions.len() <= MAX_ACTIONS, "actions", "too_many");
    // A list that is too long is not validated item by item: the response would be as long.
    let actions = edited.actions.into_iter().take(MAX_ACTIONS).enumerate();
    Content { name, actions: Actions(actions.filter_map(|(i, new)| action(fields, i, new)).collect()) }
}

fn routine_name(fields: &mut Fields, name: &str) -> String {
    let name = fields.line("name", name, MAX_NAME_CHARS);
    // Names are unique by their folded form, which may be longer.
    fields.check(fold(&name).chars().count() <= MAX_KEY_CHARS, "name", "too_long");
    name
}

fn action(fields: &mut Fields, index: usize, new: NewAction) -> Option<RoutineAction> {
    let field = |name: &str| format!("actions[{index}].{name}");
    fields.check(REPETITIONS.contains(&new.repetitions), &field("repetitions"), "out_of_range");
    if let Some(id) = new.action_id {
        fields.check(new.name.is_none(), &field("name"), "not_with_action_id");
        fields.check(new.kind.is_none(), &field("kind"), "not_with_action_id");
        let known = catalogue::action(&id);
        fields.check(known.is_some(), &field("action_id"), "unknown");
        return known.map(|known| RoutineAction::of_catalogue(known, new.repetitions));
    }
    fields.check(new.name.is_some(), &field("name"), "missing");
    fields.check(new.kind.is_some(), &field("kind"), "missing");
    let name = fields.line(&field("name"), &new.name?, MAX_NAME_CHARS);
    Some(RoutineAction { action_id: None, name, kind: new.kind?, repetitions: new.repetitions })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_with_a_new_routine_is_named() {
        let squat = json!({"action_id": "squat", "repetitions": 10});
        let own = json!({"name": " 계단 ", "kind": "strength", "repetitions": 999});
        let name = "나".repeat(31);
        for (input, wrong) in [
            (json!({"preset_id": "basic"}), vec![]),
            (json!({"preset_id": "basic", "name": "내 것"}), vec![]),
            (json!({"name": "나", "actions": [squat, own]}), vec![]),
            (json!({"name": "나", "actions": vec![&own; 20]}), vec![]),
            (json!({}), vec!["name missing", "actions missing"]),
            (json!({"preset_id": "no"}), vec!["preset_id unknown"]),
            (json!({"preset_id": "basic", "actions": []}), vec!["actions not_with_preset"]),
            (json!({"name": " ", "actions": []}), vec!["name empty", "actions empty"]),
            (json!({"name": name, "actions": vec![&own; 21]}), vec!["name too_long", "actions too_many"]),
            (json!({"name": "a\nb", "actions": [squat]}), vec!["name control_character"]),
            (json!({"name": "ﷺ".repeat(6), "actions": [squat]}), vec![]),
            (json!({"name": "ﷺ".repeat(7), "actions": [squat]}), vec!["name too_long"]),
            (json!({"preset_id": "basic", "name": "ﷺ".repeat(7)}), vec!["name too_long"]),
            (
                json!({"name": "나", "actions": [squat, {"action_id": "fly", "repetitions": 0}]}),
                vec!["actions[1].repetitions out_of_range", "actions[1].action_id unknown"],
            ),
            (
                json!({"name": "나", "actions": [{"repetitions": 1000}]}),
                vec!["actions[0].repetitions out_of_range", "actions[0].name missing", "actions[0].kind missing"],
            ),
            (
                json!({"name": "나", "actions": [{"action_id": "squat", "name": "나", "repetitions": 1}]}),
                vec!["actions[0].name not_with_action_id"],
            ),
        ] {
            let mut fields = Fields::new();
            let new = serde_json::from_value(input.clone()).expect("a routine");
            drop(new_routine(&mut fields, new));
            let errors = fields.finish().err().map(|failure| failure.errors).unwrap_or_default();
            let errors: Vec<_> = errors.iter().map(|error| format!("{} {}", error.field, error.code)).collect();
            assert_eq!(errors, wrong, "{input}");
        }
    }

    #[test]
    fn a_preset_is_copied_with_its_name_and_actions() {
        let new = NewRoutine { preset_id: Some("strong".to_owned()), name: None, actions: None };
        let content = new_routine(&mut Fields::new(), new);
        assert_eq!(content.name, "오늘은 좀 운동이 필요한 날이야!");
        let names: Vec<_> = content.actions.0.iter().map(|a| (a.name.as_str(), a.repetitions)).collect();
        assert_eq!(names, [("스쿼트", 10), ("런지", 10), ("플랭크", 10), ("푸쉬업", 10)]);
    }
}
