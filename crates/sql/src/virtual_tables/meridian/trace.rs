//! What the session's own statements have spent their time on, while `trace` was on.

use env::trace::TraceId;

use types::Datum;

use super::interval;
use crate::session::{Services, trace};
use crate::virtual_tables::Definition;
use crate::virtual_tables::shape::*;

view! {
    SessionTrace: 15913 meridian.session_trace {
        statement: INT4, trace_id: TEXT, step: INT4, depth: INT4, node_id: INT4, started_after: INTERVAL,
        duration: INTERVAL, operation: TEXT,
    }
}

pub static TABLES: &[Definition] =
    &[SessionTrace::definition(Rows::Session(|services| values(session_trace(services))))];

fn session_trace(services: &Services) -> Vec<SessionTrace> {
    let log = services.traces.lock();
    let microseconds =
        |duration: std::time::Duration| interval(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX));
    let of_statement = |traced: &trace::Traced| {
        let steps = (1..).zip(trace::in_order(&traced.trace));
        let rows: Vec<SessionTrace> = steps
            .map(|(step, (depth, record))| SessionTrace {
                statement: Datum::Int4(traced.statement),
                trace_id: text(TraceId(traced.trace.id).to_string()),
                step: Datum::Int4(step),
                depth: Datum::Int4(depth as i32),
                node_id: Datum::Int4(record.node as i32),
                started_after: microseconds(record.began),
                duration: microseconds(record.took),
                operation: text(format!("{:indent$}{}", "", record.what, indent = 2 * depth)),
            })
            .collect();
        rows
    };
    log.statements.iter().flat_map(of_statement).collect()
}
