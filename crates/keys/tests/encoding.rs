//! Properties of the codecs, and their frozen bytes.

use std::cmp::Ordering;

use keys::encoding::*;
use keys::{Key, RangeId, local, print, table};
use proptest::prelude::*;

const DIRECTIONS: [Direction; 2] = [Direction::Ascending, Direction::Descending];

fn directed(order: Ordering, direction: Direction) -> Ordering {
    if direction == Direction::Ascending { order } else { order.reverse() }
}

/// Encoded order equals value order, no encoding is a proper prefix of the other, decoding and skipping take it all.
fn check<T: Clone>(
    values: [&T; 2],
    order: Ordering,
    put: impl Fn(&mut Vec<u8>, &T, Direction),
    same: impl Fn(&mut Decoder<'_>, &T, Direction) -> bool,
) {
    for direction in DIRECTIONS {
        let encoded = values.map(|value| {
            let mut out = Vec::new();
            put(&mut out, value, direction);
            let mut decoder = Decoder::new(&out);
            assert!(same(&mut decoder, value, direction));
            assert!(decoder.is_empty());
            let mut skipping = Decoder::new(&out);
            skipping.skip_column().expect("what was encoded can be skipped");
            assert!(skipping.is_empty());
            let mut printing = Decoder::new(&out);
            let column = printing.take_column().expect("what was encoded can be printed");
            let mut again = Vec::new();
            column.put(&mut again);
            assert_eq!(again, out);
            assert!(out[0] != 0x00 && out[0] != 0xff, "a value never looks like NULL");
            out
        });
        assert_eq!(encoded[0].cmp(&encoded[1]), directed(order, direction));
        if order != Ordering::Equal {
            assert!(!encoded[0].starts_with(&encoded[1]) && !encoded[1].starts_with(&encoded[0]));
        }
    }
}

fn any_int() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -300i64..300, (0u32..63, any::<i8>()).prop_map(|(s, d)| (1i64 << s) + d as i64)]
}

/// Few distinct bytes, so that zeros, prefixes and equal strings are common.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xfe), Just(0xff), any::<u8>()], 0..12)
}

