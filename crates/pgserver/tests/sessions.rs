//! The session loop, message by message.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use pgserver::*;
use support::*;
use types::error::{PgError, SqlState};

#[tokio::test]
async fn a_client_is_greeted_with_parameters_its_cancel_key_and_readiness() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.dial(Peer::Local, 1 << 16);
    client.start(3 << 16, &[("user", "ann"), ("database", "shop"), ("application_name", "test")]).await;
    let greeting = client.until_ready().await;
    assert_eq!(kinds(&greeting), "RSSKZ");
    assert_eq!(greeting[0].1, [0, 0, 0, 0]);
    assert_eq!(greeting[1].1, b"server_version\x0015.0\0");
    assert_eq!(greeting[3].1.len(), 8);
    assert_eq!(greeting[4].1, b"I");
    let startup = fixture.backend.startups.lock().unwrap()[0].clone();
    assert_eq!((startup.user.as_str(), startup.database.as_str()), ("ann", "shop"));
    assert_eq!(startup.settings, [("application_name".to_owned(), "test".to_owned())]);
    assert_eq!(startup.cancel_key.process_id().to_be_bytes(), greeting[3].1[..4]);
    client.send(&message(b'X', b"")).await;
    assert!(client.until_closed().await.is_empty());
    assert_eq!(fixture.backend.take_log(), ["terminated", "dropped"]);
}

#[tokio::test]
async fn versions_are_negotiated_and_long_cancel_keys_given_from_3_2_on() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.dial(Peer::Local, 1 << 16);
    client.start(3 << 16 | 2, &[("user", "ann")]).await;
    let greeting = client.until_ready().await;
    assert_eq!(kinds(&greeting), "RSSKZ");
    assert_eq!(greeting[3].1.len(), 4 + 32);

    let mut client = fixture.dial(Peer::Local, 1 << 16);
    client.start(3 << 16 | 9999, &[("user", "ann"), ("_pq_.grease", "1")]).await;
    let greeting = client.until_ready().await;
    assert_eq!(kinds(&greeting), "vRSSKZ");
    assert_eq!(greeting[0].1, b"\0\x03\0\x02\0\0\0\x01_pq_.grease\0");

    let mut client = fixture.dial(Peer::Local, 1 << 16);
    client.start(2 << 16, &[("user", "ann")]).await;
    assert_eq!(error_of(&client.until_closed().await), "FATAL 0A000");
}

#[tokio::test]
async fn encryption_that_we_do_not_have_is_declined_politely() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.dial(Peer::Local, 1 << 16);
    for code in [80_877_104u32, 80_877_103] {
        client.send(&packet(&code.to_be_bytes())).await;
        let mut answer = [0];
        tokio::io::AsyncReadExt::read_exact(&mut client.stream, &mut answer).await.unwrap();
        assert_eq!(answer, *b"N");
    }
    client.start(3 << 16, &[("user", "ann")]).await;
    assert_eq!(kinds(&client.until_ready().await), "RSSKZ");

    // Once declined, asking again is no version we speak.
    let mut client = fixture.dial(Peer::Local, 1 << 16);
    client.send(&packet(&80_877_103u32.to_be_bytes())).await;
    let mut answer = [0];
    tokio::io::AsyncReadExt::read_exact(&mut client.stream, &mut answer).await.unwrap();
    client.send(&packet(&80_877_103u32.to_be_bytes())).await;
    assert_eq!(error_of(&client.until_closed().await), "FATAL 0A000");

    // Bytes in the clear behind the request would otherwise count as encrypted.
    let mut client = fixture.dial(Peer::Local, 1 << 16);
    let early = [packet(&80_877_103u32.to_be_bytes()), startup(3 << 16, &[("user", "ann")])].concat();
    client.send(&early).await;
    assert_eq!(error_of(&client.until_closed().await), "FATAL 08P01");
}

#[tokio::test]
async fn a_backend_that_refuses_ends_the_connection() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.dial(Peer::Local, 1 << 16);
    client.start(3 << 16, &[("user", "ann"), ("database", "missing")]).await;
    assert_eq!(error_of(&client.until_closed().await), "FATAL 3D000");
    assert_eq!(fixture.server.session_count(), 0);
}

