//! Checks of `ensure` on the figures of a run.

use serde_json::Value;

use crate::{
    metrics::{CheckResult, Period},
    script::{Plan, plan::Check, yaml::number_of},
};

/// Carries out all checks.
#[must_use]
pub fn check_all(plan: &Plan, figures: &Period) -> Vec<CheckResult> {
    plan.checks.iter().map(|check| check_one(plan, check, figures)).collect()
}

/// The first strict upper limit that is exceeded already: it cannot be met any more by what is left of the run, or
/// would need many good values to be.
#[must_use]
pub fn exceeded(plan: &Plan, figures: &Period) -> Option<String> {
    plan.checks.iter().filter(|check| check.strict).find_map(|check| {
        let (metric, max) = check.limit.as_ref()?;
        let value = metric_value(figures, metric)?;
        (value >= *max).then(|| format!("{} ({metric} is {value})", check.text))
    })
}

fn check_one(plan: &Plan, check: &Check, figures: &Period) -> CheckResult {
    let value_of = |name: &str| {
        let value = metric_value(figures, name);
        // A metric that never occurred is 0, unless Artillery's behaviour is wanted: undefined, so that nothing holds.
        let value = if plan.as_artillery { value } else { Some(value.unwrap_or(0.0)) };
        value.and_then(number_of).map(Value::Number)
    };
    let value = check.limit.as_ref().and_then(|(metric, _)| metric_value(figures, metric));
    CheckResult { expression: check.text.clone(), ok: check.formula.holds(&value_of), strict: check.strict, value }
}

/// Value of a counter, a rate, a statistic such as `http.response_time.p95`, or `apdex`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
pub fn metric_value(figures: &Period, name: &str) -> Option<f64> {
    if let Some(count) = figures.counters.get(name).or_else(|| figures.rates.get(name)) {
        return Some(*count as f64);
    }
    if name == "apdex" {
        return apdex(figures);
    }
    let (histogram, statistic) = name.rsplit_once('.')?;
    figures.summaries.get(histogram)?.statistic(statistic)
}

/// (satisfied + tolerated / 2) / all.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn apdex(figures: &Period) -> Option<f64> {
    let count = |name: &str| figures.counters.get(name).map(|count| *count as f64);
    let (satisfied, tolerated) = (count("apdex.satisfied")?, count("apdex.tolerated")?);
    let all = satisfied + tolerated + count("apdex.frustrated")?;
    (all > 0.0).then(|| (satisfied + tolerated / 2.0) / all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Summary;

    #[test]
    fn metrics_are_found_by_the_names_of_checks() {
        let mut figures = Period::default();
        for (name, count) in
            [("http.codes.200", 12), ("apdex.satisfied", 6), ("apdex.tolerated", 2), ("apdex.frustrated", 2)]
        {
            figures.counters.insert(name.to_owned(), count);
        }
        figures.rates.insert("http.request_rate".to_owned(), 7);
        figures
            .summaries
            .insert("http.response_time".to_owned(), Summary { p95: 31.5, count: 3, ..Summary::default() });
        for (name, value) in [
            ("http.codes.200", Some(12.0)),
            ("http.request_rate", Some(7.0)),
            ("http.response_time.p95", Some(31.5)),
            ("http.response_time.count", Some(3.0)),
            ("http.response_time.p42", None),
            ("apdex", Some(0.7)),
            ("http.codes.404", None),
        ] {
            assert_eq!(metric_value(&figures, name), value, "{name}");
        }
    }
}
