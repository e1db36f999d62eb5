//! Fragments as bytes: what travels arrives as it was, and damage does no harm.

use expr::expr::Subscript;
use expr::{Aggregate, CaseArm, CastContext, Expr, FunctionRef, catalogue};
use kvapi::{Processor, Progress};
use planner::plan::SortKey;
use stdx::Prng;
use types::descriptor::{ColumnDescriptor, ColumnId, IndexColumn, IndexDescriptor, TableDescriptor};
use types::{ColumnType, DataType, Datum};

use super::FragmentProcessor;
use super::codec::{decode, encode};
use super::fragment::{Fragment, Output, Relation, Step};
use super::sendable::is_sendable;

fn function(oid: u32) -> FunctionRef {
    catalogue().function(oid).expect("PostgreSQL's oid")
}

fn int(value: i32) -> Expr {
    Expr::constant(Datum::Int4(value), DataType::Int4)
}

fn column() -> Expr {
    Expr::column(0, DataType::Int4)
}

fn call(oid: u32, arguments: Vec<Expr>, data_type: DataType) -> Expr {
    Expr::Call { function: function(oid), arguments, data_type, position: 9 }
}

/// int4eq, int4lt, int4pl.
const EQUAL: u32 = 65;
const LESS: u32 = 66;
const PLUS: u32 = 177;

fn less(than: i32) -> Expr {
    call(LESS, vec![column(), int(than)], DataType::Bool)
}

fn index(name: &str, columns: &[u16], storage_index: u32) -> IndexDescriptor {
    let column = |id: &u16| IndexColumn { descending: *id == 2, ..IndexColumn::ascending(ColumnId(*id)) };
    let columns = columns.iter().map(column).collect();
    IndexDescriptor { unique: true, ..IndexDescriptor::bare(name, storage_index, columns) }
}

fn relation() -> Relation {
    let mut table = TableDescriptor::bare(7, index("t_pkey", &[1], 1));
    table.name = "t".into();
    table.columns = vec![
        ColumnDescriptor::bare(ColumnId(1), "a", DataType::Int4),
        ColumnDescriptor::bare(ColumnId(2), "b", ColumnType::new(DataType::Varchar, 14)),
        ColumnDescriptor::bare(ColumnId(3), "c", DataType::array_of(DataType::Int4)),
    ];
    table.columns[2].missing_value = Some("{1}".into());
    Relation { table, is_secondary: false, columns: vec![ColumnId(1), ColumnId(2), ColumnId(3)] }
}

/// One of every kind that travels.
fn conditions() -> Vec<Expr> {
    let ints = DataType::array_of(DataType::Int4);
    let boxed = |expr: Expr| Box::new(expr);
    let case = Expr::Case {
        operand: Some(boxed(column())),
        arms: vec![CaseArm {
            condition: call(
                EQUAL,
                vec![Expr::CaseOperand { data_type: DataType::Int4 }, int(1)],
                DataType::Bool,
            ),
            result: int(2),
        }],
        otherwise: Some(boxed(int(3))),
        data_type: DataType::Int4,
    };
    let subscript = Expr::Subscript {
        array: boxed(Expr::column(2, ints)),
        subscripts: vec![Subscript::Index(column())],
        data_type: DataType::Int4,
    };
    let slice = Expr::Subscript {
        array: boxed(Expr::column(2, ints)),
        subscripts: vec![Subscript::Slice { lower: Some(int(1)), upper: None }],
        data_type: ints,
    };
    let text = Expr::Cast {
        input: boxed(column()),
        to: ColumnType::new(DataType::Text, -1),
        context: CastContext::Explicit,
        position: 3,
    };
    let list = vec![column(), int(5)];
    let values = vec![
        call(PLUS, list.clone(), DataType::Int4),
        case,
        subscript,
        Expr::Coalesce { arguments: list.clone(), data_type: DataType::Int4 },
        Expr::Greatest { arguments: list.clone(), data_type: DataType::Int4 },
        Expr::Least { arguments: list.clone(), data_type: DataType::Int4 },
        Expr::NullIf { left: boxed(column()), right: boxed(int(1)), equal: function(EQUAL) },
    ];
    let compared = values.into_iter().map(|value| call(LESS, vec![value, int(4)], DataType::Bool));
    let array = Expr::Array { elements: list.clone(), data_type: ints, nested: false };
    let mut all: Vec<Expr> = compared.collect();
    all.extend([
        Expr::And(vec![less(1), less(2)]),
        Expr::Or(vec![less(1), less(2)]),
        Expr::Not(boxed(less(1))),
        Expr::IsNull { input: boxed(text), negated: true },
        Expr::IsNull { input: boxed(slice), negated: false },
        Expr::IsBool { input: boxed(less(1)), value: None, negated: false },
        Expr::IsBool { input: boxed(less(1)), value: Some(true), negated: true },
        Expr::IsDistinctFrom {
            left: boxed(column()),
            right: boxed(int(1)),
            equal: function(EQUAL),
            negated: true,
        },
        Expr::InList { input: boxed(column()), list, equal: function(EQUAL), negated: false },
        Expr::Quantified { input: boxed(int(1)), array: boxed(array), operator: function(EQUAL), all: true },
    ]);
    all
}

