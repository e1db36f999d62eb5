//! Against PostgreSQL 15 (a table of its answers), and properties of every writer and reader.

use super::*;
use crate::user_type::Directory;

fn type_named(name: &str) -> DataType {
    if let Some(element) = name.strip_suffix("[]") {
        return DataType::array_of(type_named(element));
    }
    *crate::data_type::BUILTIN_TYPES
        .iter()
        .find(|data_type| data_type.pg_name() == Some(name))
        .unwrap_or_else(|| panic!("no type {name}"))
}

/// `time zone|date format|date order|interval style|bytea output|extra float digits`
fn context_of(settings: &str) -> FormatContext {
    let [zone, format, order, interval, bytea, digits] = settings.split('|').collect::<Vec<_>>()[..] else {
        panic!("bad settings {settings}")
    };
    FormatContext {
        time_zone: TimeZone::from_setting(zone).expect("a zone"),
        date_format: match format {
            "ISO" => DateFormat::Iso,
            "SQL" => DateFormat::Sql,
            "Postgres" => DateFormat::Postgres,
            _ => DateFormat::German,
        },
        date_order: match order {
            "MDY" => DateOrder::Mdy,
            "DMY" => DateOrder::Dmy,
            _ => DateOrder::Ymd,
        },
        interval_style: match interval {
            "postgres" => IntervalStyle::Postgres,
            "postgres_verbose" => IntervalStyle::PostgresVerbose,
            "sql_standard" => IntervalStyle::SqlStandard,
            _ => IntervalStyle::Iso8601,
        },
        bytea_output: if bytea == "hex" { ByteaOutput::Hex } else { ByteaOutput::Escape },
        extra_float_digits: digits.parse().expect("a number"),
        now: 0,
        types: Directory::default(),
    }
}

fn answer(name: &str, typmod: i32, text: &str, context: &FormatContext) -> String {
    let data_type = type_named(name);
    match parse_text(data_type, typmod, text, context) {
        Ok(datum) => datum_text(&datum, data_type, typmod, context),
        Err(error) => {
            let fields = error.fields();
            let detail = fields.detail.as_ref().map_or(String::new(), |detail| format!(" D:{detail}"));
            let hint = fields.hint.as_ref().map_or(String::new(), |hint| format!(" H:{hint}"));
            format!("!{} {}{detail}{hint}", error.code(), error.message())
        }
    }
}

