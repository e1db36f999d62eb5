//! What a session allocates for each message is its future, whole: it must stay small, or every statement moves tens of kilobytes.

mod common;

use env::RealEnv;
use node::{Node, NodeConfig, World};
use pgserver::ResultSink;
use storage::{MemoryDisk, MemoryOptions};

/// In bytes. A future that grows beyond holds what only rare statements need: box that.
const FUTURE_BYTES_MAX: usize = 8 << 10;

#[tokio::test]
async fn the_future_of_a_message_stays_small() {
    let env = RealEnv::new();
    let engine = MemoryDisk::new().open(MemoryOptions::default()).expect("a new disk");
    let node = Node::start(&NodeConfig::default(), World::alone(env, engine)).await.expect("it starts");
    let mut session = common::connect(&node).await;
    let mut sink = ResultSink::in_memory();
    session.parse("", "SELECT 1", &[]).await.expect("it parses");
    let execute = size_of_val(&*session.execute("", None, &mut sink));
    let simple = size_of_val(&*session.simple_query("SELECT 1", &mut sink));
    let sync = size_of_val(&*session.sync(&mut sink));
    let sizes = [("execute", execute), ("simple query", simple), ("sync", sync)];
    for (what, size) in sizes {
        assert!(size <= FUTURE_BYTES_MAX, "the future of {what} has {size} bytes: {sizes:?}");
    }
}
