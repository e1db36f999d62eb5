//! Asking other nodes what they know of a topic, and telling them something about one.

use clock::Timestamp;
use keys::NodeId;
use kvapi::{Report, ReportRow, ReportValue};
use proto::v1;
use proto::v1::report_value::Value;

use crate::limits;
use crate::network::{Network, Shared};
use crate::peer::Class;

/// Hears another node. The clock passes the teller's first: whoever is told of something begins after it.
pub(crate) fn hear(shared: &Shared, from: NodeId, request: v1::TellRequest) -> v1::TellResponse {
    let heard = || -> Result<(), String> {
        let reporter = shared.reporter.read().clone().ok_or("the node is starting")?;
        let now = request.now.as_ref().try_into().map_err(|_| "the teller's clock cannot be read")?;
        shared.clock.observe(Timestamp::from_bytes(now)).map_err(|error| error.to_string())?;
        reporter.hear(from, &request.topic, request.rows.into_iter().map(row_from_proto).collect())
    };
    v1::TellResponse { refusal: heard().err().unwrap_or_default() }
}

/// Answers another node.
pub(crate) fn answer(shared: &Shared, request: &v1::ReportRequest) -> v1::ReportResponse {
    let refusal = |refusal: String| v1::ReportResponse { refusal, ..v1::ReportResponse::default() };
    let Some(reporter) = shared.reporter.read().clone() else {
        return refusal("the node is starting".to_string());
    };
    let Some(report) = reporter.report(&request.topic) else {
        return refusal(format!("nothing is known here about \"{}\"", request.topic));
    };
    let (wanted, mut bytes_left) = (report.rows.len(), limits::REPORT_BYTES_MAX);
    let rows = report.rows.into_iter().map(row_to_proto).take_while(|row| {
        let size = row_bytes(row);
        let fits = size <= bytes_left;
        bytes_left = bytes_left.saturating_sub(size);
        fits
    });
    let rows: Vec<v1::ReportRow> = rows.collect();
    let is_partial = !report.is_complete || rows.len() < wanted;
    v1::ReportResponse { rows, refusal: String::new(), is_partial }
}

impl Network {
    /// What another node knows of a topic. Ends with the call's connection; whoever wants a bound on time has to set one.
    pub async fn ask_report(&self, node: NodeId, topic: &str) -> Result<Report, String> {
        let peer = self.shared.peer(node).ok_or("nothing is known of it")?;
        // Not the one that pings go over: an answer may be large.
        let connection = peer.connection(Class::Batches).await.map_err(|error| error.to_string())?;
        let request = v1::ReportRequest { topic: topic.to_string() };
        let answer = match connection.node().report(request).await {
            Ok(answer) => answer.into_inner(),
            Err(_) if connection.is_closed() => return Err(connection.reason()),
            Err(status) => return Err(status.message().to_string()),
        };
        match answer.refusal.is_empty() {
            true => Ok(Report {
                rows: answer.rows.into_iter().map(row_from_proto).collect(),
                is_complete: !answer.is_partial,
            }),
            false => Err(answer.refusal),
        }
    }

    /// Tells another node something. After an error it may have heard it all the same. Whoever wants a bound on time has to set one.
    pub async fn tell(&self, node: NodeId, topic: &str, rows: Vec<ReportRow>) -> Result<(), String> {
        let peer = self.shared.peer(node).ok_or("nothing is known of it")?;
        let connection = peer.connection(Class::Batches).await.map_err(|error| error.to_string())?;
        let request = v1::TellRequest {
            topic: topic.to_string(),
            rows: rows.into_iter().map(row_to_proto).collect(),
            now: self.shared.clock.now().to_bytes().to_vec().into(),
        };
        match connection.node().tell(request).await {
            Ok(answer) => match answer.into_inner().refusal {
                heard if heard.is_empty() => Ok(()),
                refusal => Err(refusal),
            },
            Err(_) if connection.is_closed() => Err(connection.reason()),
            Err(status) => Err(status.message().to_string()),
        }
    }
}

fn row_to_proto(row: ReportRow) -> v1::ReportRow {
    let value = |value: ReportValue| v1::ReportValue {
        value: match value {
            ReportValue::Nothing => None,
            ReportValue::Integer(value) => Some(Value::Integer(value)),
            ReportValue::Text(value) => Some(Value::Text(value)),
            ReportValue::Bytes(value) => Some(Value::Bytes(value.into())),
        },
    };
    v1::ReportRow { values: row.0.into_iter().map(value).collect() }
}

fn row_from_proto(row: v1::ReportRow) -> ReportRow {
    let value = |value: v1::ReportValue| match value.value {
        None => ReportValue::Nothing,
        Some(Value::Integer(value)) => ReportValue::Integer(value),
        Some(Value::Text(value)) => ReportValue::Text(value),
        Some(Value::Bytes(value)) => ReportValue::Bytes(value.to_vec()),
    };
    ReportRow(row.values.into_iter().map(value).collect())
}

/// About as many bytes as a row takes in a message.
fn row_bytes(row: &v1::ReportRow) -> usize {
    let value = |value: &v1::ReportValue| match &value.value {
        None => 2,
        Some(Value::Integer(_)) => 13,
        Some(Value::Text(text)) => 8 + text.len(),
        Some(Value::Bytes(bytes)) => 8 + bytes.len(),
    };
    8 + row.values.iter().map(value).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvapi::report_row;

    #[test]
    fn rows_arrive_as_they_were_sent() {
        let row = report_row![7_i64, "text", &b"bytes"[..], None::<i64>, i64::MIN];
        assert_eq!(row_from_proto(row_to_proto(row.clone())), row);
        assert_eq!((row.integer(0), row.text(1), row.bytes(2)), (Some(7), Some("text"), Some(&b"bytes"[..])));
        assert_eq!((row.integer(3), row.integer(9)), (None, None));
    }
}