proptest! {
    #[test]
    fn integers(a in any_int(), b in any_int()) {
        check([&a, &b], a.cmp(&b), |out, v, d| put_int(out, *v, d), |dec, v, d| dec.take_int(d) == Ok(*v));
    }

    #[test]
    fn byte_strings(a in any_bytes(), b in any_bytes()) {
        check([&a, &b], a.cmp(&b), |out, v, d| put_bytes(out, v, d), |dec, v, d| dec.take_bytes(d).as_ref() == Ok(v));
        check([&a, &b], a.cmp(&b), |out, v, d| put_opaque(out, v, d), |dec, v, d| dec.take_opaque(d).as_ref() == Ok(v));
        let mut encoded = [Vec::new(), Vec::new()];
        put_bytes_terminated(&mut encoded[0], &a);
        put_bytes_terminated(&mut encoded[1], &b);
        prop_assert_eq!(encoded[0].cmp(&encoded[1]), a.cmp(&b));
    }

    #[test]
    fn texts(a in "[\\x00-\\x02a-c\u{e9}\u{1f600}]{0,6}", b in "[\\x00-\\x02a-c\u{e9}\u{1f600}]{0,6}") {
        check([&a, &b], a.cmp(&b), |out, v, d| put_text(out, v, d), |dec, v, d| dec.take_text(d).as_ref() == Ok(v));
    }

    #[test]
    fn floats(a in any::<f64>(), b in any::<f64>()) {
        let order = a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
        check([&a, &b], order, |out, v, d| put_f64(out, *v, d), |dec, v, d| {
            let back = dec.take_f64(d).expect("decodes");
            back == *v || (back.is_nan() && v.is_nan())
        });
    }

    #[test]
    fn wide_numbers_and_truth_values(a in any::<u128>(), b in any::<u128>()) {
        check([&a, &b], a.cmp(&b), |out, v, d| put_u128(out, *v, d), |dec, v, d| dec.take_u128(d) == Ok(*v));
        let (a, b) = (a & 1 == 1, b & 1 == 1);
        check([&a, &b], a.cmp(&b), |out, v, d| put_bool(out, *v, d), |dec, v, d| dec.take_bool(d) == Ok(*v));
    }

    #[test]
    fn varying_numbers(a in any::<u64>().prop_flat_map(|v| 0..=v), shift in 0u32..64, b in any::<u64>()) {
        let values = [a >> shift, b];
        let encoded = values.map(|value| {
            let mut out = Vec::new();
            put_u64_varying(&mut out, value);
            let mut decoder = Decoder::new(&out);
            assert_eq!(decoder.take_u64_varying(), Ok(value));
            assert!(decoder.is_empty());
            out
        });
        prop_assert_eq!(encoded[0].cmp(&encoded[1]), values[0].cmp(&values[1]));
    }

    #[test]
    fn any_bytes_decode_or_fail_but_never_panic(bytes in any_bytes(), first in any::<u8>()) {
        let key = [&[first][..], &bytes].concat();
        let mut decoder = Decoder::new(&key);
        while !decoder.is_empty() && decoder.take_column().is_ok() {}
        let mut decoder = Decoder::new(&key);
        while !decoder.is_empty() && decoder.skip_column().is_ok() {}
        let _ = Decoder::new(&key).take_u64_varying();
    }

    #[test]
    fn every_byte_string_prints_and_parses_back(first in 0u8..0x12, rest in any_bytes()) {
        let key = Key::from([&[first][..], &rest].concat());
        prop_assert_eq!(print::parse(&key.to_string()), Ok(key));
        let key = Key::from(rest);
        prop_assert_eq!(print::parse(&key.to_string()), Ok(key));
    }

    #[test]
    fn every_text_parses_or_fails_but_never_panics(text in "[/\"\\\\a-z0-9:\u{e9}]{0,20}") {
        let _ = print::parse(&text);
        let _ = print::parse(&format!("/table/1/2/{text}"));
        let _ = print::parse(&format!("/local/anchor/{text}"));
    }

    #[test]
    fn rows_print_and_parse_back(int in any_int(), bytes in any_bytes(), float in any::<f64>(), text in ".{0,5}") {
        for direction in DIRECTIONS {
            let mut out = table::start_key(keys::TableId(300), keys::IndexId(2));
            put_int(&mut out, int, direction);
            put_bytes(&mut out, &bytes, direction);
            put_null_first(&mut out);
            put_f64(&mut out, float, direction);
            put_text(&mut out, &text, direction);
            put_null_last(&mut out);
            let key = Key::from(out);
            let printed = key.to_string();
            prop_assert!(!printed.contains("raw"), "{}", printed);
            prop_assert_eq!(print::parse(&printed), Ok(key));
        }
    }
}

#[test]
fn nulls_sort_outside_of_all_values() {
    let mut first = Vec::new();
    put_null_first(&mut first);
    let mut last = Vec::new();
    put_null_last(&mut last);
    for direction in DIRECTIONS {
        for value in [i64::MIN, 0, i64::MAX] {
            let mut out = Vec::new();
            put_int(&mut out, value, direction);
            assert!(first < out && out < last);
        }
    }
    assert_eq!(Decoder::new(&first).take_null(), Ok(true));
    assert_eq!(Decoder::new(&[0x20]).take_null(), Ok(false));
    assert_eq!(Decoder::new(&[]).take_null(), Err(KeyError::Truncated));
}

#[test]
fn an_integer_has_one_encoding() {
    // 5 fits the tag; 100 fits one byte; -9 fits one byte.
    for bytes in [&[0x60, 5][..], &[0x61, 0, 100], &[0x16, 0xff, 0xf7], &[0x17, 0xff]] {
        assert!(
            matches!(Decoder::new(bytes).take_int(Direction::Ascending), Err(KeyError::Invalid(_))),
            "{bytes:x?}"
        );
    }
}