/// PostgreSQL's answers: type, typmod, settings, input; output (`!` and SQLSTATE, message, detail, hint for an error).
#[test]
fn agrees_with_postgresql() {
    let more = std::env::var("TYPES_FORMAT_CASES")
        .map(|path| std::fs::read_to_string(path).expect("a table of cases"));
    let table = more.unwrap_or_else(|_| include_str!("../../testdata/format.tsv").to_owned());
    let (mut wrong, mut count) = (Vec::new(), 0);
    for line in table.lines() {
        let [name, typmod, settings, text, expected] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("bad line {line}")
        };
        let got = answer(name, typmod.parse().expect("a typmod"), text, &context_of(settings));
        count += 1;
        if got.replace('\n', "\\n") != expected {
            wrong.push(format!("{line}\n      got: {got}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(5000)].join("\n")
    );
}

mod properties {
    use super::*;
    use crate::datum::{ArrayValue, BitString, TimeTz};
    use crate::interval::Interval;
    use proptest::prelude::*;

    /// Values of most types, finite and within PostgreSQL's ranges.
    fn typed_datum() -> impl Strategy<Value = (DataType, Datum)> {
        use DataType as T;
        let instant =
            || datetime::MICROSECONDS_PER_DAY * -2_000_000..datetime::MICROSECONDS_PER_DAY * 2_000_000;
        let time = || 0..datetime::MICROSECONDS_PER_DAY;
        let text = || "[ -~äé\"\\\\{},()\n]{0,12}";
        prop_oneof![
            any::<bool>().prop_map(|x| (T::Bool, Datum::Bool(x))),
            any::<i16>().prop_map(|x| (T::Int2, Datum::Int2(x))),
            any::<i32>().prop_map(|x| (T::Int4, Datum::Int4(x))),
            any::<i64>().prop_map(|x| (T::Int8, Datum::Int8(x))),
            any::<u32>().prop_map(|x| (T::Oid, Datum::Oid(x))),
            any::<u64>().prop_map(|x| (T::PgLsn, Datum::Unsigned8(x))),
            any::<u64>().prop_map(|x| (T::Xid8, Datum::Unsigned8(x))),
            (0u64..1 << 48).prop_map(|x| (T::Tid, Datum::Unsigned8(x))),
            any::<f32>().prop_map(|x| (T::Float4, Datum::Float4(x))),
            any::<f64>().prop_map(|x| (T::Float8, Datum::Float8(x))),
            (any::<i128>(), 0u16..60)
                .prop_map(|(x, s)| (T::Numeric, Datum::Numeric(Numeric::from_i128(x, s)))),
            text().prop_map(|x| (T::Text, Datum::text(x))),
            proptest::collection::vec(any::<u8>(), 0..10).prop_map(|x| (T::Bytea, Datum::Bytes(x.into()))),
            (-2_000_000i32..2_000_000).prop_map(|x| (T::Date, Datum::Date(x))),
            time().prop_map(|x| (T::Time, Datum::Time(x))),
            (time(), -57_000i32..57_000).prop_map(|(microseconds, zone_west_seconds)| {
                (T::TimeTz, Datum::TimeTz(TimeTz { microseconds, zone_west_seconds }))
            }),
            instant().prop_map(|x| (T::Timestamp, Datum::Timestamp(x))),
            instant().prop_map(|x| (T::TimestampTz, Datum::TimestampTz(x))),
            (-90_000i32..90_000, any::<i32>(), -1i64 << 50..1i64 << 50).prop_map(
                |(months, days, microseconds)| {
                    (T::Interval, Datum::Interval(Interval { months, days, microseconds }))
                }
            ),
            any::<[u8; 16]>().prop_map(|x| (T::Uuid, Datum::Uuid(x))),
            proptest::collection::vec(any::<bool>(), 0..20).prop_map(|bits| {
                let bits: BitString = bits::from_bits(bits.into_iter());
                (T::Varbit, Datum::Bits(Box::new(bits)))
            }),
            proptest::collection::vec(proptest::option::of(text()), 1..5).prop_map(|values| {
                let elements: Vec<Datum> =
                    values.into_iter().map(|value| value.map_or(Datum::Null, Datum::text)).collect();
                let dimensions = vec![(elements.len() as i32, 3)];
                (
                    T::array_of(T::Text),
                    Datum::Array(Box::new(ArrayValue { element_oid: 25, dimensions, elements })),
                )
            }),
        ]
    }

    fn any_context() -> impl Strategy<Value = FormatContext> {
        let zones = ["UTC", "America/New_York", "Asia/Kolkata", "Europe/Berlin"];
        let formats = [DateFormat::Iso, DateFormat::German];
        let styles = [IntervalStyle::Postgres, IntervalStyle::PostgresVerbose, IntervalStyle::Iso8601];
        (
            proptest::sample::select(zones.to_vec()),
            proptest::sample::select(formats.to_vec()),
            proptest::sample::select(styles.to_vec()),
            any::<bool>(),
        )
            .prop_map(|(zone, date_format, interval_style, hex)| FormatContext {
                time_zone: TimeZone::named(zone).unwrap(),
                date_format,
                // German output is read back with its days first.
                date_order: if date_format == DateFormat::Iso { DateOrder::Mdy } else { DateOrder::Dmy },
                interval_style,
                bytea_output: if hex { ByteaOutput::Hex } else { ByteaOutput::Escape },
                ..FormatContext::default()
            })
    }

    fn same(a: &Datum, b: &Datum) -> bool {
        match (a, b) {
            (Datum::Float8(a), Datum::Float8(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Datum::Float4(a), Datum::Float4(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (a, b) => a == b,
        }
    }

    /// Whether a text names a zone by an abbreviation that says less than an offset does.
    fn zone_is_lost(data_type: DataType, context: &FormatContext) -> bool {
        data_type == DataType::TimestampTz && context.date_format != DateFormat::Iso
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn text_reads_back((data_type, datum) in typed_datum(), context in any_context()) {
            prop_assume!(!zone_is_lost(data_type, &context));
            let text = datum_text(&datum, data_type, -1, &context);
            let back = parse_text(data_type, -1, &text, &context);
            prop_assert!(back.as_ref().is_ok_and(|back| same(back, &datum)), "{:?} as {} became {:?}", datum, text, back);
        }

        #[test]
        fn binary_reads_back((data_type, datum) in typed_datum()) {
            let mut bytes = Vec::new();
            write_datum_binary(&datum, data_type, -1, &FormatContext::default(), &mut bytes);
            let back = parse_binary(data_type, -1, &bytes, &FormatContext::default()).unwrap();
            prop_assert!(same(&back, &datum), "{:?} became {:?}", datum, back);
            bytes.push(0);
            let longer = parse_binary(data_type, -1, &bytes, &FormatContext::default());
            prop_assert!(longer.is_err() || matches!(data_type, DataType::Text | DataType::Bytea));
        }

        #[test]
        fn vectors_write_as_datums_do((data_type, datum) in typed_datum(), context in any_context()) {
            let vector = Vector::from_datums(data_type, &[Datum::Null, datum.clone()]);
            let (mut a, mut b) = (Vec::new(), Vec::new());
            write_text(&vector, -1, 1, &context, &mut a);
            write_datum_text(&datum, data_type, -1, &context, &mut b);
            prop_assert_eq!(&a, &b);
            write_binary(&vector, -1, 1, &FormatContext::default(), &mut a);
            write_datum_binary(&datum, data_type, -1, &FormatContext::default(), &mut b);
            prop_assert_eq!(a, b);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+:. 0-9a-zA-Z/{}\\[\\]\",()\\\\]{0,30}", typmod in -1i32..20) {
            for data_type in crate::data_type::BUILTIN_TYPES {
                let _ = parse_text(*data_type, typmod, &text, &FormatContext::default());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for data_type in crate::data_type::BUILTIN_TYPES {
                if let Ok(datum) = parse_binary(*data_type, -1, &bytes, &FormatContext::default()) {
                    let _ = datum_text(&datum, *data_type, -1, &FormatContext::default());
                    let array = DataType::array_of(*data_type);
                    let _ = parse_binary(array, -1, &bytes, &FormatContext::default());
                }
            }
        }
    }
}

/// Bytes as PostgreSQL 15's send functions give them.
#[test]
fn binary_formats_are_frozen() {
    let cases = [
        ("interval", "1 mon -2 days 00:00:00.000003", "0000000000000003fffffffe00000001"),
        ("timestamptz", "2000-01-01 00:00:01+00", "00000000000f4240"),
        ("date", "1999-12-31", "ffffffff"),
        ("timetz", "00:00:01+01", "00000000000f4240fffff1f0"),
        ("bool", "t", "01"),
        ("uuid", "00112233-4455-6677-8899-aabbccddeeff", "00112233445566778899aabbccddeeff"),
        ("varbit", "101", "00000003a0"),
        ("jsonb", "{\"a\": 1}", "017b2261223a20317d"),
        (
            "int4[]",
            "[2:3]={1,NULL}",
            "000000010000000100000017000000020000000200000004\
             00000001ffffffff",
        ),
        ("char", "a", "61"),
        ("tid", "(1,2)", "000000010002"),
    ];
    for (name, text, expected) in cases {
        let data_type = type_named(name);
        let datum = parse_text(data_type, -1, text, &FormatContext::default()).unwrap();
        let mut bytes = Vec::new();
        write_datum_binary(&datum, data_type, -1, &FormatContext::default(), &mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected, "{name}");
        assert_eq!(parse_binary(data_type, -1, &bytes, &FormatContext::default()).unwrap(), datum, "{name}");
    }
}

#[test]
fn records_quote_their_fields() {
    let text = |value: &str| Datum::text(value);
    let fields =
        [Datum::Int4(1), Datum::Null, text("a b"), text(""), text("q\"x"), text("b\\c"), Datum::Bool(true)];
    let record = Datum::record(fields.into(), None);
    let shown = datum_text(&record, DataType::Record, -1, &FormatContext::default());
    assert_eq!(shown, r#"(1,,"a b","","q""x","b\\c",t)"#);
    let cut = split_record(&shown).unwrap();
    let cut: Vec<Option<&str>> = cut.iter().map(Option::as_deref).collect();
    assert_eq!(cut, [Some("1"), None, Some("a b"), Some(""), Some("q\"x"), Some("b\\c"), Some("t")]);
    assert_eq!(
        split_record("1,2").unwrap_err().fields().detail.as_deref(),
        Some("Missing left parenthesis.")
    );
    assert_eq!(
        split_record("(1,2").unwrap_err().fields().detail.as_deref(),
        Some("Unexpected end of input.")
    );
    assert_eq!(
        split_record("(1)x").unwrap_err().fields().detail.as_deref(),
        Some("Junk after right parenthesis.")
    );
}

#[test]
fn words_for_now_come_from_the_context() {
    let zone = TimeZone::named("America/New_York").unwrap();
    // 2024-07-01 02:00 UTC: still June in New York.
    let context = FormatContext { time_zone: zone, now: 773_114_400_000_000, ..FormatContext::default() };
    let show = |name: &str, text: &str| answer(name, -1, text, &context);
    assert_eq!(show("timestamptz", "now"), "2024-06-30 22:00:00-04");
    assert_eq!(show("timestamp", "now"), "2024-06-30 22:00:00");
    assert_eq!(show("date", "today"), "2024-06-30");
    assert_eq!(show("date", "tomorrow"), "2024-07-01");
    assert_eq!(show("timestamptz", "yesterday 04:05"), "2024-06-29 04:05:00-04");
    assert_eq!(show("time", "now"), "22:00:00");
}

#[test]
fn bytes_that_are_no_text_are_quoted() {
    let message = |bytes: &[u8]| utf8(bytes).unwrap_err().message().to_owned();
    assert_eq!(message(b"a\xff"), "invalid byte sequence for encoding \"UTF8\": 0xff");
    assert_eq!(message(b"\xe4\x20"), "invalid byte sequence for encoding \"UTF8\": 0xe4 0x20");
    assert_eq!(message(b"a\0"), "invalid byte sequence for encoding \"UTF8\": 0x00");
}
