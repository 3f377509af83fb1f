//! The catalogue of actions and the preset routines.

use poem_openapi::Enum;
use serde::{Deserialize, Serialize};

/// What an action is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[oai(rename = "ActionKind", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Loosens.
    Stretching,
    /// Strengthens.
    Strength,
}

/// An action of the catalogue.
#[derive(Debug)]
pub struct CatalogueAction {
    /// Stable.
    pub id: &'static str,
    /// In Korean.
    pub name_ko: &'static str,
    /// In English.
    pub name_en: &'static str,
    /// What it is good for.
    pub kind: Kind,
}

const fn stretching(id: &'static str, name_ko: &'static str, name_en: &'static str) -> CatalogueAction {
    CatalogueAction { id, name_ko, name_en, kind: Kind::Stretching }
}

const fn strength(id: &'static str, name_ko: &'static str, name_en: &'static str) -> CatalogueAction {
    CatalogueAction { id, name_ko, name_en, kind: Kind::Strength }
}

/// Every action of the catalogue.
pub const ACTIONS: [CatalogueAction; 18] = [
    stretching("sit-to-stand", "앉았다 일어나기", "Sit to stand"),
    stretching("neck-circles", "목 돌리기", "Neck circles"),
    stretching("shoulder-circles", "어깨 돌리기", "Shoulder circles"),
    stretching("waist-circles", "허리 돌리기", "Waist circles"),
    stretching("knee-circles", "무릎 돌리기", "Knee circles"),
    stretching("arm-circles", "팔 돌리기", "Arm circles"),
    stretching("wrist-ankle-circles", "손목·발목 돌리기", "Wrist and ankle circles"),
    stretching("cat-pose", "고양이 자세하기", "Cat pose"),
    stretching("overhead-reach", "머리 위로 손 뻗기", "Overhead reach"),
    stretching("forward-bend", "허리 굽히기", "Forward bend"),
    stretching("deep-breathing", "숨고르기", "Deep breathing"),
    stretching("neck-stretch", "목 늘리기", "Neck stretch"),
    stretching("lying-limb-raise", "누워서 팔다리 위로 뻗기", "Lying limb raise"),
    strength("squat", "스쿼트", "Squat"),
    strength("lunge", "런지", "Lunge"),
    strength("plank", "플랭크", "Plank"),
    strength("push-up", "푸쉬업", "Push-up"),
    strength("air-bike", "하늘 자전거", "Air bike"),
];

/// A routine to copy.
#[derive(Debug)]
pub struct Preset {
    /// Stable.
    pub id: &'static str,
    /// In Korean.
    pub name: &'static str,
    /// Ids of actions of the catalogue, in order.
    pub actions: &'static [&'static str],
}

/// How often each action of a preset is repeated.
pub const PRESET_REPETITIONS: u32 = 10;

/// Every preset.
pub const PRESETS: [Preset; 2] = [
    Preset {
        id: "basic",
        name: "움직이기 싫은 오늘, 기본만 하자!",
        actions: &["sit-to-stand", "neck-circles", "shoulder-circles", "waist-circles", "knee-circles"],
    },
    Preset {
        id: "strong", name: "오늘은 좀 운동이 필요한 날이야!", actions: &["squat", "lunge", "plank", "push-up"]
    },
];

/// The action with an id.
pub fn action(id: &str) -> Option<&'static CatalogueAction> {
    ACTIONS.iter().find(|action| action.id == id)
}

/// The preset with an id.
pub fn preset(id: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_catalogue_is_complete_and_presets_are_made_of_it() {
        let ids: BTreeSet<_> = ACTIONS.iter().map(|action| action.id).collect();
        assert_eq!(ids.len(), ACTIONS.len());
        assert_eq!(ACTIONS.iter().filter(|action| action.kind == Kind::Stretching).count(), 13);
        assert!(PRESETS.iter().flat_map(|preset| preset.actions).all(|id| action(id).is_some()));
        let names: Vec<_> = PRESETS[0].actions.iter().filter_map(|id| Some(action(id)?.name_ko)).collect();
        assert_eq!(names, ["앉았다 일어나기", "목 돌리기", "어깨 돌리기", "허리 돌리기", "무릎 돌리기"]);
        assert!(PRESETS.iter().all(|preset| preset.name.chars().count() <= 30));
    }
}
