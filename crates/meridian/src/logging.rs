//! Log lines: for people on a terminal, JSON otherwise. `MERIDIAN_LOG` filters as tracing's `EnvFilter` does.
//!
//! Beside them spans of traced statements are recorded (`env::trace`): lines written within one carry its trace id.

use std::io::IsTerminal;

use tracing_subscriber::filter::Directive;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Sends log lines to the error stream. Called once, first thing.
pub fn init(json: bool, default_filter: &str) {
    let filter = EnvFilter::try_from_env("MERIDIAN_LOG").unwrap_or_else(|_| EnvFilter::new(default_filter));
    // Steps of traces are many, and say keys.
    let no_steps: Directive = format!("{}=off", env::trace::STEP_TARGET).parse().expect("a directive");
    let roots: Directive = format!("{}=info", env::trace::ROOT_TARGET).parse().expect("a directive");
    let filter = filter.add_directive(no_steps).add_directive(roots);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match json || !std::io::stderr().is_terminal() {
        true => lines.json().flatten_event(true).boxed(),
        false => lines.with_target(false).boxed(),
    };
    tracing_subscriber::registry().with(env::trace::layer()).with(lines.with_filter(filter)).init();
}
