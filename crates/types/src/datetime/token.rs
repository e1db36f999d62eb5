//! Words in date/time and interval input.

use super::units::{Unit, shorten};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reserved {
    Now,
    Today,
    Tomorrow,
    Yesterday,
    Midnight,
    Epoch,
    Infinity,
    NegativeInfinity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Reserved(Reserved),
    Month(u8),
    Weekday,
    Am,
    Pm,
    Ad,
    Bc,
    /// `dst`: an hour more.
    DaylightSaving,
    /// Names the field that follows.
    Label(Unit),
    /// `mm`.
    LabelMinute,
    /// `t`: a time follows.
    IsoTime,
    Ignored,
}

use Token::*;

/// Sorted.
const DATE_TOKENS: &[(&str, Token)] = &[
    ("-infinity", Reserved(self::Reserved::NegativeInfinity)),
    ("ad", Ad),
    ("allballs", Reserved(self::Reserved::Midnight)),
    ("am", Am),
    ("apr", Month(4)),
    ("april", Month(4)),
    ("at", Ignored),
    ("aug", Month(8)),
    ("august", Month(8)),
    ("bc", Bc),
    ("d", Label(Unit::Day)),
    ("dec", Month(12)),
    ("december", Month(12)),
    ("dow", Label(Unit::Dow)),
    ("doy", Label(Unit::Doy)),
    ("dst", DaylightSaving),
    ("epoch", Reserved(self::Reserved::Epoch)),
    ("feb", Month(2)),
    ("february", Month(2)),
    ("fri", Weekday),
    ("friday", Weekday),
    ("h", Label(Unit::Hour)),
    ("infinity", Reserved(self::Reserved::Infinity)),
    ("isodow", Label(Unit::IsoDow)),
    ("isoyear", Label(Unit::IsoYear)),
    ("j", Label(Unit::Julian)),
    ("jan", Month(1)),
    ("january", Month(1)),
    ("jd", Label(Unit::Julian)),
    ("jul", Month(7)),
    ("julian", Label(Unit::Julian)),
    ("july", Month(7)),
    ("jun", Month(6)),
    ("june", Month(6)),
    ("m", Label(Unit::Month)),
    ("mar", Month(3)),
    ("march", Month(3)),
    ("may", Month(5)),
    ("mm", LabelMinute),
    ("mon", Weekday),
    ("monday", Weekday),
    ("nov", Month(11)),
    ("november", Month(11)),
    ("now", Reserved(self::Reserved::Now)),
    ("oct", Month(10)),
    ("october", Month(10)),
    ("on", Ignored),
    ("pm", Pm),
    ("s", Label(Unit::Second)),
    ("sat", Weekday),
    ("saturday", Weekday),
    ("sep", Month(9)),
    ("sept", Month(9)),
    ("september", Month(9)),
    ("sun", Weekday),
    ("sunday", Weekday),
    ("t", IsoTime),
    ("thu", Weekday),
    ("thur", Weekday),
    ("thurs", Weekday),
    ("thursday", Weekday),
    ("today", Reserved(self::Reserved::Today)),
    ("tomorrow", Reserved(self::Reserved::Tomorrow)),
    ("tue", Weekday),
    ("tues", Weekday),
    ("tuesday", Weekday),
    ("wed", Weekday),
    ("wednesday", Weekday),
    ("weds", Weekday),
    ("y", Label(Unit::Year)),
    ("yesterday", Reserved(self::Reserved::Yesterday)),
];

/// Looks up a word of date/time input, in lower case.
pub(super) fn date_token(word: &str) -> Option<Token> {
    let word = shorten(word);
    DATE_TOKENS.binary_search_by_key(&word, |(name, _)| name).ok().map(|position| DATE_TOKENS[position].1)
}

/// A word of interval input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntervalToken {
    Unit(Unit),
    Ago,
    Ignored,
}

/// Looks up a word of interval input, in lower case.
pub(super) fn interval_token(word: &str) -> Option<IntervalToken> {
    match word {
        "ago" => Some(IntervalToken::Ago),
        "at" | "on" | "@" => Some(IntervalToken::Ignored),
        word => super::units::find(word).map(IntervalToken::Unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(DATE_TOKENS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(date_token("sept"), Some(Month(9)));
    }
}
