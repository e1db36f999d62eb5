//! What the tests of a node have in common.

#![allow(dead_code)]

use node::Node;
use pgserver::{Backend, CancelKey, Peer, ResultSink, Session, StartupParameters};
use sql::SqlBackend;

/// A session of the superuser, without a connection.
pub async fn connect(node: &Node) -> Box<dyn Session> {
    let startup = StartupParameters {
        user: "postgres".into(),
        database: "postgres".into(),
        settings: Vec::new(),
        peer: Peer::Local,
        encrypted: false,
        cancel_key: CancelKey::new(1, b"secret"),
    };
    SqlBackend(node.sql.clone()).connect(startup).await.expect("it lets us in")
}

/// Runs statements as a simple query. The rows of all of them as text, or the error's code and message.
pub async fn query(session: &mut Box<dyn Session>, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
    let mut sink = ResultSink::in_memory();
    match session.simple_query(sql, &mut sink).await {
        Ok(()) => Ok(data_rows(sink.output())),
        Err(error) => Err(format!("{}: {}", error.code(), error.message())),
    }
}

/// The values of the DataRow messages in some output.
fn data_rows(mut output: &[u8]) -> Vec<Vec<Option<String>>> {
    let number = |bytes: &[u8]| i32::from_be_bytes(bytes[..4].try_into().expect("four bytes"));
    let mut rows = Vec::new();
    while let [kind, rest @ ..] = output {
        let length = number(rest) as usize;
        let mut body = &rest[4..length];
        output = &rest[length..];
        if *kind != b'D' {
            continue;
        }
        let count = u16::from_be_bytes([body[0], body[1]]);
        body = &body[2..];
        let values = (0..count).map(|_| {
            let length = usize::try_from(number(body)).ok();
            let (value, rest) = body[4..].split_at(length.unwrap_or(0));
            body = rest;
            length.map(|_| String::from_utf8_lossy(value).into_owned())
        });
        rows.push(values.collect());
    }
    rows
}
