//! Real clients over loopback TCP: tokio-postgres and psql, with passwords and TLS.

mod support;

use std::process::{Output, Stdio};
use std::time::Duration;

use futures::{SinkExt, StreamExt, TryStreamExt, pin_mut};
use pgserver::*;
use support::*;
use tokio_postgres::NoTls;

async fn connect(parameters: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(parameters, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test]
async fn tokio_postgres_runs_both_protocols() {
    let fixture = Fixture::new(ServerOptions::default());
    let port = fixture.listen().await;
    let mut client = connect(&format!("host=127.0.0.1 port={port} user=ann")).await.unwrap();

    let statement = client.prepare("rows 1000").await.unwrap();
    let rows = client.query(&statement, &[]).await.unwrap();
    let numbers: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(numbers, (0..1000).collect::<Vec<_>>());

    let row = client.query_one("echo $1 $2", &[&"ä", &None::<&str>]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, Option<&str>>(1)), ("ä", None));
    assert_eq!(client.simple_query("rows 2; begin; commit").await.unwrap().len(), 6);

    let error = client.query("bad", &[]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().code().code(), "42601");

    let error = client.transaction().await.map(drop).unwrap_err();
    assert_eq!(error.as_db_error().unwrap().message(), "syntax error at \"START\"");
}

