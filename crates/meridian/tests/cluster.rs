//! Real processes of one cluster, through the command line: made, written to from one node and read from another, one killed.

mod support;

#[path = "cluster/members.rs"]
mod members;
#[path = "cluster/sessions.rs"]
mod sessions;
#[path = "cluster/traces.rs"]
mod traces;
#[path = "cluster/upgrades.rs"]
mod upgrades;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use env::{Env, RealEnv};
use support::cluster::{Cluster, Notices, id_of, meridian, must, refused, texts, until};
use tokio_postgres::Client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_serve_one_database_and_go_on_without_any_one_of_them() {
    let env = RealEnv::new();
    let cluster = Cluster::start(3);
    cluster.replicated(&env, 3).await;
    let (first, third) = (cluster.connect(1).await, cluster.connect(3).await);
    first.batch_execute("CREATE TABLE t (id int PRIMARY KEY, v text)").await.expect("it is made");
    first.batch_execute("INSERT INTO t VALUES (1, 'from one')").await.expect("it is written");
    third.batch_execute("INSERT INTO t VALUES (3, 'from three')").await.expect("the table is known there");
    let rows = third.query("SELECT v FROM t ORDER BY id", &[]).await.expect("it is read");
    let values: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(values, ["from one", "from three"]);

    let listed = must(meridian().args(["node", "ls", "--rpc", &cluster.rpc(3)]));
    assert_eq!(listed.matches("| live").count(), 3, "{listed}");

    for lost in [1, 2, 3] {
        cluster.node_command("kill", lost);
        let other = cluster.connect(lost % 3 + 1).await;
        let id = 10 + i32::from(lost as i16);
        until(&env, "the others go on", async || {
            other
                .execute("INSERT INTO t VALUES ($1, 'without') ON CONFLICT (id) DO NOTHING", &[&id])
                .await
                .is_ok()
        })
        .await;
        cluster.node_command("restart", lost);
        let back = cluster.connect(lost).await;
        let count: i64 = back.query_one("SELECT count(*) FROM t", &[]).await.expect("it is back").get(0);
        assert_eq!(count, 2 + i64::from(lost));
    }
    let status = must(&mut cluster.command("status"));
    assert_eq!(status.matches("| running").count(), 3, "{status}");
    must(&mut cluster.command("stop"));
    must(&mut cluster.command("start"));
    let second = cluster.connect(2).await;
    let count: i64 = second.query_one("SELECT count(*) FROM t", &[]).await.expect("all is there").get(0);
    assert_eq!(count, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_shows_what_all_do() {
    let env = RealEnv::new();
    let cluster = Cluster::start(3);
    let all_there = "SELECT '1' FROM meridian.ranges HAVING count(*) = count(leaseholder) \
                     AND bool_and(cardinality(replicas) = 3) AND bool_and(size_bytes >= 0)";
    let [first, second, third] =
        [cluster.connect(1).await, cluster.connect(2).await, cluster.connect(3).await];
    first
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (5, 0)")
        .await
        .expect("it is made");
    first.batch_execute("ALTER TABLE t SPLIT AT VALUES (3)").await.expect("it is split");
    until(&env, "every range is known", async || texts(&first, all_there).await.len() == 1).await;

    let nodes = "SELECT node_id::text, standing, is_live::text, (ranges > 0)::text, (sql_address <> '')::text FROM meridian.nodes \
                 WHERE clock_offset IS NOT NULL OR silence = '0' ORDER BY 1";
    let row = |id: &str| [id, "active", "true", "true", "true"].map(String::from).to_vec();
    until(&env, "all nodes are heard, with their clocks", async || {
        texts(&first, nodes).await == [row("1"), row("2"), row("3")]
    })
    .await;
    let (holder, waiter) = (id_of(&first, &cluster, 2).await, id_of(&first, &cluster, 3).await);
    let own_range =
        "SELECT database_name::text, table_name, index_name FROM meridian.ranges WHERE table_name = 't'";
    assert_eq!(texts(&third, own_range).await, [["postgres", "t", "t_pkey"]]);
    let counts =
        "SELECT ((SELECT count(*) FROM meridian.leases) = (SELECT count(*) FROM meridian.ranges))::text";
    assert_eq!(texts(&second, counts).await, [["true"]]);

    // Node 2 holds a lock that node 3 waits for; node 1 sees both.
    second.batch_execute("BEGIN; UPDATE t SET v = 2 WHERE id = 5").await.expect("nobody is in the way");
    let shared: Arc<dyn Env> = env.clone();
    let waiting = env::spawn_with_result(&shared, "waiter", async move {
        third.batch_execute("UPDATE t SET v = 3 WHERE id = 5").await.expect("it gets its turn");
        third
    });
    let locks = "SELECT session_node_id::text, granted::text, table_name, (key <> '')::text, cardinality(waits_for)::text \
                 FROM meridian.locks WHERE locktype = 'row' ORDER BY granted DESC";
    let held = [&holder, "true", "t", "true", "0"].map(String::from).to_vec();
    let awaited = [&waiter, "false", "t", "true", "1"].map(String::from).to_vec();
    until(&env, "a lock and its waiter are seen", async || {
        texts(&first, locks).await == [held.clone(), awaited.clone()]
    })
    .await;
    let blocked = "SELECT w.node_id::text, b.node_id::text, w.query, b.state FROM meridian.locks l \
                   JOIN meridian.transactions w ON w.transaction_id = l.transaction_id \
                   JOIN meridian.transactions b ON b.transaction_id = l.waits_for[1]";
    let expected = [[&waiter, &holder, "UPDATE t SET v = 3 WHERE id = 5", "idle in transaction"]];
    assert_eq!(texts(&first, blocked).await, expected);

    second.batch_execute("COMMIT").await.expect("it commits");
    let third = waiting.await.expect("it ends");
    let contention = "SELECT table_name, outcome, (duration > '0')::text, (waiting_transaction_id <> blocking_transaction_id)::text \
                      FROM meridian.contention";
    assert_eq!(texts(&third, contention).await, [["t", "granted", "true", "true"]]);
    see_only_ones_own(&cluster, &first).await;
}

/// Who is no superuser sees sessions on other nodes, but not what they do, until it is a member of pg_read_all_stats.
async fn see_only_ones_own(cluster: &Cluster, superuser: &Client) {
    superuser.batch_execute("CREATE ROLE watcher LOGIN").await.expect("it is made");
    let watcher = cluster.connect_as(2, "watcher").await;
    let seen = "SELECT DISTINCT node_id::text, query = '<insufficient privilege>' FROM meridian.sessions WHERE user_name = 'postgres'";
    let seen = format!("SELECT node_id::text, hidden::text FROM ({seen}) s (node_id, hidden) ORDER BY 1");
    assert_eq!(texts(&watcher, &seen).await, [["1", "true"], ["2", "true"], ["3", "true"]]);
    let own = "SELECT query FROM meridian.sessions WHERE user_name = 'watcher'";
    assert_eq!(texts(&watcher, own).await.len(), 1);
    let keys = "SELECT DISTINCT key FROM meridian.contention";
    assert_eq!(texts(&watcher, keys).await, [["<insufficient privilege>"]]);
    superuser.batch_execute("GRANT pg_read_all_stats TO watcher").await.expect("it is granted");
    assert_eq!(texts(&watcher, &seen).await, [["1", "false"], ["2", "false"], ["3", "false"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_reach_every_node_and_a_node_that_does_not_answer_is_named() {
    let env = RealEnv::new();
    let cluster = Cluster::start(3);
    let notices = Notices::default();
    let first = cluster.connect_with(1, "postgres", notices.clone()).await;
    let third = cluster.connect(3).await;
    first
        .batch_execute("ALTER SYSTEM SET gc_ttl = '2h'; ALTER SYSTEM SET cluster_view_timeout = '300ms'")
        .await
        .expect("it is set");
    let begun = env.monotonic();
    until(&env, "another node follows", async || texts(&third, "SHOW gc_ttl").await == [["2h"]]).await;
    assert!(env.monotonic() - begun < Duration::from_secs(5));
    let all = texts(&third, "SHOW CLUSTER SETTINGS").await;
    assert!(all.len() >= 16 && all.iter().all(|row| row.len() == 8), "{all:?}");
    let row = all.iter().find(|row| row[0] == "gc_ttl").expect("it exists");
    assert_eq!(row[1..7], ["2h", "4h", "integer", "ms", "1000", "1728000000"].map(String::from));
    let measured = "SELECT node_id::text FROM meridian.metrics WHERE name = 'meridian_ranges' AND value > 0 \
                    AND description LIKE 'Ranges with a replica%' ORDER BY 1";
    until(&env, "all nodes measure themselves", async || {
        texts(&third, measured).await == [["1"], ["2"], ["3"]]
    })
    .await;
    let seen = "SELECT DISTINCT node_id::text FROM meridian.sessions ORDER BY 1";
    let is_seen = async |process| {
        let id = id_of(&first, &cluster, process).await;
        !id.is_empty() && texts(&first, seen).await.contains(&vec![id])
    };
    until(&env, "the nodes with sessions are heard", async || is_seen(1).await && is_seen(3).await).await;
    let (own, paused) = (id_of(&first, &cluster, 1).await, id_of(&first, &cluster, 3).await);
    notices.lock().expect("not poisoned").clear();

    cluster.node_command("pause", 3);
    let begun = env.monotonic();
    let rows = texts(&first, seen).await;
    let took = env.monotonic() - begun;
    cluster.node_command("resume", 3);
    // Whoever else is connected.
    assert!(rows.contains(&vec![own]) && !rows.contains(&vec![paused.clone()]), "{rows:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    let told = notices.lock().expect("not poisoned").clone();
    let expected =
        format!("WARNING: node {paused} does not tell what it knows: it has not answered within 300 ms");
    assert!(told.contains(&expected), "{told:?}");
}

/// What a node says at a path of its HTTP address.
fn page(cluster: &Cluster, node: u16, path: &str) -> String {
    let port = cluster.base_port + 10 * (node - 1) + 2;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("it answers");
    page
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_queue_latency_and_class_of_error_is_measured_and_explained() {
    let cluster = Cluster::start(1);
    let client = cluster.connect(1).await;
    client
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        .await
        .expect("it is made");
    for (wrong, code) in
        [("SELECT 1 / 0", "22012"), ("SELECT nothing", "42703"), ("INSERT INTO t VALUES (1)", "23505")]
    {
        let error = client.batch_execute(wrong).await.expect_err("it is wrong");
        assert_eq!(error.code().expect("from the server").code(), code);
    }
    let page = page(&cluster, 1, "/metrics");
    let value = |name: &str| {
        let line =
            page.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        let line = line.unwrap_or_else(|| panic!("{name} is missing in {page}"));
        line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")
    };
    for class in ["22", "23", "42"] {
        assert_eq!(value(&format!("meridian_sql_errors_total{{class=\"{class}\"}}")), 1.0);
    }
    assert!(value("meridian_kv_errors_total{kind=\"condition failed\"}") >= 1.0);
    assert!(value("meridian_sql_statement_seconds_count") >= 4.0);
    for histogram in ["sql_commit", "range_replicate", "raft_write", "raft_apply"] {
        let name = format!("meridian_{histogram}_seconds");
        let count = value(&format!("{name}_count"));
        assert!(count > 0.0 && value(&format!("{name}_sum")) > 0.0, "{name}");
        assert_eq!(value(&format!("{name}_bucket{{le=\"+Inf\"}}")), count);
    }
    for queue in ["range_addressing", "range_split", "range_collection", "raft_write", "raft_apply"] {
        assert!(value(&format!("meridian_{queue}_queue")) >= 0.0);
    }
    assert!(value("meridian_ranges") >= 4.0 && value("meridian_range_leases") >= 4.0);
    let names = |line: &str| {
        page.lines().filter_map(|l| l.strip_prefix(line)).map(str::to_string).collect::<Vec<_>>()
    };
    let explained: Vec<String> = names("# HELP ");
    for metric in names("# TYPE ") {
        let name = metric.split(' ').next().expect("a name");
        let help = explained.iter().find_map(|help| help.strip_prefix(name)?.strip_prefix(' '));
        assert!(help.is_some_and(|help| help.len() > 5), "{name} is not explained");
    }
}

/// A number among a node's metrics.
fn metric(cluster: &Cluster, node: u16, name: &str) -> u64 {
    let page = page(cluster, node, "/metrics");
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {page}"))
}

/// Reads of the past go on without a pause when the leaseholder's node stops answering: the follower on the own node answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_serves_reads_of_the_past_while_the_leaseholder_is_stopped() {
    let env = RealEnv::new();
    let cluster = Cluster::start(3);
    let clients = [cluster.connect(1).await, cluster.connect(2).await, cluster.connect(3).await];
    clients[0].batch_execute("CREATE TABLE t (id int PRIMARY KEY, v text)").await.expect("it is made");
    clients[0]
        .batch_execute("INSERT INTO t SELECT n, 'old' FROM generate_series(1, 100) n")
        .await
        .expect("written");
    // A range of its own, which can be asked for by the table's name.
    clients[0].batch_execute("ALTER TABLE t SPLIT AT VALUES (0)").await.expect("it is split");
    let replicated = "SELECT '1' FROM meridian.ranges HAVING count(*) = count(leaseholder) \
                      AND bool_and(cardinality(replicas) = 3)";
    until(&env, "everything is replicated", async || texts(&clients[0], replicated).await.len() == 1).await;
    let past = "SELECT count(*)::text, min(v) FROM t AS OF SYSTEM TIME follower_read_timestamp()";
    until(&env, "the rows are in the past", async || {
        clients[0].query(past, &[]).await.is_ok_and(|rows| rows[0].get::<_, &str>(0) == "100")
    })
    .await;
    clients[0].batch_execute("UPDATE t SET v = 'new'").await.expect("nobody is in the way");
    let leaseholder = "SELECT leaseholder::text FROM meridian.ranges WHERE table_name = 't'";
    let holder = texts(&clients[0], leaseholder).await[0][0].clone();
    let mut paused = 0;
    for process in 1..=3 {
        if id_of(&clients[usize::from(process) - 1], &cluster, process).await == holder {
            paused = process;
        }
    }
    let asked = if paused == 3 { 1 } else { 3 };
    let client = &clients[usize::from(asked) - 1];
    assert_eq!(texts(client, past).await, [["100", "old"]]);
    let served = metric(&cluster, asked, "meridian_follower_reads_served_total");
    assert!(served > 0, "the own replica is asked");

    cluster.node_command("pause", paused);
    let begun = env.monotonic();
    let rows = texts(client, past).await;
    let took = env.monotonic() - begun;
    let later = metric(&cluster, asked, "meridian_follower_reads_served_total");
    cluster.node_command("resume", paused);
    assert_eq!(rows, [["100", "old"]]);
    // Support for a store lasts 1.6 s: before that nobody else can hold its leases.
    assert!(took < Duration::from_millis(1_200), "{took:?}");
    assert!(later > served, "{later} reads, before {served}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_added_and_one_that_lost_its_folder_is_not_let_in_by_itself() {
    let env = RealEnv::new();
    let cluster = Cluster::start(1);
    must(&mut cluster.command("add"));
    // Before it is heard itself, it is a newcomer that may begin anew: it has started no time that anybody knows of.
    let is_heard = async || cluster.of_nodes(1, 2).iter().filter(|(_, starts)| *starts > 0).count() == 2;
    until(&env, "the second is heard", is_heard).await;

    // Somebody else's folder, at the same time.
    let message = refused(meridian().arg("start").arg("--data-dir").arg(cluster.node_data(2)).args([
        "--listen-sql",
        "127.0.0.1:0",
        "--listen-rpc",
        "127.0.0.1:0",
        "--listen-http",
        "127.0.0.1:0",
    ]));
    assert!(message.contains("in use by another process"), "{message}");

    // The data of node 2 are lost: it must not come back as if nothing had happened.
    cluster.node_command("kill", 2);
    std::fs::remove_dir_all(cluster.node_data(2)).expect("it was there");
    let message = refused(cluster.command("restart").arg("2"));
    assert!(message.contains("node 2 is at"), "{message}");
    assert!(message.contains("meridian node decommission 2"), "{message}");
}

#[test]
fn wrong_addresses_and_missing_certificates_are_told_from_one_another() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = |flags: &[&str]| {
        let mut command = meridian();
        command.arg("start").arg("--data-dir").arg(folder.path().join("data"));
        command.args(["--listen-sql", "127.0.0.1:0", "--listen-http", "127.0.0.1:0"]).args(flags);
        refused(&mut command)
    };
    let message = start(&["--listen-rpc", "0.0.0.0:0"]);
    assert!(message.contains("without certificates nodes listen on loopback only"), "{message}");
    let message = start(&["--listen-rpc", "127.0.0.1:0", "--locality", "nowhere"]);
    assert!(message.contains("is not a locality such as"), "{message}");
    let certs = folder.path().join("certs");
    let message = start(&["--listen-rpc", "127.0.0.1:0", "--certs-dir", &certs.to_string_lossy()]);
    assert!(message.contains("cannot read"), "{message}");

    must(meridian().args(["cert", "create-ca", "--certs-dir"]).arg(&certs));
    must(meridian().args(["cert", "create-node", "127.0.0.1", "--certs-dir"]).arg(&certs));
    must(meridian().args(["cert", "create-client", "postgres", "--certs-dir"]).arg(&certs));
    let message = refused(meridian().args(["cert", "create-ca", "--certs-dir"]).arg(&certs));
    assert!(message.contains("exists already"), "{message}");
    assert_private(&certs.join("node.key"));

    // A join address where something else answers.
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("it listens").to_string();
    let message = std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::io::Write;
            if let Ok((mut stream, _)) = other.accept() {
                // Whatever it was asked.
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
        });
        start(&["--listen-rpc", "127.0.0.1:0", "--join", &address])
    });
    assert!(message.contains("does not answer like a node"), "{message}");
}

#[cfg(unix)]
fn assert_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o077, 0, "others must not read {}", path.display());
}
