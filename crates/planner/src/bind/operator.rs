//! Operators and conversions: resolution is crate `expr`'s (chapter 10); here parameters get their types, untyped literals are
//! read, and the constructs that stand for operators (BETWEEN, IN, LIKE, IS DISTINCT FROM) are taken apart.

use super::Binder;
use super::NameUse;
use super::literal::read_literal;
use crate::ast::{
    Between, Expression, ExpressionKind, Like, LikeKind, Operator, Quantified, QuantifiedOperand, Quantifier,
};
use expr::resolve::{self, Resolved};
use expr::{CastContext, Expr, FunctionKind, FunctionRef};
use types::{ColumnType, DataType, Datum, PgError, PgResult, SqlState};

/// Functions to which the blanks at the end of a char(n) are characters like others.
const SEES_PADDING: &[&str] = &[
    "bpchariclike",
    "bpcharicnlike",
    "bpcharicregexeq",
    "bpcharicregexne",
    "bpcharlike",
    "bpcharnlike",
    "bpcharregexeq",
    "bpcharregexne",
    "concat",
    "concat_ws",
    "format",
    "json_agg",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_object_agg",
    "octet_length",
    "to_json",
    "to_jsonb",
];

/// What PostgreSQL adds to the length of a string type to make its modifier.
const TYPMOD_HEADER: i32 = 4;

