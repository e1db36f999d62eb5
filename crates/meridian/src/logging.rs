//! Log lines: for people on a terminal, JSON otherwise. `MERIDIAN_LOG` filters as tracing's `EnvFilter` does.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Sends log lines to the error stream. Called once, first thing.
pub fn init(json: bool, default_filter: &str) {
    let filter = EnvFilter::try_from_env("MERIDIAN_LOG").unwrap_or_else(|_| EnvFilter::new(default_filter));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json || !std::io::stderr().is_terminal() {
        builder.json().flatten_event(true).init();
    } else {
        builder.with_target(false).init();
    }
}
