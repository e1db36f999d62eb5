//! Windows: OVER, WINDOW, frames.

use super::Parser;
use super::keywords::{Category, Keyword};
use crate::ast::*;
use types::{PgError, PgResult, SqlState};

impl Parser<'_> {
    /// After OVER.
    pub(super) fn over(&mut self) -> PgResult<Over> {
        if self.at_symbol(b'(') {
            return Ok(Over::Window(Box::new(self.window()?)));
        }
        Ok(Over::Name(self.column_id()?))
    }

    /// `WINDOW name AS (...)`, ...
    pub(super) fn window_clause(&mut self) -> PgResult<Vec<(Identifier, Window)>> {
        if !self.eat(Keyword::Window) {
            return Ok(Vec::new());
        }
        self.list(|parser| {
            let name = parser.column_id()?;
            parser.expect(Keyword::As)?;
            Ok((name, parser.window()?))
        })
    }

    fn window(&mut self) -> PgResult<Window> {
        let position = self.start();
        self.expect_symbol(b'(')?;
        let starts_clause = |keyword: Keyword| {
            matches!(
                keyword,
                Keyword::Partition | Keyword::Order | Keyword::Range | Keyword::Rows | Keyword::Groups
            )
        };
        let mut base = None;
        if self.is_column_id(self.peek()) && !starts_clause(self.keyword()) {
            base = Some(self.take_name()?);
        }
        let mut partition_by = Vec::new();
        if self.eat(Keyword::Partition) {
            self.expect(Keyword::By)?;
            partition_by = self.expression_list()?;
        }
        let order_by = if self.at(Keyword::Order) { self.order_by()? } else { Vec::new() };
        let frame = self.frame()?;
        self.expect_symbol(b')')?;
        Ok(Window { base, partition_by, order_by, frame, position })
    }

    fn frame(&mut self) -> PgResult<Option<Frame>> {
        let position = self.start();
        let unit = match self.keyword() {
            Keyword::Rows => FrameUnit::Rows,
            Keyword::Range => FrameUnit::Range,
            Keyword::Groups => FrameUnit::Groups,
            _ => return Ok(None),
        };
        self.advance();
        let (start, end) = if self.eat(Keyword::Between) {
            let start = self.frame_bound()?;
            self.expect(Keyword::And)?;
            (start, self.frame_bound()?)
        } else {
            (self.frame_bound()?, FrameBound::CurrentRow)
        };
        check_frame(&start, &end, position)?;
        let exclusion = if self.eat(Keyword::Exclude) {
            match self.advance().keyword {
                Keyword::Current => {
                    self.expect(Keyword::Row)?;
                    FrameExclusion::CurrentRow
                }
                Keyword::Group => FrameExclusion::Group,
                Keyword::Ties => FrameExclusion::Ties,
                Keyword::No => {
                    self.expect(Keyword::Others)?;
                    FrameExclusion::NoOthers
                }
                _ => {
                    self.position -= 1;
                    return Err(self.syntax_error());
                }
            }
        } else {
            FrameExclusion::NoOthers
        };
        Ok(Some(Frame { unit, start, end, exclusion, position }))
    }

    fn frame_bound(&mut self) -> PgResult<FrameBound> {
        if self.eat_all(&[Keyword::Current, Keyword::Row]) {
            return Ok(FrameBound::CurrentRow);
        }
        if self.at(Keyword::Unbounded) && self.keyword_at(1).category() == Category::Unreserved {
            if self.eat_all(&[Keyword::Unbounded, Keyword::Preceding]) {
                return Ok(FrameBound::UnboundedPreceding);
            }
            if self.eat_all(&[Keyword::Unbounded, Keyword::Following]) {
                return Ok(FrameBound::UnboundedFollowing);
            }
        }
        let offset = Box::new(self.expression()?);
        if self.eat(Keyword::Preceding) {
            return Ok(FrameBound::Preceding(offset));
        }
        self.expect(Keyword::Following)?;
        Ok(FrameBound::Following(offset))
    }
}

/// Frames whose end lies before their start.
fn check_frame(start: &FrameBound, end: &FrameBound, position: u32) -> PgResult<()> {
    use FrameBound::*;
    let message = match (start, end) {
        (UnboundedFollowing, _) => "frame start cannot be UNBOUNDED FOLLOWING",
        (_, UnboundedPreceding) => "frame end cannot be UNBOUNDED PRECEDING",
        (CurrentRow, Preceding(_)) => "frame starting from current row cannot have preceding rows",
        (Following(_), Preceding(_)) => "frame starting from following row cannot have preceding rows",
        (Following(_), CurrentRow) => "frame starting from following row cannot end with current row",
        _ => return Ok(()),
    };
    Err(PgError::new(SqlState::WINDOWING_ERROR, message).at(position))
}
