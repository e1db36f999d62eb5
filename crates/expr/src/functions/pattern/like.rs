//! LIKE and ILIKE.
//!
//! A pattern is cut at its `%` into literal runs (with `_` for any one character). The first run must stand at the start, the
//! last at the end, those between in order, each at its first possible place: no backtracking. A pattern that is the same for all
//! rows is prepared once a batch.

use super::super::kernel::evaluators;
use super::super::string::to_lower;
use super::super::text::row_of;
use crate::EvalContext;
use memchr::memmem::Finder;
use std::borrow::Cow;
use types::{Nulls, PgError, PgResult, SqlState, Values, Vector};

/// One character of a run, or `_`.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Byte(u8),
    AnyCharacter,
    /// An escape character at the very end: an error once something has to be matched with it.
    Dangling,
}

/// A prepared pattern.
///
/// - `runs` are what stands between `%`s: one run means no `%` at all.
struct LikePattern {
    runs: Vec<Run>,
    /// Whether `_` is a character of UTF-8 or a byte.
    bytes: bool,
}

struct Run {
    units: Vec<Unit>,
    /// The same as bytes, when there is no `_`, ready to be searched for.
    literal: Option<Finder<'static>>,
}

impl Run {
    fn new(units: Vec<Unit>) -> Run {
        let literal: Option<Vec<u8>> = units
            .iter()
            .map(|unit| match unit {
                Unit::Byte(byte) => Some(*byte),
                Unit::AnyCharacter | Unit::Dangling => None,
            })
            .collect();
        let literal = literal.map(|literal| Finder::new(&literal).into_owned());
        Run { units, literal }
    }

    /// How many bytes of `text` the run takes at its start; `None` when it does not match there. 22025 on a dangling escape.
    fn matches_at(&self, text: &[u8], bytes: bool) -> PgResult<Option<usize>> {
        if let Some(literal) = &self.literal {
            let literal = literal.needle();
            return Ok(starts_with(text, literal).then_some(literal.len()));
        }
        let mut at = 0;
        for unit in &self.units {
            match unit {
                Unit::Byte(byte) if text.get(at) == Some(byte) => at += 1,
                Unit::Byte(_) => return Ok(None),
                _ if at >= text.len() => return Ok(None),
                Unit::Dangling => return Err(dangling_escape()),
                Unit::AnyCharacter if bytes => at += 1,
                Unit::AnyCharacter => {
                    at += 1;
                    while text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
                        at += 1;
                    }
                }
            }
        }
        Ok(Some(at))
    }

    /// The first place of the run in `text`: (start, end).
    fn find(&self, text: &[u8], bytes: bool) -> PgResult<Option<(usize, usize)>> {
        if let Some(literal) = &self.literal {
            return Ok(literal.find(text).map(|at| (at, at + literal.needle().len())));
        }
        let starts_character = |at: &usize| bytes || text.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
        for at in (0..=text.len()).filter(starts_character) {
            if let Some(length) = self.matches_at(&text[at..], bytes)? {
                return Ok(Some((at, at + length)));
            }
        }
        Ok(None)
    }

    /// Whether the run matches exactly the end of `text`; `_` makes its length vary.
    fn matches_end(&self, text: &[u8], bytes: bool) -> PgResult<bool> {
        if let Some(literal) = &self.literal {
            let literal = literal.needle();
            let from = text.len().checked_sub(literal.len());
            return Ok(from.is_some_and(|from| starts_with(&text[from..], literal)));
        }
        // Count characters from the end.
        let mut at = text.len();
        for unit in self.units.iter().rev() {
            match unit {
                Unit::Byte(byte) if at > 0 && text[at - 1] == *byte => at -= 1,
                Unit::Byte(_) => return Ok(false),
                _ if at == 0 => return Ok(false),
                Unit::Dangling => return Err(dangling_escape()),
                Unit::AnyCharacter => {
                    at -= 1;
                    while !bytes && at > 0 && text[at] & 0xc0 == 0x80 {
                        at -= 1;
                    }
                }
            }
        }
        Ok(true)
    }
}

fn dangling_escape() -> PgError {
    PgError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "LIKE pattern must not end with escape character")
}

/// Prefixes are short: byte by byte beats a call.
#[inline]
fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.len() >= prefix.len() && text.iter().zip(prefix).all(|(a, b)| a == b)
}

impl LikePattern {
    fn new(pattern: &[u8], bytes: bool) -> LikePattern {
        let mut runs = Vec::new();
        let mut run = Vec::new();
        let mut rest = pattern.iter();
        while let Some(byte) = rest.next() {
            match byte {
                b'%' => runs.push(Run::new(std::mem::take(&mut run))),
                b'_' => run.push(Unit::AnyCharacter),
                b'\\' => match rest.next() {
                    Some(escaped) => run.push(Unit::Byte(*escaped)),
                    None => run.push(Unit::Dangling),
                },
                byte => run.push(Unit::Byte(*byte)),
            }
        }
        runs.push(Run::new(run));
        LikePattern { runs, bytes }
    }

