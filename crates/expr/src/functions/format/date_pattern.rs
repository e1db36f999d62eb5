//! Date/time patterns cut into fields and literal characters.

/// A field's meaning, its spelling aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Meridiem { dots: bool },
    Era { dots: bool },
    Century,
    Day,
    DayAbbreviated,
    DayOfYear,
    DayOfMonth,
    DayOfWeek,
    Fraction(u8),
    Fixed,
    Hour24,
    Hour12,
    IsoDayOfYear,
    IsoDayOfWeek,
    IsoWeek,
    IsoYear(u8),
    Julian,
    Minute,
    MonthNumber,
    Month,
    MonthAbbreviated,
    Millisecond,
    Offset,
    Quarter,
    Roman,
    SecondOfDay,
    Second,
    ZoneHours,
    ZoneMinutes,
    Zone,
    Microsecond,
    WeekOfYear,
    WeekOfMonth,
    YearWithComma,
    Year(u8),
}

/// How letters are written: as the pattern writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Capitalized,
    Lower,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldNode {
    pub(super) field: Field,
    pub(super) case: Case,
    pub(super) name: &'static str,
    /// FM: no padding.
    pub(super) fill: bool,
    /// TM: the name without padding.
    pub(super) localized: bool,
    /// TH or th.
    pub(super) ordinal: Option<bool>,
    /// Digits a reader takes at most.
    pub(super) length: usize,
    /// Whether it reads as a number.
    pub(super) digits: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Field(FieldNode),
    /// A blank of the pattern.
    Space(char),
    /// Punctuation of the pattern.
    Separator(char),
    /// Any other character, or one between quotes.
    Text(char),
}

use Case::*;
use Field::*;

