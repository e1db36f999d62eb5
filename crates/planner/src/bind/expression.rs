//! Expressions: one method for each kind of node, the bigger families in files of their own.

use super::Binder;
use super::scope::fields_of;
use crate::ast::{Case, Expression, ExpressionKind, SessionValue, Subscript, Truth, TypeName};
use expr::resolve::{self, FunctionArguments};
use expr::{CastContext, Expr};
use types::{ColumnType, DataType, Datum, PgError, PgResult, SqlState};

/// Stack for one more level of expression.
const STACK_RED_ZONE: usize = 128 << 10;
const STACK_GROWTH: usize = 2 << 20;

impl Binder<'_> {
    /// Binds an expression. Its type may still be unknown: an untyped literal or parameter.
    pub(super) fn bind(&mut self, expression: &Expression) -> PgResult<Expr> {
        stacker::maybe_grow(STACK_RED_ZONE, STACK_GROWTH, || self.bind_node(expression))
    }

    fn bind_node(&mut self, expression: &Expression) -> PgResult<Expr> {
        let position = expression.position;
        match &expression.kind {
            ExpressionKind::Literal(literal) => self.bind_literal(literal, position),
            ExpressionKind::Parameter(number) => self.bind_parameter(*number, position),
            ExpressionKind::Column(names) => self.bind_column(names),
            ExpressionKind::Wildcard(_) | ExpressionKind::FieldWildcard(_) => {
                Err(PgError::new(SqlState::SYNTAX_ERROR, "row expansion via \"*\" is not supported here")
                    .at(position))
            }
            ExpressionKind::Field(operand, field) => self.bind_field(operand, field),
            ExpressionKind::Subscript(operand, subscripts) => self.bind_subscript(operand, subscripts),
            ExpressionKind::Unary(operator, operand) => {
                let right = self.bind(operand)?;
                self.operator(operator, None, (right, operand.position), position)
            }
            ExpressionKind::Binary(operator, left, right) => {
                self.bind_binary(operator, left, right, position)
            }
            ExpressionKind::Quantified(quantified) => self.bind_quantified(quantified, position),
            ExpressionKind::And(list) => Ok(Expr::And(self.bind_conditions(list, "AND")?)),
            ExpressionKind::Or(list) => Ok(Expr::Or(self.bind_conditions(list, "OR")?)),
            ExpressionKind::Not(operand) => Ok(Expr::Not(Box::new(self.bind_condition(operand, "NOT")?))),
            ExpressionKind::IsNull { operand, negated } => self.bind_is_null(operand, *negated),
            ExpressionKind::IsTruth { operand, truth, negated } => {
                let input = Box::new(self.bind_condition(operand, truth_construct(*truth, *negated))?);
                let value = match truth {
                    Truth::True => Some(true),
                    Truth::False => Some(false),
                    Truth::Unknown => None,
                };
                Ok(Expr::IsBool { input, value, negated: *negated })
            }
            ExpressionKind::IsDistinct { left, right, negated } => {
                self.bind_is_distinct(left, right, *negated, position)
            }
            ExpressionKind::IsNormalized { operand, form, negated } => {
                let input = self.bind(operand)?;
                let form = Expr::constant(Datum::text(*form), DataType::Text);
                let test = self.system_call("is_normalized", vec![input, form], position)?;
                Ok(if *negated { Expr::Not(Box::new(test)) } else { test })
            }
            ExpressionKind::Between(between) => self.bind_between(between, position),
            ExpressionKind::InList { operand, list, negated } => {
                self.bind_in_list(operand, list, *negated, position)
            }
            ExpressionKind::InQuery { operand, query, negated } => {
                self.bind_in_query(operand, query, *negated, position)
            }
            ExpressionKind::Like(like) => self.bind_like(like, position),
            ExpressionKind::Case(case) => self.bind_case(case),
            ExpressionKind::Cast(operand, target) => self.bind_cast(operand, target, position),
            ExpressionKind::Collate(operand, collation) => self.bind_collate(operand, collation),
            ExpressionKind::Function(call) => self.bind_function(call),
            ExpressionKind::Coalesce(list) => {
                let before = self.level().set_functions.len();
                let (arguments, data_type) = self.bind_common(list, "COALESCE")?;
                self.refuse_sets_within("COALESCE", before, position)?;
                Ok(Expr::Coalesce { arguments, data_type })
            }
            ExpressionKind::Greatest(list) => {
                let (arguments, data_type) = self.bind_common(list, "GREATEST")?;
                resolve::ordering(data_type).map_err(|error| error.or_at(position))?;
                Ok(Expr::Greatest { arguments, data_type })
            }
            ExpressionKind::Least(list) => {
                let (arguments, data_type) = self.bind_common(list, "LEAST")?;
                resolve::ordering(data_type).map_err(|error| error.or_at(position))?;
                Ok(Expr::Least { arguments, data_type })
            }
            ExpressionKind::NullIf(left, right) => {
                let (left, right, equal) = self.compare("=", left, right, position)?;
                Ok(Expr::NullIf { left: Box::new(left), right: Box::new(right), equal })
            }
            ExpressionKind::SessionValue(value) => self.bind_session_value(*value, position),
            ExpressionKind::Exists(query) => self.bind_exists(query, position),
            ExpressionKind::Subquery(query) => self.bind_scalar_subquery(query, position),
            ExpressionKind::ArraySubquery(query) => self.bind_array_subquery(query, position),
            ExpressionKind::Array(elements) => self.bind_array(elements, None, position),
            ExpressionKind::Row { fields, .. } => {
                let fields = self.bind_row_fields(fields)?;
                let names = (1..=fields.len()).map(|number| format!("f{number}").into()).collect();
                Ok(Expr::Row { fields, names, data_type: DataType::Record })
            }
            ExpressionKind::Grouping(arguments) => self.bind_grouping_call(arguments, position),
            ExpressionKind::CurrentOf(_) => Err(PgError::unsupported("WHERE CURRENT OF").at(position)),
            ExpressionKind::Default => {
                Err(PgError::new(SqlState::SYNTAX_ERROR, "DEFAULT is not allowed in this context")
                    .at(position))
            }
        }
    }

    // --- Conditions.

    /// A boolean expression; `construct` words the refusal of another type.
    pub(super) fn bind_condition(&mut self, expression: &Expression, construct: &str) -> PgResult<Expr> {
        let bound = self.bind(expression)?;
        self.to_boolean(bound, construct, expression.position)
    }

    pub(super) fn to_boolean(&mut self, bound: Expr, construct: &str, position: u32) -> PgResult<Expr> {
        let from = bound.data_type();
        match self.coerce(bound, DataType::Bool.into(), CastContext::Assignment, position)? {
            Some(condition) => Ok(condition),
            None => {
                let message = format!(
                    "argument of {construct} must be type boolean, not type {}",
                    self.type_label(from)
                );
                Err(PgError::new(SqlState::DATATYPE_MISMATCH, message).at(position))
            }
        }
    }

    fn bind_conditions(&mut self, list: &[Expression], construct: &str) -> PgResult<Vec<Expr>> {
        list.iter().map(|operand| self.bind_condition(operand, construct)).collect()
    }

    fn bind_is_null(&mut self, operand: &Expression, negated: bool) -> PgResult<Expr> {
        let input = self.bind_typed(operand)?;
        // A row is null if all of its fields are, not null if none is.
        if let Some(fields) = fields_of(&input) {
            let test = |field: &Expr| Expr::IsNull { input: Box::new(field.clone()), negated };
            let tests: Vec<Expr> = fields.iter().map(test).collect();
            return Ok(match tests.len() {
                0 => Expr::constant(Datum::Bool(true), DataType::Bool),
                1 => tests.into_iter().next().expect("one"),
                _ => Expr::And(tests),
            });
        }
        Ok(Expr::IsNull { input: Box::new(input), negated })
    }

    // --- Types.

    /// Binds, and takes what is still untyped as text.
    pub(super) fn bind_typed(&mut self, expression: &Expression) -> PgResult<Expr> {
        let bound = self.bind(expression)?;
        self.settle_unknown(bound, expression.position)
    }

    /// An untyped literal or parameter becomes text.
    pub(super) fn settle_unknown(&mut self, bound: Expr, position: u32) -> PgResult<Expr> {
        if bound.data_type() != DataType::Unknown {
            return Ok(bound);
        }
        let settled = self.coerce(bound, DataType::Text.into(), CastContext::Implicit, position)?;
        settled.ok_or_else(|| PgError::internal("unknown does not convert to text"))
    }

    /// Converts all to their common type.
    fn bind_common(&mut self, list: &[Expression], construct: &str) -> PgResult<(Vec<Expr>, DataType)> {
        let mut bound = Vec::with_capacity(list.len());
        for expression in list {
            bound.push((self.bind(expression)?, expression.position));
        }
        self.to_common(bound, construct)
    }

    pub(super) fn to_common(
        &mut self,
        list: Vec<(Expr, u32)>,
        construct: &str,
    ) -> PgResult<(Vec<Expr>, DataType)> {
        let types: Vec<DataType> = list.iter().map(|(bound, _)| bound.data_type()).collect();
        let common =
            resolve::common_type(&types, construct).map_err(|(error, index)| error.or_at(list[index].1))?;
        let mut converted = Vec::with_capacity(list.len());
        for (bound, position) in list {
            let from = bound.data_type();
            let input = self.coerce(bound, common.into(), CastContext::Implicit, position)?;
            converted.push(input.ok_or_else(|| {
                let (from, to) = (self.type_label(from), self.type_label(common));
                let message = format!("{construct} could not convert type {from} to {to}");
                PgError::new(SqlState::CANNOT_COERCE, message).at(position)
            })?);
        }
        Ok((converted, common))
    }

    fn bind_cast(&mut self, operand: &Expression, target: &TypeName, position: u32) -> PgResult<Expr> {
        let to = self.resolve_type_name(target)?;
        let bound = match (&operand.kind, to.data_type.element()) {
            // The target gives the elements' type: ARRAY[]::int[].
            (ExpressionKind::Array(elements), Some(element))
                if matches!(to.data_type, DataType::Array(_)) =>
            {
                self.bind_array(elements, Some(element), operand.position)?
            }
            _ => self.bind(operand)?,
        };
        let from = bound.data_type();
        let literal_position = if from == DataType::Unknown { operand.position } else { position };
        match self.coerce(bound, to, CastContext::Explicit, literal_position)? {
            Some(cast) => Ok(cast),
            None => {
                let (from, to) = (self.type_label(from), self.type_label(to.data_type));
                let message = format!("cannot cast type {from} to {to}");
                Err(PgError::new(SqlState::CANNOT_COERCE, message).at(position))
            }
        }
    }

    /// COLLATE: the default and the C collation order text by its bytes, as we do.
    fn bind_collate(&mut self, operand: &Expression, collation: &crate::ast::ObjectName) -> PgResult<Expr> {
        let bound = self.bind_typed(operand)?;
        let name = collation.name();
        if !bound.data_type().is_string() && !matches!(bound.data_type(), DataType::InternalChar) {
            let message =
                format!("collations are not supported by type {}", self.type_label(bound.data_type()));
            return Err(PgError::new(SqlState::DATATYPE_MISMATCH, message).at(collation.position()));
        }
        match name {
            "C" | "POSIX" | "default" | "ucs_basic" => Ok(bound),
            _ => Err(PgError::unsupported(format!("the collation \"{name}\"")).at(collation.position())),
        }
    }

    // --- CASE.

    fn bind_case(&mut self, case: &Case) -> PgResult<Expr> {
        let sets_before = self.level().set_functions.len();
        let operand = match &case.operand {
            Some(operand) => Some(self.bind_typed(operand)?),
            None => None,
        };
        let mut conditions = Vec::with_capacity(case.arms.len());
        let mut results = Vec::with_capacity(case.arms.len() + 1);
        for arm in &case.arms {
            conditions.push(match &operand {
                Some(operand) => {
                    let left = Expr::CaseOperand { data_type: operand.data_type() };
                    let right = self.bind(&arm.condition)?;
                    let position = arm.condition.position;
                    let equal = crate::ast::Operator::plain("=");
                    self.operator(&equal, Some((left, position)), (right, position), position)?
                }
                None => self.bind_condition(&arm.condition, "CASE/WHEN")?,
            });
            results.push((self.bind(&arm.result)?, arm.result.position));
        }
        // PostgreSQL looks at ELSE first when it chooses the type.
        let position = case.arms.first().map_or(0, |arm| arm.position);
        let otherwise = match &case.otherwise {
            Some(otherwise) => (self.bind(otherwise)?, otherwise.position),
            None => (Expr::constant(Datum::Null, DataType::Unknown), position),
        };
        results.insert(0, otherwise);
        let (mut results, data_type) = self.to_common(results, "CASE")?;
        self.refuse_sets_within("CASE", sets_before, position)?;
        let otherwise = results.remove(0);
        let no_else = case.otherwise.is_none();
        let arms = conditions
            .into_iter()
            .zip(results)
            .map(|(condition, result)| expr::CaseArm { condition, result })
            .collect();
        let otherwise = if no_else { None } else { Some(Box::new(otherwise)) };
        Ok(Expr::Case { operand: operand.map(Box::new), arms, otherwise, data_type })
    }

    fn refuse_sets_within(&mut self, construct: &str, before: usize, position: u32) -> PgResult<()> {
        if self.level().set_functions.len() == before {
            return Ok(());
        }
        let message = format!("set-returning functions are not allowed in {construct}");
        let hint = "You might be able to move the set-returning function into a LATERAL FROM item.";
        Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint(hint).at(position))
    }

    // --- Arrays, rows, fields.

    /// ARRAY[...]; `element`: the elements' type, when a cast gives it.
    fn bind_array(
        &mut self,
        elements: &[Expression],
        element: Option<DataType>,
        position: u32,
    ) -> PgResult<Expr> {
        let mut bound = Vec::with_capacity(elements.len());
        let mut nested = false;
        for expression in elements {
            let item = match &expression.kind {
                ExpressionKind::Array(inner) => {
                    nested = true;
                    self.bind_array(inner, element, expression.position)?
                }
                _ => self.bind(expression)?,
            };
            nested |= matches!(item.data_type(), DataType::Array(_));
            bound.push((item, expression.position));
        }
        if bound.is_empty() {
            let Some(element) = element else {
                return Err(PgError::new(
                    SqlState::INDETERMINATE_DATATYPE,
                    "cannot determine type of empty array",
                )
                .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[].")
                .at(position));
            };
            let data_type = DataType::array_of(element);
            return Ok(Expr::Array { elements: Vec::new(), data_type, nested: false });
        }
        let (elements, common) = match element {
            Some(element) => {
                let target = if nested { DataType::array_of(element) } else { element };
                let mut converted = Vec::with_capacity(bound.len());
                for (item, at) in bound {
                    let from = item.data_type();
                    let cast = self.coerce(item, target.into(), CastContext::Explicit, at)?;
                    converted.push(cast.ok_or_else(|| {
                        let (from, to) = (self.type_label(from), self.type_label(target));
                        PgError::new(SqlState::CANNOT_COERCE, format!("cannot cast type {from} to {to}"))
                            .at(at)
                    })?);
                }
                (converted, target)
            }
            None => self.to_common(bound, "ARRAY")?,
        };
        let data_type = match common {
            DataType::Array(_) => common,
            other if other.array_oid() != 0 => DataType::array_of(other),
            other => {
                let message = format!("could not find array type for data type {}", self.type_label(other));
                return Err(PgError::new(SqlState::UNDEFINED_OBJECT, message).at(position));
            }
        };
        Ok(Expr::Array { elements, data_type, nested })
    }

    /// `name` is an array of bytes to PostgreSQL, counted from 0.
    fn byte_of_name(&mut self, name: Expr, index: Expr, position: u32) -> PgResult<Expr> {
        let cast = |input: Expr, to: DataType| {
            let context = CastContext::Explicit;
            Expr::Cast { input: Box::new(input), to: to.into(), context, position }
        };
        let one = || Expr::constant(Datum::Int4(1), DataType::Int4);
        let from = self.system_call("int4pl", vec![index, one()], position)?;
        let text = cast(name, DataType::Text);
        let byte = self.system_call("substr", vec![text, from, one()], position)?;
        Ok(cast(byte, DataType::InternalChar))
    }

    fn bind_subscript(&mut self, operand: &Expression, subscripts: &[Subscript]) -> PgResult<Expr> {
        let array = self.bind(operand)?;
        let from = array.data_type();
        if from.base() == DataType::Jsonb {
            let bound = self.bind_json_subscripts(subscripts.iter(), operand.position)?;
            let mut steps = Vec::with_capacity(bound.len());
            for subscript in bound {
                let expr::expr::Subscript::Index(step) = subscript else { continue };
                let step =
                    self.coerce(step, DataType::Text.into(), CastContext::Explicit, operand.position)?;
                steps.push(step.ok_or_else(|| PgError::internal("a subscript does not become text"))?);
            }
            let data_type = DataType::array_of(DataType::Text);
            let path = Expr::Array { elements: steps, data_type, nested: false };
            return self.json_path_call(array, path, operand.position);
        }
        if let (DataType::Name, [Subscript::Index(index)]) = (from, subscripts) {
            let index = self.bind_index(index)?;
            return self.byte_of_name(array, index, operand.position);
        }
        let Some(element) = from.element() else {
            let message = format!(
                "cannot subscript type {} because it does not support subscripting",
                self.type_label(from)
            );
            return Err(PgError::new(SqlState::DATATYPE_MISMATCH, message).at(operand.position));
        };
        let slice = subscripts.iter().any(|subscript| matches!(subscript, Subscript::Slice(..)));
        let mut bound = Vec::with_capacity(subscripts.len());
        for subscript in subscripts {
            bound.push(match subscript {
                // Beside a slice, an index is a slice from 1.
                Subscript::Index(index) if slice => expr::expr::Subscript::Slice {
                    lower: Some(Expr::constant(Datum::Int4(1), DataType::Int4)),
                    upper: Some(self.bind_index(index)?),
                },
                Subscript::Index(index) => expr::expr::Subscript::Index(self.bind_index(index)?),
                Subscript::Slice(lower, upper) => expr::expr::Subscript::Slice {
                    lower: lower.as_ref().map(|lower| self.bind_index(lower)).transpose()?,
                    upper: upper.as_ref().map(|upper| self.bind_index(upper)).transpose()?,
                },
            });
        }
        let data_type = if slice { from } else { element };
        Ok(Expr::Subscript { array: Box::new(array), subscripts: bound, data_type })
    }

    /// What a path of keys and numbers leads to within a jsonb.
    fn json_path_call(&mut self, json: Expr, path: Expr, position: u32) -> PgResult<Expr> {
        let types = [DataType::Jsonb, path.data_type()];
        let resolved = resolve::resolve_function(
            Some("pg_catalog"),
            "jsonb_extract_path",
            &types,
            FunctionArguments::VariadicArray,
        )?;
        self.call(resolved, vec![json, path], &[position, position], position)
    }

    pub(super) fn bind_index(&mut self, index: &Expression) -> PgResult<Expr> {
        let bound = self.bind(index)?;
        let cast = self.coerce(bound, DataType::Int4.into(), CastContext::Assignment, index.position)?;
        cast.ok_or_else(|| {
            PgError::new(SqlState::DATATYPE_MISMATCH, "array subscript must have type integer")
                .at(index.position)
        })
    }

    fn bind_field(&mut self, operand: &Expression, field: &crate::ast::Identifier) -> PgResult<Expr> {
        // (t).a is t.a.
        if let ExpressionKind::Column(names) = &operand.kind
            && let [name] = names.as_slice()
            && self.find_column(&name.name, name.position)?.is_none()
        {
            return self.bind_column(&[name.clone(), field.clone()]);
        }
        let row = self.bind(operand)?;
        self.field_of(row, field)
    }

    /// Position and type of a column of a row that a set-returning function made: `(jsonb_each(j)).key`.
    fn column_of_set(&self, row: &Expr, name: &str) -> Option<(u32, DataType)> {
        let Expr::Column { index, .. } = row else { return None };
        let columns = self.set_columns.get(index)?;
        let position = columns.iter().position(|(known, _)| *known == name)?;
        Some((position as u32, columns[position].1))
    }

    /// A field of a composite value.
    pub(super) fn field_of(&mut self, row: Expr, field: &crate::ast::Identifier) -> PgResult<Expr> {
        let from = row.data_type().base();
        let missing = |binder: &Self| {
            let message =
                format!("column \"{}\" not found in data type {}", field.name, binder.type_label(from));
            PgError::new(SqlState::UNDEFINED_COLUMN, message).at(field.position)
        };
        match from {
            DataType::Composite(oid) => {
                let of = self.row_type(oid)?;
                let found = of.columns.iter().position(|(name, _)| *name == field.name);
                let index = found.ok_or_else(|| missing(self))?;
                let data_type = of.columns[index].1.data_type;
                Ok(Expr::Field { input: Box::new(row), field: index as u32, data_type })
            }
            DataType::Record if matches!(row, Expr::Row { .. }) => {
                let Expr::Row { fields, names, .. } = row else { return Err(missing(self)) };
                let found = names.iter().position(|name| *name == field.name);
                found.and_then(|index| fields.into_iter().nth(index)).ok_or_else(|| {
                    let message = format!("could not identify column \"{}\" in record data type", field.name);
                    PgError::new(SqlState::UNDEFINED_COLUMN, message).at(field.position)
                })
            }
            DataType::Record if self.column_of_set(&row, &field.name).is_some() => {
                let (index, data_type) = self.column_of_set(&row, &field.name).expect("just found");
                Ok(Expr::Field { input: Box::new(row), field: index, data_type })
            }
            DataType::Record => {
                let message = format!("could not identify column \"{}\" in record data type", field.name);
                Err(PgError::new(SqlState::UNDEFINED_COLUMN, message).at(field.position))
            }
            _ => {
                let message = format!(
                    "column notation .{} applied to type {}, which is not a composite type",
                    field.name,
                    self.type_label(from)
                );
                Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message).at(field.position))
            }
        }
    }

    // --- Session values.

    fn bind_session_value(&mut self, value: SessionValue, position: u32) -> PgResult<Expr> {
        let call = match value {
            SessionValue::CurrentCatalog => "current_database",
            SessionValue::CurrentSchema => "current_schema",
            SessionValue::SessionUser => "session_user",
            SessionValue::CurrentUser | SessionValue::User | SessionValue::CurrentRole => "current_user",
            _ => "now",
        };
        let input = self.system_call(call, Vec::new(), position)?;
        let (data_type, precision) = match value {
            SessionValue::CurrentDate => (DataType::Date, None),
            SessionValue::CurrentTime(precision) => (DataType::TimeTz, precision),
            SessionValue::CurrentTimestamp(precision) => (DataType::TimestampTz, precision),
            SessionValue::LocalTime(precision) => (DataType::Time, precision),
            SessionValue::LocalTimestamp(precision) => (DataType::Timestamp, precision),
            _ => return Ok(input),
        };
        let typmod = precision.map_or(ColumnType::NO_MODIFIER, |precision| precision.min(6));
        let to = ColumnType::new(data_type, typmod);
        let cast = self.coerce(input, to, CastContext::Explicit, position)?;
        cast.ok_or_else(|| PgError::internal("now() does not convert"))
    }

    /// A call of a function of pg_catalog that the grammar asks for.
    pub(super) fn system_call(&mut self, name: &str, arguments: Vec<Expr>, position: u32) -> PgResult<Expr> {
        let types: Vec<DataType> = arguments.iter().map(Expr::data_type).collect();
        let resolved = resolve::resolve_function(Some("pg_catalog"), name, &types, FunctionArguments::Plain)
            .map_err(|error| error.or_at(position))?;
        let positions = vec![position; arguments.len()];
        self.call(resolved, arguments, &positions, position)
    }
}

fn truth_construct(truth: Truth, negated: bool) -> &'static str {
    match (truth, negated) {
        (Truth::True, false) => "IS TRUE",
        (Truth::True, true) => "IS NOT TRUE",
        (Truth::False, false) => "IS FALSE",
        (Truth::False, true) => "IS NOT FALSE",
        (Truth::Unknown, false) => "IS UNKNOWN",
        (Truth::Unknown, true) => "IS NOT UNKNOWN",
    }
}
