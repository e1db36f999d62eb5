//! The network between nodes: gRPC over HTTP/2, with mutual TLS where there are certificates.
//!
//! This is the only crate that knows tonic and hyper's HTTP/2, and generated types do not leave it. To the rest it is three seams of others
//! and one object: `replication::RaftTransport`, `kvapi::NodeDialer`, `kvapi::Membership`, and [`Network`].
//!
//! ```text
//!      kvclient          replication                     kvserver, people
//!         │ batches          │ messages, snapshots           │ who is there?
//!   ┌─────▼──────────────────▼──────────────────────────────▼───────────────┐
//!   │ Dialer           Transport ─▶ queue per peer     Roster ◀─ gossip      │
//!   │    └───────▶ Peer: link (pings, breaker), connections ◀────┘           │
//!   │                  Connection: TCP, TLS, HTTP/2, handshake               │
//!   ├───────────────────────────────────────────────────────────────────────┤
//!   │ server: accept, TLS, greet ─▶ NodeService ─▶ the store, the Raft groups│
//!   │                              OperatorService ─▶ Steward (the node)     │
//!   └───────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! | module | what |
//! | --- | --- |
//! | `identity` | who a node is, and who is refused why |
//! | `tls` | certificates, and errors about them for people |
//! | `authority` | makes certificates |
//! | `connection`, `io` | one connection that we have opened |
//! | `peer` | one other node: connections, pings, circuit breaker |
//! | `offset` | how far clocks are apart, and when a node must stop for it |
//! | `batches` | batches to other nodes; what an error says about what was done |
//! | `raft_stream`, `snapshot` | Raft messages and states of ranges |
//! | `roster`, `gossip` | what is known of all nodes, and how it spreads |
//! | `server`, `service` | connections of others |
//! | `operate` | what command lines ask |
//! | `network` | all of it together |
//! | `limits` | the bounds |
//!
//! # Rules
//!
//! - A connection is used only after a handshake: another cluster, too old, too new, decommissioned, a copied folder are refused
//!   with the reason. With certificates, a caller without a valid one does not even get that.
//! - Nothing blocks a Raft group: messages are queued or lost.
//! - An error of a batch says whether it may have been done.
//! - Everything that a peer can make grow has a bound in `limits`.
//! - Tasks, time and randomness come from `Env`; sockets are tokio's. In simulation this crate does not take part: the seams are
//!   implemented by a simulated network there.

mod authority;
mod batches;
mod connection;
mod gossip;
mod identity;
mod io;
mod limits;
mod metrics;
mod network;
mod offset;
mod operate;
mod peer;
mod raft_stream;
mod report;
mod roster;
mod server;
mod service;
mod snapshot;
mod tls;

/// The services of the top-level `proto/`.
mod generated {
    // Generated: neither its layout nor its documentation is ours.
    #![allow(clippy::all, rustdoc::all)]
    include!(concat!(env!("OUT_DIR"), "/meridian.v1.rs"));
}

pub use authority::{
    AUTHORITY_VALIDITY, AuthorityError, CERTIFICATE_VALIDITY, Validity, create_authority, create_client,
    create_node,
};
pub use connection::ConnectError;
pub use identity::{ClusterId, Identity, PROTOCOL_VERSIONS, Refusal, RefusalReason};
pub use limits::SNAPSHOT_BYTES_PER_SECOND;
pub use network::{Addresses, Admitted, Network, NetworkConfig, Services, Steward};
pub use offset::ClockOffset;
pub use operate::{CheckedRange, NodeStatus, OperatorClient};
pub use tls::{Credentials, CredentialsError, NODE_NAME, OPERATOR_NAME};
