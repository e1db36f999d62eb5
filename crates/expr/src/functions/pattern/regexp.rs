//! Regular expression operators and functions.

use super::super::array::one_dimensional;
use super::super::kernel::{evaluators, null_rows, too_few, vector};
use super::super::text::row_of;
use super::engine::{Pattern, after_match, compile};
use super::similar::to_regexp;
use super::translate::Options;
use crate::EvalContext;
use crate::bounds::append;
use regex::Captures;
use std::rc::Rc;
use types::{DataType, Datum, ElementType, Nulls, PgError, PgResult, SqlState, Values, Vector};

const TEXT_ARRAY: DataType = DataType::Array(ElementType::builtin(25));

/// Tests every row against its pattern.
fn testing(arguments: &[&Vector], rows: usize, ignore_case: bool, negated: bool) -> PgResult<Vector> {
    let [texts, patterns] = arguments else { return Err(too_few()) };
    let (Values::Text(values), Values::Text(pattern_values)) = (&texts.values, &patterns.values) else {
        return Err(PgError::internal("a regular expression over something that is not text"));
    };
    let options = Options { ignore_case, ..Options::default() };
    let skipped = null_rows(arguments, rows);
    let mut compiled: Option<(usize, Rc<Pattern>)> = None;
    let mut answers = Vec::with_capacity(rows);
    for row in 0..rows {
        if skipped.is_null(row) {
            answers.push(false);
            continue;
        }
        let at = row_of(patterns, row, rows);
        if compiled.as_ref().is_none_or(|(compiled_at, _)| *compiled_at != at) {
            compiled = Some((at, compile(pattern_values.get(at), options)?));
        }
        let regex = &compiled.as_ref().expect("just compiled").1;
        answers.push(regex.is_match(values.get(row_of(texts, row, rows))) != negated);
    }
    Ok(vector(Values::Bool(answers), Nulls::none()))
}

macro_rules! tests {
    ($($ignore_case:literal, $negated:literal => $($name:ident),*;)*) => {$($(
        pub fn $name(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
            let _ = context;
            testing(arguments, rows, $ignore_case, $negated)
        }
    )*)*};
}

tests! {
    false, false => textregexeq, nameregexeq;
    false, true => textregexne, nameregexne;
    true, false => texticregexeq, nameicregexeq;
    true, true => texticregexne, nameicregexne;
}

fn no_global(options: Options, function: &str) -> PgResult<Options> {
    if options.global {
        let error = PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("{function} does not support the \"global\" option"),
        );
        return Err(if function == "regexp_match()" {
            error.hint("Use the regexp_matches function instead.")
        } else {
            error
        });
    }
    Ok(options)
}

/// What a match gives: its groups, or the whole when there are none.
fn groups(regex: &Pattern, captures: &Captures<'_>) -> Vec<Datum> {
    let group = |index: usize| captures.get(index).map_or(Datum::Null, |found| Datum::text(found.as_str()));
    if regex.group_count() == 1 { vec![group(0)] } else { (1..regex.group_count()).map(group).collect() }
}

fn first_match(text: &str, pattern: &str, flags: &str) -> PgResult<Option<Datum>> {
    let options = no_global(Options::parse(flags)?, "regexp_match()")?;
    let regex = compile(pattern, options)?;
    Ok(regex.captures_at(text, 0).map(|captures| one_dimensional(TEXT_ARRAY, groups(&regex, &captures))))
}

/// regexp_matches: every match with the option g, else the first.
pub(crate) fn all_matches(text: &str, pattern: &str, flags: &str) -> PgResult<Vec<Datum>> {
    let options = Options::parse(flags)?;
    let regex = compile(pattern, options)?;
    let limit = if options.global { usize::MAX } else { 1 };
    let found = regex.captures_iter(text).take(limit);
    Ok(found.map(|captures| one_dimensional(TEXT_ARRAY, groups(&regex, &captures))).collect())
}

