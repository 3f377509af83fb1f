//! The import graph: crates depend on each other as the architecture says, and no module imports what imports it.
//!
//! A module is a file. It imports another when it names something that the other defines; a name that a parent only
//! re-exports counts for the file that defines it. A child may name what its parents define, as scopes allow, and tests at
//! the foot of a file may import anything.

#![expect(clippy::expect_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    path::Path,
};

/// The crates and what each may depend on, outside of tests.
const CRATES: [(&str, &str, &[&str]); 7] = [
    ("wire", "wire", &[]),
    ("common", "common", &["wire"]),
    ("gateway", "gateway", &["common", "wire"]),
    ("api", "api", &["common", "wire"]),
    ("loadtest", "loadtest", &["wire"]),
    ("testing", "testing", &["common"]),
    ("mingizuk", ".", &["api", "common", "gateway"]),
];

#[test]
fn crates_depend_on_what_the_architecture_says() {
    for (name, folder, allowed) in CRATES {
        let manifest = fs::read_to_string(format!("{folder}/Cargo.toml")).expect("a manifest");
        let section = manifest.split_once("\n[dependencies]\n").expect("dependencies").1;
        let section = section.split("\n[").next().unwrap_or_default();
        let dependencies = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        let ours: BTreeSet<&str> =
            dependencies.filter(|dependency| CRATES.iter().any(|(name, ..)| name == dependency)).collect();
        assert_eq!(ours, allowed.iter().copied().collect(), "what {name} depends on");
    }
}

#[test]
fn no_module_imports_what_imports_it() {
    let mut found = Vec::new();
    for (name, folder, _) in CRATES {
        let graph = Crate::read(Path::new(folder).join("src").as_path()).imports();
        assert!(graph.values().any(|imports| !imports.is_empty()), "{name} was read");
        found.extend(circles(&graph).into_iter().map(|circle| format!("{name}: {circle}")));
    }
    assert!(found.is_empty(), "circles of imports:\n{}", found.join("\n"));
}

#[test]
fn circles_are_found_through_re_exports_and_local_names() {
    let read = |files: &[(&str, &str)]| {
        let mut found = Crate::default();
        for (module, text) in files {
            found.add(path(module), text);
        }
        found.resolve_exports();
        circles(&found.imports())
    };
    for (files, circle) in [
        (vec![("", "pub mod a; pub mod b;"), ("a", "use crate::b::B;"), ("b", "pub struct B;")], None),
        (vec![("", ""), ("a", "use crate::b::{C, D as E};"), ("b", "fn x() { crate::a::f() }")], Some("a → b → a")),
        (
            vec![
                ("", ""),
                ("a", "pub use self::c::C; mod c;"),
                ("a::c", "use crate::b;\nfn x() { b::f() }"),
                ("b", "use super::a::C;"),
            ],
            Some("a::c → b → a::c"),
        ),
        (vec![("", ""), ("a", "// crate::b::B\nconst X: &str = \"crate::b::B\";"), ("b", "use crate::a::X;")], None),
        (vec![("", ""), ("a", "#[cfg(test)]\nmod tests { use crate::b::B; }"), ("b", "use crate::a::X;")], None),
        (
            vec![("", ""), ("a", "mod inner { use super::A; use super::super::b::B; }"), ("b", "use crate::a::X;")],
            Some("a → b → a"),
        ),
    ] {
        assert_eq!(read(&files).first().map(String::as_str), circle, "{files:?}");
    }
}

type ModulePath = Vec<String>;

