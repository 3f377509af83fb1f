//! Prometheus metrics of the gateway. `docs/operations.md` lists them.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The gateway's metrics, each named `mingizuk_gateway_…`.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Authenticated connections.
    pub connections: IntGauge,
    /// Open rooms.
    pub rooms: IntGauge,
    /// Text frames received from authenticated connections.
    pub frames_in: IntCounter,
    /// Entries pushed to outbound queues.
    pub deliveries: IntCounter,
    /// Messages acknowledged, duplicates included.
    pub sends: IntCounter,
    /// Resyncs of rooms.
    pub resyncs: IntCounter,
    /// Error frames, by error code.
    pub errors: IntCounterVec,
    /// Connections closed by the gateway, by close code.
    pub closes: IntCounterVec,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When the registry has one of them already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let name = |name: &str| format!("mingizuk_gateway_{name}");
        let metrics = Self {
            connections: IntGauge::new(name("connections"), "Authenticated connections now")?,
            rooms: IntGauge::new(name("rooms"), "Rooms with someone in them now")?,
            frames_in: IntCounter::new(name("frames_in_total"), "Frames received")?,
            deliveries: IntCounter::new(name("deliveries_total"), "Entries handed to connections' queues")?,
            sends: IntCounter::new(name("sends_total"), "Messages acknowledged")?,
            resyncs: IntCounter::new(name("heals_total"), "Times a room's missing entries were read from its log")?,
            errors: IntCounterVec::new(Opts::new(name("errors_total"), "Errors answered, by code"), &["code"])?,
            closes: IntCounterVec::new(
                Opts::new(name("closes_total"), "Connections closed, by close code"),
                &["code"],
            )?,
        };
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.rooms.clone()))?;
        registry.register(Box::new(metrics.frames_in.clone()))?;
        registry.register(Box::new(metrics.deliveries.clone()))?;
        registry.register(Box::new(metrics.sends.clone()))?;
        registry.register(Box::new(metrics.resyncs.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.closes.clone()))?;
        Ok(metrics)
    }
}
