//! Windows: OVER and WINDOW (PostgreSQL's `transformWindowDefinitions`).

use super::Binder;
use super::level::{BoundWindow, Clause};
use crate::ast::{Frame, FrameBound, FrameExclusion, FrameUnit, Identifier, Over, Window};
use crate::logical::columns_of;
use crate::plan::{FrameEdge, RangeArithmetic, WindowFrame};
use expr::resolve;
use expr::{CastContext, Expr};
use types::{DataType, PgError, PgResult, SqlState};

impl Binder<'_> {
    pub(super) fn bind_window(&mut self, over: &Over) -> PgResult<BoundWindow> {
        match over {
            Over::Name(name) => {
                let definition = self.named_window(name)?;
                self.bind_window_definition(&definition)
            }
            Over::Window(window) => self.bind_window_definition(window),
        }
    }

    fn named_window(&mut self, name: &Identifier) -> PgResult<Window> {
        let found = self.level().named_windows.iter().find(|(known, _)| *known == name.name);
        found.map(|(_, window)| window.clone()).ok_or_else(|| {
            let message = format!("window \"{}\" does not exist", name.name);
            PgError::new(SqlState::UNDEFINED_OBJECT, message).at(name.position)
        })
    }

    /// Merges a window with the one that it is built on.
    fn merged(&mut self, window: &Window) -> PgResult<Window> {
        let Some(base) = &window.base else { return Ok(window.clone()) };
        let base_window = self.named_window(base)?;
        let base_window = self.merged(&base_window)?;
        let refuse = |what: &str| {
            let message = format!("cannot {what} of window \"{}\"", base.name);
            Err(PgError::new(SqlState::WINDOWING_ERROR, message).at(window.position))
        };
        if !window.partition_by.is_empty() {
            return refuse("override PARTITION BY clause");
        }
        if !window.order_by.is_empty() && !base_window.order_by.is_empty() {
            return refuse("override ORDER BY clause");
        }
        if base_window.frame.is_some() {
            let message = format!("cannot copy window \"{}\" because it has a frame clause", base.name);
            return Err(PgError::new(SqlState::WINDOWING_ERROR, message).at(window.position));
        }
        let order_by =
            if window.order_by.is_empty() { base_window.order_by } else { window.order_by.clone() };
        Ok(Window {
            base: None,
            partition_by: base_window.partition_by,
            order_by,
            frame: window.frame.clone(),
            position: window.position,
        })
    }

    fn bind_window_definition(&mut self, window: &Window) -> PgResult<BoundWindow> {
        let window = self.merged(window)?;
        self.level().clause = Clause::WindowPartition;
        let mut partition_by = Vec::with_capacity(window.partition_by.len());
        for expression in &window.partition_by {
            let key = self.bind_typed(expression)?;
            resolve::equality(key.data_type()).map_err(|error| error.or_at(expression.position))?;
            partition_by.push(key);
        }
        self.level().clause = Clause::WindowOrder;
        let mut order_by = Vec::with_capacity(window.order_by.len());
        for item in &window.order_by {
            let key = self.bind_typed(&item.expression)?;
            let (descending, nulls_first) = self.sort_direction(item)?;
            resolve::ordering(key.data_type()).map_err(|error| error.or_at(item.expression.position))?;
            order_by.push((key, descending, nulls_first));
        }
        self.level().clause = Clause::WindowFrame;
        let frame = self.bind_frame(window.frame.as_ref(), &mut order_by)?;
        Ok(BoundWindow { partition_by, order_by, frame })
    }

    fn bind_frame(
        &mut self,
        frame: Option<&Frame>,
        order_by: &mut [(Expr, bool, bool)],
    ) -> PgResult<WindowFrame> {
        let Some(frame) = frame else {
            return Ok(WindowFrame {
                unit: FrameUnit::Range,
                start: FrameEdge::UnboundedPreceding,
                end: FrameEdge::CurrentRow,
                exclusion: FrameExclusion::NoOthers,
                range: None,
            });
        };
        let refuse = |message: &str| Err(PgError::new(SqlState::WINDOWING_ERROR, message).at(frame.position));
        if frame.unit == FrameUnit::Groups && order_by.is_empty() {
            return refuse("GROUPS mode requires an ORDER BY clause");
        }
        let has_offset =
            |bound: &FrameBound| matches!(bound, FrameBound::Preceding(_) | FrameBound::Following(_));
        let mut offset_type = DataType::Int8;
        let mut range = None;
        if frame.unit == FrameUnit::Range && (has_offset(&frame.start) || has_offset(&frame.end)) {
            let [(key, _, _)] = order_by else {
                return refuse("RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column");
            };
            let (kind, arithmetic) = self.range_arithmetic(key, frame.position)?;
            offset_type = kind;
            range = Some(arithmetic);
        }
        let start = self.bind_edge(&frame.start, frame.unit, offset_type)?;
        let end = self.bind_edge(&frame.end, frame.unit, offset_type)?;
        Ok(WindowFrame { unit: frame.unit, start, end, exclusion: frame.exclusion, range })
    }

    /// How the offset of a RANGE frame is added to its key. A date key becomes a timestamp, which sorts alike and takes
    /// intervals.
    fn range_arithmetic(&mut self, key: &mut Expr, position: u32) -> PgResult<(DataType, RangeArithmetic)> {
        if key.data_type() == DataType::Date {
            let cast =
                self.coerce(key.clone(), DataType::Timestamp.into(), CastContext::Implicit, position)?;
            *key = cast.ok_or_else(|| PgError::internal("a date does not convert to timestamp"))?;
        }
        let key_type = key.data_type();
        let offset_type = match key_type {
            DataType::Int2 | DataType::Int4 | DataType::Int8 | DataType::Numeric => key_type,
            DataType::Float4 | DataType::Float8 => key_type,
            DataType::Timestamp
            | DataType::TimestampTz
            | DataType::Time
            | DataType::TimeTz
            | DataType::Interval => DataType::Interval,
            other => {
                let message = format!(
                    "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {}",
                    self.type_label(other)
                );
                return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(position));
            }
        };
        let function = |name: &str| {
            resolve::resolve_operator(name, Some(key_type), offset_type).map(|resolved| resolved.function)
        };
        Ok((offset_type, RangeArithmetic { add: function("+")?, subtract: function("-")? }))
    }

    fn bind_edge(
        &mut self,
        bound: &FrameBound,
        unit: FrameUnit,
        offset_type: DataType,
    ) -> PgResult<FrameEdge> {
        let (offset, preceding) = match bound {
            FrameBound::UnboundedPreceding => return Ok(FrameEdge::UnboundedPreceding),
            FrameBound::UnboundedFollowing => return Ok(FrameEdge::UnboundedFollowing),
            FrameBound::CurrentRow => return Ok(FrameEdge::CurrentRow),
            FrameBound::Preceding(offset) => (offset, true),
            FrameBound::Following(offset) => (offset, false),
        };
        let construct = match unit {
            FrameUnit::Rows => "ROWS",
            FrameUnit::Range => "RANGE",
            FrameUnit::Groups => "GROUPS",
        };
        let bound = self.bind(offset)?;
        let from = bound.data_type();
        let cast = self.coerce(bound, offset_type.into(), CastContext::Implicit, offset.position)?;
        let value = cast.ok_or_else(|| {
            let message = match unit {
                FrameUnit::Range => format!(
                    "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {} and offset type {}",
                    self.type_label(offset_type),
                    self.type_label(from)
                ),
                _ => format!("argument of {construct} must be type bigint, not type {}", self.type_label(from)),
            };
            let code = if unit == FrameUnit::Range {
                SqlState::FEATURE_NOT_SUPPORTED
            } else {
                SqlState::DATATYPE_MISMATCH
            };
            PgError::new(code, message).at(offset.position)
        })?;
        if !columns_of(&value).is_empty() {
            let message = format!("argument of {construct} must not contain variables");
            return Err(PgError::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(offset.position));
        }
        Ok(if preceding { FrameEdge::Preceding(value) } else { FrameEdge::Following(value) })
    }
}
