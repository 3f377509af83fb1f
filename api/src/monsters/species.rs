//! Catalogue of monster species, and the draw among them.

/// A species.
#[derive(Debug, PartialEq, Eq)]
pub struct Species {
    /// Stable.
    pub id: &'static str,
    /// In Korean.
    pub name_ko: &'static str,
    /// In English.
    pub name_en: &'static str,
    /// What its three forms are called, the youngest first.
    pub forms: [&'static str; 3],
}

const fn species(id: &'static str, name_ko: &'static str, name_en: &'static str, forms: [&'static str; 3]) -> Species {
    Species { id, name_ko, name_en, forms }
}

/// Every species.
pub const SPECIES: [Species; 12] = [
    species("muneo", "무너", "Muneo", ["아기 무너", "무너", "큰 무너"]),
    species("minggi", "밍기", "Minggi", ["아기 밍기", "밍기", "큰 밍기"]),
    species("mongsil", "몽실이", "Mongsil", ["아기 몽실이", "몽실이", "큰 몽실이"]),
    species("dwinggul", "뒹굴이", "Dwinggul", ["아기 뒹굴이", "뒹굴이", "큰 뒹굴이"]),
    species("kkumul", "꾸물이", "Kkumul", ["아기 꾸물이", "꾸물이", "큰 꾸물이"]),
    species("neugeut", "느긋이", "Neugeut", ["아기 느긋이", "느긋이", "큰 느긋이"]),
    species("mallang", "말랑이", "Mallang", ["아기 말랑이", "말랑이", "큰 말랑이"]),
    species("poksin", "폭신이", "Poksin", ["아기 폭신이", "폭신이", "큰 폭신이"]),
    species("kkubeok", "꾸벅이", "Kkubeok", ["아기 꾸벅이", "꾸벅이", "큰 꾸벅이"]),
    species("bodeul", "보들이", "Bodeul", ["아기 보들이", "보들이", "큰 보들이"]),
    species("dungsil", "둥실이", "Dungsil", ["아기 둥실이", "둥실이", "큰 둥실이"]),
    species("jjukjjuk", "쭉쭉이", "Jjukjjuk", ["아기 쭉쭉이", "쭉쭉이", "큰 쭉쭉이"]),
];

/// The species with an id.
pub fn find(id: &str) -> Option<&'static Species> {
    SPECIES.iter().find(|species| species.id == id)
}

/// Draws a species among those that `collected` lacks, or among all if it lacks none. `chance` is any number, each as likely.
pub fn draw(collected: &[String], chance: u64) -> &'static Species {
    let has = |species: &&Species| collected.iter().any(|id| id == species.id);
    let missing: Vec<&Species> = SPECIES.iter().filter(|species| !has(species)).collect();
    let among = if missing.is_empty() { SPECIES.iter().collect() } else { missing };
    let index = chance % (among.len() as u64);
    usize::try_from(index).ok().and_then(|index| among.get(index).copied()).unwrap_or(&SPECIES[0])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn missing_species_are_drawn_first() {
        assert_eq!(SPECIES.iter().map(|species| species.id).collect::<BTreeSet<_>>().len(), 12);
        let every: BTreeSet<_> = (0..12).map(|chance| draw(&[], chance).id).collect();
        assert_eq!(every.len(), 12, "each can be drawn");
        let mut collected = Vec::new();
        for chance in (0..12).map(|n| n * 7_919) {
            let drawn = draw(&collected, chance).id.to_owned();
            assert!(!collected.contains(&drawn), "{drawn} twice");
            collected.push(drawn);
        }
        assert!(find(draw(&collected, 5).id).is_some(), "all collected: any");
    }
}
