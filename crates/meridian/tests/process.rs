//! The process itself: how fast it starts, what it holds in memory, whom it lets in, how it stops, what it refuses.

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqltests::server::Meridian;
use support::{binary, node, output_of, start_refused};
use tokio_postgres::NoTls;

/// Resident memory of a process, in bytes.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells it");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<u64>().expect("a number") << 10
}

fn psql(url: &str, sql: &str) -> Command {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "-At", "-v", "ON_ERROR_STOP=1", url, "-c", sql]);
    command.env_remove("PGPASSWORD").env("PGCONNECT_TIMEOUT", "20");
    command
}

/// Start to first answer on an empty folder: 300 ms on a quiet machine. The best of a few is taken, for a machine that is
/// not quiet, and a build without optimization is given more.
#[test]
fn an_empty_folder_answers_sql_at_once_in_little_memory() {
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 2_000 } else { 300 });
    let mut times = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        let mut meridian = node();
        let mut client = postgres_client(meridian.port());
        assert_eq!(client.select_one(), 1);
        times.push(started.elapsed());
        let memory = resident(meridian.process().id());
        println!("first answer after {:?}, {} KiB resident", times.last(), memory >> 10);
        assert!(memory < 150 << 20, "{memory} bytes are resident after start");
    }
    let best = times.iter().min().expect("there are some");
    assert!(*best <= limit, "{times:?}");
}

/// A client of few words, so that not the client's own start is measured.
struct RawClient(TcpStream);

fn postgres_client(port: u16) -> RawClient {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
    let parameters = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    stream.write_all(&(parameters.len() as u32 + 4).to_be_bytes()).expect("it reads");
    stream.write_all(parameters).expect("it reads");
    let mut client = RawClient(stream);
    client.until_ready();
    client
}

impl RawClient {
    /// The messages up to ReadyForQuery, by kind and body.
    fn until_ready(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut messages = Vec::new();
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).expect("the server answers");
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let mut body = vec![0; length as usize - 4];
            self.0.read_exact(&mut body).expect("the server answers");
            assert_ne!(head[0], b'E', "{}", String::from_utf8_lossy(&body));
            messages.push((head[0], body));
            if head[0] == b'Z' {
                return messages;
            }
        }
    }

    fn query(&mut self, sql: &str) -> Vec<(u8, Vec<u8>)> {
        self.0.write_all(b"Q").expect("it reads");
        self.0.write_all(&(sql.len() as u32 + 5).to_be_bytes()).expect("it reads");
        self.0.write_all(sql.as_bytes()).expect("it reads");
        self.0.write_all(b"\0").expect("it reads");
        self.until_ready()
    }

    fn select_one(&mut self) -> i32 {
        let rows = self.query("SELECT 1");
        let (_, row) = rows.iter().find(|(kind, _)| *kind == b'D').expect("a row");
        // The count of columns and the length of the value stand before it.
        String::from_utf8_lossy(&row[6..]).parse().expect("a number")
    }
}

/// Everything that a connection costs the process: sockets' buffers aside, which are the kernel's.
#[test]
fn a_thousand_idle_connections_cost_little_each() {
    const CONNECTIONS: usize = 1_000;
    let mut meridian = node();
    let process = meridian.process().id();
    let mut first = postgres_client(meridian.port());
    first.query("CREATE TABLE t (k int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one')");
    // What is allocated once, whoever asks first, is not a connection's.
    let work = "SELECT * FROM t WHERE k = 1; SELECT relname FROM pg_class ORDER BY 1";
    first.query(work);
    let before = resident(process);
    // The first one is a connection too.
    let mut clients: Vec<RawClient> = Vec::with_capacity(CONNECTIONS);
    for number in 1..CONNECTIONS {
        let mut client = postgres_client(meridian.port());
        if number % 20 == 0 {
            client.query(work);
        } else {
            client.select_one();
        }
        clients.push(client);
    }
    let each = resident(process).saturating_sub(before) / (CONNECTIONS as u64 - 1);
    println!("{each} bytes of resident memory for each of {CONNECTIONS} idle connections");
    assert!(each < 64 << 10, "{each} bytes each");
    // One more than allowed, and than is told, is told so, and all the others still work.
    let shown = first.query("SHOW max_connections");
    let (_, row) = shown.iter().find(|(kind, _)| *kind == b'D').expect("a row");
    assert_eq!(&row[6..], CONNECTIONS.to_string().as_bytes());
    let refused = psql(&meridian.url(), "SELECT 1").output().expect("psql runs");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("too many"), "{told}");
    assert!(clients.iter_mut().step_by(50).all(|client| client.select_one() == 1));
}

