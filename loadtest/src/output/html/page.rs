//! Page of a report: head, key figures, checks, charts, tables.

use std::fmt::Write;

use chrono::DateTime;

use super::{
    escape,
    sections::{ENDPOINTS, Runs, is_trouble, latency_charts, run_charts},
};
use crate::{
    metrics::{Period, Report},
    output::{Loaded, compare, summary::number},
};

/// The style of the page.
const STYLE: &str = include_str!("style.css");

/// One file that shows one run, or two laid over each other.
pub fn page(a: &Loaded, b: Option<&Loaded>) -> String {
    let runs = Runs { a, b };
    let title = match b {
        Some(b) if b.label != a.label => format!("{} and {}", a.label, b.label),
        _ => a.label.clone(),
    };
    let title = escape(&title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Load test: {title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    );
    heads(&mut html, runs);
    warnings(&mut html, runs);
    key_figures(&mut html, runs);
    checks(&mut html, runs);
    charts(&mut html, "Latency", latency_charts(runs));
    charts(&mut html, "Load", run_charts(runs));
    phases(&mut html, runs);
    endpoints(&mut html, runs);
    figures(&mut html, runs);
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

/// What ran, and when.
fn heads(html: &mut String, runs: Runs<'_>) {
    for (second, run) in runs.each() {
        let mark = match (runs.b.is_some(), second) {
            (false, _) => "",
            (true, false) => "<b class=\"mark a\">A</b> ",
            (true, true) => "<b class=\"mark b\">B</b> ",
        };
        let _ = writeln!(html, "<p class=\"run\">{mark}{}</p>", escape(&conditions(run)));
    }
}

fn conditions(run: &Loaded) -> String {
    let Some(info) = &run.report.run else { return format!("{}: no conditions in the report", run.label) };
    let date = |millis: u64| i64::try_from(millis).ok().and_then(DateTime::from_timestamp_millis);
    let at = date(info.started_at).map(|at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string());
    let length = info.ended_at.saturating_sub(info.started_at) / 1000;
    let early = info.ended_early.as_ref().map(|why| format!("ended early: {why}"));
    let parts = [
        Some(info.script.clone()),
        Some(info.target.clone()),
        info.environment.clone(),
        at,
        Some(format!("{length} s")),
        Some(format!("seed {}", info.seed)),
        Some(format!("{} cores", info.cores)),
        Some(info.generator.clone()),
        early,
    ];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

fn warnings(html: &mut String, runs: Runs<'_>) {
    for (_, run) in runs.each() {
        for warning in run.report.run.iter().flat_map(|info| &info.warnings) {
            let _ = writeln!(html, "<p class=\"warning\" role=\"alert\">{}</p>", escape(warning));
        }
    }
}

/// The few figures that are looked at first.
fn key_figures(html: &mut String, runs: Runs<'_>) {
    html.push_str("<section aria-label=\"Key figures\" class=\"keys\">\n");
    for (name, unit, of) in keys() {
        let values: Vec<Option<f64>> = runs.each().map(|(_, run)| of(&run.report.aggregate)).collect();
        let Some(Some(a)) = values.first() else { continue };
        let second = match values.get(1) {
            Some(Some(b)) if *a > 0.0 => format!("<em>B {} ({:.2} ×)</em>", number(*b), b / a),
            Some(Some(b)) => format!("<em>B {}</em>", number(*b)),
            _ => String::new(),
        };
        let bad = if name == "errors" && *a > 0.0 { " class=\"bad\"" } else { "" };
        let _ = writeln!(
            html,
            "<div{bad}><span>{name}</span><strong>{} <small>{unit}</small></strong>{second}</div>",
            number(*a)
        );
    }
    html.push_str("</section>\n");
}

/// A key figure: name, unit, and where it is.
type Key = (&'static str, &'static str, fn(&Period) -> Option<f64>);

#[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn keys() -> [Key; 9] {
    fn counter(period: &Period, name: &str) -> Option<f64> {
        period.counters.get(name).map(|count| *count as f64)
    }
    fn statistic(period: &Period, name: &str, statistic: &str) -> Option<f64> {
        period.summaries.get(name)?.statistic(statistic)
    }
    [
        ("users", "", |period| counter(period, "vusers.created")),
        ("requests", "", |period| counter(period, "http.requests")),
        ("requests a second", "", |period| period.rates.get("http.request_rate").map(|rate| *rate as f64)),
        ("response p95", "ms", |period| statistic(period, "http.response_time", "p95")),
        ("response p99", "ms", |period| statistic(period, "http.response_time", "p99")),
        ("deliveries", "", |period| counter(period, "chat.received")),
        ("delivery p99", "ms", |period| statistic(period, "chat.latency", "p99")),
        ("lost", "", |period| counter(period, "chat.lost")),
        ("errors", "", |period| {
            Some(period.counters.iter().filter(|(name, _)| is_trouble(name)).map(|(_, count)| *count as f64).sum())
        }),
    ]
}

fn checks(html: &mut String, runs: Runs<'_>) {
    if runs.each().all(|(_, run)| run.report.checks.is_empty()) {
        return;
    }
    html.push_str(
        "<h2>Checks</h2>\n<table class=\"checks\"><thead><tr><th scope=\"col\">Run</th><th scope=\"col\">Check</th>\
                   <th scope=\"col\">Value</th><th scope=\"col\">Outcome</th></tr></thead><tbody>\n",
    );
    for (second, run) in runs.each() {
        for check in &run.report.checks {
            let (class, outcome) = if check.ok { ("good", "ok") } else { ("bad", "failed") };
            let optional = if check.strict { "" } else { " (optional)" };
            let _ = writeln!(
                html,
                "<tr class=\"{class}\"><td>{}</td><th scope=\"row\">{}</th><td>{}</td><td>{outcome}{optional}</td></tr>",
                if second { "B" } else { "A" },
                escape(&check.expression),
                check.value.map_or_else(String::new, number)
            );
        }
    }
    html.push_str("</tbody></table>\n");
}

fn charts(html: &mut String, title: &str, charts: Vec<super::chart::Chart>) {
    if !charts.is_empty() {
        let _ = writeln!(html, "<h2>{title}</h2>");
        for chart in charts {
            html.push_str(&chart.html());
        }
    }
}

/// Figures of each phase of the first run.
fn phases(html: &mut String, runs: Runs<'_>) {
    let phases = &runs.a.report.phases;
    if phases.is_empty() {
        return;
    }
    html.push_str("<h2>Phases</h2>\n<div class=\"wide\"><table><thead><tr><th scope=\"col\">Phase</th><th scope=\"col\">Load</th>\
                   <th scope=\"col\">Users</th><th scope=\"col\">Errors</th><th scope=\"col\">Histogram</th><th scope=\"col\">p50</th>\
                   <th scope=\"col\">p95</th><th scope=\"col\">p99</th></tr></thead><tbody>\n");
    for phase in phases {
        let counters = &phase.figures.counters;
        let errors: u64 = counters.iter().filter(|(name, _)| is_trouble(name)).map(|(_, count)| count).sum();
        let users = counters.get("vusers.created").copied().unwrap_or(0);
        let main = phase
            .figures
            .summaries
            .iter()
            .find(|(name, _)| ["http.response_time", "chat.latency"].contains(&name.as_str()));
        let (name, [p50, p95, p99]) =
            main.map_or(("", Default::default()), |(name, s)| (name.as_str(), [s.p50, s.p95, s.p99].map(number)));
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{users}</td><td>{errors}</td><td>{}</td><td>{p50}</td><td>{p95}</td><td>{p99}</td></tr>",
            escape(&phase.name),
            escape(&phase.load),
            escape(name)
        );
    }
    html.push_str("</tbody></table></div>\n");
}

/// Response times by endpoint.
fn endpoints(html: &mut String, runs: Runs<'_>) {
    const TIME: &str = "plugins.metrics-by-endpoint.response_time.";
    let of = |report: &Report| -> Vec<String> {
        report.aggregate.summaries.keys().filter_map(|name| name.strip_prefix(TIME)).map(str::to_owned).collect()
    };
    let mut names: Vec<String> = runs.each().flat_map(|(_, run)| of(&run.report)).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return;
    }
    html.push_str("<h2>Endpoints</h2>\n<div class=\"wide\"><table><thead><tr><th scope=\"col\">Endpoint</th><th scope=\"col\">Run</th>\
                   <th scope=\"col\">Answers</th><th scope=\"col\">p50 ms</th><th scope=\"col\">p95 ms</th><th scope=\"col\">p99 ms</th>\
                   <th scope=\"col\">Codes and errors</th></tr></thead><tbody>\n");
    for name in &names {
        for (second, run) in runs.each() {
            let aggregate = &run.report.aggregate;
            let Some(summary) = aggregate.summaries.get(&format!("{TIME}{name}")) else { continue };
            let prefix = format!("{ENDPOINTS}{name}.");
            let counts = aggregate.counters.iter().filter_map(|(counter, count)| {
                Some(format!("{} {count}", counter.strip_prefix(&prefix)?.trim_start_matches("codes.")))
            });
            let _ = writeln!(
                html,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(name),
                if second { "B" } else { "A" },
                summary.count,
                number(summary.p50),
                number(summary.p95),
                number(summary.p99),
                escape(&counts.collect::<Vec<_>>().join(", "))
            );
        }
    }
    html.push_str("</tbody></table></div>\n");
}

