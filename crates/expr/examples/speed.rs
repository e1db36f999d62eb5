//! What evaluation costs: nanoseconds a row over full batches and a call over one row. `cargo run --release -p expr --example speed`

use expr::aggregate::accumulator;
use expr::resolve::{FunctionArguments, operator_call, resolve_function};
use expr::{Aggregate, CatalogLookup, EvalContext, Expr, Program, SessionInfo, TextContext, eval_scalar};
use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use types::{Batch, DataType, Datum, FormatContext, PgError, PgResult, Vector};

struct NoCatalog;

impl CatalogLookup for NoCatalog {
    fn call(&self, name: &str, _: &[Datum]) -> PgResult<Datum> {
        Err(PgError::unsupported(name))
    }
}

/// Nanoseconds of CPU time of this thread, the only clock that neighbours do not disturb much.
fn nanoseconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or(0.0)
}

fn measure(name: &str, rows: usize, mut work: impl FnMut()) {
    let rounds = 100_000_000 / rows.max(25);
    (0..rounds / 10).for_each(|_| work());
    let start = nanoseconds();
    (0..rounds).for_each(|_| work());
    let each = (nanoseconds() - start) / rounds as f64;
    println!("{name:48} {rows:5} rows {each:10.1} ns a call {:8.2} ns a row", each / rows as f64);
}

fn constant(value: i32) -> Expr {
    Expr::constant(Datum::Int4(value), DataType::Int4)
}

fn main() {
    let session = SessionInfo {
        database: "d".into(),
        user: "u".into(),
        session_user: "u".into(),
        search_path: Vec::new(),
        application_name: String::new(),
        backend_pid: 1,
        server_version: "15.0".into(),
        format: FormatContext::default(),
    };
    let random = AtomicU64::new(1);
    let parameters = [Datum::Int4(7)];
    let context = EvalContext {
        parameters: &parameters,
        slots: &[],
        transaction_timestamp: 0,
        statement_timestamp: 0,
        clock_timestamp: 0,
        random: &random,
        session: &session,
        catalog: &NoCatalog,
        bounds: &expr::Unbounded,
    };
    let op =
        |name: &str, left: Expr, right: Expr| operator_call(name, Some(left), right, 0).expect("it resolves");
    let column = |index: u32, data_type| Expr::column(index, data_type);
    let programs = [
        ("int4 column < constant", op("<", column(0, DataType::Int4), constant(500))),
        ("int4 column + column", op("+", column(0, DataType::Int4), column(1, DataType::Int4))),
        (
            "int4 = parameter",
            op("=", column(0, DataType::Int4), Expr::Parameter { index: 0, data_type: DataType::Int4 }),
        ),
        (
            "text = constant",
            op("=", column(2, DataType::Text), Expr::constant(Datum::text("row 77"), DataType::Text)),
        ),
        (
            "text LIKE '%7%'",
            op("~~", column(2, DataType::Text), Expr::constant(Datum::text("%7%"), DataType::Text)),
        ),
        ("numeric * numeric", op("*", column(3, DataType::Numeric), column(3, DataType::Numeric))),
        (
            "a > 10 AND a < 900 AND b <> 3",
            Expr::And(vec![
                op(">", column(0, DataType::Int4), constant(10)),
                op("<", column(0, DataType::Int4), constant(900)),
                op("<>", column(1, DataType::Int4), constant(3)),
            ]),
        ),
    ];
    for rows in [1usize, 1024] {
        let ints = |factor: i32| -> Vec<Datum> {
            (0..rows).map(|row| Datum::Int4(row as i32 * factor % 1000)).collect()
        };
        let texts: Vec<Datum> = (0..rows).map(|row| Datum::text(format!("row {row}"))).collect();
        let numerics: Vec<Datum> =
            (0..rows).map(|row| Datum::Numeric(types::Numeric::from_i128(row as i128 * 101, 2))).collect();
        let batch = Batch::new(
            vec![
                Vector::from_datums(DataType::Int4, &ints(1)),
                Vector::from_datums(DataType::Int4, &ints(3)),
                Vector::from_datums(DataType::Text, &texts),
                Vector::from_datums(DataType::Numeric, &numerics),
            ],
            rows,
        );
        for (name, expr) in &programs {
            let program = Program::new(expr).expect("it builds");
            measure(name, rows, || {
                black_box(program.evaluate(&context, &batch).expect("it runs"));
            });
            if expr.data_type() == DataType::Bool {
                measure(&format!("filter {name}"), rows, || {
                    black_box(program.filter(&context, &batch).expect("it runs"));
                });
            }
        }
        for (name, argument) in [("count", 0), ("sum", 0), ("min", 0), ("sum", 3), ("avg", 0)] {
            let data_type = batch.columns[argument].data_type;
            let resolved =
                resolve_function(None, name, &[data_type], FunctionArguments::Plain).expect("it resolves");
            let call = Aggregate {
                function: resolved.function,
                arguments: vec![column(argument as u32, data_type)],
                distinct: false,
                filter: None,
                order_by: Vec::new(),
                data_type: resolved.result,
            };
            let mut state = accumulator(&call, &TextContext::default()).expect("it is built");
            state.resize(10);
            let groups: Vec<u32> = (0..rows as u32).map(|row| row % 10).collect();
            measure(&format!("{name}({data_type}) in 10 groups"), rows, || {
                state.update(&groups, &[&batch.columns[argument]], None).expect("no overflow");
            });
            let mut state = accumulator(&call, &TextContext::default()).expect("it is built");
            state.resize(1);
            let groups = vec![0; rows];
            measure(&format!("{name}({data_type}) in one group"), rows, || {
                state.update(&groups, &[&batch.columns[argument]], None).expect("no overflow");
            });
        }
    }
    let parameter = Expr::Parameter { index: 0, data_type: DataType::Int4 };
    measure("eval_scalar parameter", 1, || {
        black_box(eval_scalar(&parameter, &context).expect("it runs"));
    });
    let cast = Expr::Cast {
        input: Box::new(parameter),
        to: DataType::Int8.into(),
        context: expr::CastContext::Implicit,
        position: 0,
    };
    measure("eval_scalar parameter::bigint", 1, || {
        black_box(eval_scalar(&cast, &context).expect("it runs"));
    });
}