fn path(text: &str) -> ModulePath {
    text.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// One source file, without comments, literals and tests.
struct Source {
    text: String,
    /// Where modules are written out in it.
    inline: Vec<Range<usize>>,
}

/// The modules of a crate.
#[derive(Default)]
struct Crate {
    sources: BTreeMap<ModulePath, Source>,
    /// What each module re-exports: the name, and the path it stands for.
    exports: BTreeMap<ModulePath, Vec<(String, ModulePath)>>,
}

impl Crate {
    fn read(folder: &Path) -> Self {
        let mut found = Self::default();
        found.read_folder(folder, &[]);
        found.resolve_exports();
        found
    }

    fn read_folder(&mut self, folder: &Path, module: &[String]) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let file = entry.expect("an entry").path();
            let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
            let below = || module.iter().cloned().chain([name.clone()]).collect::<Vec<_>>();
            if file.is_dir() {
                self.read_folder(&file, &below());
            } else if file.extension().is_some_and(|extension| extension == "rs") {
                // A program beside a library is a crate of its own.
                let root = name == "lib" || (name == "main" && !folder.join("lib.rs").exists());
                let module = if name == "mod" || (module.is_empty() && root) { module.to_vec() } else { below() };
                self.add(module, &fs::read_to_string(&file).expect("a source"));
            }
        }
    }

    fn add(&mut self, module: ModulePath, text: &str) {
        let text = without_tests(&without_literals(text));
        let inline = inline_modules(&text);
        self.sources.insert(module, Source { text, inline });
    }

    fn resolve_exports(&mut self) {
        for (module, source) in &self.sources {
            let exports = uses(&source.text).filter(|(_, public, _)| *public).flat_map(|(at, _, tree)| {
                let absolute = |(path, name): (ModulePath, String)| {
                    Some((name, self.absolute(module, &source.inline, at, &path)?))
                };
                leaves(tree).into_iter().filter_map(absolute).collect::<Vec<_>>()
            });
            let exports = exports.collect();
            self.exports.insert(module.clone(), exports);
        }
    }

    /// A path from the crate's root; `None` for a path that does not begin in this crate.
    fn absolute(&self, module: &[String], inline: &[Range<usize>], at: usize, path: &[String]) -> Option<ModulePath> {
        let depth = inline.iter().filter(|range| range.contains(&at)).count();
        let supers = path.iter().take_while(|part| *part == "super").count();
        let (base, rest) = match path.first()?.as_str() {
            "crate" => (&[][..], &path[1..]),
            "super" => (&module[..module.len().checked_sub(supers.saturating_sub(depth))?], &path[supers..]),
            "self" => (module, &path[1..]),
            first if self.sources.contains_key(&[module, &[first.to_owned()]].concat()) => (module, path),
            _ => return None,
        };
        Some([base, rest].concat())
    }

    /// The module that defines what a path from the root names; `None` if it names a module itself.
    fn defining(&self, path: &[String], patience: u32) -> Option<ModulePath> {
        let mut module = ModulePath::new();
        for (index, part) in path.iter().enumerate() {
            let below = [module.as_slice(), std::slice::from_ref(part)].concat();
            if self.sources.contains_key(&below) {
                module = below;
                continue;
            }
            let exported = self.exports.get(&module).and_then(|exports| exports.iter().find(|(name, _)| name == part));
            return match exported {
                Some((_, target)) if patience > 0 => {
                    self.defining(&[target.as_slice(), &path[index + 1..]].concat(), patience - 1)
                }
                _ => Some(module),
            };
        }
        None
    }

    /// Which module imports which.
    fn imports(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, source) in &self.sources {
            let mut named: Vec<ModulePath> = Vec::new();
            let mut local: BTreeMap<String, ModulePath> = BTreeMap::new();
            for (at, public, tree) in uses(&source.text) {
                for (path, name) in leaves(tree) {
                    let Some(path) = self.absolute(module, &source.inline, at, &path) else { continue };
                    // A parent that only re-exports what a child defines does not import it.
                    if self.sources.contains_key(&path) {
                        local.insert(name, path);
                    } else if !(public && path.starts_with(module)) {
                        named.push(path);
                    }
                }
            }
            for (at, path) in paths(&source.text) {
                let path = match path.first().and_then(|first| local.get(first)) {
                    Some(start) => Some([start.as_slice(), &path[1..]].concat()),
                    None => self.absolute(module, &source.inline, at, &path),
                };
                named.extend(path);
            }
            let targets =
                named.iter().filter_map(|path| self.defining(path, 8)).filter(|target| !module.starts_with(target));
            let targets = targets.map(|target| target.join("::"));
            graph.entry(module.join("::")).or_default().extend(targets);
        }
        graph
    }
}

/// The text with comments and literals blanked out.
fn without_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match &bytes[at..] {
            [b'/', b'/', ..] => text[at..].find('\n').map_or(text.len(), |length| at + length),
            [b'/', b'*', ..] => text[at..].find("*/").map_or(text.len(), |length| at + length + 2),
            [b'r', b'"' | b'#', ..] if at == 0 || !is_word(bytes[at - 1]) => raw_end(text, at),
            [b'"', ..] => quoted_end(bytes, at, b'"'),
            [b'\'', b'\\', ..] => quoted_end(bytes, at, b'\''),
            [b'\'', ..] => match text[at + 1..].chars().next() {
                // Otherwise a lifetime.
                Some(char) if bytes.get(at + 1 + char.len_utf8()) == Some(&b'\'') => at + char.len_utf8() + 2,
                _ => at,
            },
            _ => at,
        };
        out[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn quoted_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The end of a raw literal; its start, if none begins there.
fn raw_end(text: &str, start: usize) -> usize {
    let hashes = text[start + 1..].bytes().take_while(|byte| *byte == b'#').count();
    let open = start + 1 + hashes;
    if text.as_bytes().get(open) != Some(&b'"') {
        return start;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    text[open + 1..].find(&close).map_or(text.len(), |length| open + 1 + length + close.len())
}

/// The text without what is compiled for tests only.
fn without_tests(text: &str) -> String {
    let mut rest = text.to_owned();
    while let Some(start) = rest.find("#[cfg(test)]") {
        let open = rest[start..].find(['{', ';']).map_or(rest.len() - 1, |length| start + length);
        let end = if rest.as_bytes()[open] == b'{' { block_end(&rest, open) } else { open + 1 };
        rest.replace_range(start..end, "");
    }
    rest
}

/// The end of the block that opens at `open`.
fn block_end(text: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// Where the word `word` stands in `text`.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        (*at == 0 || !is_word(bytes[at - 1])) && bytes.get(at + word.len()).is_some_and(|byte| !is_word(*byte))
    })
}