#[tokio::test]
async fn a_simple_query_streams_each_statement_in_turn() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.connect().await;
    let replies = client.query("rows 2; begin; notice; set TimeZone UTC").await;
    assert_eq!(kinds(&replies), "TDDCCNCSCZ");
    assert_eq!(replies[0].1, b"\0\x01n\0\0\0\0\0\0\0\0\0\0\x14\0\x08\xff\xff\xff\xff\0\0");
    assert_eq!(replies[2].1, b"\0\x01\0\0\0\x011");
    assert_eq!(replies[3].1, b"SELECT 2\0");
    assert_eq!(field(&replies[5], b'D').unwrap(), "of this");
    assert_eq!(replies[7].1, b"TimeZone\0UTC\0");
    assert_eq!(replies[9].1, b"T");
    assert_eq!(kinds(&client.query("  ").await), "IZ");
    let replies = client.query("rows 1; fail 0; rows 1").await;
    assert_eq!(kinds(&replies), "TDCEZ");
    assert_eq!(replies[4].1, b"E");
}

#[tokio::test]
async fn error_positions_count_characters_from_one() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.connect().await;
    let replies = client.query("fail 8 é").await;
    assert_eq!(field(&replies[0], b'P').unwrap(), "9");
    let replies = client.query("fail 10 éé").await;
    assert_eq!(field(&replies[0], b'P').unwrap(), "10", "one of the two-byte characters lies before");
    client.send(&[parse("", "ää bad"), sync()].concat()).await;
    let replies = client.until_ready().await;
    assert_eq!(field(&replies[0], b'P').unwrap(), "4");
}

#[tokio::test]
async fn the_extended_protocol_is_pipelined_and_silent_until_sync() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.connect().await;
    let messages = [
        parse("s", "echo $1 $2"),
        describe('S', "s"),
        bind("", "s", &[Some(b"one"), None], &[]),
        describe('P', ""),
        execute("", 0),
    ];
    client.send(&messages.concat()).await;
    assert!(client.is_silent().await, "nothing is sent before Sync or Flush");
    client.send(&message(b'H', b"")).await;
    let mut replies = Vec::new();
    for _ in 0..7 {
        replies.push(client.receive().await);
    }
    assert_eq!(kinds(&replies), "1tT2TDC");
    assert_eq!(replies[1].1, b"\0\x02\0\0\0\x19\0\0\0\x19");
    assert_eq!(replies[5].1, b"\0\x02\0\0\0\x03one\xff\xff\xff\xff");
    client.send(&[bind("", "s", &[None, None], &[]), execute("", 0), sync()].concat()).await;
    assert_eq!(kinds(&client.until_ready().await), "2DCZ");
    let log = fixture.backend.take_log();
    assert_eq!(log[0], "parse \"s\" \"echo $1 $2\" []");
    assert_eq!(log[1..], ["execute \"\" sync next: false", "execute \"\" sync next: true", "sync"]);
    client.send(&[close('S', "s"), close('P', "none"), describe('S', "s"), sync()].concat()).await;
    let replies = client.until_ready().await;
    assert_eq!(kinds(&replies), "33EZ");
    assert_eq!(error_of(&replies), "ERROR 26000");
}

#[tokio::test]
async fn after_an_error_everything_is_skipped_until_sync() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.connect().await;
    let messages = [
        parse("", "bad"),
        bind("", "", &[], &[]),
        execute("", 0),
        query("rows 1"),
        message(b'd', b"stray"),
        sync(),
        parse("", "rows 1"),
        bind("", "", &[], &[]),
        execute("", 0),
        sync(),
    ];
    client.send(&messages.concat()).await;
    assert_eq!(kinds(&client.until_ready().await), "EZ");
    assert_eq!(kinds(&client.until_ready().await), "12DCZ");
    // An error without Sync is told at once.
    client.send(&parse("", "bad")).await;
    assert_eq!(client.receive().await.0, b'E');
    client.send(&sync()).await;
    assert_eq!(kinds(&client.until_ready().await), "Z");
}

#[tokio::test]
async fn portals_are_suspended_at_their_row_limit_and_go_on() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.connect().await;
    client.query("begin").await;
    let messages = [
        parse("", "rows 5"),
        bind("a", "", &[], &[]),
        bind("b", "", &[], &[1]),
        execute("a", 2),
        execute("b", 4),
        execute("a", 2),
        execute("a", 2),
        execute("b", -1),
        sync(),
    ];
    client.send(&messages.concat()).await;
    let replies = client.until_ready().await;
    assert_eq!(kinds(&replies), "122DDsDDDDsDDsDCDCZ");
    assert_eq!(replies[6].1, b"\0\x01\0\0\0\x08\0\0\0\0\0\0\0\0");
    assert_eq!(replies[14].1, b"\0\x01\0\0\0\x014");
}

