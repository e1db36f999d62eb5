//! Sessions and transactions of all nodes.

use executor::ExecResult;
use futures::future::BoxFuture;
use kvapi::{NodeId, ReportRow};
use types::Datum;

use super::{int4, node_id, time, transaction};
use crate::cluster::{everywhere, topics};
use crate::session::Services;
use crate::virtual_tables::Definition;
use crate::virtual_tables::shape::*;

view! {
    Sessions: 15902 meridian.sessions {
        process_id: INT4, user_name: NAME, database_name: NAME, application_name: TEXT, client: TEXT,
        started_at: TIMESTAMPTZ, state: TEXT, query: TEXT, node_id: INT4, query_started_at: TIMESTAMPTZ,
        state_changed_at: TIMESTAMPTZ, transaction_id: TEXT, transaction_started_at: TIMESTAMPTZ,
    }
}

view! {
    Transactions: 15907 meridian.transactions {
        transaction_id: TEXT, node_id: INT4, process_id: INT4, user_name: NAME, database_name: NAME,
        started_at: TIMESTAMPTZ, isolation: TEXT, read_only: BOOL, state: TEXT, query: TEXT,
    }
}

pub static TABLES: &[Definition] =
    &[Sessions::definition(Rows::Waiting(sessions)), Transactions::definition(Rows::Waiting(transactions))];

/// Whether the user may see what a session does.
fn sees(services: &Services, row: &ReportRow) -> bool {
    services.sees_sessions_of(row.text(1).unwrap_or_default())
}

fn sessions(services: &Services) -> BoxFuture<'_, ExecResult<Vec<Values>>> {
    Box::pin(async move {
        let row = |(node, row): &(NodeId, ReportRow)| {
            let common = Sessions {
                node_id: node_id(*node),
                process_id: int4(row.integer(0)),
                user_name: optional_text(row.text(1)),
                database_name: optional_text(row.text(2)),
                application_name: optional_text(row.text(3)),
                ..Sessions::default()
            };
            if !sees(services, row) {
                return Sessions { query: text("<insufficient privilege>"), ..common };
            }
            Sessions {
                client: optional_text(row.text(4)),
                started_at: time(row.integer(5)),
                state: optional_text(row.text(6)),
                query: optional_text(row.text(7)),
                query_started_at: time(row.integer(8)),
                state_changed_at: time(row.integer(9)),
                transaction_id: transaction(row.bytes(10)),
                transaction_started_at: time(row.integer(11)),
                ..common
            }
        };
        Ok(values(everywhere(services, topics::SESSIONS).await.iter().map(row)))
    })
}

fn transactions(services: &Services) -> BoxFuture<'_, ExecResult<Vec<Values>>> {
    Box::pin(async move {
        let row = |(node, row): &(NodeId, ReportRow)| {
            let visible = sees(services, row);
            Some(Transactions {
                transaction_id: transaction(Some(row.bytes(10)?)),
                node_id: node_id(*node),
                process_id: int4(row.integer(0)),
                user_name: optional_text(row.text(1)),
                database_name: optional_text(row.text(2)),
                started_at: if visible { time(row.integer(11)) } else { Datum::Null },
                isolation: optional_text(row.text(12).filter(|_| visible)),
                read_only: row.integer(13).filter(|_| visible).map_or(Datum::Null, |flag| boolean(flag != 0)),
                state: optional_text(row.text(6).filter(|_| visible)),
                query: match visible {
                    true => optional_text(row.text(7)),
                    false => text("<insufficient privilege>"),
                },
            })
        };
        Ok(values(everywhere(services, topics::SESSIONS).await.iter().filter_map(row)))
    })
}
