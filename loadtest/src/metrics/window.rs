//! Counters, rates and histograms of one stretch of time, and the figures of a report made of them.

use std::collections::HashMap;

use super::{
    histogram::Histogram,
    report::{Period, Summary},
};

/// Name of the response times corrected for coordinated omission.
const CORRECTED: &str = "http.response_time.corrected";

/// What was recorded in a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Window {
    counters: HashMap<String, u64>,
    histograms: HashMap<String, Histogram>,
    rates: HashMap<&'static str, Rate>,
    /// Time between two requests of one user to one endpoint, by endpoint.
    intervals: HashMap<String, Histogram>,
    /// Time from when a request was due to its response, by endpoint.
    waits: HashMap<String, Histogram>,
    counters_at: Span,
    histograms_at: Span,
    now: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    span: Span,
    count: u64,
}

/// First and last time of something, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
struct Span(Option<(u64, u64)>);

impl Span {
    fn touch(&mut self, now: u64) {
        self.0 = Some(self.0.map_or((now, now), |(first, last)| (first.min(now), last.max(now))));
    }

    fn merge(&mut self, other: Self) {
        if let Some((first, last)) = other.0 {
            self.touch(first);
            self.touch(last);
        }
    }

    fn first(self) -> Option<u64> {
        self.0.map(|(first, _)| first)
    }

    fn last(self) -> Option<u64> {
        self.0.map(|(_, last)| last)
    }
}

impl Window {
    /// Sets the time that what follows is recorded at, in milliseconds since 1970.
    pub fn set_now(&mut self, now: u64) {
        self.now = now;
    }

    /// Adds `by` to a counter. A counter that was increased by 0 is in the report, with 0.
    pub fn count(&mut self, name: &str, by: u64) {
        self.counters_at.touch(self.now);
        match self.counters.get_mut(name) {
            Some(counter) => *counter += by,
            None => {
                self.counters.insert(name.to_owned(), by);
            }
        }
    }

    /// Adds a value to a histogram.
    pub fn record(&mut self, name: &str, value: f64) {
        self.histograms_at.touch(self.now);
        entry(&mut self.histograms, name).record(value);
    }

    /// One event of a rate.
    pub fn tick(&mut self, name: &'static str) {
        let rate = self.rates.entry(name).or_default();
        rate.count += 1;
        rate.span.touch(self.now);
    }

    /// Time in milliseconds since the same user's request before this to the same endpoint.
    pub fn interval(&mut self, endpoint: &str, value: f64) {
        entry(&mut self.intervals, endpoint).record(value);
    }

    /// Time in milliseconds from when a request to `endpoint` was due to its response: longer than the response time
    /// if the generator was late. The correction for coordinated omission is made from it.
    pub fn wait(&mut self, endpoint: &str, value: f64) {
        entry(&mut self.waits, endpoint).record(value);
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty() && self.histograms.is_empty()
    }

    /// Value of a counter; 0 if it was never increased.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    /// Counters by name.
    pub fn counters(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counters.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// A histogram by name.
    #[must_use]
    pub fn histogram(&self, name: &str) -> Option<&Histogram> {
        self.histograms.get(name)
    }

    /// Histograms by name.
    pub fn histograms(&self) -> impl Iterator<Item = (&str, &Histogram)> {
        self.histograms.iter().map(|(name, histogram)| (name.as_str(), histogram))
    }

    /// Adds what `other` recorded.
    pub fn merge(&mut self, other: &Self) {
        for (name, by) in &other.counters {
            *self.counters.entry(name.clone()).or_default() += by;
        }
        for (name, histogram) in &other.histograms {
            entry(&mut self.histograms, name).merge(histogram);
        }
        for (name, rate) in &other.rates {
            let ours = self.rates.entry(name).or_default();
            ours.count += rate.count;
            ours.span.merge(rate.span);
        }
        for (name, histogram) in &other.intervals {
            entry(&mut self.intervals, name).merge(histogram);
        }
        for (name, histogram) in &other.waits {
            entry(&mut self.waits, name).merge(histogram);
        }
        self.counters_at.merge(other.counters_at);
        self.histograms_at.merge(other.histograms_at);
    }

    /// The figures of a report, without `period`.
    #[must_use]
    pub fn figures(&self) -> Period {
        let mut summaries: std::collections::BTreeMap<String, Summary> =
            self.histograms.iter().map(|(name, histogram)| (name.clone(), histogram.summary())).collect();
        if let Some(corrected) = self.corrected() {
            summaries.insert(CORRECTED.to_owned(), corrected.summary());
        }
        let (first_counter_at, last_counter_at) = (self.counters_at.first(), self.counters_at.last());
        let (first_histogram_at, last_histogram_at) = (self.histograms_at.first(), self.histograms_at.last());
        Period {
            counters: self.counters.iter().map(|(name, count)| (name.clone(), *count)).collect(),
            rates: self.rates.iter().map(|(name, rate)| ((*name).to_owned(), rate.per_second())).collect(),
            first_counter_at,
            first_histogram_at,
            last_counter_at,
            last_histogram_at,
            first_metric_at: [first_counter_at, first_histogram_at].into_iter().flatten().min(),
            last_metric_at: last_counter_at.max(last_histogram_at),
            period: None,
            histograms: summaries.clone(),
            summaries,
        }
    }

    /// Response times corrected for coordinated omission: as if each user who repeats a request had gone on sending it
    /// at its usual interval while it waited, and as if nobody had been started late.
    fn corrected(&self) -> Option<Histogram> {
        let mut all = Histogram::default();
        for (endpoint, waits) in &self.waits {
            match self.intervals.get(endpoint) {
                Some(intervals) => all.merge(&waits.corrected(intervals.quantile(0.5))),
                None => all.merge(waits),
            }
        }
        (all.count() > 0).then_some(all)
    }
}

impl Rate {
    fn per_second(self) -> u64 {
        let milliseconds = self.span.last().unwrap_or(0).saturating_sub(self.span.first().unwrap_or(0)).max(1000);
        (self.count * 1000 + milliseconds / 2) / milliseconds
    }
}

fn entry<'a>(map: &'a mut HashMap<String, Histogram>, name: &str) -> &'a mut Histogram {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), Histogram::default());
    }
    map.entry(name.to_owned()).or_default()
}