#[tokio::test]
async fn copy_in_takes_data_in_both_protocols() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.connect().await;
    client.send(&query("copyin; rows 1")).await;
    assert_eq!(client.receive().await, (b'G', b"\0\0\x02\0\0\0\0".to_vec()));
    let large = vec![b'x'; 100_000];
    client.send(&[message(b'd', b"1\t2\n"), message(b'd', &large), message(b'c', b"")].concat()).await;
    let replies = client.until_ready().await;
    assert_eq!(kinds(&replies), "CTDCZ");
    assert_eq!(replies[0].1, b"COPY 100004\0");

    // libpq sends Sync right behind Execute; it does not count while data is expected.
    client.send(&[parse("", "copyin"), bind("", "", &[], &[]), execute("", 0), sync()].concat()).await;
    for expected in [b'1', b'2', b'G'] {
        assert_eq!(client.receive().await.0, expected);
    }
    client.send(&[message(b'd', b"1\n"), message(b'c', b""), sync()].concat()).await;
    assert_eq!(kinds(&client.until_ready().await), "CZ");
}

#[tokio::test]
async fn copy_in_fails_from_either_side() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.connect().await;
    client.send(&query("copyin")).await;
    assert_eq!(client.receive().await.0, b'G');
    client.send(&message(b'f', b"no more\0")).await;
    let replies = client.until_ready().await;
    assert_eq!(error_of(&replies), "ERROR 57014");
    assert_eq!(field(&replies[0], b'M').unwrap(), "COPY from stdin failed: no more");

    // The server fails; what the client still sends of the COPY is ignored.
    client
        .send(
            &[query("copyinfail"), message(b'd', b"1\n"), message(b'd', b"2\n"), message(b'c', b"")].concat(),
        )
        .await;
    let replies = client.until_ready().await;
    assert_eq!(kinds(&replies), "GEZ");
    assert_eq!(field(&replies[1], b'W').unwrap(), "COPY t, line 1");
    assert_eq!(kinds(&client.query("rows 1").await), "TDCZ");

    // A query in the middle of the data puts the connection out of step.
    client.send(&query("copyin")).await;
    assert_eq!(client.receive().await.0, b'G');
    client.send(&query("rows 1")).await;
    assert_eq!(error_of(&client.until_closed().await), "FATAL 08P01");
}

#[tokio::test]
async fn copy_out_sends_a_message_for_each_line() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.connect().await;
    let replies = client.query("copyout 3").await;
    assert_eq!(kinds(&replies), "HdddcCZ");
    assert_eq!(replies[3].1, b"line 2\n");
    let replies = client.query("copyout 20000").await;
    assert_eq!(replies.len(), 20_004);
}

#[tokio::test]
async fn a_session_speaks_up_while_its_client_is_silent() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.connect().await;
    let notification = Notification { process_id: 7, channel: "news".into(), payload: "rain".into() };
    fixture.backend.push_event(SessionEvent::Notification(notification.clone()));
    fixture.backend.push_event(SessionEvent::Notice(PgError::notice("by the way")));
    assert_eq!(client.receive().await, (b'A', b"\0\0\0\x07news\0rain\0".to_vec()));
    assert_eq!(client.receive().await.0, b'N');
    // What comes while a statement runs is told before the next ReadyForQuery.
    client.send(&query("sleep")).await;
    while fixture.backend.take_log() != ["sleeping"] {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fixture.backend.push_event(SessionEvent::Notification(notification));
    let key = fixture.backend.startups.lock().unwrap()[0].cancel_key.clone();
    fixture.backend.shared().cancel(key);
    assert_eq!(kinds(&client.until_ready().await), "EAZ");
    fixture.backend.push_event(SessionEvent::Terminate(PgError::new(
        SqlState::DATABASE_DROPPED,
        "the database is gone",
    )));
    assert_eq!(error_of(&client.until_closed().await), "FATAL 57P04");
}

