//! Expressions as text, in the manner of PostgreSQL's `ruleutils.c`: operators in parentheses, constants with their types where
//! the text alone would not tell.

use expr::expr::Subscript;
use expr::{Aggregate, Expr, FunctionRef};
use types::{ColumnType, DataType, Datum, FormatContext};

/// Prints an expression; `name` tells what a column is called.
pub fn expression_text(expression: &Expr, name: &dyn Fn(u32) -> String) -> String {
    Printer { name }.text(expression)
}

/// Prints an aggregate call.
pub fn aggregate_text(aggregate: &Aggregate, name: &dyn Fn(u32) -> String) -> String {
    let printer = Printer { name };
    let mut arguments = match (aggregate.function.name, aggregate.arguments.is_empty()) {
        ("count", true) => "*".to_string(),
        _ => printer.list(&aggregate.arguments),
    };
    if aggregate.distinct {
        arguments = format!("DISTINCT {arguments}");
    }
    if !aggregate.order_by.is_empty() {
        let key = |(key, descending, nulls_first): &(Expr, bool, bool)| {
            format!("{}{}", printer.text(key), direction(*descending, *nulls_first))
        };
        let keys: Vec<String> = aggregate.order_by.iter().map(key).collect();
        arguments = format!("{arguments} ORDER BY {}", keys.join(", "));
    }
    let call = format!("{}({arguments})", aggregate.function.name);
    match &aggregate.filter {
        Some(filter) => format!("{call} FILTER (WHERE {})", printer.text(filter)),
        None => call,
    }
}

/// ` DESC NULLS LAST` and its like; nothing for the default.
pub(crate) fn direction(descending: bool, nulls_first: bool) -> &'static str {
    match (descending, nulls_first) {
        (false, false) => "",
        (false, true) => " NULLS FIRST",
        (true, true) => " DESC",
        (true, false) => " DESC NULLS LAST",
    }
}

/// A constant as SQL text.
pub(crate) fn constant_text(value: &Datum, data_type: DataType) -> String {
    let text = match value {
        Datum::Null => return "NULL".into(),
        Datum::Bool(value) => return value.to_string(),
        value => {
            types::format::datum_text(value, data_type, ColumnType::NO_MODIFIER, &FormatContext::default())
        }
    };
    let quoted = format!("'{}'", text.replace('\'', "''"));
    let number = !text.is_empty()
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match data_type {
        DataType::Int4 if number => text,
        DataType::Numeric if number && text.contains('.') => text,
        DataType::Unknown => quoted,
        _ => format!("{quoted}::{data_type}"),
    }
}

struct Printer<'p> {
    name: &'p dyn Fn(u32) -> String,
}