    fn matches(&self, text: &[u8]) -> PgResult<bool> {
        let [first, middle @ .., last] = self.runs.as_slice() else {
            return Ok(self.runs[0].matches_at(text, self.bytes)? == Some(text.len()));
        };
        let Some(mut at) = first.matches_at(text, self.bytes)? else { return Ok(false) };
        for run in middle {
            match run.find(&text[at..], self.bytes)? {
                Some((_, end)) => at += end,
                None => return Ok(false),
            }
        }
        last.matches_end(&text[at..], self.bytes)
    }
}

/// Matches every row; `fold` ignores case.
fn matching(arguments: &[&Vector], rows: usize, fold: bool, negated: bool) -> PgResult<Vector> {
    let [texts, patterns] = arguments else { return Err(super::super::kernel::too_few()) };
    let skipped = super::super::kernel::null_rows(arguments, rows);
    let mut prepared: Option<(usize, LikePattern)> = None;
    let mut answers = Vec::with_capacity(rows);
    for row in 0..rows {
        if skipped.is_null(row) {
            answers.push(false);
            continue;
        }
        let at = row_of(patterns, row, rows);
        if prepared.as_ref().is_none_or(|(prepared_at, _)| *prepared_at != at) {
            let pattern = match &patterns.values {
                Values::Text(values) if fold => LikePattern::new(to_lower(values.get(at)).as_bytes(), false),
                Values::Text(values) => LikePattern::new(values.get(at).as_bytes(), false),
                Values::Bytes(values) => LikePattern::new(values.get(at), true),
                _ => return Err(PgError::internal("LIKE over neither text nor bytea")),
            };
            prepared = Some((at, pattern));
        }
        let pattern = &prepared.as_ref().expect("just prepared").1;
        let index = row_of(texts, row, rows);
        let text: Cow<'_, [u8]> = match &texts.values {
            Values::Text(values) if fold => Cow::Owned(to_lower(values.get(index)).into_bytes()),
            Values::Text(values) => Cow::Borrowed(values.get(index).as_bytes()),
            Values::Bytes(values) => Cow::Borrowed(values.get(index)),
            _ => return Err(PgError::internal("LIKE over neither text nor bytea")),
        };
        answers.push(pattern.matches(&text)? != negated);
    }
    Ok(super::super::kernel::vector(Values::Bool(answers), Nulls::none()))
}

macro_rules! likes {
    ($($fold:literal, $negated:literal => $($name:ident),*;)*) => {$($(
        pub fn $name(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
            let _ = context;
            matching(arguments, rows, $fold, $negated)
        }
    )*)*};
}

likes! {
    false, false => textlike, namelike, bytealike;
    false, true => textnlike, namenlike, byteanlike;
    true, false => texticlike, nameiclike;
    true, true => texticnlike, nameicnlike;
}

evaluators! {
    fn text_starts_with(text: text, prefix: text) -> bool { text.starts_with(prefix) }
    fn like_escape(pattern: text, escape: text) -> try text {
        let escaped = escape_with(pattern.as_bytes(), escape.as_bytes(), escape.chars().count())?;
        String::from_utf8(escaped).map_err(|_| PgError::internal("an escape split a character"))
    }
    fn like_escape_bytea(pattern: bytes, escape: bytes) -> try bytes { escape_with(pattern, escape, escape.len()) }
}

/// Rewrites a pattern with another escape character (or none) into one with backslashes.
fn escape_with(pattern: &[u8], escape: &[u8], characters: usize) -> PgResult<Vec<u8>> {
    if characters > 1 {
        return Err(PgError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .hint("Escape string must be empty or one character."));
    }
    let mut out = Vec::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(byte) = rest.first() {
        if !escape.is_empty() && escape != b"\\" && rest.starts_with(escape) {
            out.push(b'\\');
            rest = &rest[escape.len()..];
            // What follows is taken as it is, a backslash too.
            if let Some(next) = rest.first() {
                out.push(*next);
                rest = &rest[1..];
            }
            continue;
        }
        if *byte == b'\\' && escape != b"\\" {
            out.push(b'\\');
        }
        out.push(*byte);
        rest = &rest[1..];
        // With backslash as the escape the pattern stays as it is, pairs kept together.
        if *byte == b'\\'
            && escape == b"\\"
            && let Some(next) = rest.first()
        {
            out.push(*next);
            rest = &rest[1..];
        }
    }
    Ok(out)
}
