//! What the tests of a node have in common.

use node::Node;
use pgserver::{Backend, CancelKey, Peer, Session, StartupParameters};
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
