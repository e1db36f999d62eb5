//! The bounds of everything that a peer can make this node hold, and the times it waits.

use std::time::Duration;

/// The largest message of any kind, in bytes: a commit or an answer of rows is cut long before that.
pub const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// The largest message of those that carry no data, in bytes.
pub const SMALL_MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Connections from others at one time.
pub const CONNECTIONS_MAX: usize = 4096;

/// Calls at one time on one connection. Requests that wait for a lock are among them.
pub const CALLS_PER_CONNECTION_MAX: u32 = 16 << 10;

/// Calls that a peer may have given up before they were begun with: a statement that is cancelled gives up several.
pub const GIVEN_UP_CALLS_MAX: usize = 4096;

/// How much of one call (of one connection) may be under way unread, in bytes.
pub const CALL_WINDOW_BYTES: u32 = 4 << 20;
pub const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Header bytes of a call.
pub const HEADER_BYTES_MAX: u32 = 16 << 10;

/// Raft messages waiting for one peer: what exceeds either is lost, as on any network.
pub const RAFT_QUEUE_BYTES_MAX: usize = 64 << 20;
pub const RAFT_QUEUE_COUNT_MAX: usize = 32 << 10;

/// What is put into one message of the Raft stream, if more is waiting.
pub const RAFT_BATCH_BYTES: usize = 1 << 20;
pub const RAFT_BATCH_COUNT: usize = 1024;

/// A snapshot is sent in pieces of this size, in bytes.
pub const SNAPSHOT_CHUNK_BYTES: usize = 512 << 10;

/// Snapshots taken in at one time, and the largest, in bytes: together they bound the memory that they take.
pub const SNAPSHOTS_INCOMING_MAX: usize = 2;
pub const SNAPSHOT_BYTES_MAX: usize = 1 << 30;

/// How long after it was cut off a snapshot may be resumed, by its sender; and how long, and how many bytes together, a receiver keeps
/// of those that were cut off.
pub const SNAPSHOT_RESUME_TIME_MAX: Duration = Duration::from_secs(10);
pub const SNAPSHOT_KEPT_TIME_MAX: Duration = Duration::from_secs(30);
pub const SNAPSHOT_KEPT_BYTES_MAX: usize = 256 << 20;

/// Of a report as many rows are sent as have this many bytes together.
pub const REPORT_BYTES_MAX: usize = 4 << 20;

/// All snapshots that a node sends share this rate, in bytes per second.
pub const SNAPSHOT_BYTES_PER_SECOND: u64 = 64 << 20;

/// How long a connection may take to come about, handshakes included.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// How long a caller may take until it is known who it is.
pub const GREETING_TIME_MAX: Duration = Duration::from_secs(5);

/// How often a peer is asked whether it is alive, and how long it may take to answer.
pub const PING_INTERVAL: Duration = Duration::from_millis(500);
pub const PING_TIME_MAX: Duration = Duration::from_millis(2000);

/// Between attempts to reach a peer.
pub const RECONNECT_WAIT_INITIAL: Duration = Duration::from_millis(50);
pub const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(1);

/// How often news are exchanged with another node, how soon it is tried again if nobody answers, and how long it may take.
pub const GOSSIP_INTERVAL: Duration = Duration::from_millis(500);
pub const GOSSIP_RETRY_INTERVAL: Duration = Duration::from_millis(50);
pub const GOSSIP_TIME_MAX: Duration = Duration::from_secs(3);

/// Nodes that are remembered; news of more are not taken.
pub const NODES_MAX: usize = 10_000;

/// Length of an address or a version in news, in bytes.
pub const TEXT_BYTES_MAX: usize = 512;

const _: () = assert!(RAFT_QUEUE_BYTES_MAX <= MESSAGE_BYTES_MAX, "what is queued can be sent");
const _: () = assert!(SNAPSHOT_CHUNK_BYTES < SMALL_MESSAGE_BYTES_MAX);

/// A program that is refused as too new for the cluster's version for so long, and was welcomed by nobody, is.
pub const TOO_NEW_FOR: Duration = Duration::from_secs(5);
