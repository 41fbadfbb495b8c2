//! Structured logs on standard error.

use tracing_subscriber::EnvFilter;

/// Starts logging; later calls change nothing.
///
/// # Errors
/// The filter's message when it cannot be understood.
pub fn start(filter: &str, json: bool) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("--log-level {filter}: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
    // Only tests start it twice.
    drop(started);
    Ok(())
}
