//! Tables of the documents, between `<!-- bench:all -->` and `<!-- /bench:all -->`.

use std::{fmt::Write, fs};

use super::Measured;
use crate::{
    bench::figures::{cell, markdown},
    failure::{Failure, Outcome, While},
};

const BEGIN: &str = "<!-- bench:all -->";
const END: &str = "<!-- /bench:all -->";

/// The conditions, and a table for each row.
pub(super) fn tables(measured: &[Measured], conditions: &[String]) -> String {
    let mut text = String::new();
    for line in conditions {
        let _ = writeln!(text, "- {line}");
    }
    for of in measured {
        let _ = writeln!(text, "\n### {}\n\n`--only {}`; goal: {}.\n", of.row.title, of.row.name, of.row.goal);
        text.push_str(&markdown(&of.series, of.row.figures, base(of)));
        for failure in &of.failures {
            let _ = writeln!(text, "\nNot measured: {failure}");
        }
    }
    text
}

/// The store comparison has a ratio column; the other rows have the ratios they need as figures.
fn base(of: &Measured) -> Option<&str> {
    (of.row.name == "store").then(|| of.series.first().map(|series| series.name.as_str())).flatten()
}

/// One line a row: the first figure of this service, of the cheapest peer, and the goal.
pub(super) fn short_table(measured: &[Measured]) -> String {
    let mut text = String::from("| what | figure | mingizuk | best peer | goal |\n| --- | --- | --- | --- | --- |\n");
    for of in measured.iter().filter(|of| of.row.name != "store") {
        let Some(figure) = of.row.figures.first() else { continue };
        let ours = of.series.iter().find(|series| series.name == "mingizuk");
        let peers =
            of.series.iter().filter(|series| series.name != "mingizuk" && !series.name.starts_with("raw writes"));
        let best = peers
            .filter(|peer| !peer.values(figure).is_empty())
            .min_by(|a, b| middle(&a.values(figure)).total_cmp(&middle(&b.values(figure))));
        let best =
            best.map_or_else(|| "–".to_owned(), |peer| format!("{} ({})", cell(&peer.values(figure)), peer.name));
        let ours = ours.map_or_else(|| "–".to_owned(), |ours| cell(&ours.values(figure)));
        let _ = writeln!(text, "| {} | {figure} | {ours} | {best} | {} |", of.row.title, of.row.goal);
    }
    text
}

fn middle(values: &[f64]) -> f64 {
    crate::output::statistics::median(values)
}

/// Puts `text` between the marks of a document.
pub(super) fn write(path: &str, text: &str) -> Outcome {
    let document = fs::read_to_string(path).doing(path)?;
    fs::write(path, between_marks(&document, text).doing(path)?).doing(path)
}

fn between_marks(document: &str, text: &str) -> Outcome<String> {
    let missing = || Failure::new(format!("no {BEGIN} … {END}"));
    let (before, rest) = document.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n{text}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_changes() {
        let document = format!("# A\n{BEGIN}\nold\n{END}\nafter\n");
        let written = between_marks(&document, "new\n").expect("marks");
        assert_eq!(written, format!("# A\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert_eq!(between_marks(&written, "new\n").expect("marks"), written);
        assert!(between_marks("# A\n", "new").is_err());
    }
}