/// Keywords in an order in which the first match is the longest: (spelling, field, case, digits read, numeric).
const KEYWORDS: &[(&str, Field, Case, usize, bool)] = &[
    ("A.D.", Era { dots: true }, Upper, 4, false),
    ("A.M.", Meridiem { dots: true }, Upper, 4, false),
    ("AD", Era { dots: false }, Upper, 2, false),
    ("AM", Meridiem { dots: false }, Upper, 2, false),
    ("B.C.", Era { dots: true }, Upper, 4, false),
    ("BC", Era { dots: false }, Upper, 2, false),
    ("CC", Century, Upper, 2, true),
    ("DAY", Day, Upper, 3, false),
    ("DDD", DayOfYear, Upper, 3, true),
    ("DD", DayOfMonth, Upper, 2, true),
    ("DY", DayAbbreviated, Upper, 2, false),
    ("Day", Day, Capitalized, 3, false),
    ("Dy", DayAbbreviated, Capitalized, 2, false),
    ("D", DayOfWeek, Upper, 1, true),
    ("FF1", Fraction(1), Upper, 3, false),
    ("FF2", Fraction(2), Upper, 3, false),
    ("FF3", Fraction(3), Upper, 3, false),
    ("FF4", Fraction(4), Upper, 3, false),
    ("FF5", Fraction(5), Upper, 3, false),
    ("FF6", Fraction(6), Upper, 3, false),
    ("FX", Fixed, Upper, 2, false),
    ("HH24", Hour24, Upper, 4, true),
    ("HH12", Hour12, Upper, 4, true),
    ("HH", Hour12, Upper, 2, true),
    ("IDDD", IsoDayOfYear, Upper, 4, true),
    ("ID", IsoDayOfWeek, Upper, 2, true),
    ("IW", IsoWeek, Upper, 2, true),
    ("IYYY", IsoYear(4), Upper, 4, true),
    ("IYY", IsoYear(3), Upper, 3, true),
    ("IY", IsoYear(2), Upper, 2, true),
    ("I", IsoYear(1), Upper, 1, true),
    ("J", Julian, Upper, 1, true),
    ("MI", Minute, Upper, 2, true),
    ("MM", MonthNumber, Upper, 2, true),
    ("MONTH", Month, Upper, 5, false),
    ("MON", MonthAbbreviated, Upper, 3, false),
    ("MS", Millisecond, Upper, 2, true),
    ("Month", Month, Capitalized, 5, false),
    ("Mon", MonthAbbreviated, Capitalized, 3, false),
    ("OF", Offset, Upper, 2, false),
    ("P.M.", Meridiem { dots: true }, Upper, 4, false),
    ("PM", Meridiem { dots: false }, Upper, 2, false),
    ("Q", Quarter, Upper, 1, true),
    ("RM", Roman, Upper, 2, false),
    ("SSSSS", SecondOfDay, Upper, 5, true),
    ("SSSS", SecondOfDay, Upper, 4, true),
    ("SS", Second, Upper, 2, true),
    ("TZH", ZoneHours, Upper, 3, false),
    ("TZM", ZoneMinutes, Upper, 3, true),
    ("TZ", Zone, Upper, 2, false),
    ("US", Microsecond, Upper, 2, true),
    ("WW", WeekOfYear, Upper, 2, true),
    ("W", WeekOfMonth, Upper, 1, true),
    ("Y,YYY", YearWithComma, Upper, 5, true),
    ("YYYY", Year(4), Upper, 4, true),
    ("YYY", Year(3), Upper, 3, true),
    ("YY", Year(2), Upper, 2, true),
    ("Y", Year(1), Upper, 1, true),
    ("a.d.", Era { dots: true }, Lower, 4, false),
    ("a.m.", Meridiem { dots: true }, Lower, 4, false),
    ("ad", Era { dots: false }, Lower, 2, false),
    ("am", Meridiem { dots: false }, Lower, 2, false),
    ("b.c.", Era { dots: true }, Lower, 4, false),
    ("bc", Era { dots: false }, Lower, 2, false),
    ("cc", Century, Lower, 2, true),
    ("day", Day, Lower, 3, false),
    ("ddd", DayOfYear, Lower, 3, true),
    ("dd", DayOfMonth, Lower, 2, true),
    ("dy", DayAbbreviated, Lower, 2, false),
    ("d", DayOfWeek, Lower, 1, true),
    ("ff1", Fraction(1), Lower, 3, false),
    ("ff2", Fraction(2), Lower, 3, false),
    ("ff3", Fraction(3), Lower, 3, false),
    ("ff4", Fraction(4), Lower, 3, false),
    ("ff5", Fraction(5), Lower, 3, false),
    ("ff6", Fraction(6), Lower, 3, false),
    ("fx", Fixed, Lower, 2, false),
    ("hh24", Hour24, Lower, 4, true),
    ("hh12", Hour12, Lower, 4, true),
    ("hh", Hour12, Lower, 2, true),
    ("iddd", IsoDayOfYear, Lower, 4, true),
    ("id", IsoDayOfWeek, Lower, 2, true),
    ("iw", IsoWeek, Lower, 2, true),
    ("iyyy", IsoYear(4), Lower, 4, true),
    ("iyy", IsoYear(3), Lower, 3, true),
    ("iy", IsoYear(2), Lower, 2, true),
    ("i", IsoYear(1), Lower, 1, true),
    ("j", Julian, Lower, 1, true),
    ("mi", Minute, Lower, 2, true),
    ("mm", MonthNumber, Lower, 2, true),
    ("month", Month, Lower, 5, false),
    ("mon", MonthAbbreviated, Lower, 3, false),
    ("ms", Millisecond, Lower, 2, true),
    ("of", Offset, Lower, 2, false),
    ("p.m.", Meridiem { dots: true }, Lower, 4, false),
    ("pm", Meridiem { dots: false }, Lower, 2, false),
    ("q", Quarter, Lower, 1, true),
    ("rm", Roman, Lower, 2, false),
    ("sssss", SecondOfDay, Lower, 5, true),
    ("ssss", SecondOfDay, Lower, 4, true),
    ("ss", Second, Lower, 2, true),
    ("tzh", ZoneHours, Lower, 3, false),
    ("tzm", ZoneMinutes, Lower, 3, true),
    ("tz", Zone, Lower, 2, false),
    ("us", Microsecond, Lower, 2, true),
    ("ww", WeekOfYear, Lower, 2, true),
    ("w", WeekOfMonth, Lower, 1, true),
    ("y,yyy", YearWithComma, Lower, 5, true),
    ("yyyy", Year(4), Lower, 4, true),
    ("yyy", Year(3), Lower, 3, true),
    ("yy", Year(2), Lower, 2, true),
    ("y", Year(1), Lower, 1, true),
];

