//! Bytes from outside that mean harm: no panic, no memory beyond the bound, other sessions unharmed.
//!
//! `PGSERVER_FUZZ_CASES` sets the number of random cases.

mod support;

use pgserver::*;
use pgwire::messages::{DecodeContext, PgWireBackendMessage, ProtocolVersion};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::*;

fn cases(default: u32) -> Config {
    let cases =
        std::env::var("PGSERVER_FUZZ_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    Config { failure_persistence: None, ..Config::with_cases(cases) }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A message that is nearly right: a real type with bytes that resemble a body.
fn near_message() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(b"QPBDECHSXFdcf".to_vec());
    let piece = prop_oneof![
        Just(b"rows 3\0".to_vec()),
        Just(b"copyin\0".to_vec()),
        Just(b"echo $1\0".to_vec()),
        Just(b"begin; bad\0".to_vec()),
        Just(b"\0".to_vec()),
        Just(b"\0\0".to_vec()),
        Just(b"\0\x01".to_vec()),
        Just(b"\0\0\0\x01".to_vec()),
        Just(b"\xff\xff\xff\xff".to_vec()),
        Just(b"S".to_vec()),
        Just(b"P".to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    let body = prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat());
    let lie = prop_oneof![9 => Just(0i32), 1 => -5i32..5];
    (kind, body, lie).prop_map(|(kind, body, lie)| {
        let mut bytes = message(kind, &body);
        let length = (body.len() as i32 + 4 + lie) as u32;
        bytes[1..5].copy_from_slice(&length.to_be_bytes());
        bytes
    })
}

fn good_message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(query("rows 2; notice")),
        Just(parse("", "echo $1")),
        Just(bind("", "", &[Some(b"x")], &[])),
        Just(describe('P', "")),
        Just(execute("", 1)),
        Just(sync()),
    ]
}

/// Sends `bytes` as a session's messages, and returns all that comes back.
async fn converse(fixture: &Fixture, bytes: &[u8]) -> Vec<Reply> {
    let mut client = fixture.connect().await;
    client.send(bytes).await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
    client.until_closed().await
}

#[test]
fn no_sequence_of_messages_harms_the_server() {
    let runtime = runtime();
    let messages = prop::collection::vec(prop_oneof![2 => near_message(), 1 => good_message()], 1..12);
    TestRunner::new(cases(400))
        .run(&messages, |messages| {
            runtime.block_on(async {
                let fixture = Fixture::new(ServerOptions::default());
                let mut bystander = fixture.connect().await;
                let replies = converse(&fixture, &messages.concat()).await;
                check_with_another_reader(&replies);
                assert_eq!(kinds(&bystander.query("rows 1").await), "TDCZ");
            });
            Ok(())
        })
        .unwrap();
}

#[test]
fn no_first_bytes_harm_the_server() {
    let runtime = runtime();
    let code = prop_oneof![
        Just(80_877_102u32),
        Just(80_877_103),
        Just(80_877_104),
        Just(3 << 16),
        Just(3 << 16 | 2),
        any::<u32>()
    ];
    let packet = (code, prop::collection::vec(any::<u8>(), 0..40), -3i32..3).prop_map(|(code, rest, lie)| {
        let mut bytes = packet(&[&code.to_be_bytes()[..], &rest].concat());
        let length = (bytes.len() as i32 + lie) as u32;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes
    });
    let noise = prop::collection::vec(any::<u8>(), 0..60);
    let stream = prop::collection::vec(prop_oneof![packet, noise], 1..4).prop_map(|parts| parts.concat());
    TestRunner::new(cases(400))
        .run(&stream, |bytes| {
            runtime.block_on(async {
                let fixture = Fixture::new(ServerOptions::default());
                let mut stranger = fixture.dial(Peer::Local, 1 << 16);
                stranger.send(&bytes).await;
                tokio::io::AsyncWriteExt::shutdown(&mut stranger.stream).await.unwrap();
                // Single-byte answers are no messages; only the end matters here.
                let mut answer = Vec::new();
                tokio::io::AsyncReadExt::read_to_end(&mut stranger.stream, &mut answer).await.unwrap();
                assert_eq!(kinds(&fixture.connect().await.query("rows 1").await), "TDCZ");
            });
            Ok(())
        })
        .unwrap();
}

/// Has pgwire, which knows nothing of our encoder, read every message back.
fn check_with_another_reader(replies: &[Reply]) {
    let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
    context.awaiting_frontend_ssl = false;
    context.awaiting_frontend_startup = false;
    for (kind, body) in replies {
        let mut bytes = bytes::BytesMut::from(&message(*kind, body)[..]);
        let read = PgWireBackendMessage::decode(&mut bytes, &context);
        assert!(matches!(read, Ok(Some(_))), "{} {body:?}: {read:?}", *kind as char);
        assert!(bytes.is_empty(), "{} {body:?} has more than it says", *kind as char);
    }
}

#[tokio::test]
async fn another_reader_understands_all_that_is_written() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.dial(Peer::Local, 1 << 20);
    client.start(3 << 16, &[("user", "ann")]).await;
    let mut replies = client.until_ready().await;
    for text in ["rows 2; begin; notice; set a b", "copyout 2", "fail 3", ""] {
        replies.append(&mut client.query(text).await);
    }
    let extended = [
        parse("s", "echo $1"),
        describe('S', "s"),
        bind("", "s", &[Some(b"x")], &[0]),
        describe('P', ""),
        execute("", 0),
        close('S', "s"),
        parse("", "rows 2"),
        bind("", "", &[], &[1]),
        execute("", 1),
        parse("", "begin"),
        describe('S', ""),
        sync(),
    ];
    client.send(&extended.concat()).await;
    replies.append(&mut client.until_ready().await);
    let seen: std::collections::BTreeSet<char> = kinds(&replies).chars().collect();
    assert_eq!(seen, "123CDEHIKNRSTZcdnst".chars().collect());
    check_with_another_reader(&replies);
}

#[tokio::test]
async fn a_claimed_length_takes_no_memory() {
    let fixture = Fixture::new(ServerOptions { message_bytes_max: 1 << 30, ..ServerOptions::default() });
    let mut clients = Vec::new();
    let before = resident_bytes();
    for _ in 0..50 {
        let mut client = fixture.connect().await;
        client.send(b"Q\x3f\xff\xff\xff").await;
        client.send(&[b' '; 1000]).await;
        clients.push(client);
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let Some((before, after)) = before.zip(resident_bytes()) else { return };
    assert!(after.saturating_sub(before) < 256 << 20, "{before} -> {after}");
}

/// Resident memory of this process in bytes, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