#[tokio::test]
async fn a_cancel_request_needs_the_right_key() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.dial(Peer::Local, 1 << 16);
    client.start(3 << 16, &[("user", "ann")]).await;
    let key = client.until_ready().await[3].1.clone();
    client.send(&query("sleep")).await;
    for guess in [[&key[..4], b"none"].concat(), key] {
        let mut canceller = fixture.dial(Peer::Local, 1 << 16);
        canceller.send(&packet(&[&80_877_102u32.to_be_bytes()[..], &guess].concat())).await;
        assert!(canceller.until_closed().await.is_empty(), "a cancel request gets no answer");
    }
    assert_eq!(error_of(&client.until_ready().await), "ERROR 57014");
    assert_eq!(fixture.backend.cancelled.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn idle_sessions_are_ended_after_their_limit() {
    let fixture = Fixture::new(ServerOptions::default());
    let (mut idle, mut in_transaction) = (fixture.connect().await, fixture.connect().await);
    *fixture.backend.idle_limit.lock().unwrap() = Some(Duration::from_millis(20));
    in_transaction.query("begin").await;
    assert_eq!(error_of(&in_transaction.until_closed().await), "FATAL 25P03");
    idle.query("rows 1").await;
    assert_eq!(error_of(&idle.until_closed().await), "FATAL 57P05");
    assert_eq!(fixture.backend.take_log(), ["terminated", "dropped", "terminated", "dropped"]);
}

#[tokio::test]
async fn a_drain_lets_sessions_leave_at_a_good_moment() {
    let fixture = Fixture::new(ServerOptions::default());
    let (mut idle, mut in_transaction, mut running) =
        (fixture.connect().await, fixture.connect().await, fixture.connect().await);
    in_transaction.query("begin").await;
    running.send(&query("sleep")).await;
    let server = fixture.server.clone();
    let drained = tokio::spawn(async move { server.drain(Duration::from_millis(200)).await });
    assert_eq!(error_of(&idle.until_closed().await), "FATAL 57P01");
    assert_eq!(fixture.server.session_count(), 2);
    // A transaction that ends in time ends well.
    let mut replies = Vec::new();
    in_transaction.send(&query("commit")).await;
    replies.append(&mut in_transaction.until_closed().await);
    assert_eq!(kinds(&replies), "CZE");
    // A newcomer is turned away.
    let mut late = fixture.dial(Peer::Local, 1 << 16);
    late.start(3 << 16, &[("user", "ann")]).await;
    assert_eq!(error_of(&late.until_closed().await), "FATAL 57P03");
    // The grace is over: the statement is cancelled and its session ends; that it was cancelled is not told.
    let replies = running.until_closed().await;
    assert_eq!(kinds(&replies), "E");
    assert_eq!(error_of(&replies), "FATAL 57P01");
    drained.await.unwrap();
    assert_eq!(fixture.server.session_count(), 0);
}

#[tokio::test]
async fn a_drain_cuts_off_a_client_that_does_not_read() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut stuck = fixture.dial(Peer::Local, 1024);
    stuck.start(3 << 16, &[("user", "ann")]).await;
    stuck.until_ready().await;
    stuck.send(&query("rows 1000000")).await;
    tokio::time::timeout(Duration::from_secs(10), fixture.server.drain(Duration::from_millis(10)))
        .await
        .expect("the drain ends");
    assert_eq!(fixture.backend.take_log(), ["dropped"]);
}

#[tokio::test]
async fn a_result_waits_for_a_slow_client() {
    let fixture = Fixture::new(ServerOptions { output_bytes_max: 10_000, ..ServerOptions::default() });
    let mut client = fixture.dial(Peer::Local, 1000);
    client.start(3 << 16, &[("user", "ann")]).await;
    client.until_ready().await;
    client.send(&query("rows 100000")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let ahead = fixture.backend.rows_written.load(Ordering::Relaxed);
    assert!((100..2_000).contains(&ahead), "{ahead} rows of about 14 bytes for 11,000 bytes of room");
    assert_eq!(client.until_ready().await.len(), 100_003);
}

#[tokio::test]
async fn a_panic_ends_its_own_connection_only() {
    let fixture = Fixture::new(ServerOptions::default());
    let (mut other, mut unlucky) = (fixture.connect().await, fixture.connect().await);
    unlucky.send(&query("panic")).await;
    let replies = unlucky.until_closed().await;
    assert_eq!(kinds(&replies), "E", "the half row that was written is taken back");
    assert_eq!(error_of(&replies), "FATAL XX000");
    assert_eq!(kinds(&other.query("rows 1").await), "TDCZ");
    other.send(&query("fatal")).await;
    assert_eq!(error_of(&other.until_closed().await), "FATAL XX001");
    assert_eq!(fixture.server.session_count(), 0);
}

#[tokio::test]
async fn one_session_too_many_is_refused() {
    let fixture = Fixture::new(ServerOptions { connections_max: 2, ..ServerOptions::default() });
    let first = fixture.connect().await;
    let _second = fixture.connect().await;
    let mut third = fixture.dial(Peer::Local, 1 << 16);
    third.start(3 << 16, &[("user", "ann")]).await;
    assert_eq!(error_of(&third.until_closed().await), "FATAL 53300");
    drop(first);
    while fixture.server.session_count() == 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fixture.connect().await;
}

#[tokio::test]
async fn a_stranger_who_says_nothing_is_dropped() {
    let options =
        ServerOptions { authentication_timeout: Duration::from_millis(20), ..ServerOptions::default() };
    let fixture = Fixture::new(options);
    let mut client = fixture.dial(Peer::Local, 1 << 16);
    client.send(b"\0\0").await;
    assert!(client.until_closed().await.is_empty());
}

#[tokio::test]
async fn text_must_be_utf8() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.connect().await;
    client.send(&message(b'Q', b"rows \xe4bc\0")).await;
    let replies = client.until_ready().await;
    assert_eq!(error_of(&replies), "ERROR 22021");
    assert_eq!(
        field(&replies[0], b'M').unwrap(),
        "invalid byte sequence for encoding \"UTF8\": 0xe4 0x62 0x63"
    );
    client.query("begin").await;
    client.send(&[message(b'P', b"\0\xff\0\0\0"), sync()].concat()).await;
    let replies = client.until_ready().await;
    assert_eq!(error_of(&replies), "ERROR 22021");
    assert_eq!(replies[1].1, b"E", "the transaction block has failed");
    client.send(&[message(b'E', b"\xff\0\0\0\0\0"), sync()].concat()).await;
    assert_eq!(error_of(&client.until_ready().await), "ERROR 22021");
}

