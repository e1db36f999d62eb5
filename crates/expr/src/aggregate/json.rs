//! json_agg, jsonb_agg, json_object_agg, jsonb_object_agg. Values are turned into JSON text as they come, under the session's formats.

use super::GroupedAccumulator;
use super::codec::{Reader, put_bytes};
use super::grouped::{Accumulate, Grouped};
use crate::bounds::append;
use crate::context::{EvalContext, TextContext};
use crate::expr::Aggregate;
use crate::functions::json::build::{json_text, key};
use std::sync::atomic::AtomicU64;
use types::{DataType, Datum, PgError, PgResult, SqlState, Vector, json};

/// The accumulator of a json aggregate; `None` for any other.
pub(super) fn accumulator(call: &Aggregate, text: &TextContext) -> Option<Box<dyn GroupedAccumulator>> {
    let (object, binary) = match call.function.0.name {
        "json_agg" => (false, false),
        "jsonb_agg" => (false, true),
        "json_object_agg" => (true, false),
        "jsonb_object_agg" => (true, true),
        _ => return None,
    };
    let types = call.arguments.iter().map(|argument| argument.data_type()).collect();
    let text = text.clone();
    Some(Grouped::boxed(JsonAgg { object, binary, types, text, random: AtomicU64::new(0) }, call.data_type))
}

struct JsonAgg {
    object: bool,
    binary: bool,
    types: Vec<DataType>,
    text: TextContext,
    /// Asked by nobody: writing a value as text draws no randomness.
    random: AtomicU64,
}

/// One element or member, as text.
#[derive(Clone)]
pub(super) struct Entry {
    key: String,
    value: String,
}

impl JsonAgg {
    fn with_context<T>(&self, work: impl FnOnce(&EvalContext<'_>) -> T) -> T {
        work(&EvalContext {
            parameters: &[],
            slots: &[],
            transaction_timestamp: 0,
            statement_timestamp: 0,
            clock_timestamp: 0,
            random: &self.random,
            session: &self.text.session,
            catalog: &*self.text.catalog,
            bounds: &crate::Unbounded,
        })
    }
}

impl Accumulate for JsonAgg {
    type State = Vec<Entry>;

    fn initial(&self) -> Vec<Entry> {
        Vec::new()
    }

    const SKIPS_NULLS: bool = false;

    fn add(&self, state: &mut Vec<Entry>, arguments: &[&Vector], row: usize) -> PgResult<()> {
        let entry = self.with_context(|context| {
            let key = if self.object {
                let name = arguments[0].datum(row);
                if name.is_null() {
                    return Err(PgError::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        "field name must not be null",
                    ));
                }
                key(&name, self.types[0], context)?
            } else {
                String::new()
            };
            let last = arguments.len() - 1;
            let value = json_text(&arguments[last].datum(row), self.types[last], context)?;
            Ok(Entry { key, value })
        })?;
        state.push(entry);
        Ok(())
    }

    fn encode(&self, state: &Vec<Entry>, out: &mut Vec<u8>) {
        out.extend_from_slice(&(state.len() as i64).to_le_bytes());
        for entry in state {
            put_bytes(out, |out| out.extend_from_slice(entry.key.as_bytes()));
            put_bytes(out, |out| out.extend_from_slice(entry.value.as_bytes()));
        }
    }

    fn merge(&self, state: &mut Vec<Entry>, bytes: &mut Reader<'_>) -> PgResult<()> {
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).map_err(|_| PgError::internal("a partial state is not UTF-8"))
        };
        for _ in 0..bytes.i64()? {
            state.push(Entry { key: text(bytes.bytes()?)?, value: text(bytes.bytes()?)? });
        }
        Ok(())
    }

    fn result(&self, state: &Vec<Entry>) -> PgResult<Datum> {
        if state.is_empty() {
            return Ok(Datum::Null);
        }
        let text = if self.object {
            let mut out = String::from("{ ");
            for (at, entry) in state.iter().enumerate() {
                append(&mut out, if at == 0 { "" } else { ", " })?;
                append(&mut out, &json::Value::String(entry.key.clone()).to_string())?;
                append(&mut out, " : ")?;
                append(&mut out, &entry.value)?;
            }
            append(&mut out, " }")?;
            out
        } else {
            // Arrays and rows stand on lines of their own.
            let broken = matches!(
                self.types[0].base(),
                DataType::Array(_) | DataType::Record | DataType::Composite(_)
            );
            let mut out = String::from("[");
            for (at, entry) in state.iter().enumerate() {
                append(
                    &mut out,
                    if at == 0 {
                        ""
                    } else if broken {
                        ", \n "
                    } else {
                        ", "
                    },
                )?;
                append(&mut out, &entry.value)?;
            }
            append(&mut out, "]")?;
            out
        };
        if self.binary { Ok(Datum::Jsonb(json::normalize(&text)?)) } else { Ok(Datum::text(text)) }
    }

    const HAS_HEAP: bool = true;

    fn heap_size(&self, state: &Vec<Entry>) -> usize {
        state.iter().map(|entry| entry.key.capacity() + entry.value.capacity()).sum::<usize>()
            + state.capacity() * size_of::<Entry>()
    }
}
