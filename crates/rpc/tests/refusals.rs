//! Who is not let in, and what is said then.

mod support;

use std::sync::Arc;
use std::time::Duration;

use keys::NodeId;
use rpc::{ClusterId, ConnectError, Credentials, OperatorClient, RefusalReason, Validity};
use support::{Echo, Settings, TestNode, certificates, credentials, environment, network, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn echo() -> Arc<Echo> {
    Arc::new(Echo(NodeId(1)))
}

/// Why the second node cannot reach the first, once it has tried.
async fn reason(env: &Arc<dyn env::Env>, first: &TestNode, second: &TestNode) -> String {
    second.learn(first).await;
    until(env, "it was refused", || second.network.unreachable(NodeId(1)).is_some()).await;
    second.network.unreachable(NodeId(1)).expect("a moment ago")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_other_clusters_versions_and_folders_are_refused_with_the_reason() {
    let env = environment();
    let settings = |change: fn(&mut Settings)| {
        let mut settings = Settings::new(None);
        change(&mut settings);
        settings
    };
    let first = TestNode::start(&env, 1, settings(|s| s.versions = 2..=3), echo()).await;
    let cases: [(fn(&mut Settings), &str); 4] = [
        (|s| (s.versions, s.cluster) = (1..=2, ClusterId(8)), "belongs to cluster"),
        (|s| s.versions = 1..=1, "too old"),
        (|s| s.versions = 4..=9, "too new"),
        (|s| s.versions = 3..=4, ""),
    ];
    for (id, (change, expected)) in (2..).zip(cases) {
        let second = TestNode::start(&env, id, settings(change), echo()).await;
        if expected.is_empty() {
            second.learn(&first).await;
            let membership = first.network.membership();
            until(&env, "it is a member", || membership.node(NodeId(id)).is_some()).await;
        } else {
            let reason = reason(&env, &first, &second).await;
            assert!(reason.contains(expected), "{expected}: {reason}");
        }
    }
    // The last one comes back with a folder from before its second start.
    let again = |incarnation| Settings { incarnation, ..settings(|s| s.versions = 3..=4) };
    let newer = TestNode::start(&env, 5, again(4), echo()).await;
    newer.learn(&first).await;
    let membership = first.network.membership();
    until(&env, "the restart is known", || {
        membership.node(NodeId(5)).is_some_and(|known| known.incarnation == 4)
    })
    .await;
    drop(newer);
    let older = TestNode::start(&env, 5, again(3), echo()).await;
    let reason = reason(&env, &first, &older).await;
    assert!(reason.contains("its data folder knows of 3 starts"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_with_one_identity_do_not_both_go_on() {
    let env = environment();
    let first = TestNode::start(&env, 1, Settings::new(None), echo()).await;
    let copied = |incarnation| Settings { incarnation, ..Settings::new(None) };
    let original = TestNode::start(&env, 2, copied(3), echo()).await;
    original.learn(&first).await;
    let membership = first.network.membership();
    until(&env, "it is known", || membership.node(NodeId(2)).is_some()).await;
    let fatal = original.network.fatal();
    let copy = TestNode::start(&env, 2, copied(4), echo()).await;
    copy.learn(&first).await;
    let reason = env::timeout(&*env, Duration::from_secs(10), fatal).await.expect("it is told to stop");
    assert!(reason.contains("another process runs as node 2"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_older_than_what_was_heard_is_refused_whatever_its_number_of_starts() {
    let env = environment();
    let first = TestNode::start(&env, 1, Settings::new(None), echo()).await;
    let process = |incarnation, bound_found| {
        TestNode::start(&env, 2, Settings { incarnation, bound_found, ..Settings::new(None) }, echo())
    };
    let backup = env.wall();
    let original = process(5, Some(backup.saturating_sub(Duration::from_secs(60)))).await;
    original.network.tell_clock();
    original.learn(&first).await;
    let membership = first.network.membership();
    let is_known =
        |incarnation| membership.node(NodeId(2)).is_some_and(|known| known.incarnation == incarnation);
    until(&env, "it is known", || is_known(5)).await;
    // It goes on for a while after the backup, and is heard.
    env.sleep(Duration::from_secs(2)).await;
    drop(original);

    // The backup is started, and counts one start more than was seen.
    let restored = process(6, Some(backup)).await;
    let fatal = restored.network.fatal();
    let told = reason(&env, &first, &restored).await;
    assert!(told.contains("is older than what the cluster has heard from the node"), "{told}");
    let fatal = env::timeout(&*env, Duration::from_secs(10), fatal).await.expect("it must stop");
    assert_eq!(fatal, told);
    // Whoever is called is judged as well, and a node that was restarted knows what it knew.
    let witness = TestNode::start(&env, 3, Settings::new(None), echo()).await;
    witness.learn(&first).await;
    first.network.stop();
    witness.network.take_news(&restored.network.to_remember());
    let seen = witness.network.membership();
    assert_eq!(seen.node(NodeId(2)).map(|known| known.incarnation), Some(5), "news of it are not taken");
    drop(restored);

    // The original is started again, with what it had at its end.
    let again = process(6, Some(env.wall())).await;
    again.learn(&witness).await;
    until(&env, "it is back", || seen.node(NodeId(2)).is_some_and(|known| known.incarnation == 6)).await;
    // As many starts, and another process: a copy that was started in turn.
    drop(again);
    let copy = process(6, Some(env.wall())).await;
    let fatal = copy.network.fatal();
    copy.learn(&witness).await;
    let fatal = env::timeout(&*env, Duration::from_secs(10), fatal).await.expect("it must stop");
    assert!(
        fatal.contains("start 6 of node 2 was another process") || fatal.contains("there is a copy"),
        "{fatal}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_wrong_clock_stops_itself() {
    let env = environment();
    let first = TestNode::start(&env, 1, Settings::new(None), echo()).await;
    let second = TestNode::start(&env, 2, Settings::new(None), echo()).await;
    let wrong = TestNode::start(&env, 3, Settings { clock_seconds: 30, ..Settings::new(None) }, echo()).await;
    let fatal = (wrong.network.fatal(), first.network.fatal());
    // Two that agree first, so that nobody is in doubt whose clock it is.
    first.learn(&second).await;
    let membership = second.network.membership();
    until(&env, "both are known", || membership.nodes().len() == 2).await;
    env.sleep(Duration::from_millis(700)).await;
    wrong.learn(&first).await;
    let reason = env::timeout(&*env, Duration::from_secs(10), fatal.0).await.expect("it is told to stop");
    assert!(reason.contains("ahead of that of another node"), "{reason}");
    assert!(env::timeout(&*env, Duration::from_millis(300), fatal.1).await.is_err(), "the others go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_valid_certificate_no_byte_of_data_is_given() {
    let env = environment();
    let (folder, other) = (certificates(&env), certificates(&env));
    let node = TestNode::start(&env, 1, Settings::new(credentials(folder.path(), &env)), echo()).await;
    let join = |credentials: Option<Credentials>| {
        let settings = Settings::new(credentials);
        let joiner = network(&env, "127.0.0.1:1", &settings);
        let address = node.address.clone();
        async move { joiner.join(&address).await }
    };
    assert!(join(credentials(folder.path(), &env)).await.is_ok(), "this is how it should be");

    // No TLS at all: not a byte comes back but what TLS says itself.
    let error = join(None).await.expect_err("it has no certificate");
    assert!(matches!(error, ConnectError::NotANode(_)), "{error}");
    let mut stream = TcpStream::connect(&node.address).await.expect("it listens");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("it listens");
    let mut answer = Vec::new();
    // An error is as good as the end: what counts is what has come.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.len() <= 7, "an alert has 7 bytes: {answer:?}");

    // Another authority's: we do not believe them, and they would not believe us.
    let error = join(credentials(other.path(), &env)).await.expect_err("it has a stranger's certificate");
    assert!(error.to_string().contains("is not signed by our authority"), "{error}");
    std::fs::copy(folder.path().join("ca.crt"), other.path().join("ca.crt")).expect("a copy");
    let error = join(credentials(other.path(), &env)).await.expect_err("it has a stranger's certificate");
    assert!(error.to_string().contains("our certificate is not signed by its authority"), "{error}");

    // A user's is not a node's.
    let user = Credentials::of_user(folder.path(), "postgres", &env).expect("it was made");
    let error = join(Some(user.clone())).await.expect_err("it has a user's certificate");
    assert!(error.to_string().contains("does not give the right"), "{error}");
    let operator = OperatorClient::connect(&env, &node.address, Some(&user), "test").await.expect("let in");
    assert_eq!(operator.node(), Some(NodeId(1)));
    let refusal = operator.initialise().await.expect_err("it was initialised before");
    assert_eq!(refusal.reason, RefusalReason::Initialised);
    assert_eq!(operator.nodes().await.expect("a list").1.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_certificates_are_named_as_such_on_either_side() {
    let env = environment();
    let folder = certificates(&env);
    let past = Validity {
        from: env.wall().saturating_sub(Duration::from_secs(90)),
        until: env.wall().saturating_add(Duration::from_secs(2)),
    };
    let short = tempfile::tempdir().expect("a folder");
    for file in ["ca.crt", "ca.key"] {
        std::fs::copy(folder.path().join(file), short.path().join(file)).expect("a copy");
    }
    rpc::create_node(short.path(), &["127.0.0.1".into()], past).expect("a node's");
    let expiring = credentials(short.path(), &env);
    let server = TestNode::start(&env, 1, Settings::new(expiring.clone()), echo()).await;
    let sound = TestNode::start(&env, 2, Settings::new(credentials(folder.path(), &env)), echo()).await;
    env.sleep(Duration::from_secs(3)).await;
    let error = Credentials::of_node(short.path(), &env).expect_err("it has expired");
    assert!(error.to_string().contains("has expired (it was valid until"), "{error}");
    let client = network(&env, "127.0.0.1:1", &Settings::new(credentials(folder.path(), &env)));
    let error = client.join(&server.address).await.expect_err("its certificate has expired");
    assert!(error.to_string().contains("has no valid certificate: it has expired"), "{error}");
    let client = network(&env, "127.0.0.1:1", &Settings::new(expiring));
    let error = client.join(&sound.address).await.expect_err("our certificate has expired");
    assert!(error.to_string().contains("our certificate has expired"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_other_hosts_is_not_believed() {
    let env = environment();
    let folder = certificates(&env);
    for file in ["node.crt", "node.key"] {
        std::fs::remove_file(folder.path().join(file)).expect("it was there");
    }
    let validity = Validity::starting(env.wall(), Duration::from_secs(60));
    rpc::create_node(folder.path(), &["db1.example.com".into()], validity).expect("a node's");
    let server = TestNode::start(&env, 1, Settings::new(credentials(folder.path(), &env)), echo()).await;
    let client = network(&env, "127.0.0.1:1", &Settings::new(credentials(folder.path(), &env)));
    let error = client.join(&server.address).await.expect_err("it is another host's");
    assert!(error.to_string().contains("made for other hosts"), "{error}");

    // A newcomer with such a certificate would become a member that nobody can reach.
    let sound = tempfile::tempdir().expect("a folder");
    for file in ["ca.crt", "ca.key"] {
        std::fs::copy(folder.path().join(file), sound.path().join(file)).expect("a copy");
    }
    rpc::create_node(sound.path(), &["127.0.0.1".into()], validity).expect("a node's");
    let member = TestNode::start(&env, 1, Settings::new(credentials(sound.path(), &env)), echo()).await;
    let refusal = match client.join(&member.address).await {
        Err(ConnectError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert!(refusal.detail.contains("127.0.0.1:1") && refusal.detail.contains("made for other hosts"));
    let known = network(&env, "db1.example.com:1", &Settings::new(credentials(folder.path(), &env)));
    assert!(known.join(&member.address).await.is_ok(), "it is reached where its certificate says");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_nobody_answers_is_said() {
    let env = environment();
    let client = network(&env, "127.0.0.1:1", &Settings::new(None));
    let error = client.join("nohost.invalid:5").await.expect_err("there is no such host");
    assert!(error.to_string().contains("the host of nohost.invalid:5 cannot be resolved"), "{error}");
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("it listens");
    let error = client.join(&free.to_string()).await.expect_err("nobody listens");
    assert!(error.to_string().contains(&format!("{free}: Connection refused")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_where_something_else_answers_is_told_from_a_node() {
    let env = environment();
    let folder = certificates(&env);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it listens").to_string();
    let serve = async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("it listens");
            // What it says does not depend on what it is asked.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    };
    drop(env.spawn("something-else", Box::pin(serve)));
    let plain = network(&env, "127.0.0.1:1", &Settings::new(None));
    let error = plain.join(&address).await.expect_err("it is no node");
    assert!(error.to_string().contains("does not answer like a node"), "{error}");
    let secure = network(&env, "127.0.0.1:1", &Settings::new(credentials(folder.path(), &env)));
    let error = secure.join(&address).await.expect_err("it is no node");
    assert!(error.to_string().contains("does not speak TLS"), "{error}");

    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent_address = silent.local_addr().expect("it listens").to_string();
    let error = plain.join(&silent_address).await.expect_err("it says nothing");
    assert!(error.to_string().contains("does not answer within"), "{error}");
    drop(silent);
    let error = plain.join(&silent_address).await.expect_err("nobody listens");
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_not_initialised_says_so_and_serves_nothing() {
    let env = environment();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it listens").to_string();
    let waiting = network(&env, &address, &Settings::new(None));
    waiting.serve(listener);
    let joiner = network(&env, "127.0.0.1:1", &Settings::new(None));
    assert_eq!(joiner.probe(&address).await, Ok(None));
    match joiner.join(&address).await {
        Err(ConnectError::Refused(refusal)) => assert_eq!(refusal.reason, RefusalReason::NotInitialised),
        other => panic!("{other:?}"),
    }
    waiting.stop();
}
