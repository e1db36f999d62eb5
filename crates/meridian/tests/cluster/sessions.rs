//! What sessions of different nodes have to do with each other: notifications and advisory locks.

use super::*;

/// What a listener has been told so far.
fn told(notices: &Notices) -> Vec<String> {
    notices.lock().expect("not poisoned").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_reach_listeners_of_every_node_once_and_in_the_order_of_commits() {
    let env = RealEnv::new();
    let cluster = Cluster::start(3);
    let heard: Vec<Notices> = (0..3).map(|_| Notices::default()).collect();
    let mut clients = Vec::new();
    for (node, notices) in (1..).zip(&heard) {
        let client = cluster.connect_with(node, "postgres", notices.clone()).await;
        client.batch_execute("LISTEN news").await.expect("it listens");
        clients.push(client);
    }
    let pid: i32 = clients[0].query_one("SELECT pg_backend_pid()", &[]).await.expect("it answers").get(0);
    for other in &clients[1..] {
        let other: i32 = other.query_one("SELECT pg_backend_pid()", &[]).await.expect("it answers").get(0);
        assert_ne!(pid, other, "a client tells its own notifications by that");
    }
    let teller = &clients[0];
    teller.batch_execute("CREATE TABLE kept (n int PRIMARY KEY)").await.expect("it is made");
    teller.batch_execute("BEGIN; NOTIFY news, 'never'; ROLLBACK").await.expect("it is taken back");
    let longest = "x".repeat(7999);
    let told_twice = "BEGIN; NOTIFY news, 'a'; NOTIFY news, 'b'; NOTIFY news, 'a'; NOTIFY other, 'c'; COMMIT";
    teller.batch_execute(told_twice).await.expect("it commits");
    teller.batch_execute(&format!("NOTIFY news, '{longest}'")).await.expect("it commits");
    let mut expected = vec![format!("{pid} says a on news"), format!("{pid} says b on news")];
    expected.push(format!("{pid} says {longest} on news"));
    for number in 0..200 {
        let text = format!("INSERT INTO kept VALUES ({number}); NOTIFY news, '{number}'");
        teller.batch_execute(&text).await.expect("it commits");
        expected.push(format!("{pid} says {number} on news"));
        if number % 50 == 0 {
            // Whoever has been told sees what was done.
            until(&env, "the others are told", async || {
                heard.iter().all(|h| told(h).len() == expected.len())
            })
            .await;
            for client in &clients {
                let row = client.query_opt("SELECT n FROM kept WHERE n = $1", &[&number]).await;
                assert!(row.expect("it is read").is_some(), "{number} is seen");
            }
        }
    }
    until(&env, "all is told", async || heard.iter().all(|h| told(h).len() >= expected.len())).await;
    for notices in &heard {
        assert_eq!(told(notices), expected);
    }

    // One that is away misses what is told meanwhile, and hears what is told when it is back.
    cluster.node_command("kill", 3);
    teller.batch_execute("NOTIFY news, 'missed'").await.expect("it does not wait for the third");
    cluster.node_command("restart", 3);
    let notices = Notices::default();
    let client = cluster.connect_with(3, "postgres", notices.clone()).await;
    client.batch_execute("LISTEN news").await.expect("it listens");
    until(&env, "it is told again", async || {
        teller.batch_execute("NOTIFY news, 'back'").await.expect("it commits");
        told(&notices).contains(&format!("{pid} says back on news"))
    })
    .await;
    until(&env, "the second hears all", async || {
        told(&heard[1]).contains(&format!("{pid} says missed on news"))
    })
    .await;
}

/// Whether a query answers true.
async fn holds(client: &Client, query: &str) -> bool {
    client.query_one(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error:?}")).get(0)
}

/// SQLSTATE of a statement that fails.
pub async fn state_of(client: &Client, statement: &str) -> String {
    let error = client.batch_execute(statement).await.expect_err("it fails");
    error.code().map(|code| code.code().to_string()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn advisory_locks_exclude_sessions_of_every_node() {
    let env = RealEnv::new();
    let cluster = Cluster::start(3);
    let (one, two, three) = (cluster.connect(1).await, cluster.connect(2).await, cluster.connect(3).await);
    one.batch_execute("SELECT pg_advisory_lock(7), pg_advisory_lock(7)").await.expect("it is free");
    assert!(!holds(&two, "SELECT pg_try_advisory_lock(7)").await);
    assert!(!holds(&three, "SELECT pg_try_advisory_xact_lock_shared(7)").await);
    assert!(holds(&two, "SELECT pg_try_advisory_lock(0, 7)").await, "two numbers are another lock");
    let seen = "SELECT classid::text, objid::text, objsubid::text, mode, granted::text FROM pg_locks WHERE locktype = 'advisory' \
                ORDER BY objsubid";
    let rows = [["0", "7", "1", "ExclusiveLock", "true"], ["0", "7", "2", "ExclusiveLock", "true"]];
    for client in [&one, &two, &three] {
        assert_eq!(texts(client, seen).await, rows);
    }
    // Given back as often as it was taken, it goes to who waits, on another node.
    let waits = async {
        two.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(7)").await.expect("it gets it");
        env.monotonic()
    };
    let gives_back = async {
        until(&env, "the second waits", async || {
            !texts(&three, "SELECT 1::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                .await
                .is_empty()
        })
        .await;
        assert!(holds(&one, "SELECT pg_advisory_unlock(7)").await);
        assert!(!holds(&three, "SELECT pg_try_advisory_lock(7)").await, "it was taken twice");
        assert!(holds(&one, "SELECT pg_advisory_unlock(7)").await);
        assert!(!holds(&one, "SELECT pg_advisory_unlock(7)").await, "a warning");
    };
    futures::join!(waits, gives_back);
    assert!(!holds(&three, "SELECT pg_try_advisory_lock(7)").await, "the second has it");
    two.batch_execute("COMMIT").await.expect("it commits");
    assert!(
        holds(&three, "SELECT pg_try_advisory_lock(7)").await,
        "it went with the transaction, before COMMIT was answered"
    );
    assert!(holds(&three, "SELECT pg_advisory_unlock_all() IS NOT NULL").await);

    // Shared ones together; lock_timeout ends a wait; a session that ends gives back what it held.
    let shared = "SELECT pg_try_advisory_lock_shared(8)";
    assert!(holds(&one, shared).await && holds(&three, shared).await);
    assert_eq!(state_of(&two, "SET lock_timeout = '300ms'; SELECT pg_advisory_lock(8)").await, "55P03");
    drop((one, three));
    until(&env, "the ended sessions hold nothing", async || {
        holds(&two, "SELECT pg_try_advisory_lock(8)").await
    })
    .await;

    // Two sessions that wait for each other: one fails, the other goes on.
    let (one, three) = (cluster.connect(1).await, cluster.connect(3).await);
    one.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(21)").await.expect("it is free");
    three.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(22)").await.expect("it is free");
    let ends = async |client: &Client, lock: u32| {
        let result = client.batch_execute(&format!("SELECT pg_advisory_xact_lock({lock})")).await;
        let state = result.err().and_then(|error| error.code().map(|code| code.code().to_string()));
        client.batch_execute("ROLLBACK").await.expect("it ends");
        state
    };
    let mut ended = <[_; 2]>::from(futures::join!(ends(&one, 22), ends(&three, 21)));
    ended.sort();
    assert_eq!(ended, [None, Some("40P01".to_string())]);

    assert_eq!(
        state_of(&one, "BEGIN; LOCK TABLE pg_temp.nothing").await,
        "0A000",
        "others would not respect it"
    );
    one.batch_execute("ROLLBACK").await.expect("it ends");

    // Mutual exclusion, counted: who has the lock reads and writes without any other protection.
    one.batch_execute("CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)")
        .await
        .expect("it is made");
    let counts = async |client: &Client| {
        for _ in 0..20 {
            client.batch_execute("SELECT pg_advisory_lock(99)").await.expect("it is granted");
            let n: i32 = client.query_one("SELECT n FROM counter", &[]).await.expect("it is read").get(0);
            client.execute("UPDATE counter SET n = $1", &[&(n + 1)]).await.expect("nobody disturbs it");
            client.batch_execute("SELECT pg_advisory_unlock(99)").await.expect("it is given back");
        }
    };
    futures::join!(counts(&one), counts(&two), counts(&three));
    let n: i32 = one.query_one("SELECT n FROM counter", &[]).await.expect("it is read").get(0);
    assert_eq!(n, 60);

    // A node that dies holds nothing for longer than it is believed to live.
    three.batch_execute("SELECT pg_advisory_lock(5)").await.expect("it is free");
    cluster.node_command("kill", 3);
    assert!(!holds(&one, "SELECT pg_try_advisory_lock(5)").await, "nobody knows yet");
    let began = env.monotonic();
    one.batch_execute("SELECT pg_advisory_lock(5)").await.expect("it is freed");
    let took = env.monotonic() - began;
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halted_node_comes_back_without_the_advisory_locks_that_others_have_taken_meanwhile() {
    let env = RealEnv::new();
    let cluster = Cluster::start(3);
    cluster.replicated(&env, 3).await;
    let (one, three) = (cluster.connect(1).await, cluster.connect(3).await);
    one.batch_execute("CREATE TABLE t (n int)").await.expect("it is made");
    three.batch_execute("SELECT pg_advisory_lock(5)").await.expect("it is free");
    three.batch_execute("BEGIN; INSERT INTO t VALUES (3)").await.expect("it writes");
    cluster.node_command("pause", 3);
    // Whoever has the lock reads what it protects: without that a commit as of a time before would be as good as one. One by one: together they
    // would read as of when the wait began.
    for statement in ["SELECT pg_advisory_lock(5)", "SELECT n FROM t", "INSERT INTO t VALUES (1)"] {
        one.batch_execute(statement).await.expect("it is freed");
    }
    cluster.node_command("resume", 3);
    assert!(three.batch_execute("COMMIT").await.is_err(), "its lock is another's: nothing is committed");
    until(&env, "the session that held it ends", async || three.is_closed()).await;
    assert_eq!(texts(&one, "SELECT n::text FROM t").await, [["1"]]);
    let again = cluster.connect(3).await;
    assert!(!holds(&again, "SELECT pg_try_advisory_lock(5)").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_alone_shares_its_advisory_locks_with_the_first_that_joins() {
    let env = RealEnv::new();
    let cluster = Cluster::start(1);
    let (holder, waiting) = (cluster.connect(1).await, cluster.connect(1).await);
    holder
        .batch_execute("SELECT pg_advisory_lock(1), pg_advisory_lock_shared(2)")
        .await
        .expect("they are free");
    holder.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(3)").await.expect("it is free");
    let waits = async {
        waiting
            .batch_execute("SELECT pg_advisory_lock(1)")
            .await
            .expect("it gets it, though it began to wait before");
    };
    let joins = async {
        must(&mut cluster.command("add"));
        let second = cluster.connect(2).await;
        assert!(!holds(&second, "SELECT pg_try_advisory_lock(1)").await);
        assert!(!holds(&second, "SELECT pg_try_advisory_lock(2)").await);
        assert!(holds(&second, "SELECT pg_try_advisory_lock_shared(2)").await);
        assert!(!holds(&second, "SELECT pg_try_advisory_lock(3)").await);
        assert!(holds(&second, "SELECT pg_try_advisory_lock(4)").await);
        holder.batch_execute("COMMIT").await.expect("it commits");
        assert!(holds(&second, "SELECT pg_try_advisory_lock(3)").await);
        assert!(!holds(&holder, "SELECT pg_try_advisory_lock(4)").await);
        assert!(holds(&holder, "SELECT pg_advisory_unlock(1)").await);
        until(&env, "who waited has it", async || {
            let query = "SELECT granted::text FROM pg_locks WHERE locktype = 'advisory' AND objid = 1";
            texts(&second, query).await == [["true"]]
        })
        .await;
        assert!(!holds(&second, "SELECT pg_try_advisory_lock(1)").await);
    };
    futures::join!(waits, joins);
}

/// The status of a transaction, as a node tells it.
async fn status_of(client: &Client, id: i64) -> String {
    let row = client.query_one("SELECT txid_status($1)", &[&id]).await.expect("it answers");
    row.get::<_, Option<String>>(0).unwrap_or_default()
}

/// Begins a transaction that inserts a number; answers with its id.
async fn begin_insert(client: &Client, number: i32) -> i64 {
    client.batch_execute("BEGIN").await.expect("it begins");
    let id = client.query_one("SELECT txid_current()", &[]).await.expect("it has an id").get(0);
    client.execute("INSERT INTO kept VALUES ($1)", &[&number]).await.expect("it inserts");
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_tells_what_became_of_a_transaction_also_when_its_own_node_is_gone() {
    let env = RealEnv::new();
    let cluster = Cluster::start(3);
    cluster.replicated(&env, 3).await;
    let (one, two, three) = (cluster.connect(1).await, cluster.connect(2).await, cluster.connect(3).await);
    one.batch_execute("CREATE TABLE kept (n int PRIMARY KEY)").await.expect("it is made");
    let committed = begin_insert(&three, 1).await;
    assert_eq!(status_of(&one, committed).await, "in progress");
    assert_eq!(status_of(&three, committed).await, "in progress");
    three.batch_execute("COMMIT").await.expect("it commits");
    for client in [&one, &two, &three] {
        assert_eq!(status_of(client, committed).await, "committed");
    }
    let left = begin_insert(&three, 2).await;
    assert!(left > committed);
    cluster.node_command("kill", 3);
    until(&env, "it is known to be aborted", async || status_of(&two, left).await != "in progress").await;
    for client in [&one, &two] {
        assert_eq!(status_of(client, left).await, "aborted");
        assert_eq!(status_of(client, committed).await, "committed");
    }
    assert_eq!(texts(&one, "SELECT n::text FROM kept").await, [["1"]]);
}

/// Locks are memory of a leaseholder: when it dies, a transaction that still runs cannot be told from one that does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_was_declared_aborted_does_not_commit() {
    let env = RealEnv::new();
    let cluster = Cluster::start(3);
    cluster.replicated(&env, 3).await;
    let clients = [cluster.connect(1).await, cluster.connect(2).await, cluster.connect(3).await];
    clients[0].batch_execute("CREATE TABLE kept (n int PRIMARY KEY)").await.expect("it is made");
    let port = "SELECT right(n.sql_address, 5) FROM meridian.ranges r JOIN meridian.nodes n ON n.node_id = r.leaseholder \
                WHERE r.start_key_raw <= '\\x1006' ORDER BY r.start_key_raw DESC LIMIT 1";
    let port: u16 = texts(&clients[0], port).await[0][0].parse().expect("a port");
    let holder = (port - cluster.base_port) / 10 + 1;
    let [running, asking] = match holder {
        1 => [1, 2],
        2 => [0, 2],
        _ => [0, 1],
    };
    let id = begin_insert(&clients[running], 1).await;
    assert_eq!(status_of(&clients[asking], id).await, "in progress");
    cluster.node_command("kill", holder);
    until(&env, "nobody knows of it any more", async || {
        let row = clients[asking].query_one("SELECT txid_status($1)", &[&id]).await;
        row.is_ok_and(|row| row.get::<_, Option<&str>>(0) == Some("aborted"))
    })
    .await;
    assert_eq!(state_of(&clients[running], "COMMIT").await, "40001");
    assert_eq!(status_of(&clients[asking], id).await, "aborted");
    assert!(texts(&clients[asking], "SELECT n::text FROM kept").await.is_empty());
}
