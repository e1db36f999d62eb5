//! PostgreSQL 15's pg_description of what is built in and exists here: types, functions, operators, languages ... `descriptions.txt`
//! has a line per object: pg_class.oid of its catalog, its oid, the text. A function behind an operator is described by the
//! operator, as in PostgreSQL, and has no line. The texts are PostgreSQL's (see `NOTICE`): clients show them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

pub const PG_PROC: u32 = 1255;
const PG_EXTENSION: u32 = 3079;
const PG_OPERATOR: u32 = 2617;

type Descriptions = BTreeMap<(u32, u32), String>;

fn descriptions() -> &'static Descriptions {
    static DESCRIPTIONS: OnceLock<Descriptions> = OnceLock::new();
    DESCRIPTIONS.get_or_init(|| {
        let listed = include_str!("descriptions.txt").lines().filter_map(|line| {
            let mut parts = line.splitn(3, ' ');
            let class = parts.next()?.parse().ok()?;
            let object = parts.next()?.parse().ok()?;
            Some(((class, object), parts.next()?.to_string()))
        });
        let mut all: Descriptions = listed.collect();
        let own = "ranges, sessions and settings of the cluster";
        all.insert((PG_EXTENSION, super::schema::OWN_EXTENSION), own.to_string());
        for operator in super::operators::operators() {
            if all.contains_key(&(PG_OPERATOR, operator.oid)) {
                let text = format!("implementation of {} operator", operator.name);
                all.entry((PG_PROC, operator.function_oid)).or_insert(text);
            }
        }
        all
    })
}

/// What the system says of an object of its own; `class` is the pg_class.oid of the catalog that lists it.
pub fn description(class: u32, object: u32) -> Option<&'static str> {
    descriptions().get(&(class, object)).map(String::as_str)
}

/// The same of an object whose catalog is not known.
pub fn description_in_any(object: u32) -> Option<&'static str> {
    descriptions().iter().find(|((_, id), _)| *id == object).map(|(_, text)| text.as_str())
}

/// All of them: ((catalog, object), text).
pub fn all() -> impl Iterator<Item = ((u32, u32), &'static str)> {
    descriptions().iter().map(|(key, text)| (*key, text.as_str()))
}