fn fragments() -> Vec<Fragment> {
    let call = |oid: u32, arguments: Vec<Expr>, data_type: DataType, filter: Option<Expr>| Aggregate {
        function: function(oid),
        arguments,
        distinct: false,
        filter,
        order_by: Vec::new(),
        data_type,
    };
    // count(*), sum(int4), max(int4)
    let calls = vec![
        call(2803, Vec::new(), DataType::Int8, Some(less(3))),
        call(2108, vec![column()], DataType::Int8, None),
        call(2116, vec![column()], DataType::Int4, None),
    ];
    let keys = vec![SortKey { column: 0, descending: true, nulls_first: true }];
    let of = |steps: Vec<Step>, output| Fragment { relation: relation(), steps, output };
    let mut secondary = of(Vec::new(), Output::Rows { limit: 3 });
    secondary.relation.table.indexes = vec![index("t_b", &[2], 2)];
    secondary.relation.is_secondary = true;
    secondary.relation.columns = vec![ColumnId(2), ColumnId(1)];
    vec![
        of(conditions().into_iter().map(Step::Filter).collect(), Output::Rows { limit: 0 }),
        of(vec![Step::Filter(less(9))], Output::Groups { keys: vec![column()], calls }),
        of(vec![Step::Project(vec![column(), int(1)])], Output::Top { keys, count: 10 }),
        secondary,
    ]
}

#[test]
fn what_travels_arrives_as_it_was() {
    let mut frozen = Vec::new();
    assert!(conditions().iter().all(is_sendable));
    for fragment in fragments() {
        let bytes = encode(&fragment).expect("it is small");
        assert_eq!(decode(&bytes), Ok(fragment));
        assert!(FragmentProcessor.open(&bytes).is_ok(), "it can be run");
        frozen.extend(bytes);
    }
    assert_eq!(
        stdx::hash::fingerprint(&frozen),
        10_168_602_116_355_317_586,
        "the format is frozen: a change is another version"
    );
}

#[test]
fn damaged_programs_are_refused_or_run_but_never_worse() {
    let mut prng = Prng::new(1);
    let rows = {
        let mut rows = kvapi::KvBlock::new();
        rows.push(b"not a row", b"of this table");
        rows
    };
    for fragment in fragments() {
        let bytes = encode(&fragment).expect("it is small");
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "truncated");
        }
        for _ in 0..20_000 {
            let mut damaged = bytes.clone();
            for _ in 0..=prng.next_u64() % 3 {
                let at = (prng.next_u64() % damaged.len() as u64) as usize;
                damaged[at] = prng.next_u64() as u8;
            }
            for is_found in [false, true] {
                let Ok(mut fold) = FragmentProcessor.open(&damaged) else { continue };
                let progress = if is_found { fold.feed_found(&rows, &[3]) } else { fold.feed(&rows) };
                if progress == Progress::More {
                    drop(fold.finish());
                }
            }
        }
    }
}

#[test]
fn what_depends_on_more_than_the_row_does_not_travel() {
    // random(), to_char(timestamptz, text), now() beside a column; a deep nest.
    let mut deep = column();
    for _ in 0..200 {
        deep = call(PLUS, vec![deep, int(1)], DataType::Int4);
    }
    assert!(!is_sendable(&deep));
    let zoned = Expr::column(0, DataType::TimestampTz);
    let shown = Expr::Cast {
        input: Box::new(zoned.clone()),
        to: DataType::Text.into(),
        context: CastContext::Explicit,
        position: 0,
    };
    assert!(!is_sendable(&shown), "the time zone is the session's");
    let random = call(1598, Vec::new(), DataType::Float8);
    assert!(!is_sendable(&random));
    // now() has no column: its value travels. timestamptz < timestamptz is immutable.
    let now = call(1299, Vec::new(), DataType::TimestampTz);
    assert!(is_sendable(&call(1154, vec![zoned, now], DataType::Bool)));
}
