//! Logging: set-up of `tracing`. Text in development, JSON in production; a failure is one line, written where it is handled.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Config, ConfigError, Profile};

/// Starts logging to standard error until the process ends.
///
/// # Errors
/// [`ConfigError`] when `MINGIZUK_LOG` is no filter.
pub fn init(config: &Config) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.log).map_err(|error| ConfigError::invalid("log", error))?;
    let json = match config.log_format.as_deref() {
        Some(format) => format == "json",
        None => config.profile == Profile::Production,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let outcome = if json {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
    } else {
        let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
        registry.with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr)).try_init()
    };
    // Only a second call fails, and then logging is on already.
    drop(outcome);
    Ok(())
}