fn is_separator(c: char) -> bool {
    c.is_ascii_graphic() && !c.is_ascii_alphanumeric()
}

/// Cuts a pattern. Prefixes FM and TM and suffixes TH, th and SP belong to the field beside them.
pub(super) fn parse(pattern: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut rest = pattern;
    while !rest.is_empty() {
        let (mut fill, mut localized) = (false, false);
        let mut field_at = rest;
        // One prefix a field is what PostgreSQL looks for.
        if let Some(after) = field_at.strip_prefix("FM").or_else(|| field_at.strip_prefix("fm")) {
            fill = true;
            field_at = after;
        } else if let Some(after) = field_at.strip_prefix("TM").or_else(|| field_at.strip_prefix("tm")) {
            localized = true;
            field_at = after;
        }
        if let Some((name, field, case, length, digits)) =
            KEYWORDS.iter().find(|(name, ..)| field_at.starts_with(name)).copied()
        {
            rest = &field_at[name.len()..];
            let mut ordinal = None;
            for (suffix, upper) in [("TH", Some(true)), ("th", Some(false)), ("SP", None)] {
                if let Some(after) = rest.strip_prefix(suffix) {
                    rest = after;
                    ordinal = upper;
                    break;
                }
            }
            nodes.push(Node::Field(FieldNode {
                field,
                case,
                name,
                fill,
                localized,
                ordinal,
                length: read_length(field, length),
                digits,
            }));
            continue;
        }
        if fill || localized {
            // A prefix with no field behind it says nothing.
            rest = field_at;
            continue;
        }
        rest = literal(rest, &mut nodes);
    }
    nodes
}

/// What a reader takes for a field by default: the length of its keyword, but two for hours and the like.
fn read_length(field: Field, keyword: usize) -> usize {
    match field {
        Hour24 | Hour12 | Minute | Second | MonthNumber | DayOfMonth | ZoneHours | ZoneMinutes => 2,
        Millisecond | IsoDayOfYear => 3,
        Microsecond => 6,
        Fraction(digits) => usize::from(digits),
        IsoDayOfWeek => 1,
        _ => keyword,
    }
}

/// Takes one literal character, or a quoted run of them; answers the rest.
fn literal<'a>(rest: &'a str, nodes: &mut Vec<Node>) -> &'a str {
    let Some(c) = rest.chars().next() else { return rest };
    if c == '"' {
        let mut inner = rest[1..].char_indices();
        while let Some((at, c)) = inner.next() {
            match c {
                '"' => return &rest[at + 2..],
                '\\' => match inner.next() {
                    Some((_, escaped)) => nodes.push(Node::Text(escaped)),
                    None => nodes.push(Node::Text('\\')),
                },
                c => nodes.push(Node::Text(c)),
            }
        }
        return "";
    }
    // Outside quotes a backslash escapes a double quote alone.
    if let Some(after) = rest.strip_prefix("\\\"") {
        nodes.push(Node::Separator('"'));
        return after;
    }
    nodes.push(if is_separator(c) {
        Node::Separator(c)
    } else if c.is_ascii_whitespace() {
        Node::Space(c)
    } else {
        Node::Text(c)
    });
    &rest[c.len_utf8()..]
}
