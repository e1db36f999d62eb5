//! What a condition implies of a column without saying it: enough to narrow a scan, not to spare the check.
//!
//! | condition | implies |
//! | --- | --- |
//! | `b LIKE 'abc%'`, `starts_with(b, 'abc')` | `b >= 'abc'`, `b < 'abd'` |
//! | `(a, b) < (1, 2)`, that is `a < 1 OR (a = 1 AND b < 2)` | `a <= 1` |
//!
//! Text is ordered by its bytes, so that a prefix is a range.

use super::access_path::Match;
use expr::Expr;
use expr::catalogue::operators::Comparison;
use types::descriptor::ColumnId;
use types::{DataType, Datum};

pub(super) fn implied_by(
    condition: &Expr,
    matched: &dyn Fn(&Expr) -> Option<(ColumnId, Match)>,
    text_column: &dyn Fn(&Expr) -> Option<ColumnId>,
) -> Vec<(ColumnId, Match)> {
    match condition {
        Expr::Call { function, arguments, .. } => {
            let [input, Expr::Constant { value: Datum::Text(pattern), .. }] = arguments.as_slice() else {
                return Vec::new();
            };
            let prefix = match function.name {
                "textlike" => like_prefix(pattern),
                "starts_with" => Some(pattern.to_string()),
                _ => None,
            };
            match (text_column(input), prefix) {
                (Some(column), Some(prefix)) if !prefix.is_empty() => prefix_range(column, &prefix),
                _ => Vec::new(),
            }
        }
        Expr::Or(arms) => row_comparison(arms, matched).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The text that every match of a LIKE pattern begins with.
fn like_prefix(pattern: &str) -> Option<String> {
    let mut prefix = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' | '_' => return Some(prefix),
            '\\' => prefix.push(characters.next()?),
            other => prefix.push(other),
        }
    }
    Some(prefix)
}

fn prefix_range(column: ColumnId, prefix: &str) -> Vec<(ColumnId, Match)> {
    let constant = |text: String| Expr::constant(Datum::text(text), DataType::Text);
    let mut range = vec![(column, Match::Bound(Comparison::GreaterOrEqual, constant(prefix.to_string())))];
    if let Some(next) = successor(prefix) {
        range.push((column, Match::Bound(Comparison::Less, constant(next))));
    }
    range
}

/// The least text greater than every text with this prefix; `None` when there is none.
fn successor(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

/// `a < x OR (a = x AND ...)`.
fn row_comparison(
    arms: &[Expr],
    matched: &dyn Fn(&Expr) -> Option<(ColumnId, Match)>,
) -> Option<(ColumnId, Match)> {
    let [strict, Expr::And(rest)] = arms else { return None };
    let (column, Match::Bound(comparison, value)) = matched(strict)? else { return None };
    let (equal_column, Match::Equal(equal)) = matched(rest.first()?)? else { return None };
    let comparison = match comparison {
        Comparison::Less => Comparison::LessOrEqual,
        Comparison::Greater => Comparison::GreaterOrEqual,
        _ => return None,
    };
    let same = column == equal_column && crate::logical::same_expression(&value, &equal);
    same.then_some((column, Match::Bound(comparison, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_their_successors() {
        assert_eq!(like_prefix("abc%").as_deref(), Some("abc"));
        assert_eq!(like_prefix("a\\%b_c").as_deref(), Some("a%b"));
        assert_eq!(like_prefix("%a").as_deref(), Some(""));
        assert_eq!(successor("abc").as_deref(), Some("abd"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(successor("\u{10ffff}"), None);
    }
}
