//! LIKE, SIMILAR TO and POSIX regular expressions.

mod engine;
pub mod like;
pub mod regexp;
pub mod similar;
mod translate;

use engine::compile;
use translate::Options;
use types::PgResult;
use types::jsonpath::Flags;

/// like_regex of a path: whether the pattern is found in the text.
pub(crate) fn matches_regex(text: &str, pattern: &str, flags: Flags) -> PgResult<bool> {
    let options = Options {
        ignore_case: flags.ignore_case,
        newline_stops: !flags.dot_all,
        newline_anchors: flags.multiline,
        literal: flags.quote,
        ..Options::default()
    };
    Ok(compile(pattern, options)?.is_match(text))
}
