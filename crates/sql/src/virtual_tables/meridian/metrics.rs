//! What every node measures of itself, as its `/metrics` page tells it.

use executor::ExecResult;
use futures::future::BoxFuture;
use kvapi::{NodeId, ReportRow};
use types::Datum;

use super::node_id;
use crate::cluster::{everywhere, topics};
use crate::session::Services;
use crate::virtual_tables::Definition;
use crate::virtual_tables::shape::*;

view! {
    Metrics: 15911 meridian.metrics {
        node_id: INT4, name: TEXT, labels: TEXT, value: FLOAT8, description: TEXT,
    }
}

pub static TABLES: &[Definition] = &[Metrics::definition(Rows::Waiting(metrics))];

fn metrics(services: &Services) -> BoxFuture<'_, ExecResult<Vec<Values>>> {
    Box::pin(async move {
        let row = |(node, row): &(NodeId, ReportRow)| Metrics {
            node_id: node_id(*node),
            name: optional_text(row.text(0)),
            labels: optional_text(row.text(1)),
            value: row.text(2).and_then(|value| value.parse().ok()).map_or(Datum::Null, Datum::Float8),
            description: optional_text(row.text(3)),
        };
        Ok(values(everywhere(services, topics::METRICS).await.iter().map(row)))
    })
}
