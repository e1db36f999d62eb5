//! A value as lines of known width on the screen.

use unicode_width::UnicodeWidthChar;

const TAB_STOP: usize = 8;

/// One line of a cell; control characters are shown as escapes, tabs as blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub width: usize,
}

/// The lines of a value, at least one.
pub fn lines(value: &str) -> Vec<Line> {
    value.split('\n').map(line).collect()
}

/// The widest line's width.
pub fn width(value: &str) -> usize {
    lines(value).iter().map(|line| line.width).max().unwrap_or(0)
}

fn line(text: &str) -> Line {
    let mut shown = Line { text: String::with_capacity(text.len()), width: 0 };
    for c in text.chars() {
        match c {
            '\r' => shown.push("\\r", 2),
            '\t' => {
                let blanks = TAB_STOP - shown.width % TAB_STOP;
                shown.push(&" ".repeat(blanks), blanks);
            }
            c if c.is_ascii_control() => shown.push(&format!("\\x{:02X}", u32::from(c)), 4),
            c if c.is_control() => shown.push(&format!("\\u{:04X}", u32::from(c)), 6),
            c => {
                shown.text.push(c);
                shown.width += c.width().unwrap_or(0);
            }
        }
    }
    shown
}

impl Line {
    fn push(&mut self, text: &str, width: usize) {
        self.text.push_str(text);
        self.width += width;
    }
}

#[test]
fn lines_have_the_width_of_the_screen() {
    let widths = |value: &str| lines(value).iter().map(|line| line.width).collect::<Vec<_>>();
    assert_eq!(widths("ab\n\nc"), [2, 0, 1]);
    assert_eq!(lines("a\tb")[0].text, "a       b");
    assert_eq!(lines("\u{1}\r")[0].text, "\\x01\\r");
    assert_eq!(width("\u{65e5}\u{672c}"), 4);
    assert_eq!(width("e\u{301}"), 1);
}