/// The pieces between matches. A match of no length at the start, the end, or right after another one separates nothing.
pub(crate) fn pieces(text: &str, pattern: &str, flags: &str, function: &str) -> PgResult<Vec<String>> {
    let options = no_global(Options::parse(flags)?, function)?;
    let regex = compile(pattern, options)?;
    let mut pieces = Vec::new();
    let mut start = 0;
    for captures in regex.captures_iter(text) {
        let Some(found) = captures.get(0) else { break };
        if found.start() < text.len() && found.end() > start {
            pieces.push(text[start..found.start()].to_owned());
            start = found.end();
        }
    }
    pieces.push(text[start..].to_owned());
    Ok(pieces)
}

/// A replacement text, prepared: `\1` ... `\9`, `\&`, `\\`.
enum Part<'a> {
    Text(&'a str),
    Group(usize),
}

fn replacement_parts(replacement: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = replacement;
    while let Some(at) = rest.find('\\') {
        parts.push(Part::Text(&rest[..at]));
        let after = &rest[at + 1..];
        let taken = match after.as_bytes().first() {
            Some(digit @ b'1'..=b'9') => {
                parts.push(Part::Group(usize::from(digit - b'0')));
                1
            }
            Some(b'&') => {
                parts.push(Part::Group(0));
                1
            }
            Some(b'\\') => {
                parts.push(Part::Text("\\"));
                1
            }
            // Any other backslash stands for itself.
            _ => {
                parts.push(Part::Text("\\"));
                0
            }
        };
        rest = &after[taken..];
    }
    parts.push(Part::Text(rest));
    parts
}

/// Replaces the `number`th match (0: all) from character `start` on.
fn replace(
    text: &str,
    pattern: &str,
    replacement: &str,
    options: Options,
    start: usize,
    number: usize,
) -> PgResult<String> {
    let regex = compile(pattern, options)?;
    let from = byte_of_character(text, start);
    let parts = replacement_parts(replacement);
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut at = from;
    let mut count = 0;
    while at <= text.len() {
        let Some(captures) = regex.captures_at(text, at) else { break };
        let Some(whole) = captures.get(0) else { break };
        count += 1;
        if number == 0 || count == number {
            append(&mut out, &text[copied..whole.start()])?;
            for part in &parts {
                let piece = match part {
                    Part::Text(text) => text,
                    Part::Group(index) => captures.get(*index).map_or("", |group| group.as_str()),
                };
                append(&mut out, piece)?;
            }
            copied = whole.end();
        }
        if number != 0 && count >= number {
            break;
        }
        at = after_match(text, whole.start(), whole.end());
    }
    append(&mut out, &text[copied..])?;
    Ok(out)
}

/// The byte offset of a character counted from 1.
fn byte_of_character(text: &str, start: usize) -> usize {
    text.char_indices()
        .nth(start - 1)
        .map_or(text.len() + usize::from(start > text.chars().count() + 1), |(at, _)| at)
}

fn positive(value: i32, name: &str) -> PgResult<usize> {
    match usize::try_from(value) {
        Ok(value) if value > 0 => Ok(value),
        _ => Err(bad_parameter(name, value)),
    }
}

fn bad_parameter(name: &str, value: i32) -> PgError {
    PgError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid value for parameter \"{name}\": {value}"),
    )
}

fn not_negative(value: i32, name: &str) -> PgResult<usize> {
    usize::try_from(value).map_err(|_| bad_parameter(name, value))
}

/// regexp_replace with flags as its fourth argument: a leading digit means that a number was passed as text.
fn replace_with_flags(text: &str, pattern: &str, replacement: &str, flags: &str) -> PgResult<String> {
    if let Some(digit) = flags.chars().next().filter(char::is_ascii_digit) {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid regular expression option: \"{digit}\""),
        )
        .hint("If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly."));
    }
    let options = Options::parse(flags)?;
    replace(text, pattern, replacement, options, 1, if options.global { 0 } else { 1 })
}

