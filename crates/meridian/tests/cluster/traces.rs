//! Where the time of a statement goes, on all nodes that work for it.

use super::*;

/// The lines of EXPLAIN's answer.
async fn explained(client: &Client, statement: &str) -> Vec<String> {
    texts(client, statement).await.into_iter().map(|row| row[0].clone()).collect()
}

/// Nodes named in the lines of a trace.
fn nodes(lines: &[String]) -> Vec<&str> {
    let of_line = lines.iter().filter(|line| line.contains(" ms  n"));
    let mut nodes: Vec<&str> =
        of_line.filter_map(|line| line.split(" ms  ").last()?.split(' ').next()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_shows_what_every_node_did_for_a_statement() {
    let env = RealEnv::new();
    let cluster = Cluster::start(3);
    let one = cluster.connect(1).await;
    one.batch_execute("CREATE TABLE t (id int PRIMARY KEY, v text)").await.expect("it is made");
    one.batch_execute("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 10) i")
        .await
        .expect("they are written");
    one.batch_execute("ALTER TABLE t SPLIT AT VALUES (6)").await.expect("it is split");
    cluster.replicated(&env, 3).await;

    // A read: at least two of the three gateways have to ask another node.
    let mut remote = 0;
    for process in 1..=3 {
        let client = cluster.connect(process).await;
        let own = format!("n{}", id_of(&client, &cluster, process).await);
        let read = "EXPLAIN (ANALYZE, TRACE) SELECT v FROM t WHERE id = 3";
        let lines = explained(&client, read).await;
        let asked: Vec<&String> = lines.iter().filter(|line| line.contains("ask node")).collect();
        assert!(!asked.is_empty(), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("evaluate get in range")), "{lines:#?}");
        let nodes = nodes(&lines);
        assert!(nodes.contains(&&*own), "{lines:#?}");
        if nodes.len() > 1 {
            remote += 1;
            let serve =
                lines.iter().position(|line| line.ends_with(" serve")).expect("the other node's part");
            assert!(
                lines[serve - 1].contains("ask node") && lines[serve + 1].contains("evaluate"),
                "{lines:#?}"
            );
        }
    }
    assert!(remote >= 2, "{remote}");

    // A commit over two ranges: each has one round of consensus.
    let lines = explained(&one, "EXPLAIN (ANALYZE, TRACE) UPDATE t SET v = 'y' WHERE id IN (3, 8)").await;
    let rounds: Vec<&String> = lines.iter().filter(|line| line.contains("replicate")).collect();
    assert_eq!(rounds.len(), 2, "{lines:#?}");
    let range = |line: &String| line.rsplit(' ').next().map(str::to_string);
    assert_ne!(range(rounds[0]), range(rounds[1]), "{lines:#?}");
    for step in ["commit entry", "apply entry"] {
        assert_eq!(lines.iter().filter(|line| line.contains(step)).count(), 2, "{lines:#?}");
    }
    assert_eq!(texts(&one, "SELECT v FROM t WHERE id IN (3, 8)").await, [["y"], ["y"]], "it was done");
    assert_eq!(super::sessions::state_of(&one, "EXPLAIN (TRACE) SELECT 1").await, "22023");

    // A session that waits for another's lock sees for what.
    let two = cluster.connect(2).await;
    one.batch_execute("BEGIN; UPDATE t SET v = 'z' WHERE id = 3").await.expect("it is written");
    let waits = async {
        two.batch_execute("SET trace = on; UPDATE t SET v = 'w' WHERE id = 3; SELECT 1; SET trace = off")
            .await
            .expect("it waits");
    };
    let ends = async {
        env.sleep(Duration::from_millis(300)).await;
        one.batch_execute("COMMIT").await.expect("it commits");
    };
    futures::join!(waits, ends);
    let waited = "SELECT count(*)::text, min(statement)::text, bool_and(duration >= interval '200 ms')::text \
                  FROM meridian.session_trace WHERE operation LIKE '%wait for the lock on%'";
    assert_eq!(texts(&two, waited).await, [["1", "1", "true"]]);
    let statements =
        "SELECT DISTINCT statement::text, operation FROM meridian.session_trace WHERE depth = 0 ORDER BY 1";
    let traced = texts(&two, statements).await;
    assert_eq!(traced.len(), 2, "{traced:?}");
    assert!(
        texts(&one, "SELECT statement::text FROM meridian.session_trace").await.is_empty(),
        "it is the session's own"
    );

    // The log of slow statements says where the time went.
    one.batch_execute("ALTER SYSTEM SET log_min_duration_statement = 0").await.expect("it is set");
    let log = cluster.folder.path().join("node2").join("log");
    until(&env, "a statement is logged with where its time went", async || {
        two.batch_execute("SELECT v FROM t WHERE id = 8").await.expect("it is read");
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let line = text.lines().rfind(|line| line.contains("statement: SELECT v FROM t WHERE id = 8"));
        line.is_some_and(|line| {
            line.contains("\"trace\":\"") && line.contains(" ms n") && line.contains("all else")
        })
    })
    .await;
}
