//! Number patterns cut into fields, and what they ask for together.

use types::{PgError, PgResult, SqlState};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Comma,
    Point,
    Zero,
    Nine,
    Blank,
    LocalePoint,
    Exponent,
    Fill,
    LocaleGroup,
    Currency,
    Minus,
    Plus,
    Brackets,
    Roman { upper: bool },
    Sign,
    PlusMinus,
    Ordinal { upper: bool },
    Shift,
    Spell,
}

use Key::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Key(Key),
    Text(char),
}

const KEYWORDS: &[(&str, Key)] = &[
    (",", Comma),
    (".", Point),
    ("0", Zero),
    ("9", Nine),
    ("B", Blank),
    ("b", Blank),
    ("D", LocalePoint),
    ("d", LocalePoint),
    ("EEEE", Exponent),
    ("eeee", Exponent),
    ("FM", Fill),
    ("fm", Fill),
    ("G", LocaleGroup),
    ("g", LocaleGroup),
    ("L", Currency),
    ("l", Currency),
    ("MI", Minus),
    ("mi", Minus),
    ("PL", Plus),
    ("pl", Plus),
    ("PR", Brackets),
    ("pr", Brackets),
    ("RN", Roman { upper: true }),
    ("rn", Roman { upper: false }),
    ("SG", PlusMinus),
    ("sg", PlusMinus),
    ("SP", Spell),
    ("sp", Spell),
    ("S", Sign),
    ("s", Sign),
    ("TH", Ordinal { upper: true }),
    ("th", Ordinal { upper: false }),
    ("V", Shift),
    ("v", Shift),
];

/// Where the S of a pattern stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SignPlace {
    #[default]
    None,
    Before,
    After,
}

/// What a pattern asks for.
///
/// - `before` and `after`: digit positions on both sides of the point. `zero_start`: the position (from 1) of the first `0`, 0 for
///   none; `zero_end`: the last.
#[derive(Clone, Debug, Default)]
pub(super) struct NumberPattern {
    pub(super) nodes: Vec<Node>,
    pub(super) before: usize,
    pub(super) after: usize,
    pub(super) sign_place: SignPlace,
    pub(super) digits_before_sign: usize,
    pub(super) shift: usize,
    pub(super) zero_start: usize,
    pub(super) zero_end: usize,
    pub(super) decimal: bool,
    pub(super) fill: bool,
    pub(super) sign: bool,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) brackets: bool,
    pub(super) roman: bool,
    pub(super) zero: bool,
    pub(super) multiplied: bool,
    pub(super) exponent: bool,
}

fn syntax(message: &str) -> PgError {
    PgError::new(SqlState::SYNTAX_ERROR, message)
}

pub(super) fn parse(pattern: &str) -> PgResult<NumberPattern> {
    let mut parsed = NumberPattern::default();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if let Some((name, key)) = KEYWORDS.iter().find(|(name, _)| rest.starts_with(name)) {
            parsed.add(*key)?;
            parsed.nodes.push(Node::Key(*key));
            rest = &rest[name.len()..];
        } else if c == '"' {
            rest = quoted(&rest[1..], &mut parsed.nodes);
        } else if let Some(after) = rest.strip_prefix("\\\"") {
            parsed.nodes.push(Node::Text('"'));
            rest = after;
        } else {
            parsed.nodes.push(Node::Text(c));
            rest = &rest[c.len_utf8()..];
        }
    }
    Ok(parsed)
}

/// Takes characters up to the closing quote; answers the rest.
fn quoted<'a>(text: &'a str, nodes: &mut Vec<Node>) -> &'a str {
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return &text[at + 1..],
            '\\' => nodes.extend(characters.next().map(|(_, escaped)| Node::Text(escaped))),
            c => nodes.push(Node::Text(c)),
        }
    }
    ""
}

impl NumberPattern {
    fn add(&mut self, key: Key) -> PgResult<()> {
        if self.exponent && key != Exponent {
            return Err(syntax("\"EEEE\" must be the last pattern used"));
        }
        match key {
            Nine => self.add_nine()?,
            Zero => self.add_zero()?,
            LocalePoint | Point => {
                if self.decimal {
                    return Err(syntax("multiple decimal points"));
                }
                if self.multiplied {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.decimal = true;
            }
            Fill => self.fill = true,
            Sign => {
                if self.sign {
                    return Err(syntax("cannot use \"S\" twice"));
                }
                if self.plus || self.minus || self.brackets {
                    return Err(syntax("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
                }
                self.sign = true;
                if self.decimal {
                    self.sign_place = SignPlace::After;
                } else {
                    self.sign_place = SignPlace::Before;
                    self.digits_before_sign = self.before;
                }
            }
            Minus => {
                self.no_sign("MI")?;
                self.minus = true;
            }
            Plus => {
                self.no_sign("PL")?;
                self.plus = true;
            }
            PlusMinus => {
                self.no_sign("SG")?;
                (self.minus, self.plus) = (true, true);
            }
            Brackets => {
                if self.sign || self.plus || self.minus {
                    return Err(syntax("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
                }
                self.brackets = true;
            }
            Roman { .. } => self.roman = true,
            Shift => {
                if self.decimal {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.multiplied = true;
            }
            Exponent => {
                if self.exponent {
                    return Err(syntax("cannot use \"EEEE\" twice"));
                }
                if self.blocks_exponent() {
                    return Err(syntax("\"EEEE\" is incompatible with other formats").detail(
                        "\"EEEE\" may only be used together with digit and decimal point patterns.",
                    ));
                }
                self.exponent = true;
            }
            Comma | Blank | LocaleGroup | Currency | Ordinal { .. } | Spell => {}
        }
        Ok(())
    }

    fn add_nine(&mut self) -> PgResult<()> {
        if self.brackets {
            return Err(syntax("\"9\" must be ahead of \"PR\""));
        }
        if self.multiplied {
            self.shift += 1;
        } else if self.decimal {
            self.after += 1;
        } else {
            self.before += 1;
        }
        Ok(())
    }

    fn add_zero(&mut self) -> PgResult<()> {
        if self.brackets {
            return Err(syntax("\"0\" must be ahead of \"PR\""));
        }
        if !self.zero && !self.decimal {
            self.zero = true;
            self.zero_start = self.before + 1;
        }
        if self.decimal {
            self.after += 1;
        } else {
            self.before += 1;
        }
        self.zero_end = self.before + self.after;
        Ok(())
    }

    fn no_sign(&self, name: &str) -> PgResult<()> {
        if self.sign {
            return Err(syntax(&format!("cannot use \"S\" and \"{name}\" together")));
        }
        Ok(())
    }

    fn blocks_exponent(&self) -> bool {
        self.fill || self.sign || self.brackets || self.minus || self.plus || self.roman || self.multiplied
    }
}