/// These bytes are on disks. A change here is a change of format.
#[test]
fn frozen_bytes() {
    fn encode(put: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        out.iter().map(|byte| format!("{byte:02x}")).collect()
    }
    let (up, down) = (Direction::Ascending, Direction::Descending);
    assert_eq!(encode(|out| put_int(out, 0, up)), "20");
    assert_eq!(encode(|out| put_int(out, 63, up)), "5f");
    assert_eq!(encode(|out| put_int(out, 64, up)), "6040");
    assert_eq!(encode(|out| put_int(out, -9, up)), "17f7");
    assert_eq!(encode(|out| put_int(out, i64::MIN, up)), "108000000000000000");
    assert_eq!(encode(|out| put_int(out, i64::MAX, up)), "677fffffffffffffff");
    assert_eq!(encode(|out| put_int(out, 64, down)), "9fbf");
    assert_eq!(encode(|out| put_bytes(out, b"a\0b", up)), "686100ff620001");
    assert_eq!(encode(|out| put_text(out, "a", down)), "969efffe");
    assert_eq!(encode(|out| put_f64(out, 1.5, up)), "6abff8000000000000");
    assert_eq!(encode(|out| put_f64(out, f64::NAN, up)), "6afff8000000000000");
    assert_eq!(encode(|out| put_bool(out, true, up)), "6e");
    assert_eq!(encode(|out| put_u64_varying(out, 246)), "f6");
    assert_eq!(encode(|out| put_u64_varying(out, 247)), "f7f7");
    assert_eq!(encode(|out| out.extend_from_slice(&local::transaction_record(b"k", &[9; 16]))), {
        "01616b000174".to_string() + &"09".repeat(16)
    });
    assert_eq!(
        encode(|out| out.extend_from_slice(&local::raft_log_entry(RangeId(7), 12))),
        "017200000000000000077a000000000000000c"
    );
    assert_eq!(
        encode(|out| out.extend_from_slice(&local::range_item(RangeId(7), local::RangeItem::AppliedState))),
        "0169000000000000000761"
    );
    assert_eq!(encode(|out| out.extend_from_slice(&keys::system::liveness(keys::NodeId(3)))), "046c00000003");
    assert_eq!(encode(|out| out.extend_from_slice(&keys::system::setting("a"))), "0473610001");
}

#[test]
fn long_nested_keys_print_without_deep_recursion() {
    for byte in [1u8, 2, 3] {
        let key = Key::from(vec![byte; 100_000]);
        assert_eq!(print::parse(&key.to_string()), Ok(key));
    }
    assert!(print::parse(&"/meta2".repeat(100_000)).is_err());
}

#[test]
fn printed_forms() {
    let cases = [
        (Key::MIN, "/min"),
        (Key::MAX, "/max"),
        (
            keys::addressing::meta2_key(&table::index_prefix(keys::TableId(104), keys::IndexId(1))),
            "/meta2/table/104/1",
        ),
        (keys::addressing::meta1_key(&Key::MAX), "/meta1/max"),
        (local::raft_log_entry(RangeId(7), 12), "/local/raft/7/log/12"),
        (local::raft_item(RangeId(7), local::RaftItem::HardState), "/local/raft/7/hard-state"),
        (local::range_item(RangeId(7), local::RangeItem::Lease), "/local/range/7/lease"),
        (local::store_item(local::StoreItem::Identity), "/local/store/identity"),
        (keys::system::config(&[0x05, 0x68]), "/system/config/\"\\x05h\""),
        (keys::system::allocator("range"), "/system/allocator/\"range\""),
        (keys::system::liveness(keys::NodeId(3)), "/system/liveness/3"),
        (
            local::range_descriptor(&table::table_prefix(keys::TableId(9))),
            "/local/anchor/\"/table/9\"/descriptor",
        ),
        (Key::from(vec![0x10, 1, 1, 0x20, 0x68, 7]), "/table/1/1/0/raw/\"h\\x07\""),
        (Key::from(vec![3, 3, 3]), "/meta2/raw/\"\\x03\\x03\""),
        (Key::from("hello"), "/raw/\"hello\""),
    ];
    for (key, text) in cases {
        assert_eq!(key.to_string(), text);
        assert_eq!(print::parse(text), Ok(key));
    }
}
