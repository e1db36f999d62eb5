//! Two and three nodes over loopback, with certificates: news, batches, Raft, snapshots, and what happens when one is lost.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use env::BoxFuture;
use keys::{NodeId, RangeId, ReplicaId, Span, StoreId};
use kvapi::{
    BatchRequest, BatchResponse, Capacity, Header, KvError, RangeDescriptor, Sender, Standing, WriteBlock,
    WriteRequest,
};
use support::{
    Echo, RANGE, Relay, Settings, TestNode, certificates, counter, create_range, credentials, environment,
    get, journal, until,
};

async fn three(env: &Arc<dyn env::Env>) -> (tempfile::TempDir, Vec<TestNode>) {
    let folder = certificates(env);
    let mut nodes = Vec::new();
    for id in 1..=3 {
        let settings = Settings::new(credentials(folder.path(), env));
        nodes.push(TestNode::start(env, id, settings, Arc::new(Echo(NodeId(id)))).await);
    }
    // Everybody knows the first alone.
    nodes[1].learn(&nodes[0]).await;
    nodes[2].learn(&nodes[0]).await;
    (folder, nodes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_hears_of_everybody_and_of_every_change() {
    let env = environment();
    let (_folder, nodes) = three(&env).await;
    for node in &nodes {
        let membership = node.network.membership();
        until(&env, "all three are known", || membership.nodes().len() == 3).await;
        assert_eq!(membership.node_of(StoreId(2)), Some(NodeId(2)));
    }
    nodes[1].network.membership().publish_capacity(Capacity { ranges: 5, ..Capacity::default() });
    nodes[1].network.publish_draining(true);
    let descriptor = RangeDescriptor {
        id: RangeId::FIRST,
        span: Span::new("", "b"),
        generation: 3,
        replicas: Vec::new(),
        next_replica: ReplicaId(4),
    };
    nodes[1].network.membership().publish_first_range(&descriptor);
    let seen = nodes[2].network.membership();
    until(&env, "the change is known", || {
        let second = seen.node(NodeId(2)).expect("it is known");
        second.draining && second.capacity.ranges == 5 && seen.first_range().as_ref() == Some(&descriptor)
    })
    .await;
    // Its silence grows once it is gone, and not before.
    env.sleep(Duration::from_millis(1500)).await;
    assert!(seen.node(NodeId(2)).expect("it is known").silence < Duration::from_millis(1500));
    nodes[1].network.stop();
    until(&env, "it is silent", || seen.node(NodeId(2)).expect("known").silence > Duration::from_secs(2))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_find_their_way_and_fail_fast_when_there_is_none() {
    let env = environment();
    let (_folder, mut nodes) = three(&env).await;
    let dialer = nodes[1].network.dialer();
    let membership = nodes[1].network.membership();
    until(&env, "all three are known", || membership.nodes().len() == 3).await;
    for id in [1, 3] {
        let sender = dialer.dial(NodeId(id)).expect("there is a way");
        let answer = sender.send(&get("k")).await.expect("an answer");
        assert_eq!(answer.node, NodeId(id));
    }
    assert!(dialer.dial(NodeId(8)).is_err_and(|error| error.reason.contains("nothing is known")));
    let sender = dialer.dial(NodeId(3)).expect("there is a way");
    let lost = nodes.pop().expect("the third");
    let address = lost.address.clone();
    drop(lost);
    until(&env, "the loss is noticed", || dialer.dial(NodeId(3)).is_err()).await;
    let begun = env.monotonic();
    let error = sender.send(&get("k")).await.expect_err("nobody is there");
    assert!(matches!(error, KvError::Unavailable { .. }), "{error}");
    assert!(env.monotonic() - begun < Duration::from_millis(100), "it fails at once");
    // A new process at the same address is found again.
    let listener = tokio::net::TcpListener::bind(&address).await.expect("the port is free");
    let settings = Settings { incarnation: 2, ..Settings::new(credentials(_folder.path(), &env)) };
    let again = TestNode::start_on(&env, listener, 3, settings, Arc::new(Echo(NodeId(3))));
    again.learn(&nodes[0]).await;
    until(&env, "it is reachable again", || dialer.dial(NodeId(3)).is_ok()).await;
    assert!(sender.send(&get("k")).await.is_ok());
}

/// Never answers; counts what has begun and what was given up.
#[derive(Default)]
struct Stuck {
    begun: AtomicUsize,
    given_up: Arc<AtomicUsize>,
}

struct GivenUp(Arc<AtomicUsize>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Sender for Stuck {
    fn send<'a>(&'a self, _: &'a BatchRequest) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let guard = GivenUp(Arc::clone(&self.given_up));
        Box::pin(async move {
            let _guard = guard;
            std::future::pending().await
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_ambiguous_only_where_it_matters_and_a_dropped_batch_is_given_up() {
    let env = environment();
    let folder = certificates(&env);
    let settings = || Settings::new(credentials(folder.path(), &env));
    let stuck = Arc::new(Stuck::default());
    let first = TestNode::start(&env, 1, settings(), Arc::new(Echo(NodeId(1)))).await;
    let second = TestNode::start(&env, 2, settings(), stuck.clone()).await;
    first.learn(&second).await;
    let dialer = first.network.dialer();
    let sender = dialer.dial(NodeId(2)).expect("there is a way");
    let begun = |count| {
        let stuck = stuck.clone();
        move || stuck.begun.load(Ordering::SeqCst) == count
    };
    let (read, given) = (get("k"), stuck.given_up.clone());
    let mut dropped = sender.send(&read);
    assert!(env::timeout(&*env, Duration::from_millis(300), &mut dropped).await.is_err());
    until(&env, "it has begun", begun(1)).await;
    drop(dropped);
    until(&env, "it is given up", || given.load(Ordering::SeqCst) == 1).await;

    let write = BatchRequest::new(Header::default(), WriteRequest { writes: WriteBlock::new() });
    let calls = async { tokio::join!(sender.send(&read), sender.send(&write)) };
    let killer = async {
        until(&env, "both have begun", begun(3)).await;
        second.network.stop();
    };
    let ((read, write), ()) = tokio::join!(calls, killer);
    assert!(matches!(read, Err(KvError::Unavailable { .. })), "{read:?}");
    assert!(matches!(write, Err(KvError::Ambiguous { .. })), "{write:?}");
    assert_eq!(given.load(Ordering::SeqCst), 3);
}

/// A halted process, or a network that loses everything: no connection breaks, and nothing comes any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_a_node_that_falls_silent_end_when_that_is_noticed() {
    let env = environment();
    let folder = certificates(&env);
    let settings = || Settings::new(credentials(folder.path(), &env));
    let stuck = Arc::new(Stuck::default());
    let first = TestNode::start(&env, 1, settings(), Arc::new(Echo(NodeId(1)))).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let relay = Relay::start(&env, listener.local_addr().expect("it listens").to_string()).await;
    let second = TestNode::start_at(&env, listener, relay.address.clone(), 2, settings(), stuck.clone());
    first.learn(&second).await;
    let sender = first.network.dialer().dial(NodeId(2)).expect("there is a way");
    let read = get("k");
    let freezing = async {
        until(&env, "it has begun", || stuck.begun.load(Ordering::SeqCst) == 1).await;
        relay.freeze();
        env.monotonic()
    };
    let call = env::timeout(&*env, Duration::from_secs(10), sender.send(&read));
    let (answer, frozen) = tokio::join!(call, freezing);
    let error = answer.expect("it ends").expect_err("there is no answer");
    assert!(matches!(error, KvError::Unavailable { .. }), "{error}");
    assert!(env.monotonic() - frozen < Duration::from_secs(5), "it ends with the link");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raft_group_of_three_commits_over_the_network_and_a_newcomer_gets_a_snapshot() {
    let env = environment();
    let (_folder, nodes) = three(&env).await;
    for node in &nodes {
        let membership = node.network.membership();
        until(&env, "all three are known", || membership.nodes().len() == 3).await;
    }
    fill_and_add_third(&env, &nodes, 20).await;
    until(&env, "the third has applied", || journal(&nodes[2]).len() >= 20).await;
    assert_eq!(journal(&nodes[2]), journal(&nodes[0]));
}

/// A group on the first two applies so many commands of 100,000 bytes, which its log no longer has; then it is given a third replica,
/// which begins with nothing.
async fn fill_and_add_third(env: &Arc<dyn env::Env>, nodes: &[TestNode], commands: usize) {
    create_range(&nodes[0], 1, &[1, 2]);
    create_range(&nodes[1], 2, &[1, 2]);
    let leader = nodes[0].raft.range(RANGE).expect("it was made");
    leader.campaign();
    until(env, "there is a leader", || leader.leading().is_some()).await;
    for number in 0..commands {
        let command = Bytes::from(vec![number as u8; 100_000]);
        let applied = leader.propose(command).await.expect("two of two have it");
        assert_eq!(applied.answer, Bytes::from_static(b"done"));
    }
    until(env, "the second has applied", || journal(&nodes[1]).len() == commands).await;
    let change = raft::ConfChange {
        changes: vec![raft::Change::AddVoter(raft::ReplicaId(3))],
        transition: raft::Transition::Auto,
        context: Bytes::new(),
    };
    leader.propose_conf_change(&change).await.expect("two of two have it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_cut_off_goes_on_where_it_was() {
    const MIB: u64 = 1 << 20;
    let env = environment();
    let folder = certificates(&env);
    let settings = || Settings::new(credentials(folder.path(), &env));
    let mut nodes = Vec::new();
    for id in 1..=2 {
        nodes.push(TestNode::start(&env, id, settings(), Arc::new(Echo(NodeId(id)))).await);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let relay = Relay::start(&env, listener.local_addr().expect("it listens").to_string()).await;
    let address = relay.address.clone();
    nodes.push(TestNode::start_at(&env, listener, address, 3, settings(), Arc::new(Echo(NodeId(3)))));
    nodes[1].learn(&nodes[0]).await;
    nodes[2].learn(&nodes[0]).await;
    for node in &nodes {
        let membership = node.network.membership();
        until(&env, "all three are known", || membership.nodes().len() == 3).await;
    }
    // Eight MiB, in four seconds.
    nodes[0].network.set_snapshot_rate(2 * MIB);
    let commands = (8 * MIB / 100_000) as usize;
    fill_and_add_third(&env, &nodes, commands).await;
    let sent = || counter(&nodes[0], "rpc_snapshot_bytes_sent");
    for cut in 1..=2 {
        until(&env, "a part was sent", || sent() >= cut * 3 * MIB).await;
        relay.cut();
        until(&env, "it goes on", || counter(&nodes[0], "rpc_snapshots_resumed") == cut).await;
    }
    until(&env, "the third has applied", || journal(&nodes[2]).len() >= commands).await;
    assert_eq!(journal(&nodes[2]), journal(&nodes[0]));
    // What was on its way when it was cut came again, and no more.
    assert!(sent() < 12 * MIB, "{} bytes were sent", sent());
    // It is counted when the receiver has answered, which may be after it has applied.
    until(&env, "it is counted once", || counter(&nodes[0], "rpc_snapshots_sent") == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decommissioned_node_stops_and_is_refused() {
    let env = environment();
    let (folder, nodes) = three(&env).await;
    let membership = nodes[0].network.membership();
    until(&env, "all three are known", || membership.nodes().len() == 3).await;
    nodes[0].network.publish_standing(NodeId(3), 1, Standing::Decommissioning);
    let seen = nodes[2].network.membership();
    until(&env, "it knows", || seen.node(NodeId(3)).expect("itself").standing == Standing::Decommissioning)
        .await;
    let fatal = nodes[2].network.fatal();
    // The others hear of it first and break off; it hears it from them when it comes back.
    nodes[2].network.publish_standing(NodeId(3), 2, Standing::Decommissioned);
    until(&env, "the others have broken off", || nodes[0].network.unreachable(NodeId(3)).is_none()).await;
    drop(fatal);
    nodes[0].network.publish_standing(NodeId(3), 2, Standing::Decommissioned);
    nodes[2].network.stop();
    let settings = Settings { incarnation: 2, ..Settings::new(credentials(folder.path(), &env)) };
    let again = TestNode::start(&env, 3, settings, Arc::new(Echo(NodeId(3)))).await;
    let fatal = again.network.fatal();
    again.learn(&nodes[0]).await;
    until(&env, "it is told", || {
        again.network.unreachable(NodeId(1)).is_some_and(|reason| reason.contains("was decommissioned"))
    })
    .await;
    let reason = env::timeout(&*env, Duration::from_secs(10), fatal).await.expect("it does not go on trying");
    assert!(reason.contains("cannot come back"), "{reason}");
}