impl Binder<'_> {
    /// Converts to a type; `None` when the context does not allow it.
    pub(super) fn coerce(
        &mut self,
        input: Expr,
        to: ColumnType,
        context: CastContext,
        position: u32,
    ) -> PgResult<Option<Expr>> {
        let input = self.fix_parameter(input, to.data_type, position)?;
        if to.data_type.is_user_type() && input.data_type() != to.data_type {
            return self.coerce_to_user_type(input, to, context, position);
        }
        self.coerce_plainly(input, to, context, position)
    }

    /// Converts to a type, what a domain asks left aside.
    pub(super) fn coerce_plainly(
        &mut self,
        input: Expr,
        to: ColumnType,
        context: CastContext,
        position: u32,
    ) -> PgResult<Option<Expr>> {
        if let Expr::Constant { value: Datum::Text(text), data_type: DataType::Unknown } = &input {
            if let Some(value) = read_literal(text, to, context, position)? {
                return Ok(Some(Expr::constant(value, to.data_type)));
            }
            if crate::frozen::depends_on_session(to.data_type) {
                self.note_name(position, || NameUse::Literal(to.data_type));
            }
            // Input of an enum label is checked at once.
            if let DataType::Enum(oid) = to.data_type.base() {
                self.check_enum_label(oid, text, position)?;
            }
        }
        Ok(resolve::coerce(input, to, context, position))
    }

    fn check_enum_label(&self, oid: u32, text: &str, position: u32) -> PgResult<()> {
        let Some(user_type) = self.catalog.user_type_by_oid(oid)? else { return Ok(()) };
        if let crate::catalog::UserTypeKind::Enum(labels) = &user_type.kind
            && !labels.iter().any(|label| *label.label == *text)
        {
            let message = format!("invalid input value for enum {}: \"{text}\"", user_type.name);
            return Err(PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, message).at(position));
        }
        Ok(())
    }

    /// The call that a resolution describes, arguments converted.
    pub(super) fn call(
        &mut self,
        resolved: Resolved,
        arguments: Vec<Expr>,
        positions: &[u32],
        position: u32,
    ) -> PgResult<Expr> {
        let sees_padding = SEES_PADDING.contains(&resolved.function.name);
        let mut converted = Vec::with_capacity(arguments.len() + resolved.defaults.len());
        for (index, argument) in arguments.into_iter().enumerate() {
            let argument = if sees_padding { self.with_padding(argument)? } else { argument };
            let to = resolved.argument_types[index];
            let at = positions.get(index).copied().unwrap_or(position);
            let from = argument.data_type();
            let cast = self.coerce(argument, to.into(), CastContext::Implicit, at)?;
            converted.push(cast.ok_or_else(|| {
                let (from, to) = (self.type_label(from), self.type_label(to));
                PgError::new(SqlState::CANNOT_COERCE, format!("cannot cast type {from} to {to}")).at(at)
            })?);
        }
        if let Some(first) = resolved.collect_from {
            let elements = converted.split_off(first);
            let data_type = DataType::array_of(resolved.argument_types[first]);
            converted.push(Expr::Array { elements, data_type, nested: false });
        }
        converted.extend(resolved.defaults);
        let function = resolved.function;
        if matches!(function.kind, FunctionKind::Missing) {
            return Err(PgError::unsupported(format!("the function {}", function.name)).at(position));
        }
        Ok(Expr::Call { function, arguments: converted, data_type: resolved.result, position })
    }

    /// A char(n) with the blanks that fill it up: its values are kept without.
    pub(super) fn with_padding(&mut self, value: Expr) -> PgResult<Expr> {
        let ColumnType { data_type, typmod } = self.column_type_of(&value);
        if data_type != DataType::Bpchar || typmod == ColumnType::NO_MODIFIER {
            return Ok(value);
        }
        let types = [DataType::Text, DataType::Int4];
        let resolved =
            resolve::resolve_function(Some("pg_catalog"), "rpad", &types, resolve::FunctionArguments::Plain)?;
        let length = Expr::constant(Datum::Int4(typmod - TYPMOD_HEADER), DataType::Int4);
        let arguments = vec![value, length];
        Ok(Expr::Call { function: resolved.function, arguments, data_type, position: 0 })
    }

    /// `left operator right`, or `operator right`.
    pub(super) fn operator(
        &mut self,
        operator: &Operator,
        left: Option<(Expr, u32)>,
        right: (Expr, u32),
        position: u32,
    ) -> PgResult<Expr> {
        if let Some(schema) = &operator.schema
            && &**schema != "pg_catalog"
        {
            let message = format!("operator does not exist: {schema}.{}", operator.name);
            return Err(PgError::new(SqlState::UNDEFINED_FUNCTION, message).at(position));
        }
        let left_type = left.as_ref().map(|(left, _)| left.data_type());
        let resolved = resolve::resolve_operator(&operator.name, left_type, right.0.data_type())
            .map_err(|error| error.or_at(position))?;
        let (arguments, positions): (Vec<Expr>, Vec<u32>) = left.into_iter().chain([right]).unzip();
        self.call(resolved, arguments, &positions, position)
    }

    /// A comparison taken apart: both operands converted, and the function.
    pub(super) fn compare(
        &mut self,
        name: &'static str,
        left: &Expression,
        right: &Expression,
        position: u32,
    ) -> PgResult<(Expr, Expr, FunctionRef)> {
        let left = (self.bind(left)?, left.position);
        let right = (self.bind(right)?, right.position);
        self.compare_bound(name, left, right, position)
    }

    pub(super) fn compare_bound(
        &mut self,
        name: &'static str,
        left: (Expr, u32),
        right: (Expr, u32),
        position: u32,
    ) -> PgResult<(Expr, Expr, FunctionRef)> {
        match self.operator(&Operator::plain(name), Some(left), right, position)? {
            Expr::Call { function, mut arguments, .. } if arguments.len() == 2 => {
                let right = arguments.pop().expect("two arguments");
                let left = arguments.pop().expect("two arguments");
                Ok((left, right, function))
            }
            _ => Err(PgError::internal("an operator did not become a call of two arguments")),
        }
    }

    pub(super) fn bind_binary(
        &mut self,
        operator: &Operator,
        left: &Expression,
        right: &Expression,
        position: u32,
    ) -> PgResult<Expr> {
        // transform_null_equals is off; rows compare field by field.
        if let (ExpressionKind::Row { fields: left, .. }, ExpressionKind::Row { fields: right, .. }) =
            (&left.kind, &right.kind)
        {
            let left = self.bind_fields(left)?;
            let right = self.bind_fields(right)?;
            return self.row_comparison(operator, left, right, position);
        }
        if let (ExpressionKind::Row { fields, .. }, ExpressionKind::Subquery(query)) =
            (&left.kind, &right.kind)
        {
            return self.bind_row_subquery(operator, fields, query, position);
        }
        let left = (self.bind(left)?, left.position);
        let right = (self.bind(right)?, right.position);
        self.operator(operator, Some(left), right, position)
    }

    pub(super) fn bind_between(&mut self, between: &Between, position: u32) -> PgResult<Expr> {
        let operand = self.bind(&between.operand)?;
        let low = self.bind(&between.low)?;
        let high = self.bind(&between.high)?;
        let at = (between.operand.position, between.low.position, between.high.position);
        let range = |binder: &mut Self, low: &Expr, high: &Expr| -> PgResult<Expr> {
            let (lower, upper) = if between.negated { ("<", ">") } else { (">=", "<=") };
            let first = binder.operator(
                &Operator::plain(lower),
                Some((operand.clone(), at.0)),
                (low.clone(), at.1),
                position,
            )?;
            let second = binder.operator(
                &Operator::plain(upper),
                Some((operand.clone(), at.0)),
                (high.clone(), at.2),
                position,
            )?;
            let both = vec![first, second];
            Ok(if between.negated { Expr::Or(both) } else { Expr::And(both) })
        };
        let straight = range(self, &low, &high)?;
        if !between.symmetric {
            return Ok(straight);
        }
        let swapped = range(self, &high, &low)?;
        let both = vec![straight, swapped];
        Ok(if between.negated { Expr::And(both) } else { Expr::Or(both) })
    }

    pub(super) fn bind_is_distinct(
        &mut self,
        left: &Expression,
        right: &Expression,
        negated: bool,
        position: u32,
    ) -> PgResult<Expr> {
        if let (ExpressionKind::Row { fields: left, .. }, ExpressionKind::Row { fields: right, .. }) =
            (&left.kind, &right.kind)
        {
            let left = self.bind_fields(left)?;
            let right = self.bind_fields(right)?;
            return self.row_distinct(left, right, negated, position);
        }
        let left_bound = (self.bind(left)?, left.position);
        let right_bound = (self.bind(right)?, right.position);
        self.distinct_bound(left_bound, right_bound, negated, position)
    }

    pub(super) fn distinct_bound(
        &mut self,
        left: (Expr, u32),
        right: (Expr, u32),
        negated: bool,
        position: u32,
    ) -> PgResult<Expr> {
        let (left, right, equal) = self.compare_bound("=", left, right, position)?;
        Ok(Expr::IsDistinctFrom { left: Box::new(left), right: Box::new(right), equal, negated })
    }

    pub(super) fn bind_like(&mut self, like: &Like, position: u32) -> PgResult<Expr> {
        let left = (self.bind(&like.operand)?, like.operand.position);
        let mut pattern = self.bind(&like.pattern)?;
        let pattern_at = like.pattern.position;
        let name = match (like.kind, like.negated) {
            (LikeKind::Like, false) => "~~",
            (LikeKind::Like, true) => "!~~",
            (LikeKind::ILike, false) => "~~*",
            (LikeKind::ILike, true) => "!~~*",
            (LikeKind::SimilarTo, false) => "~",
            (LikeKind::SimilarTo, true) => "!~",
        };
        let escape = match &like.escape {
            Some(escape) => Some(self.bind(escape)?),
            None => None,
        };
        pattern = match (like.kind, escape) {
            (LikeKind::SimilarTo, Some(escape)) => {
                self.system_call("similar_to_escape", vec![pattern, escape], position)?
            }
            (LikeKind::SimilarTo, None) => self.system_call("similar_to_escape", vec![pattern], position)?,
            (_, Some(escape)) => self.system_call("like_escape", vec![pattern, escape], position)?,
            (_, None) => pattern,
        };
        self.operator(&Operator::plain(name), Some(left), (pattern, pattern_at), position)
    }

    // --- IN, ANY, ALL.

    pub(super) fn bind_in_list(
        &mut self,
        operand: &Expression,
        list: &[Expression],
        negated: bool,
        position: u32,
    ) -> PgResult<Expr> {
        if let ExpressionKind::Row { fields, .. } = &operand.kind {
            return self.bind_row_in_list(fields, list, negated, position);
        }
        let input = (self.bind(operand)?, operand.position);
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            items.push((self.bind(item)?, item.position));
        }
        if let [item] = items.as_slice() {
            let name = if negated { "<>" } else { "=" };
            return self.operator(&Operator::plain(name), Some(input), item.clone(), position);
        }
        let mut types = vec![input.0.data_type()];
        types.extend(items.iter().map(|(item, _)| item.data_type()));
        let common = resolve::common_type(&types, "IN").ok().filter(|common| {
            types.iter().all(|from| resolve::can_coerce(*from, *common, CastContext::Implicit))
                && !matches!(common, DataType::Record)
        });
        let Some(common) = common else { return self.in_list_one_by_one(input, items, negated, position) };
        let equal = resolve::equality(common).map_err(|error| error.or_at(position))?;
        let mut converted = Vec::with_capacity(items.len());
        for (item, at) in items {
            converted.push(self.coerce_checked(item, common, at)?);
        }
        let input = Box::new(self.coerce_checked(input.0, common, input.1)?);
        Ok(Expr::InList { input, list: converted, equal, negated })
    }

    fn coerce_checked(&mut self, input: Expr, to: DataType, position: u32) -> PgResult<Expr> {
        let from = input.data_type();
        let cast = self.coerce(input, to.into(), CastContext::Implicit, position)?;
        cast.ok_or_else(|| {
            let (from, to) = (self.type_label(from), self.type_label(to));
            PgError::new(SqlState::CANNOT_COERCE, format!("cannot cast type {from} to {to}")).at(position)
        })
    }

    /// Types that have nothing in common compare by an operator each.
    fn in_list_one_by_one(
        &mut self,
        input: (Expr, u32),
        items: Vec<(Expr, u32)>,
        negated: bool,
        position: u32,
    ) -> PgResult<Expr> {
        let name = if negated { "<>" } else { "=" };
        let mut tests = Vec::with_capacity(items.len());
        for item in items {
            tests.push(self.operator(&Operator::plain(name), Some(input.clone()), item, position)?);
        }
        Ok(if negated { Expr::And(tests) } else { Expr::Or(tests) })
    }

    pub(super) fn bind_quantified(&mut self, quantified: &Quantified, position: u32) -> PgResult<Expr> {
        let all = quantified.quantifier == Quantifier::All;
        let array = match &quantified.right {
            QuantifiedOperand::Query(query) => {
                return self.bind_quantified_query(
                    &quantified.left,
                    &quantified.operator,
                    query,
                    all,
                    position,
                );
            }
            QuantifiedOperand::Array(array) => array,
        };
        let left = self.bind(&quantified.left)?;
        let bound = self.bind(array)?;
        // An untyped literal or parameter is an array of the left side's type.
        let array_type = bound.data_type();
        let element = match array_type {
            DataType::Unknown => {
                if left.data_type() == DataType::Unknown {
                    DataType::Text
                } else {
                    left.data_type()
                }
            }
            other => other.element().ok_or_else(|| {
                PgError::new(SqlState::WRONG_OBJECT_TYPE, "op ANY/ALL (array) requires array on right side")
                    .at(position)
            })?,
        };
        let resolved = resolve::resolve_operator(&quantified.operator.name, Some(left.data_type()), element)
            .map_err(|error| error.or_at(position))?;
        if resolved.result != DataType::Bool {
            let message = "op ANY/ALL (array) requires operator to yield boolean";
            return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message).at(position));
        }
        if matches!(resolved.function.kind, FunctionKind::Missing) {
            let message = format!("the operator {} with ANY or ALL", quantified.operator.name);
            return Err(PgError::unsupported(message).at(position));
        }
        let (left_type, right_type) = (resolved.argument_types[0], resolved.argument_types[1]);
        let input = Box::new(self.coerce_checked(left, left_type, quantified.left.position)?);
        let array_target = match right_type {
            DataType::AnyElement | DataType::Any => array_type,
            other => DataType::array_of(other),
        };
        let array = Box::new(self.coerce_checked(bound, array_target, array.position)?);
        Ok(Expr::Quantified { input, array, operator: resolved.function, all })
    }
}
