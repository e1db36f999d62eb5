//! The names of units that extract and date_trunc take.

/// A field or unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Microseconds,
    Milliseconds,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    Julian,
    IsoYear,
    IsoDow,
    Dow,
    Doy,
    Epoch,
    TimeZone,
    TimeZoneHour,
    TimeZoneMinute,
}

use Unit::*;

/// PostgreSQL looks at no more than this many characters of a word.
pub(super) const WORD_BYTES_MAX: usize = 10;

pub(super) fn shorten(word: &str) -> &str {
    match word.char_indices().nth(WORD_BYTES_MAX) {
        Some((end, _)) => &word[..end],
        None => word,
    }
}

/// Spellings, sorted.
const UNITS: &[(&str, Unit)] = &[
    ("c", Century),
    ("cent", Century),
    ("centuries", Century),
    ("century", Century),
    ("d", Day),
    ("day", Day),
    ("days", Day),
    ("dec", Decade),
    ("decade", Decade),
    ("decades", Decade),
    ("decs", Decade),
    ("dow", Dow),
    ("doy", Doy),
    ("epoch", Epoch),
    ("h", Hour),
    ("hour", Hour),
    ("hours", Hour),
    ("hr", Hour),
    ("hrs", Hour),
    ("isodow", IsoDow),
    ("isoyear", IsoYear),
    ("j", Julian),
    ("jd", Julian),
    ("julian", Julian),
    ("m", Minute),
    ("microsecon", Microseconds),
    ("mil", Millennium),
    ("millennia", Millennium),
    ("millennium", Millennium),
    ("millisecon", Milliseconds),
    ("mils", Millennium),
    ("min", Minute),
    ("mins", Minute),
    ("minute", Minute),
    ("minutes", Minute),
    ("mon", Month),
    ("mons", Month),
    ("month", Month),
    ("months", Month),
    ("ms", Milliseconds),
    ("msec", Milliseconds),
    ("mseconds", Milliseconds),
    ("msecs", Milliseconds),
    ("qtr", Quarter),
    ("quarter", Quarter),
    ("s", Second),
    ("sec", Second),
    ("second", Second),
    ("seconds", Second),
    ("secs", Second),
    ("timezone", TimeZone),
    ("timezone_h", TimeZoneHour),
    ("timezone_m", TimeZoneMinute),
    ("us", Microseconds),
    ("usec", Microseconds),
    ("usecond", Microseconds),
    ("useconds", Microseconds),
    ("usecs", Microseconds),
    ("w", Week),
    ("week", Week),
    ("weeks", Week),
    ("y", Year),
    ("year", Year),
    ("years", Year),
    ("yr", Year),
    ("yrs", Year),
];

/// Looks a word up, in lower case.
pub(super) fn find(lower: &str) -> Option<Unit> {
    let word = shorten(lower);
    UNITS.binary_search_by_key(&word, |(name, _)| name).ok().map(|position| UNITS[position].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_long_words_are_cut() {
        assert!(UNITS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(find("microseconds"), Some(Microseconds));
        assert_eq!(find("fortnight"), None);
    }
}
