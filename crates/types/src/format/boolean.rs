//! bool.

use super::integer::{syntax_error, trim_spaces};
use crate::error::PgResult;

/// boolin: any beginning of true, false, yes, no, on, off that tells them apart; 1 and 0.
pub(super) fn parse_bool(text: &str) -> PgResult<bool> {
    let word = trim_spaces(text).to_ascii_lowercase();
    let begins = |whole: &str, at_least: usize| word.len() >= at_least && whole.starts_with(word.as_str());
    if begins("true", 1) || begins("yes", 1) || word == "on" || word == "1" {
        Ok(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0" {
        Ok(false)
    } else {
        Err(syntax_error("boolean", text))
    }
}
