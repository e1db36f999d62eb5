//! What the node says while it runs: panics, and what it logs as a warning or an error.
//!
//! A run has its thread for itself, so what is heard on a thread belongs to the run there.

use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Whether what the nodes log for developers is printed.
static IS_LOUD: AtomicBool = AtomicBool::new(false);

pub fn is_loud() -> bool {
    IS_LOUD.load(Ordering::Relaxed)
}

/// From now on prints what the nodes log, down to what is for developers, and of failed runs the whole journal: to find out why.
pub fn print_logs() {
    IS_LOUD.store(true, Ordering::Relaxed);
}

thread_local! {
    static HEARD: RefCell<Option<Heard>> = const { RefCell::new(None) };
}

/// What was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub panics: Vec<String>,
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
}

/// Listens on this thread until dropped.
pub struct Witness {
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Witness {
    pub fn new() -> Witness {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                with_heard(|heard| heard.panics.push(panic.to_string()));
                usual(panic);
            }));
        });
        HEARD.with(|heard| *heard.borrow_mut() = Some(Heard::default()));
        Witness { _subscriber: tracing::subscriber::set_default(Listener) }
    }

    pub fn heard(&self) -> Heard {
        HEARD.with(|heard| heard.borrow().clone().unwrap_or_default())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        HEARD.with(|heard| *heard.borrow_mut() = None);
    }
}

/// Nothing is heard on a thread without a witness, nor while one is listening already.
fn with_heard(note: impl FnOnce(&mut Heard)) {
    HEARD.with(|heard| {
        if let Ok(mut heard) = heard.try_borrow_mut()
            && let Some(heard) = heard.as_mut()
        {
            note(heard);
        }
    });
}

/// Takes events, ignores spans.
struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= if is_loud() { Level::DEBUG } else { Level::WARN }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(format!("{}:", event.metadata().target()));
        event.record(&mut text);
        with_heard(|heard| match *event.metadata().level() {
            Level::ERROR => heard.errors.push(text.0),
            Level::WARN => heard.warnings.push(text.0),
            level => eprintln!("{level} {}", text.0),
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_and_errors_are_heard_and_nothing_after_the_end() {
        let witness = Witness::new();
        tracing::error!(code = 7, "it broke");
        tracing::info!("it works");
        let caught = std::panic::catch_unwind(|| panic!("on purpose"));
        assert!(caught.is_err());
        let heard = witness.heard();
        assert!(heard.errors.len() == 1 && heard.errors[0].contains("it broke code=7"), "{heard:?}");
        assert!(heard.panics.len() == 1 && heard.panics[0].contains("on purpose"), "{heard:?}");
        drop(witness);
        tracing::error!("unheard");
        assert_eq!(Witness::new().heard(), Heard::default());
    }
}
