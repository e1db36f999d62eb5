//! Against PostgreSQL 15 (a table of its answers), and properties of every writer and reader.

use super::*;

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
