//! What the gateway counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The gateway's metrics, each named `mingizuk_gateway_…`.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Authenticated connections now.
    pub connections: IntGauge,
    /// Rooms with someone in them now.
    pub rooms: IntGauge,
    /// Frames received.
    pub frames_in: IntCounter,
    /// Entries handed to connections' queues.
    pub deliveries: IntCounter,
    /// Messages acknowledged.
    pub sends: IntCounter,
    /// Times a room's missing entries were read from its log.
    pub heals: IntCounter,
    /// Errors answered, by code.
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
            heals: IntCounter::new(name("heals_total"), "Times a room's missing entries were read from its log")?,
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
        registry.register(Box::new(metrics.heals.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.closes.clone()))?;
        Ok(metrics)
    }
}
