//! Keys order as SQL does, entries read back as written, bytes are frozen.

use super::*;
use crate::compare::compare_rows;
use crate::data_type::{ColumnType, DataType};
use crate::datum::{ArrayValue, BitString, Datum, TimeTz};
use crate::descriptor::*;
use crate::interval::Interval;
use crate::numeric::Numeric;
use crate::vector::{Batch, Vector};
use proptest::prelude::*;

fn column(id: u16, column_type: impl Into<ColumnType>) -> ColumnDescriptor {
    ColumnDescriptor::bare(ColumnId(id), format!("c{id}"), column_type)
}

fn ascending(id: u16) -> IndexColumn {
    IndexColumn::ascending(ColumnId(id))
}

fn index(storage_index: u32, columns: Vec<IndexColumn>, unique: bool) -> IndexDescriptor {
    let bare = IndexDescriptor::bare(format!("i{storage_index}"), storage_index, columns);
    IndexDescriptor { id: Oid(20_000 + storage_index), unique, ..bare }
}

/// A table of these columns (ids from 1) with its primary key on the first.
fn table(types: &[ColumnType]) -> TableDescriptor {
    let columns: Vec<ColumnDescriptor> = types
        .iter()
        .enumerate()
        .map(|(position, column_type)| column(position as u16 + 1, *column_type))
        .collect();
    TableDescriptor {
        id: Oid(20_000),
        database: Oid(1),
        schema: Oid(2),
        name: "t".into(),
        owner: "postgres".into(),
        next_column_id: columns.len() as u16 + 1,
        columns,
        ..TableDescriptor::bare(104, index(1, vec![ascending(1)], true))
    }
}

