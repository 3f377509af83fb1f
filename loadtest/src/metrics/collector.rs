//! Collector: makes periods, figures of phases and the aggregate of what the recorder holds.
//!
//! What it keeps is bounded by the number of metrics, not by the length of the run: a period's histograms become a
//! summary when the period is over.

use std::collections::BTreeMap;

use super::{
    recorder::{Recorder, Slot},
    report::{PERIOD_MS, Period, PeriodStart},
    window::Window,
};

/// Everything that was recorded so far.
#[derive(Debug, Default)]
pub struct Collector {
    open: BTreeMap<u64, Window>,
    phases: BTreeMap<usize, Window>,
    total: Window,
    periods: Vec<Period>,
}

impl Collector {
    /// Takes what was recorded since the last call, and returns it as one window.
    pub fn collect(&mut self, recorder: &Recorder) -> Window {
        let mut latest = Window::default();
        for (Slot { period, phase }, window) in recorder.take() {
            self.open.entry(period).or_default().merge(&window);
            self.phases.entry(phase).or_default().merge(&window);
            self.total.merge(&window);
            latest.merge(&window);
        }
        latest
    }

    /// Closes the periods that ended before `now` (milliseconds since 1970) and returns them, oldest first. A period
    /// closes two seconds after its end, so that everything recorded in it was collected.
    pub fn close_periods(&mut self, now: u64) -> &[Period] {
        const SETTLED_MS: u64 = 2_000;
        let before = self.periods.len();
        while let Some(entry) = self.open.first_entry() {
            if entry.key() + PERIOD_MS + SETTLED_MS > now {
                break;
            }
            let (start, window) = entry.remove_entry();
            self.periods.push(Period { period: Some(PeriodStart::Text(start.to_string())), ..window.figures() });
        }
        &self.periods[before..]
    }

    /// Everything recorded so far.
    #[must_use]
    pub fn total(&self) -> &Window {
        &self.total
    }

    /// What was recorded in the phase with this index.
    #[must_use]
    pub fn phase(&self, index: usize) -> Option<&Window> {
        self.phases.get(&index)
    }

    /// The aggregate and all periods. Rates of the aggregate are the mean of the periods.
    #[must_use]
    pub fn finish(mut self) -> (Period, Vec<Period>) {
        self.close_periods(u64::MAX);
        let mut aggregate = self.total.figures();
        for (name, rate) in &mut aggregate.rates {
            let rates: Vec<u64> = self.periods.iter().filter_map(|period| period.rates.get(name).copied()).collect();
            let count = (rates.len() as u64).max(1);
            *rate = (rates.iter().sum::<u64>() + count / 2) / count;
        }
        let last = self.periods.last().and_then(|period| period.period.as_ref()).map(PeriodStart::millis);
        aggregate.period = last.map(PeriodStart::Number);
        (aggregate, self.periods)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_aggregate_is_the_sum_of_the_periods_and_of_the_phases() {
        let (recorder, mut collector) = (Recorder::default(), Collector::default());
        let mut users = 0;
        for (at, phase) in [(19_000, 0), (19_999, 0), (20_000, 0), (29_000, 1), (40_500, 1)] {
            recorder.set_phase(phase);
            users += 1;
            recorder.with_at(at, users, |window| {
                window.count("http.requests", 2);
                window.tick("http.request_rate");
                window.record("http.response_time", 1.5);
            });
            collector.collect(&recorder);
        }
        assert_eq!(collector.close_periods(32_500).len(), 2, "10 s and 20 s are over");
        assert_eq!(collector.phase(0).map(|window| window.counter("http.requests")), Some(6));
        assert_eq!(collector.phase(1).map(|window| window.counter("http.requests")), Some(4));
        let (aggregate, periods) = collector.finish();
        let starts: Vec<_> = periods.iter().filter_map(|period| Some(period.period.as_ref()?.millis())).collect();
        assert_eq!(starts, [10_000, 20_000, 40_000]);
        assert_eq!(
            aggregate.counters["http.requests"],
            periods.iter().map(|period| period.counters["http.requests"]).sum::<u64>()
        );
        assert_eq!(aggregate.summaries["http.response_time"].count, 5);
        assert_eq!((aggregate.first_counter_at, aggregate.last_metric_at), (Some(19_000), Some(40_500)));
        assert_eq!(aggregate.period.map(|start| start.millis()), Some(40_000));
        assert_eq!(periods[0].rates["http.request_rate"], 2);
        assert_eq!(aggregate.rates["http.request_rate"], 1, "the mean of 2, 0.2 and 1, rounded");
    }
}