/// Everything in the report; of two runs the comparison.
fn figures(html: &mut String, runs: Runs<'_>) {
    let a = &runs.a.report;
    let rows = compare::rows(a, runs.b.map_or(a, |b| &b.report));
    html.push_str("<h2>All figures</h2>\n<div class=\"wide\"><table><thead><tr><th scope=\"col\">Figure</th>");
    html.push_str(match runs.b {
        None => "<th scope=\"col\">Value</th>",
        Some(_) => "<th scope=\"col\">A</th><th scope=\"col\">B</th><th scope=\"col\">Ratio</th><th scope=\"col\">Larger than the noise</th>",
    });
    html.push_str("</tr></thead><tbody>\n");
    let value = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    for row in rows.iter().filter(|row| !row.name.starts_with(ENDPOINTS)) {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th><td>{}</td>", escape(&row.name), value(row.a));
        if runs.b.is_some() {
            let ratio = row.ratio().map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
            let differs = match row.differs {
                Some(true) => "yes",
                Some(false) => "no",
                None => "too few periods",
            };
            let _ = write!(html, "<td>{}</td><td>{ratio}</td><td>{differs}</td>", value(row.b));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{RunInfo, Summary};

    fn run(label: &str, p95: f64) -> Loaded {
        let mut report = Report {
            run: Some(RunInfo { warnings: vec!["<late>".into()], ..RunInfo::default() }),
            ..Report::default()
        };
        report.aggregate.counters.insert("http.requests".into(), 10);
        report
            .aggregate
            .summaries
            .insert("http.response_time".into(), Summary { p95, count: 10, ..Summary::default() });
        report.intermediate.push(report.aggregate.clone());
        Loaded { label: label.into(), report, ..Loaded::default() }
    }

    #[test]
    fn a_page_refers_to_nothing_outside_and_escapes_what_it_shows() {
        let html = page(&run("a <b>", 5.0), Some(&run("c", 10.0)));
        for outside in ["http://", "https://", "src=", "@import", "<script", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(html.contains("a &lt;b&gt; and c") && html.contains("&lt;late&gt;") && html.contains("2.00 ×"));
    }

    #[test]
    fn a_report_with_nothing_in_it_makes_a_page() {
        let html = page(&Loaded::default(), None);
        assert!(html.contains("</html>") && !html.contains("NaN") && !html.contains("inf"));
    }
}