fn replace_from(
    text: &str,
    pattern: &str,
    replacement: &str,
    start: i32,
    number: i32,
    flags: &str,
) -> PgResult<String> {
    let start = positive(start, "start")?;
    let number = not_negative(number, "n")?;
    replace(text, pattern, replacement, Options::parse(flags)?, start, number)
}

/// The start and end of the `number`th match from character `start` on, of the whole or of a group.
fn nth_match(
    text: &str,
    pattern: &str,
    start: i32,
    number: i32,
    options: Options,
    group: i32,
) -> PgResult<Option<(usize, usize)>> {
    let start = positive(start, "start")?;
    let number = positive(number, "n")?;
    let group = not_negative(group, "subexpr")?;
    let regex = compile(pattern, options)?;
    let mut at = byte_of_character(text, start);
    let mut count = 0;
    while at <= text.len() {
        let Some(captures) = regex.captures_at(text, at) else { return Ok(None) };
        let Some(whole) = captures.get(0) else { return Ok(None) };
        count += 1;
        if count == number {
            return Ok(captures.get(group).map(|found| (found.start(), found.end())));
        }
        at = after_match(text, whole.start(), whole.end());
    }
    Ok(None)
}

fn count(text: &str, pattern: &str, start: i32, flags: &str) -> PgResult<i32> {
    let start = positive(start, "start")?;
    let options = no_global(Options::parse(flags)?, "regexp_count()")?;
    let regex = compile(pattern, options)?;
    let mut at = byte_of_character(text, start);
    let mut count = 0;
    while at <= text.len() {
        let Some(captures) = regex.captures_at(text, at) else { break };
        let Some(found) = captures.get(0) else { break };
        count += 1;
        at = after_match(text, found.start(), found.end());
    }
    Ok(count)
}

fn position(
    text: &str,
    pattern: &str,
    start: i32,
    number: i32,
    end: i32,
    flags: &str,
    group: i32,
) -> PgResult<i32> {
    positive(start, "start")?;
    positive(number, "n")?;
    if !(0..=1).contains(&end) {
        return Err(bad_parameter("endoption", end));
    }
    not_negative(group, "subexpr")?;
    let options = no_global(Options::parse(flags)?, "regexp_instr()")?;
    let found = nth_match(text, pattern, start, number, options, group)?;
    Ok(found.map_or(0, |(from, to)| text[..if end == 1 { to } else { from }].chars().count() as i32 + 1))
}

fn part<'a>(
    text: &'a str,
    pattern: &str,
    start: i32,
    number: i32,
    flags: &str,
    group: i32,
) -> PgResult<Option<&'a str>> {
    positive(start, "start")?;
    positive(number, "n")?;
    not_negative(group, "subexpr")?;
    let options = no_global(Options::parse(flags)?, "regexp_substr()")?;
    Ok(nth_match(text, pattern, start, number, options, group)?.map(|(from, to)| &text[from..to]))
}

/// substring(text from pattern): the first group, or the whole match.
fn substring<'a>(text: &'a str, pattern: &str) -> PgResult<Option<&'a str>> {
    let regex = compile(pattern, Options::default())?;
    let Some(captures) = regex.captures_at(text, 0) else { return Ok(None) };
    Ok(captures.get(usize::from(regex.group_count() > 1)).map(|found| found.as_str()))
}

fn text_array(pieces: Vec<String>) -> Datum {
    one_dimensional(TEXT_ARRAY, pieces.into_iter().map(Datum::text).collect())
}

