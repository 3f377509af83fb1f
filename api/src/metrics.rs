//! Prometheus metrics of the REST service.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, Registry};

/// Upper bounds of what is counted together, in seconds.
const BOUNDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The REST service's metrics, each named `mingizuk_api_…`. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    requests: HistogramVec,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When the registry has one of them already.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let name = "mingizuk_api_request_seconds";
        let options =
            HistogramOpts::new(name, "Time to answer a request, by operation and status").buckets(BOUNDS.into());
        let requests = HistogramVec::new(options, &["operation", "status"])?;
        registry.register(Box::new(requests.clone()))?;
        Ok(Self { requests })
    }

    /// Counts a request that took `time` to answer. `operation` is its id in the OpenAPI document, if it asked for one.
    pub(crate) fn count(&self, operation: Option<&str>, status: u16, time: Duration) {
        let labels = [operation.unwrap_or("none"), &status.to_string()];
        self.requests.with_label_values(&labels).observe(time.as_secs_f64());
    }
}