fn ids(ids: &[u16]) -> Vec<ColumnId> {
    ids.iter().map(|id| ColumnId(*id)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encode(encoder: &RowEncoder, row: &[Datum]) -> (Vec<u8>, Vec<u8>) {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    encoder.encode(row, &mut key, &mut value).expect("encodes");
    (key, value)
}

fn decode(decoder: &RowDecoder, entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<Vec<Datum>> {
    let mut columns = decoder.vectors(entries.len());
    for (key, value) in entries {
        decoder.decode(key, value, &mut columns).expect("decodes");
    }
    (0..entries.len()).map(|row| columns.iter().map(|column| column.datum(row)).collect()).collect()
}

fn numeric(text: &str) -> Datum {
    Datum::Numeric(Numeric::parse(text).expect("a numeric"))
}

/// Types that can be keys, and some that can only be values.
fn indexable_types() -> Vec<DataType> {
    use DataType::*;
    vec![
        Bool,
        Int2,
        Int4,
        Int8,
        Oid,
        Float4,
        Float8,
        Numeric,
        Text,
        Bytea,
        Date,
        Time,
        TimeTz,
        Timestamp,
        TimestampTz,
        Interval,
        Uuid,
        Varbit,
        Xid8,
        DataType::array_of(Int4),
        DataType::array_of(Text),
        DataType::array_of(Numeric),
    ]
}

fn any_decimal() -> impl Strategy<Value = Numeric> {
    prop_oneof![
        (-200i128..200, 0u16..4).prop_map(|(coefficient, scale)| Numeric::from_i128(coefficient, scale)),
        (any::<i128>(), 0u16..50).prop_map(|(coefficient, scale)| Numeric::from_i128(coefficient, scale)),
        "-?[1-9][0-9]{0,90}(\\.[0-9]{1,40})?".prop_map(|text| Numeric::parse(&text).unwrap()),
        "-?[1-9]e-?[0-9]{1,3}".prop_map(|text| Numeric::parse(&text).unwrap()),
        prop_oneof![Just(Numeric::NaN), Just(Numeric::Infinity), Just(Numeric::NegativeInfinity)],
    ]
}

fn any_bits() -> impl Strategy<Value = Datum> {
    proptest::collection::vec(any::<bool>(), 0..20).prop_map(|bits| {
        let mut bytes = vec![0u8; bits.len().div_ceil(8)];
        for (position, bit) in bits.iter().enumerate() {
            bytes[position / 8] |= u8::from(*bit) << (7 - position % 8);
        }
        Datum::Bits(Box::new(BitString { length: bits.len() as u32, bytes }))
    })
}

fn any_interval() -> impl Strategy<Value = Interval> {
    let part = || prop_oneof![-3i32..3, any::<i32>()];
    let microseconds = prop_oneof![-100_000_000_000i64..100_000_000_000, any::<i64>(), Just(0)];
    (part(), part(), microseconds).prop_map(|(months, days, microseconds)| Interval {
        months,
        days,
        microseconds,
    })
}

/// A value of a type, not NULL; small domains, so that equal ones and prefixes are met.
fn any_value(data_type: DataType) -> BoxedStrategy<Datum> {
    use DataType as T;
    let int8 = || prop_oneof![-70i64..70, any::<i64>()];
    let float = || {
        prop_oneof![Just(0.0), Just(-0.0), Just(f64::NAN), Just(f64::INFINITY), -2.0..2.0f64, any::<f64>()]
    };
    match data_type {
        T::Bool => any::<bool>().prop_map(Datum::Bool).boxed(),
        T::Int2 => any::<i16>().prop_map(Datum::Int2).boxed(),
        T::Int4 => prop_oneof![-70i32..70, any::<i32>()].prop_map(Datum::Int4).boxed(),
        T::Int8 => int8().prop_map(Datum::Int8).boxed(),
        T::Oid => any::<u32>().prop_map(Datum::Oid).boxed(),
        T::Xid8 => any::<u64>().prop_map(Datum::Unsigned8).boxed(),
        T::Float4 => float().prop_map(|value| Datum::Float4(value as f32)).boxed(),
        T::Float8 => float().prop_map(Datum::Float8).boxed(),
        T::Numeric => any_decimal().prop_map(Datum::Numeric).boxed(),
        T::Text => "[\0\u{1}ab\u{7f}ä\u{10ffff}]{0,5}".prop_map(Datum::text).boxed(),
        T::Bytea => proptest::collection::vec(prop_oneof![Just(0u8), Just(255), Just(1), any::<u8>()], 0..6)
            .prop_map(|bytes| Datum::Bytes(bytes.into()))
            .boxed(),
        T::Date => any::<i32>().prop_map(Datum::Date).boxed(),
        T::Time => (0i64..86_400_000_000).prop_map(Datum::Time).boxed(),
        T::TimeTz => (0i64..4, -2i32..2)
            .prop_map(|(hours, zone)| {
                Datum::TimeTz(TimeTz { microseconds: hours * 3_600_000_000, zone_west_seconds: zone * 3600 })
            })
            .boxed(),
        T::Timestamp => int8().prop_map(Datum::Timestamp).boxed(),
        T::TimestampTz => int8().prop_map(Datum::TimestampTz).boxed(),
        T::Interval => any_interval().prop_map(Datum::Interval).boxed(),
        T::Uuid => any::<[u8; 16]>().prop_map(Datum::Uuid).boxed(),
        T::Varbit => any_bits().boxed(),
        T::Array(element) => {
            let element_type = element.data_type().expect("built in");
            proptest::collection::vec(prop_oneof![3 => any_value(element_type), 1 => Just(Datum::Null)], 0..4)
                .prop_map(move |elements| {
                    let dimensions =
                        if elements.is_empty() { vec![] } else { vec![(elements.len() as i32, 1)] };
                    Datum::Array(Box::new(ArrayValue { element_oid: element.oid(), dimensions, elements }))
                })
                .boxed()
        }
        other => panic!("no strategy for {other}"),
    }
}

fn any_nullable(data_type: DataType) -> BoxedStrategy<Datum> {
    prop_oneof![5 => any_value(data_type), 1 => Just(Datum::Null)].boxed()
}

/// Bits where `==` is not enough: NaN is itself, -0.0 is not 0.0.
fn same(a: &Datum, b: &Datum) -> bool {
    match (a, b) {
        (Datum::Float8(a), Datum::Float8(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (Datum::Float4(a), Datum::Float4(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (a, b) => a == b,
    }
}

fn typed_pair() -> impl Strategy<Value = (DataType, Datum, Datum)> {
    proptest::sample::select(indexable_types())
        .prop_flat_map(|data_type| (Just(data_type), any_nullable(data_type), any_nullable(data_type)))
}

fn typed_row() -> impl Strategy<Value = Vec<(DataType, Datum)>> {
    proptest::collection::vec(
        proptest::sample::select(indexable_types())
            .prop_flat_map(|data_type| (Just(data_type), any_nullable(data_type))),
        1..7,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_order_as_values_do((data_type, a, b) in typed_pair(), descending: bool, nulls_first: bool) {
        let table = table(&[DataType::Int4.into(), data_type.into()]);
        let by_value = index(2, vec![IndexColumn { descending, nulls_first, ..IndexColumn::ascending(ColumnId(2)) }], false);
        let encoder = KeyPrefixEncoder::new(&table, &by_value).unwrap();
        let (mut key_a, mut key_b) = (Vec::new(), Vec::new());
        encoder.append(0, &a, &mut key_a).unwrap();
        encoder.append(0, &b, &mut key_b).unwrap();
        let vector = Vector::from_datums(data_type, &[a.clone(), b.clone()]);
        let expected = compare_rows(&vector, 0, &vector, 1, descending, nulls_first);
        prop_assert_eq!(key_a.cmp(&key_b), expected, "{:?} and {:?}", a, b);
        if expected.is_ne() {
            prop_assert!(!key_a.starts_with(&key_b) && !key_b.starts_with(&key_a));
        }
    }

    #[test]
    fn rows_read_back_from_every_kind_of_index(cells in typed_row(), descending: bool) {
        let types: Vec<ColumnType> =
            std::iter::once(DataType::Numeric.into()).chain(cells.iter().map(|(t, _)| (*t).into())).collect();
        let table = table(&types);
        let row: Vec<Datum> = std::iter::once(numeric("7.50")).chain(cells.into_iter().map(|(_, d)| d)).collect();
        let all: Vec<ColumnId> = table.columns.iter().map(|column| column.id).collect();
        let part = IndexColumn { descending, nulls_first: descending, ..IndexColumn::ascending(ColumnId(2)) };
        let mut unique = index(2, vec![part.clone()], true);
        let mut plain = index(3, vec![part], false);
        unique.included = all[2..].to_vec();
        plain.included = all[2..].to_vec();
        let batch_columns = types.iter().zip(&row)
            .map(|(column_type, datum)| Vector::from_datums(column_type.data_type, std::slice::from_ref(datum)))
            .collect();
        let batch = Batch::new(batch_columns, 1);
        for index in [&table.primary, &unique, &plain] {
            let encoder = RowEncoder::new(&table, index, &all).unwrap();
            let entry = encode(&encoder, &row);
            let (mut key, mut value) = (Vec::new(), Vec::new());
            encoder.encode_batch_row(&batch, 0, &mut key, &mut value).unwrap();
            prop_assert_eq!(&(key, value), &entry);
            let mut wanted = all.clone();
            wanted.reverse();
            let decoder = RowDecoder::new(&table, index, &wanted).unwrap();
            let rows = decode(&decoder, &[entry.clone(), entry.clone()]);
            for decoded in rows {
                for (got, expected) in decoded.iter().zip(row.iter().rev()) {
                    prop_assert!(same(got, expected), "{:?} became {:?}", expected, got);
                }
            }
            for id in &all {
                let decoder = RowDecoder::new(&table, index, &[*id]).unwrap();
                let rows = decode(&decoder, &[entry.clone(), entry.clone()]);
                prop_assert!(rows.iter().all(|decoded| same(&decoded[0], &row[usize::from(id.0) - 1])));
            }
        }
    }

    #[test]
    fn any_bytes_decode_or_fail(value in proptest::collection::vec(any::<u8>(), 0..60), tail in proptest::collection::vec(any::<u8>(), 0..30)) {
        let types: Vec<ColumnType> = indexable_types().into_iter().map(ColumnType::from).collect();
        let table = table(&types);
        let all: Vec<ColumnId> = table.columns.iter().map(|column| column.id).collect();
        let whole = index(2, all.iter().map(|id| ascending(id.0)).collect(), false);
        let versioned: Vec<u8> = std::iter::once(1).chain(value).collect();
        for index in [&table.primary, &whole] {
            let decoder = RowDecoder::new(&table, index, &all).unwrap();
            let mut key = Vec::new();
            KeyPrefixEncoder::new(&table, index).unwrap().start(&mut key);
            key.extend_from_slice(&tail);
            let _ = decoder.decode(&key, &versioned, &mut decoder.vectors(1));
        }
    }
}

#[test]
fn bytes_of_a_row_are_frozen() {
    use DataType::*;
    let table = table(&[
        Int4.into(),
        Int8.into(),
        Text.into(),
        ColumnType::new(Numeric, (10 << 16 | 2) + 4),
        Bool.into(),
        Float8.into(),
        TimestampTz.into(),
        Uuid.into(),
        Interval.into(),
        DataType::array_of(Int4).into(),
        Float4.into(),
        Text.into(),
    ]);
    let all: Vec<ColumnId> = table.columns.iter().map(|column| column.id).collect();
    let row = [
        Datum::Int4(70_000),
        Datum::Int8(-129),
        Datum::text("abc"),
        numeric("12.50"),
        Datum::Bool(true),
        Datum::Float8(1.5),
        Datum::TimestampTz(700_000_000_000_000),
        Datum::Uuid([0x11; 16]),
        Datum::Interval(crate::Interval { months: 1, days: -2, microseconds: 3 }),
        Datum::Array(Box::new(ArrayValue {
            element_oid: 23,
            dimensions: vec![(2, 1)],
            elements: vec![Datum::Int4(300), Datum::Null],
        })),
        Datum::Null,
        Datum::text(""),
    ];
    let (key, value) = encode(&RowEncoder::new(&table, &table.primary, &all).unwrap(), &row);
    assert_eq!(hex(&key), "10680162011170");
    assert_eq!(
        hex(&value),
        concat!(
            "01",                                             // version
            "127fff",                                         // 2: int of two bytes
            "0d03616263",                                     // 3: three bytes of text
            "0d0302e204",                                     // 4: scale 2, 1250
            "0901",                                           // 5: true
            "0c000000000000f83f",                             // 6: 1.5
            "0c00c05773a57c0200",                             // 7: eight bytes
            "0f11111111111111111111111111111111",             // 8: sixteen bytes
            "0f01000000feffffff0300000000000000",             // 9: months, days, microseconds
            "0d1517000000010200000001000000020000000a2c0108", // 10: oid, shape, two elements
            "16",                                             // 12 (11 is NULL): empty
        )
    );
    let secondary = index(
        2,
        vec![
            IndexColumn { descending: true, nulls_first: true, ..IndexColumn::ascending(ColumnId(4)) },
            ascending(3),
        ],
        false,
    );
    let (key, value) = encode(&RowEncoder::new(&table, &secondary, &all).unwrap(), &row);
    // int4's primary key ends it; numeric(10,2) loses nothing.
    assert_eq!(hex(&key), concat!("106802", "94bf7df2ccfffe", "696162630001", "62011170"));
    assert_eq!(hex(&value), "01");
}

#[test]
fn keys_of_numerics_are_frozen() {
    for (text, expected) in [
        ("0", "30"),
        ("0.00", "30"),
        ("1", "40810b"),
        ("1.50", "408110"),
        ("123.456", "40830d2339"),
        ("-1", "207ef4ff"),
        ("0.001", "407e0b"),
        ("1e100", "40c0800000650b"),
        ("NaN", "60"),
        ("Infinity", "50"),
        ("-Infinity", "10"),
    ] {
        let mut out = Vec::new();
        numeric_key::put(&Numeric::parse(text).unwrap(), &mut out);
        assert_eq!(hex(&out), expected, "{text}");
    }
}

#[test]
fn what_a_key_loses_stands_in_the_value() {
    let table = table(&[DataType::Numeric.into(), DataType::Int4.into()]);
    let all = ids(&[1, 2]);
    let encoder = RowEncoder::new(&table, &table.primary, &all).unwrap();
    let decoder = RowDecoder::new(&table, &table.primary, &all).unwrap();
    let (plain, exact) = (
        encode(&encoder, &[numeric("1.5"), Datum::Int4(1)]),
        encode(&encoder, &[numeric("1.50"), Datum::Int4(1)]),
    );
    assert_eq!(plain.0, exact.0);
    assert_eq!(exact.1.len(), plain.1.len() + 5);
    assert_eq!(
        decode(&decoder, &[exact, plain]),
        [[numeric("1.50"), Datum::Int4(1)], [numeric("1.5"), Datum::Int4(1)]]
    );
}

#[test]
fn dropped_columns_are_stepped_over_and_added_ones_have_their_missing_value() {
    let mut old = table(&[DataType::Int4.into(), DataType::Text.into(), DataType::Int8.into()]);
    old.columns[2].id = ColumnId(40);
    let entry = encode(
        &RowEncoder::new(&old, &old.primary, &ids(&[1, 2, 40])).unwrap(),
        &[Datum::Int4(5), Datum::text("gone"), Datum::Int8(9)],
    );
    let mut new = old.clone();
    new.columns.remove(1);
    new.columns.insert(1, column(3, DataType::Text));
    let mut with_default = column(41, DataType::Int4);
    with_default.missing_value = Some("42".into());
    new.columns.push(with_default);
    let wanted = ids(&[41, 3, 40, 1]);
    let decoder = RowDecoder::new(&new, &new.primary, &wanted).unwrap();
    let before = vec![Datum::Int4(42), Datum::Null, Datum::Int8(9), Datum::Int4(5)];
    // A row written since, with an explicit NULL.
    let since = vec![Datum::Null, Datum::text("x"), Datum::Null, Datum::Int4(6)];
    let later = encode(&RowEncoder::new(&new, &new.primary, &wanted).unwrap(), &since);
    assert_eq!(decode(&decoder, &[entry.clone(), later, entry]), [before.clone(), since, before]);
}

#[test]
fn a_null_makes_a_unique_entry_unique_by_its_primary_key() {
    let table = table(&[DataType::Int4.into(), DataType::Int4.into()]);
    let mut unique = index(2, vec![ascending(2)], true);
    let all = ids(&[1, 2]);
    let encoder = RowEncoder::new(&table, &unique, &all).unwrap();
    let (null, value) = ([Datum::Int4(1), Datum::Null], [Datum::Int4(1), Datum::Int4(5)]);
    assert!(!encoder.is_unique_entry(&null) && encoder.is_unique_entry(&value));
    let (entry_null, entry_value) = (encode(&encoder, &null), encode(&encoder, &value));
    assert_eq!((hex(&entry_null.0), hex(&entry_value.0)), ("106802ff21".into(), "10680225".into()));
    let decoder = RowDecoder::new(&table, &unique, &all).unwrap();
    assert_eq!(decode(&decoder, &[entry_null, entry_value]), [null.to_vec(), value.to_vec()]);
    unique.nulls_not_distinct = true;
    let encoder = RowEncoder::new(&table, &unique, &all).unwrap();
    assert!(encoder.is_unique_entry(&null));
    assert_eq!(hex(&encode(&encoder, &null).0), "106802ff");
}

#[test]
fn a_prefix_finds_its_entries() {
    let table = table(&[DataType::Int4.into(), DataType::Text.into()]);
    let by_text = index(2, vec![ascending(2)], false);
    let encoder = RowEncoder::new(&table, &by_text, &ids(&[1, 2])).unwrap();
    let (key, _) = encode(&encoder, &[Datum::Int4(1), Datum::text("ab")]);
    let prefixes = KeyPrefixEncoder::new(&table, &by_text).unwrap();
    assert_eq!((prefixes.columns(), prefixes.whole_key_columns()), (2, 2));
    let mut prefix = Vec::new();
    prefixes.start(&mut prefix);
    assert!(index_span(&table, &by_text).contains(&prefix));
    prefixes.append(0, &Datum::text("ab"), &mut prefix).unwrap();
    assert!(key.starts_with(&prefix));
    prefixes.append(1, &Datum::Int4(1), &mut prefix).unwrap();
    assert_eq!(key, prefix);
    assert!(prefixes.append(2, &Datum::Int4(1), &mut prefix).is_err());
}

#[test]
fn what_cannot_be_a_key_is_refused() {
    let table = table(&[DataType::Int4.into(), DataType::Jsonb.into(), DataType::Text.into()]);
    let by_json = index(2, vec![ascending(2)], false);
    assert_eq!(KeyPrefixEncoder::new(&table, &by_json).unwrap_err().code(), SqlState::FEATURE_NOT_SUPPORTED);
    let by_text = index(3, vec![ascending(3)], false);
    let encoder = RowEncoder::new(&table, &by_text, &ids(&[1, 3])).unwrap();
    let long = [Datum::Int4(1), Datum::text("x".repeat(KEY_BYTES_MAX))];
    let error = encoder.encode(&long, &mut Vec::new(), &mut Vec::new()).unwrap_err();
    assert_eq!(error.code(), SqlState::PROGRAM_LIMIT_EXCEEDED);
}

/// Time it from outside: `time TYPES_ROW_COLUMNS=1,3 cargo test --release -p types row_throughput -- --ignored` decodes 20 million rows.
#[test]
#[ignore = "a measurement"]
fn row_throughput() {
    use DataType::*;
    let numeric_type = ColumnType::new(Numeric, (10 << 16 | 2) + 4);
    let table =
        table(&[Int4.into(), Int4.into(), Int4.into(), Text.into(), numeric_type, TimestampTz.into()]);
    let all: Vec<ColumnId> = table.columns.iter().map(|column| column.id).collect();
    let encoder = RowEncoder::new(&table, &table.primary, &all).unwrap();
    let row = |n: i32| {
        [
            Datum::Int4(n),
            Datum::Int4(n % 10),
            Datum::Int4(-n),
            Datum::text(format!("row {n}")),
            Datum::Numeric(crate::Numeric::from_i128(i128::from(n) * 7, 2)),
            Datum::TimestampTz(700_000_000_000_000 + i64::from(n)),
        ]
    };
    let entries: Vec<_> = (0..100_000).map(|n| encode(&encoder, &row(n))).collect();
    let wanted = std::env::var("TYPES_ROW_COLUMNS").unwrap_or("1,2,3,4,5,6".into());
    let wanted: Vec<u16> = wanted.split(',').map(|id| id.parse().expect("a column id")).collect();
    let decoder = RowDecoder::new(&table, &table.primary, &ids(&wanted)).unwrap();
    let mut columns = decoder.vectors(1024);
    for _ in 0..200 {
        for chunk in entries.chunks(1024) {
            columns.iter_mut().for_each(Vector::clear);
            for (key, value) in chunk {
                decoder.decode(key, value, &mut columns).unwrap();
            }
        }
    }
    assert_eq!(columns[0].len(), entries.len() % 1024);
}
