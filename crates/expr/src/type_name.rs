//! Type names with modifiers, as format_type and psql's \d show them.

use types::DataType;

/// format_type(oid, typmod): "character varying(10)", "numeric(10,2)", "timestamp(3) without time zone". `None` for no modifier
/// asked for; -1 for one that is not set, which shows "bpchar" and "\"bit\"" instead of their SQL names, for these mean a
/// length of 1. User types are the catalog's.
pub fn format_type(data_type: DataType, typmod: Option<i32>) -> String {
    if let DataType::Array(element) = data_type
        && let Some(element) = element.data_type()
    {
        return format!("{}[]", format_type(element, typmod));
    }
    match (data_type, typmod) {
        (DataType::Bpchar, Some(typmod)) if typmod < 0 => "bpchar".into(),
        (DataType::Bit, Some(typmod)) if typmod < 0 => "\"bit\"".into(),
        (_, Some(typmod)) if typmod >= 0 => with_modifier(data_type, typmod),
        _ => data_type.sql_name(),
    }
}

fn with_modifier(data_type: DataType, typmod: i32) -> String {
    let name = data_type.sql_name();
    match data_type {
        DataType::Bpchar | DataType::Varchar if typmod <= 4 => name,
        DataType::Numeric if typmod < 4 => name,
        DataType::Bpchar | DataType::Varchar => format!("{name}({})", typmod - 4),
        DataType::Numeric => {
            let modifier = typmod - 4;
            let scale = ((modifier & 0x7ff) ^ 1024) - 1024;
            format!("numeric({},{scale})", (modifier >> 16) & 0xffff)
        }
        DataType::Time | DataType::Timestamp => name.replace(" without", &format!("({typmod}) without")),
        DataType::TimeTz | DataType::TimestampTz => name.replace(" with ", &format!("({typmod}) with ")),
        DataType::Bit | DataType::Varbit => format!("{name}({typmod})"),
        DataType::Interval => interval(typmod),
        DataType::Bool
        | DataType::Int2
        | DataType::Int4
        | DataType::Int8
        | DataType::Float4
        | DataType::Float8 => name,
        // Other types without modifiers print what they are given.
        _ => format!("{name}({typmod})"),
    }
}

/// Field masks of an interval modifier (bits of PostgreSQL's INTERVAL_MASK) and their words.
const INTERVAL_FIELDS: [(i32, &str); 13] = [
    (1 << 2, " year"),
    (1 << 1, " month"),
    (1 << 3, " day"),
    (1 << 10, " hour"),
    (1 << 11, " minute"),
    (1 << 12, " second"),
    (1 << 2 | 1 << 1, " year to month"),
    (1 << 3 | 1 << 10, " day to hour"),
    (1 << 3 | 1 << 10 | 1 << 11, " day to minute"),
    (1 << 3 | 1 << 10 | 1 << 11 | 1 << 12, " day to second"),
    (1 << 10 | 1 << 11, " hour to minute"),
    (1 << 10 | 1 << 11 | 1 << 12, " hour to second"),
    (1 << 11 | 1 << 12, " minute to second"),
];

const INTERVAL_FULL_PRECISION: i32 = 0xffff;

fn interval(typmod: i32) -> String {
    let (range, precision) = (typmod >> 16 & 0x7fff, typmod & 0xffff);
    let fields = INTERVAL_FIELDS.iter().find(|(mask, _)| *mask == range).map_or("", |(_, words)| words);
    let precision =
        if precision == INTERVAL_FULL_PRECISION { String::new() } else { format!("({precision})") };
    format!("interval{fields}{precision}")
}