impl Printer<'_> {
    fn list(&self, list: &[Expr]) -> String {
        list.iter().map(|item| self.text(item)).collect::<Vec<_>>().join(", ")
    }

    fn joined(&self, list: &[Expr], glue: &str) -> String {
        format!("({})", list.iter().map(|item| self.text(item)).collect::<Vec<_>>().join(glue))
    }

    fn text(&self, expression: &Expr) -> String {
        match expression {
            Expr::Constant { value, data_type } => constant_text(value, *data_type),
            Expr::Column { index, .. } => (self.name)(*index),
            Expr::Parameter { index, .. } => format!("${}", index + 1),
            Expr::Slot { index, .. } => format!("$slot{index}"),
            Expr::Call { function, arguments, .. } => self.call(*function, arguments),
            Expr::Cast { input, to, .. } => {
                let inner = self.text(input);
                let inner =
                    if inner.starts_with('(') || is_word(&inner) { format!("({inner})") } else { inner };
                let inner =
                    if inner.starts_with("((") { inner[1..inner.len() - 1].to_string() } else { inner };
                format!("{inner}::{}", type_text(*to))
            }
            Expr::And(list) => self.joined(list, " AND "),
            Expr::Or(list) => self.joined(list, " OR "),
            Expr::Not(input) => format!("(NOT {})", self.text(input)),
            Expr::IsNull { input, negated } => {
                format!("({} IS {}NULL)", self.text(input), if *negated { "NOT " } else { "" })
            }
            Expr::IsBool { input, value, negated } => {
                let value = match value {
                    Some(true) => "TRUE",
                    Some(false) => "FALSE",
                    None => "UNKNOWN",
                };
                format!("({} IS {}{value})", self.text(input), if *negated { "NOT " } else { "" })
            }
            Expr::IsDistinctFrom { left, right, negated, .. } => {
                let not = if *negated { "NOT " } else { "" };
                format!("({} IS {not}DISTINCT FROM {})", self.text(left), self.text(right))
            }
            Expr::Case { operand, arms, otherwise, .. } => {
                self.case(operand.as_deref(), arms, otherwise.as_deref())
            }
            Expr::CaseOperand { .. } => "CASE_OPERAND".into(),
            Expr::Coalesce { arguments, .. } => format!("COALESCE({})", self.list(arguments)),
            Expr::NullIf { left, right, .. } => format!("NULLIF({}, {})", self.text(left), self.text(right)),
            Expr::Greatest { arguments, .. } => format!("GREATEST({})", self.list(arguments)),
            Expr::Least { arguments, .. } => format!("LEAST({})", self.list(arguments)),
            Expr::InList { input, list, negated, .. } => {
                let not = if *negated { "NOT " } else { "" };
                format!("({} {not}IN ({}))", self.text(input), self.list(list))
            }
            Expr::Quantified { input, array, operator, all } => {
                let quantifier = if *all { "ALL" } else { "ANY" };
                let name = operator_name(*operator).unwrap_or(operator.name);
                format!("({} {name} {quantifier} ({}))", self.text(input), self.text(array))
            }
            Expr::Array { elements, .. } => format!("ARRAY[{}]", self.list(elements)),
            Expr::Subscript { array, subscripts, .. } => {
                let bound =
                    |bound: &Option<Expr>| bound.as_ref().map_or(String::new(), |bound| self.text(bound));
                let subscript = |subscript: &Subscript| match subscript {
                    Subscript::Index(index) => format!("[{}]", self.text(index)),
                    Subscript::Slice { lower, upper } => format!("[{}:{}]", bound(lower), bound(upper)),
                };
                let subscripts: String = subscripts.iter().map(subscript).collect();
                format!("({}){subscripts}", self.text(array))
            }
            Expr::Row { fields, .. } => format!("ROW({})", self.list(fields)),
            Expr::Field { input, field, .. } => format!("({}).f{}", self.text(input), field + 1),
        }
    }

    fn call(&self, function: FunctionRef, arguments: &[Expr]) -> String {
        match (operator_name(function), arguments) {
            (Some(name), [left, right]) => format!("({} {name} {})", self.text(left), self.text(right)),
            (Some(name), [right]) => format!("({name} {})", self.text(right)),
            _ => format!("{}({})", function.name, self.list(arguments)),
        }
    }

    fn case(&self, operand: Option<&Expr>, arms: &[expr::CaseArm], otherwise: Option<&Expr>) -> String {
        let mut text = String::from("CASE");
        if let Some(operand) = operand {
            text += &format!(" {}", self.text(operand));
        }
        for arm in arms {
            text += &format!(" WHEN {} THEN {}", self.text(&arm.condition), self.text(&arm.result));
        }
        if let Some(otherwise) = otherwise {
            text += &format!(" ELSE {}", self.text(otherwise));
        }
        text + " END"
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|character: char| character.is_ascii_alphabetic() || character == '_')
        && !text.contains('(')
}

/// The operator that a function stands behind, if it is one that is written as an operator.
pub(crate) fn operator_name(function: FunctionRef) -> Option<&'static str> {
    // Functions that people call by name though an operator has them too.
    const CALLED: &[&str] =
        &["abs", "timezone", "like", "notlike", "date", "range", "power", "dpow", "sqrt", "cbrt"];
    if CALLED.contains(&function.name) {
        return None;
    }
    expr::catalogue::operators::operators_of(function).map(|operator| operator.name).next()
}

/// A type with its modifier.
pub(crate) fn type_text(column_type: ColumnType) -> String {
    let name = column_type.data_type.sql_name();
    let typmod = column_type.typmod;
    if typmod == ColumnType::NO_MODIFIER {
        return name;
    }
    match column_type.data_type {
        DataType::Varchar | DataType::Bpchar => format!("{name}({})", typmod - 4),
        DataType::Numeric => {
            let packed = typmod - 4;
            format!("{name}({},{})", packed >> 16 & 0xffff, (packed & 0x7ff ^ 1024) - 1024)
        }
        DataType::Bit | DataType::Varbit => format!("{name}({typmod})"),
        DataType::Timestamp => format!("timestamp({typmod}) without time zone"),
        DataType::TimestampTz => format!("timestamp({typmod}) with time zone"),
        DataType::Time => format!("time({typmod}) without time zone"),
        DataType::TimeTz => format!("time({typmod}) with time zone"),
        _ => name,
    }
}