evaluators! {
    fn textregexsubstr(text: text, pattern: text) -> maybe text { substring(text, pattern) }
    fn sql_substring_text_text_text(text: text, pattern: text, escape: text) -> maybe text {
        substring(text, &to_regexp(pattern, Some(escape))?)
    }
    fn textregexreplace_noopt(text: text, pattern: text, with: text) -> try text {
        replace(text, pattern, with, Options::default(), 1, 1)
    }
    fn textregexreplace(text: text, pattern: text, with: text, flags: text) -> try text {
        replace_with_flags(text, pattern, with, flags)
    }
    fn textregexreplace_extended(text: text, pattern: text, with: text, start: i32, n: i32, flags: text) -> try text {
        replace_from(text, pattern, with, start, n, flags)
    }
    fn textregexreplace_extended_no_flags(text: text, pattern: text, with: text, start: i32, n: i32) -> try text {
        replace_from(text, pattern, with, start, n, "")
    }
    fn textregexreplace_extended_no_n(text: text, pattern: text, with: text, start: i32) -> try text {
        replace_from(text, pattern, with, start, 1, "")
    }
    fn regexp_match_no_flags(text: text, pattern: text) -> maybe datum { first_match(text, pattern, "") }
    fn regexp_match(text: text, pattern: text, flags: text) -> maybe datum { first_match(text, pattern, flags) }
    fn regexp_like_no_flags(text: text, pattern: text) -> try bool {
        Ok(compile(pattern, Options::default())?.is_match(text))
    }
    fn regexp_like(text: text, pattern: text, flags: text) -> try bool {
        let options = no_global(Options::parse(flags)?, "regexp_like()")?;
        Ok(compile(pattern, options)?.is_match(text))
    }
    fn regexp_count_no_start(text: text, pattern: text) -> try i32 { count(text, pattern, 1, "") }
    fn regexp_count_no_flags(text: text, pattern: text, start: i32) -> try i32 { count(text, pattern, start, "") }
    fn regexp_count(text: text, pattern: text, start: i32, flags: text) -> try i32 {
        count(text, pattern, start, flags)
    }
    fn regexp_instr_no_start(text: text, pattern: text) -> try i32 { position(text, pattern, 1, 1, 0, "", 0) }
    fn regexp_instr_no_n(text: text, pattern: text, start: i32) -> try i32 {
        position(text, pattern, start, 1, 0, "", 0)
    }
    fn regexp_instr_no_endoption(text: text, pattern: text, start: i32, n: i32) -> try i32 {
        position(text, pattern, start, n, 0, "", 0)
    }
    fn regexp_instr_no_flags(text: text, pattern: text, start: i32, n: i32, end: i32) -> try i32 {
        position(text, pattern, start, n, end, "", 0)
    }
    fn regexp_instr_no_subexpr(text: text, pattern: text, start: i32, n: i32, end: i32, flags: text) -> try i32 {
        position(text, pattern, start, n, end, flags, 0)
    }
    fn regexp_instr(text: text, pattern: text, start: i32, n: i32, end: i32, flags: text, group: i32) -> try i32 {
        position(text, pattern, start, n, end, flags, group)
    }
    fn regexp_substr_no_start(text: text, pattern: text) -> maybe text { part(text, pattern, 1, 1, "", 0) }
    fn regexp_substr_no_n(text: text, pattern: text, start: i32) -> maybe text {
        part(text, pattern, start, 1, "", 0)
    }
    fn regexp_substr_no_flags(text: text, pattern: text, start: i32, n: i32) -> maybe text {
        part(text, pattern, start, n, "", 0)
    }
    fn regexp_substr_no_subexpr(text: text, pattern: text, start: i32, n: i32, flags: text) -> maybe text {
        part(text, pattern, start, n, flags, 0)
    }
    fn regexp_substr(text: text, pattern: text, start: i32, n: i32, flags: text, group: i32) -> maybe text {
        part(text, pattern, start, n, flags, group)
    }
    fn regexp_split_to_array_no_flags(text: text, pattern: text) -> try datum {
        Ok(text_array(pieces(text, pattern, "", "regexp_split_to_array()")?))
    }
    fn regexp_split_to_array(text: text, pattern: text, flags: text) -> try datum {
        Ok(text_array(pieces(text, pattern, flags, "regexp_split_to_array()")?))
    }
}