#[tokio::test]
async fn a_malformed_message_fails_but_keeps_the_connection_in_step() {
    let fixture = Fixture::new(ServerOptions::default());
    let mut client = fixture.connect().await;
    let bad_bodies: [(u8, &[u8]); 10] = [
        (b'P', b"name without end"),
        (b'P', b"\0rows 1\0\xff\xff"),
        (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0"),
        (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
        (b'B', b"\0\0\0\x02\0\0\0\x01\0\x01\0\0\0\x01x\0\0"),
        (b'B', b"\0\0\0\x01\0\x02\0\0\0\0"),
        (b'D', b"Xname\0"),
        (b'E', b"\0\0\0"),
        (b'H', b"too much"),
        (b'E', b"\0\0\0\0\0and more"),
    ];
    for (kind, body) in bad_bodies {
        client.send(&[message(kind, body), sync()].concat()).await;
        let replies = client.until_ready().await;
        assert_eq!(kinds(&replies), "EZ");
        let expected = if body == b"\0\0\0\x01\0\x02\0\0\0\0" { "ERROR 22023" } else { "ERROR 08P01" };
        assert_eq!(error_of(&replies), expected, "{} {body:?}", kind as char);
    }
    client.send(&message(b'F', b"anything")).await;
    assert_eq!(error_of(&client.until_ready().await), "ERROR 0A000");
    client.send(&message(b'S', b"too much")).await;
    assert_eq!(kinds(&client.until_ready().await), "EZ");
}

#[tokio::test]
async fn a_frame_that_cannot_be_trusted_ends_the_connection() {
    let options = ServerOptions { message_bytes_max: 100_000, ..ServerOptions::default() };
    let fixture = Fixture::new(options);
    let frames: [&[u8]; 6] = [
        b"!\0\0\0\x04",
        b"\x80\0\0\0\x04",
        b"Q\0\0\0\x03",
        b"Q\x7f\xff\xff\xff",
        b"Q\xff\xff\xff\xff",
        b"E\0\x00\x27\x11",
    ];
    for frame in frames {
        let mut client = fixture.connect().await;
        client.send(frame).await;
        assert_eq!(error_of(&client.until_closed().await), "FATAL 08P01", "{frame:?}");
    }
    // At the bound it is taken.
    let mut client = fixture.connect().await;
    let text = format!("rows 1{}", " ".repeat(100_000 - 4 - 1 - 6));
    assert_eq!(kinds(&client.query(&text).await), "TDCZ");
    for first in [&b"\0\0\x27\x11"[..], b"\0\0\0\x03", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut client = fixture.dial(Peer::Local, 1 << 16);
        client.send(first).await;
        assert_eq!(error_of(&client.until_closed().await), "FATAL 08P01");
    }
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let fixture = Fixture::new(ServerOptions::default());
    for last_words in [&b""[..], b"Q\0\0", &query("sleep"), &query("copyin"), &query("rows 1000000")] {
        let mut client = fixture.connect().await;
        client.send(last_words).await;
        drop(client);
        if last_words == query("sleep") {
            // Nobody reads while a statement runs: the statement ends first.
            let key = fixture.backend.startups.lock().unwrap().last().unwrap().cancel_key.clone();
            fixture.backend.shared().cancel(key);
        }
        tokio::time::timeout(Duration::from_secs(5), async {
            while fixture.server.session_count() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .expect("the session ends");
    }
}