fn wait(child: &mut Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// SIGTERM lets a running statement end, takes nobody in meanwhile, ends idle sessions, and exits with 0.
#[test]
fn sigterm_drains() {
    let mut meridian = node();
    output_of(&mut psql(&meridian.url(), "CREATE TABLE kept (k int)"));
    let idle = Command::new("psql")
        .args(["--no-psqlrc", &meridian.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut idle = idle.expect("psql runs");
    let mut running = psql(&meridian.url(), "INSERT INTO kept SELECT 7 FROM pg_sleep(1.5) RETURNING k");
    let running = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("psql runs");
    std::thread::sleep(Duration::from_millis(500));
    meridian.process().signal("TERM");
    let output = running.wait_with_output().expect("psql ends");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.starts_with('7'), "{printed} {}", String::from_utf8_lossy(&output.stderr));
    let status = meridian.process().wait(Duration::from_secs(15)).expect("it ends");
    assert!(status.success(), "{status}");
    drop(idle.stdin.take());
    assert!(wait(&mut idle, Duration::from_secs(10)).is_some());
    meridian.start_again().expect("it starts again");
    assert_eq!(output_of(&mut psql(&meridian.url(), "SELECT k FROM kept")), "7\n");
}

/// A statement that does not end in time is ended, so that the process stops all the same.
#[test]
fn sigterm_does_not_wait_for_ever() {
    let mut meridian =
        Meridian::start(&binary(), &["--drain-seconds".into(), "1".into()]).expect("the node starts");
    let mut running = psql(&meridian.url(), "SELECT pg_sleep(600)");
    let running = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("psql runs");
    std::thread::sleep(Duration::from_millis(500));
    meridian.process().signal("TERM");
    let status = meridian.process().wait(Duration::from_secs(15)).expect("it ends");
    assert!(status.success(), "{status}");
    let output = running.wait_with_output().expect("psql ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("terminating connection due to administrator command"), "{told}");
}

#[test]
fn a_folder_in_use_is_refused_and_its_user_unharmed() {
    let meridian = node();
    let told = start_refused(&meridian.data(), &[]);
    assert!(told.contains("in use by another process"), "{told}");
    assert_eq!(output_of(&mut psql(&meridian.url(), "SELECT 1")), "1\n");
}

#[test]
fn a_folder_of_a_newer_version_is_refused_and_left_as_it_is() {
    let mut meridian = node();
    output_of(&mut psql(&meridian.url(), "CREATE TABLE t (k int)"));
    meridian.stop();
    let format = meridian.data().join("FORMAT");
    let text = std::fs::read_to_string(&format).expect("it says its version");
    let newer = text.replace("version 1\n", "version 999\n");
    assert_ne!(text, newer);
    std::fs::write(&format, &newer).expect("writes");
    let told = start_refused(&meridian.data(), &[]);
    assert!(told.contains("999") && told.contains("supports up to"), "{told}");
    assert_eq!(std::fs::read_to_string(&format).expect("reads"), newer);
    std::fs::write(&format, text).expect("writes");
    meridian.start_again().expect("the folder is as it was");
    assert_eq!(output_of(&mut psql(&meridian.url(), "SELECT count(*) FROM t")), "0\n");
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("thesis.txt"), "important").expect("writes");
    let told = start_refused(folder.path(), &[]);
    assert!(told.contains("is not a data folder") && told.contains("thesis.txt"), "{told}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 1);
}

#[test]
fn a_port_in_use_is_told() {
    let meridian = node();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let address = format!("127.0.0.1:{}", meridian.port());
    let told = start_refused(folder.path(), &["--listen-sql", &address]);
    assert!(told.contains("--listen-sql") && told.contains("cannot listen there"), "{told}");
}

/// What a stranger may send. Each must end with that connection alone.
#[test]
fn hostile_bytes_harm_nobody_else() {
    let mut meridian = node();
    let mut bystander = postgres_client(meridian.port());
    let memory = resident(meridian.process().id());
    let startup = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0".to_vec();
    let after = |bytes: &[u8]| [startup.clone(), bytes.to_vec()].concat();
    let mut attacks = vec![
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 64],
        vec![0; 64],
        b"\x7f\xff\xff\xff\0\x03\0\0".to_vec(),
        b"\0\0\0\x08\x04\xd2\x16\x2f\0".to_vec(),
        b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02".to_vec(),
        // A message said to be of 2 GiB, of negative length, of no kind; queries without an end.
        after(b"Q\x7f\xff\xff\xffSELECT 1"),
        after(b"Q\xff\xff\xff\xff"),
        after(b"Q\0\0\0\0"),
        after(b"\0\0\0\0\x04"),
        after(b"Q\0\0\0\x0cSELECT 1"),
        after(b"Q\0\0\0\x08\xff\xfe\xfd\0"),
        after(b"P\0\0\0\x10\0SELECT 1\0\xff\xff"),
        after(b"B\0\0\0\x0e\0\0\0\0\x7f\xff\0\0\0\0"),
        after(b"B\0\0\0\x0c\0nosuch\0\0\0"),
        after(b"D\0\0\0\x06X\0"),
        after(b"E\0\0\0\x09\0\xff\xff\xff\xff"),
        after(b"F\0\0\0\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        after(b"d\0\0\0\x05x"),
        after(b"c\0\0\0\x04"),
        after(b"p\0\0\0\x08pw\0\0"),
    ];
    // Nested and long beyond reason, but well-formed.
    for sql in
        [format!("SELECT {}1{}", "(".repeat(200_000), ")".repeat(200_000)), "SELECT 1+".repeat(100_000)]
    {
        let mut message = b"Q".to_vec();
        message.extend((sql.len() as u32 + 5).to_be_bytes());
        message.extend(sql.as_bytes());
        message.push(0);
        attacks.push(after(&message));
    }
    for attack in &attacks {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, meridian.port())).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
        // The server may hang up in the middle.
        let _ = stream.write_all(attack).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let is_timeout = ended.as_ref().is_err_and(|error| {
            matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        });
        assert!(!is_timeout, "{:?} keeps the connection open", &attack[..attack.len().min(60)]);
        assert_eq!(bystander.select_one(), 1);
    }
    let grown = resident(meridian.process().id()).saturating_sub(memory);
    assert!(grown < 256 << 20, "{grown} bytes more are resident");
    let log = std::fs::read_to_string(meridian.folder().join("log")).expect("the node writes one");
    assert!(!log.contains("panicked"), "{log}");
}

/// An address of this machine that is not loopback. Nothing is sent: the system is asked for its route.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 77), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback()).then_some(address)
}