fn inline_modules(text: &str) -> Vec<Range<usize>> {
    words(text, "mod")
        .filter_map(|at| {
            let open = at + text[at..].find(['{', ';'])?;
            (text.as_bytes()[open] == b'{').then(|| open..block_end(text, open))
        })
        .collect()
}

/// The `use` declarations: where each stands, whether it re-exports, and its tree.
fn uses(text: &str) -> impl Iterator<Item = (usize, bool, &str)> {
    words(text, "use").filter_map(|at| {
        let before = text[..at].trim_end();
        let public = before.ends_with("pub") || (before.ends_with(')') && before[before.rfind('(')?..].len() < 20);
        (public || before.is_empty() || before.ends_with([';', '}', '{', ']']))
            .then(|| text[at + 3..].split_once(';').map(|(tree, _)| (at, public, tree)))
            .flatten()
    })
}

/// The paths of a `use` tree, each with the name it gets.
fn leaves(tree: &str) -> Vec<(ModulePath, String)> {
    let tree = tree.trim();
    let Some((prefix, group)) = tree.split_once('{') else {
        let (whole, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim())));
        let mut parts = path(whole);
        // `a::{self}` names `a`.
        if parts.len() > 1 && parts.last().is_some_and(|last| last == "self") {
            parts.pop();
        }
        let name = alias.map(str::to_owned).or_else(|| parts.last().cloned()).unwrap_or_default();
        return vec![(parts, name)];
    };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let mut depth = 0;
    let branches = group.split(|char| {
        depth += i32::from(char == '{') - i32::from(char == '}');
        char == ',' && depth == 0
    });
    let branches = branches.filter(|branch| !branch.trim().is_empty());
    branches.flat_map(|branch| leaves(&format!("{prefix}{}", branch.trim()))).collect()
}

/// The paths of the code, without those of `use` declarations.
fn paths(text: &str) -> Vec<(usize, ModulePath)> {
    let mut code = text.to_owned();
    for (at, _, tree) in uses(text) {
        code.replace_range(at..at + 3 + tree.len(), &" ".repeat(3 + tree.len()));
    }
    let (text, bytes) = (code.as_str(), code.as_bytes());
    let begins = move |at: &usize| {
        let first = is_word(bytes[*at]) && (*at == 0 || !is_word(bytes[at - 1]));
        first && !text[..*at].trim_end().ends_with("::")
    };
    let found = (0..bytes.len()).filter(begins).filter_map(|at| {
        let length = text[at..].bytes().take_while(|byte| is_word(*byte) || *byte == b':').count();
        let path = path(&text[at..at + length]);
        (text[at..at + length].contains("::") && path.len() > 1).then_some((at, path))
    });
    found.collect()
}

/// The circles of a graph, the shortest through each module that is in one.
fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut found: Vec<Vec<&String>> = Vec::new();
    for start in graph.keys() {
        if found.iter().any(|circle| circle.contains(&start)) {
            continue;
        }
        let mut ways = vec![vec![start]];
        let mut seen = BTreeSet::new();
        while !ways.is_empty() {
            let steps = ways.iter().flat_map(|way| {
                let targets = way.last().and_then(|last| graph.get(*last)).into_iter().flatten();
                targets.map(|target| way.iter().copied().chain([target]).collect::<Vec<_>>())
            });
            let steps: Vec<_> = steps.collect();
            if let Some(circle) = steps.iter().find(|way| way.last() == Some(&start)) {
                found.push(circle.clone());
                break;
            }
            ways = steps.into_iter().filter(|way| way.last().is_some_and(|last| seen.insert(*last))).collect();
        }
    }
    let name = |module: &&String| if module.is_empty() { "the root".to_owned() } else { (*module).clone() };
    found.iter().map(|circle| circle.iter().map(name).collect::<Vec<_>>().join(" → ")).collect()
}