#[tokio::test]
async fn tokio_postgres_pipelines_copies_and_cancels() {
    let fixture = Fixture::new(ServerOptions::default());
    let port = fixture.listen().await;
    let client = connect(&format!("host=127.0.0.1 port={port} user=ann")).await.unwrap();

    let statement = client.prepare("echo $1").await.unwrap();
    let texts: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let rows = futures::future::try_join_all(texts.iter().map(|text| {
        let (client, statement) = (&client, &statement);
        async move { client.query_one(statement, &[text]).await }
    }));
    let echoed: Vec<String> = rows.await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(echoed, texts);

    let sink = client.copy_in("copyin").await.unwrap();
    pin_mut!(sink);
    for _ in 0..1000 {
        sink.send(bytes::Bytes::from_static(&[b'x'; 1000])).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 1_000_000);
    let lines: Vec<_> = client.copy_out("copyout 3000").await.unwrap().try_collect().await.unwrap();
    assert_eq!(lines.concat().len(), "line \n".len() * 3000 + 10 + 180 + 2700 + 8000);

    let canceller = client.cancel_token();
    let cancelling = async {
        while !fixture.backend.take_log().contains(&"sleeping".to_owned()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        canceller.cancel_query(NoTls).await.unwrap();
    };
    let (result, ()) = futures::join!(client.query("sleep", &[]), cancelling);
    assert_eq!(result.unwrap_err().as_db_error().unwrap().code().code(), "57014");
}

#[tokio::test]
async fn tokio_postgres_hears_notifications_while_it_waits() {
    let fixture = Fixture::new(ServerOptions::default());
    let port = fixture.listen().await;
    let (client, mut connection) =
        tokio_postgres::connect(&format!("host=127.0.0.1 port={port} user=ann"), NoTls).await.unwrap();
    let mut messages =
        Box::pin(futures::stream::poll_fn(move |cx| connection.poll_message(cx)).map(Result::unwrap));
    fixture.backend.push_event(SessionEvent::Notification(Notification {
        process_id: 7,
        channel: "news".into(),
        payload: "rain".into(),
    }));
    match messages.next().await.unwrap() {
        tokio_postgres::AsyncMessage::Notification(heard) => {
            assert_eq!((heard.channel(), heard.payload(), heard.process_id()), ("news", "rain", 7));
        }
        other => panic!("{other:?}"),
    }
    drop(client);
}

fn password_on_loopback(tls: bool) -> AccessPolicy {
    AccessPolicy { loopback: Requirements { tls, password: true }, ..AccessPolicy::default() }
}

fn with_password(fixture: &Fixture) {
    let verifier = ScramVerifier::from_password("pencil", [9; SCRAM_SALT_BYTES]);
    // As it comes out of a catalog.
    let verifier = verifier.to_string().parse().unwrap();
    fixture.backend.verifiers.lock().unwrap().insert("ann".into(), verifier);
}

#[tokio::test]
async fn a_password_is_proved_by_scram() {
    let options = ServerOptions { access: password_on_loopback(false), ..ServerOptions::default() };
    let fixture = Fixture::new(options);
    with_password(&fixture);
    let port = fixture.listen().await;
    let client = connect(&format!("host=127.0.0.1 port={port} user=ann password=pencil")).await.unwrap();
    assert_eq!(client.query("rows 3", &[]).await.unwrap().len(), 3);
    for (user, password) in [("ann", "pen"), ("bob", "pencil"), ("bob", "")] {
        let parameters = format!("host=127.0.0.1 port={port} user={user} password='{password}'");
        let error = connect(&parameters).await.map(drop).unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "28P01");
        assert_eq!(error.message(), format!("password authentication failed for user \"{user}\""));
    }
    assert_eq!(fixture.backend.startups.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn strangers_from_elsewhere_need_tls_unless_all_are_trusted() {
    let elsewhere = Peer::Address("192.0.2.1:4444".parse().unwrap());
    let mapped_loopback = Peer::Address("[::ffff:127.0.0.1]:4444".parse().unwrap());
    for (access, peer, admitted) in [
        (AccessPolicy::default(), elsewhere, false),
        (AccessPolicy::default(), mapped_loopback, true),
        (AccessPolicy::INSECURE, elsewhere, true),
    ] {
        let fixture = Fixture::new(ServerOptions { access, ..ServerOptions::default() });
        let mut client = fixture.dial(peer, 1 << 16);
        client.start(3 << 16, &[("user", "ann")]).await;
        match admitted {
            true => assert_eq!(kinds(&client.until_ready().await), "RSSKZ"),
            false => assert_eq!(error_of(&client.until_closed().await), "FATAL 28000"),
        }
    }
}

#[tokio::test]
async fn what_does_not_follow_scram_is_refused() {
    let options = ServerOptions { access: password_on_loopback(false), ..ServerOptions::default() };
    let fixture = Fixture::new(options);
    with_password(&fixture);
    let initial = |mechanism: &str, first: &str| {
        let length = (first.len() as u32).to_be_bytes();
        message(b'p', &[format!("{mechanism}\0").as_bytes(), &length, first.as_bytes()].concat())
    };
    let answers = [
        query("rows 1"),
        message(b'p', b"SCRAM-SHA-256"),
        message(b'p', b"SCRAM-SHA-256\0\xff\xff\xff\xff"),
        b"p\x7f\0\0\0".to_vec(),
        initial("SCRAM-SHA-1", "n,,n=,r=abc"),
        initial("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=abc"),
        initial("SCRAM-SHA-256", "p=tls-server-end-point,,n=,r=abc"),
        initial("SCRAM-SHA-256", "nonsense"),
        initial("SCRAM-SHA-256", "\u{0}"),
        [initial("SCRAM-SHA-256", "n,,n=,r=abc"), message(b'p', b"c=biws,r=other,p=AAAA")].concat(),
        [initial("SCRAM-SHA-256", "n,,n=,r=abc"), message(b'p', b"\xff\xfe")].concat(),
    ];
    for answer in answers {
        let mut client = fixture.dial(Peer::Local, 1 << 16);
        client.start(3 << 16, &[("user", "ann")]).await;
        client.send(&answer).await;
        let replies = client.until_closed().await;
        assert_eq!(replies[0].1, b"\0\0\0\x0aSCRAM-SHA-256\0\0");
        assert_eq!(error_of(&replies), "FATAL 08P01", "{answer:?}");
    }
    assert!(fixture.backend.startups.lock().unwrap().is_empty());
}

/// Runs psql, which is on every machine that builds this project's comparison with PostgreSQL; `None` where it is not.
async fn psql(connection: String, command: &'static str, input: &'static str) -> Option<Output> {
    let run = move || {
        let mut child = std::process::Command::new("psql")
            .args(["-X", "-A", "-t", "-d", &connection, "-c", command])
            .env("PGPASSWORD", "pencil")
            .env("PGCONNECT_TIMEOUT", "10")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        std::io::Write::write_all(&mut child.stdin.take()?, input.as_bytes()).ok()?;
        child.wait_with_output().ok()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    if output.is_none() {
        eprintln!("psql is not installed: not tested with it");
    }
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn psql_queries_and_copies() {
    let fixture = Fixture::new(ServerOptions::default());
    let port = fixture.listen().await;
    let connection = format!("host=127.0.0.1 port={port} user=ann");
    let Some(output) = psql(connection.clone(), "rows 3", "").await else { return };
    assert_eq!(text(&output.stdout), "0\n1\n2\n", "{}", text(&output.stderr));
    let output = psql(connection.clone(), "copyin", "1\tone\n2\ttwo\n").await.unwrap();
    assert_eq!(text(&output.stdout), "COPY 12\n", "{}", text(&output.stderr));
    let output = psql(connection.clone(), "copyout 2", "").await.unwrap();
    assert_eq!(text(&output.stdout), "line 0\nline 1\n");
    let output = psql(connection, "fail 5", "").await.unwrap();
    assert_eq!(text(&output.stderr), "ERROR:  syntax error\nLINE 1: fail 5\n             ^\n");
}

#[tokio::test]
async fn psql_proves_its_password_bound_to_the_tls_certificate() {
    let (certificate, key) = certificate();
    let tls = TlsIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    let options =
        ServerOptions { tls: Some(tls), access: password_on_loopback(true), ..ServerOptions::default() };
    let fixture = Fixture::new(options);
    with_password(&fixture);
    let port = fixture.listen().await;
    let connection = |rest: &str| format!("host=127.0.0.1 port={port} {rest}");

    let bound = connection("user=ann sslmode=require channel_binding=require");
    let Some(output) = psql(bound, "rows 30000", "").await else { return };
    assert_eq!(text(&output.stdout).lines().count(), 30_000, "{}", text(&output.stderr));
    assert!(fixture.backend.startups.lock().unwrap()[0].encrypted);

    let unbound = connection("user=ann sslmode=require channel_binding=disable");
    let output = psql(unbound, "rows 1", "").await.unwrap();
    assert_eq!(text(&output.stdout), "0\n", "{}", text(&output.stderr));

    let output = psql(connection("user=ann sslmode=disable"), "rows 1", "").await.unwrap();
    assert!(text(&output.stderr).contains("TLS is required from this address"), "{}", text(&output.stderr));
    let output = psql(connection("user=bob sslmode=require"), "rows 1", "").await.unwrap();
    assert!(text(&output.stderr).contains("password authentication failed for user \"bob\""));
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_named() {
    let (certificate, key) = certificate();
    let (_, other_key) = support::certificate();
    let error = |certificate: &str, key: &str| {
        TlsIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err().to_string()
    };
    assert_eq!(error("", &key), "the certificate file holds no certificate");
    assert!(error(&certificate, "").starts_with("the key file holds no private key in PEM"));
    assert!(error(&certificate, &other_key).starts_with("certificate and key cannot be used"));
    let folder = tempfile::tempdir().unwrap();
    let (certificate_path, key_path) = (folder.path().join("server.crt"), folder.path().join("server.key"));
    std::fs::write(&certificate_path, certificate).unwrap();
    assert!(
        TlsIdentity::from_files(&certificate_path, &key_path).unwrap_err().to_string().contains("server.key")
    );
    std::fs::write(&key_path, key).unwrap();
    TlsIdentity::from_files(&certificate_path, &key_path).unwrap();
}

#[tokio::test]
async fn a_drain_stops_accepting() {
    let fixture = Fixture::new(ServerOptions::default());
    let port = fixture.listen().await;
    let client = connect(&format!("host=127.0.0.1 port={port} user=ann")).await.unwrap();
    fixture.server.drain(Duration::from_secs(5)).await;
    assert!(client.is_closed() || client.simple_query("rows 1").await.is_err());
    assert!(connect(&format!("host=127.0.0.1 port={port} user=ann connect_timeout=5")).await.is_err());
}