#[test]
fn other_addresses_need_tls_and_a_password() {
    let Some(address) = own_address() else {
        eprintln!("skipped: this machine has no address besides loopback");
        return;
    };
    let meridian = Meridian::start_at("0.0.0.0", &binary(), &[]).expect("the node starts");
    let url =
        |mode: &str| format!("postgresql://postgres@{address}:{}/postgres?sslmode={mode}", meridian.port());
    let told = |command: &mut Command| {
        let output = command.output().expect("psql runs");
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(told(&mut psql(&url("disable"), "SELECT 1")).contains("is not encrypted"));
    // The superuser has no password yet: nobody gets in as it from outside.
    let mut without = psql(&url("require"), "SELECT 1");
    assert!(told(without.env("PGPASSWORD", "x")).contains("password authentication failed"));
    output_of(&mut psql(&meridian.url(), "ALTER USER postgres PASSWORD 'Tr0ub4dor&3'"));
    let mut right = psql(&url("require"), "SELECT current_user");
    assert_eq!(output_of(right.env("PGPASSWORD", "Tr0ub4dor&3")), "postgres\n");
    let mut bound = psql(&format!("{}&channel_binding=require", url("require")), "SELECT 1");
    assert_eq!(output_of(bound.env("PGPASSWORD", "Tr0ub4dor&3")), "1\n");
    let mut wrong = psql(&url("require"), "SELECT 1");
    assert!(told(wrong.env("PGPASSWORD", "wrong")).contains("password authentication failed"));
    let mut nobody = psql(&url("require").replace("postgres@", "nobody@"), "SELECT 1");
    assert!(told(nobody.env("PGPASSWORD", "x")).contains("password authentication failed"));
}

#[test]
fn insecure_lets_everybody_in() {
    let Some(address) = own_address() else {
        eprintln!("skipped: this machine has no address besides loopback");
        return;
    };
    let meridian = Meridian::start_at("0.0.0.0", &binary(), &["--insecure".into()]).expect("the node starts");
    let url = format!("postgresql://postgres@{address}:{}/postgres?sslmode=disable", meridian.port());
    assert_eq!(output_of(&mut psql(&url, "SELECT 1")), "1\n");
}

#[tokio::test]
async fn a_cancelled_statement_leaves_its_session() {
    let meridian = node();
    let (client, connection) = tokio_postgres::connect(&meridian.url(), NoTls).await.expect("it lets in");
    let connection = tokio::spawn(connection);
    let cancel = client.cancel_token();
    let slow = client.simple_query("SELECT pg_sleep(600)");
    let cancelling = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cancel.cancel_query(NoTls).await.expect("the request is taken");
    };
    let (outcome, ()) = futures::join!(slow, cancelling);
    let error = outcome.expect_err("it was cancelled");
    assert_eq!(error.code().map(|code| code.code()), Some("57014"));
    assert_eq!(client.query_one("SELECT 1", &[]).await.expect("the session lives").get::<_, i32>(0), 1);
    drop(client);
    connection.await.expect("the task ends").expect("the connection ends in order");
}

#[test]
fn mistakes_on_the_command_line_are_told() {
    let run = |arguments: &[&str]| {
        let output = Command::new(binary()).args(arguments).stdin(Stdio::null()).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for wrong in [
        &[][..],
        &["nonsense"],
        &["start"],
        &["start", "--data-dir"],
        &["start", "--data-dir", "x", "--bogus"],
    ] {
        let (code, told) = run(wrong);
        assert_eq!(code, Some(2), "{wrong:?}: {told}");
        assert!(told.contains("Usage") || told.contains("try '--help'"), "{wrong:?}: {told}");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let (code, told) =
        run(&["start", "--data-dir", &data, "--listen-sql", "nonsense", "--listen-rpc", "127.0.0.1:0"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("--listen-sql nonsense"), "{told}");
    let (code, told) = run(&["sql", "--url", "postgresql://postgres@127.0.0.1:1/postgres", "-c", "SELECT 1"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("refused"), "{told}");
    let (code, _) = run(&["version"]);
    assert_eq!(code, Some(0));
}
