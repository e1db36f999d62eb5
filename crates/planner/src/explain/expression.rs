//! Expressions as text, in the manner of PostgreSQL's `ruleutils.c`: operators in parentheses, constants with their types where
//! the text alone would not tell.

use expr::expr::Subscript;
use expr::{Aggregate, CastContext, Expr, FunctionRef};
use types::{ColumnType, DataType, Datum, FormatContext};

/// Whom a definition is shown to: constants are printed under his settings, his search path tells how types are named.
pub struct Reader<'r> {
    pub format: &'r FormatContext,
    pub type_name: &'r dyn Fn(ColumnType) -> String,
    /// May change a bound expression before it is printed.
    pub prepare: &'r dyn Fn(&mut Expr),
}

/// Prints an expression of a plan; `name` tells what a column is called.
pub fn expression_text(expression: &Expr, name: &dyn Fn(u32) -> String) -> String {
    Printer { name, style: Style::Plan, reader: None }.text(expression)
}

/// Prints an expression that is part of a definition, as pg_get_expr does; `pretty` leaves out the parentheses that
/// precedence makes unnecessary.
pub fn definition_text(
    expression: &Expr,
    pretty: bool,
    name: &dyn Fn(u32) -> String,
    reader: &Reader<'_>,
) -> String {
    let style = if pretty { Style::Pretty } else { Style::Definition };
    let printer = Printer { name, style, reader: Some(reader) };
    match expression {
        // An untyped literal has become a constant of its column's type, whose length nobody wrote.
        Expr::Cast { input, to, context, .. } if *context != CastContext::Explicit => match &**input {
            Expr::Constant { value, data_type: DataType::Unknown } => printer.constant(value, to.data_type),
            _ => printer.text(printer.without_implicit_casts(expression)),
        },
        _ => printer.text(expression),
    }
}

/// Prints an aggregate call.
pub fn aggregate_text(aggregate: &Aggregate, name: &dyn Fn(u32) -> String) -> String {
    let printer = Printer { name, style: Style::Plan, reader: None };
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

/// A constant as SQL text; `type_name` tells how its type is called.
fn constant_text(
    value: &Datum,
    data_type: DataType,
    format: &FormatContext,
    type_name: &dyn Fn(ColumnType) -> String,
) -> String {
    let text = match value {
        Datum::Null => return "NULL".into(),
        Datum::Bool(value) => return value.to_string(),
        value => types::format::datum_text(value, data_type, ColumnType::NO_MODIFIER, format),
    };
    let quoted = format!("'{}'", text.replace('\'', "''"));
    let number = !text.is_empty()
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match data_type {
        DataType::Int4 if number => text,
        DataType::Numeric if number && text.contains('.') => text,
        DataType::Unknown => quoted,
        _ => format!("{quoted}::{}", type_name(data_type.into())),
    }
}

/// Where a text is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// EXPLAIN.
    Plan,
    /// pg_get_expr, pg_get_constraintdef ...
    Definition,
    /// The same with their flag for people.
    Pretty,
}

/// What an expression is an operand of.
#[derive(Clone, Copy)]
enum Parent {
    /// `first`: its left operand.
    Operator {
        name: &'static str,
        first: bool,
    },
    Cast,
    Test,
    And,
    Or,
    Not,
}

struct Printer<'p> {
    name: &'p dyn Fn(u32) -> String,
    style: Style,
    /// `None`: a plan is printed.
    reader: Option<&'p Reader<'p>>,
}

impl Printer<'_> {
    fn type_name(&self, column_type: ColumnType) -> String {
        self.reader.map_or_else(|| type_text(column_type), |reader| (reader.type_name)(column_type))
    }

    fn constant(&self, value: &Datum, data_type: DataType) -> String {
        let type_name = |column_type| self.type_name(column_type);
        match self.reader {
            Some(reader) => constant_text(value, data_type, reader.format, &type_name),
            None => constant_text(value, data_type, &FormatContext::default(), &type_name),
        }
    }

    fn list(&self, list: &[Expr]) -> String {
        list.iter().map(|item| self.text(item)).collect::<Vec<_>>().join(", ")
    }

    /// What an operator or test makes: in parentheses, unless its parent sees to them.
    fn enclosed(&self, text: String) -> String {
        if self.style == Style::Pretty { text } else { format!("({text})") }
    }

    fn operand(&self, child: &Expr, parent: Parent) -> String {
        let text = self.text(child);
        if self.style == Style::Pretty && !is_simple(child, parent) { format!("({text})") } else { text }
    }

    /// Conversions that nobody wrote are not shown where an expression's value is not an argument.
    fn without_implicit_casts<'e>(&self, mut expression: &'e Expr) -> &'e Expr {
        while self.style != Style::Plan
            && let Expr::Cast { input, context, .. } = expression
            && *context != CastContext::Explicit
        {
            expression = input;
        }
        expression
    }

    fn joined(&self, list: &[Expr], glue: &str, parent: Parent) -> String {
        let operand = |item| self.operand(self.without_implicit_casts(item), parent);
        self.enclosed(list.iter().map(operand).collect::<Vec<_>>().join(glue))
    }

    fn text(&self, expression: &Expr) -> String {
        match expression {
            Expr::Constant { value, data_type } => self.constant(value, *data_type),
            Expr::Column { index, .. } => (self.name)(*index),
            Expr::Parameter { index, .. } => format!("${}", index + 1),
            Expr::Slot { index, .. } => format!("$slot{index}"),
            Expr::Call { function, arguments, .. } => self.call(*function, arguments),
            Expr::Cast { input, to, .. } => self.cast(input, *to),
            Expr::And(list) => self.joined(list, " AND ", Parent::And),
            Expr::Or(list) => self.joined(list, " OR ", Parent::Or),
            Expr::Not(input) => {
                let input = self.without_implicit_casts(input);
                self.enclosed(format!("NOT {}", self.operand(input, Parent::Not)))
            }
            Expr::IsNull { input, negated } => {
                self.test(input, if *negated { "IS NOT NULL" } else { "IS NULL" })
            }
            Expr::IsBool { input, value, negated } => {
                let value = match value {
                    Some(true) => "TRUE",
                    Some(false) => "FALSE",
                    None => "UNKNOWN",
                };
                self.test(input, &format!("IS {}{value}", if *negated { "NOT " } else { "" }))
            }
            Expr::IsDistinctFrom { left, right, negated, .. } => {
                let not = if *negated { "NOT " } else { "" };
                let right = self.operand(right, Parent::Test);
                self.test(left, &format!("IS {not}DISTINCT FROM {right}"))
            }
            Expr::Case { operand, arms, otherwise, .. } => {
                self.case(operand.as_deref(), arms, otherwise.as_deref())
            }
            Expr::CaseOperand { .. } => "CASE_OPERAND".into(),
            Expr::Coalesce { arguments, .. } => format!("COALESCE({})", self.list(arguments)),
            Expr::NullIf { left, right, .. } => format!("NULLIF({}, {})", self.text(left), self.text(right)),
            Expr::Greatest { arguments, .. } => format!("GREATEST({})", self.list(arguments)),
            Expr::Least { arguments, .. } => format!("LEAST({})", self.list(arguments)),
            Expr::InList { input, list, negated, .. } => self.in_list(input, list, *negated),
            Expr::Quantified { input, array, operator, all } => {
                let quantifier = if *all { "ALL" } else { "ANY" };
                let name = operator_name(*operator).unwrap_or(operator.name);
                self.test(input, &format!("{name} {quantifier} ({})", self.text(array)))
            }
            Expr::Array { elements, .. } => format!("ARRAY[{}]", self.list(elements)),
            Expr::Subscript { array, subscripts, .. } => self.subscript(array, subscripts),
            Expr::Row { fields, .. } => format!("ROW({})", self.list(fields)),
            Expr::CoerceToDomain { input, .. } => self.text(input),
            Expr::AssignPart { whole, .. } => self.text(whole),
            Expr::Field { input, field, .. } => format!("({}).f{}", self.text(input), field + 1),
        }
    }

    fn test(&self, input: &Expr, test: &str) -> String {
        self.enclosed(format!("{} {test}", self.operand(input, Parent::Test)))
    }

    fn cast(&self, input: &Expr, to: ColumnType) -> String {
        let inner = match input {
            // A literal that is read anew each time: 'now'::timestamp.
            Expr::Constant { data_type: DataType::Unknown, .. } => self.text(input),
            _ if self.style == Style::Pretty => self.operand(input, Parent::Cast),
            _ => format!("({})", self.text(input)),
        };
        format!("{inner}::{}", self.type_name(to))
    }

    fn in_list(&self, input: &Expr, list: &[Expr], negated: bool) -> String {
        if self.style == Style::Plan {
            let not = if negated { "NOT " } else { "" };
            return self.test(input, &format!("{not}IN ({})", self.list(list)));
        }
        let operator = if negated { "<>" } else { "=" };
        if let [only] = list {
            let parent = |first| Parent::Operator { name: operator, first };
            let (left, right) = (self.operand(input, parent(true)), self.operand(only, parent(false)));
            return self.enclosed(format!("{left} {operator} {right}"));
        }
        let quantifier = if negated { "ALL" } else { "ANY" };
        let array = format!("ARRAY[{}]", self.list(list));
        // PostgreSQL compares varchar as text; the array of varchar it converts as a whole.
        if input.data_type() == DataType::Varchar {
            let left = match self.style {
                Style::Pretty => self.operand(input, Parent::Cast),
                _ => self.enclosed(self.text(input)),
            };
            let array = self.enclosed(array);
            return self.enclosed(format!("{left}::text {operator} {quantifier} ({array}::text[])"));
        }
        self.test(input, &format!("{operator} {quantifier} ({array})"))
    }

    fn subscript(&self, array: &Expr, subscripts: &[Subscript]) -> String {
        let bound = |bound: &Option<Expr>| bound.as_ref().map_or(String::new(), |bound| self.text(bound));
        let subscript = |subscript: &Subscript| match subscript {
            Subscript::Index(index) => format!("[{}]", self.text(index)),
            Subscript::Slice { lower, upper } => format!("[{}:{}]", bound(lower), bound(upper)),
        };
        let subscripts: String = subscripts.iter().map(subscript).collect();
        match array {
            Expr::Column { .. } if self.style != Style::Plan => format!("{}{subscripts}", self.text(array)),
            _ => format!("({}){subscripts}", self.text(array)),
        }
    }

    fn call(&self, function: FunctionRef, arguments: &[Expr]) -> String {
        match (operator_name(function), arguments) {
            (Some(name), [left, right]) => {
                let left = self.operand(left, Parent::Operator { name, first: true });
                let right = self.operand(right, Parent::Operator { name, first: false });
                self.enclosed(format!("{left} {name} {right}"))
            }
            (Some(name), [right]) => {
                let right = self.operand(right, Parent::Operator { name, first: false });
                self.enclosed(format!("{name} {right}"))
            }
            (None, [zone, value]) if function.name == "timezone" && self.style != Style::Plan => {
                format!("({} AT TIME ZONE {})", self.text(value), self.text(zone))
            }
            (None, [text, part]) if function.name == "position" && self.style != Style::Plan => {
                format!("POSITION(({}) IN ({}))", self.text(part), self.text(text))
            }
            (None, [Expr::Constant { value: Datum::Text(field), .. }, value])
                if function.name == "extract" && self.style != Style::Plan =>
            {
                format!("EXTRACT({field} FROM {})", self.text(value))
            }
            _ if expr::takes_array(function) => {
                let (array, leading) = arguments.split_last().expect("it has one");
                let mut texts: Vec<String> = leading.iter().map(|argument| self.text(argument)).collect();
                texts.push(format!("VARIADIC {}", self.text(array)));
                format!("{}({})", function.name, texts.join(", "))
            }
            _ => format!("{}({})", function.name, self.list(arguments)),
        }
    }

    fn case(&self, operand: Option<&Expr>, arms: &[expr::CaseArm], otherwise: Option<&Expr>) -> String {
        let (start, word, end) =
            if self.style == Style::Plan { ("", " ", " ") } else { ("\n", "\n    ", "\n") };
        let mut text = format!("{start}CASE");
        if let Some(operand) = operand {
            text += &format!(" {}", self.text(operand));
        }
        for arm in arms {
            let condition = match &arm.condition {
                // The operand stands after CASE.
                Expr::Call { arguments, .. } if operand.is_some() && self.style != Style::Plan => {
                    arguments.last().unwrap_or(&arm.condition)
                }
                condition => condition,
            };
            text += &format!("{word}WHEN {} THEN {}", self.text(condition), self.text(&arm.result));
        }
        match (otherwise, arms.first()) {
            (Some(otherwise), _) => text += &format!("{word}ELSE {}", self.text(otherwise)),
            (None, Some(arm)) if self.style != Style::Plan => {
                let data_type = arm.result.data_type();
                text += &format!("{word}ELSE NULL::{}", self.type_name(data_type.into()));
            }
            _ => {}
        }
        text + end + "END"
    }
}

/// Whether an operand needs no parentheses under its parent (ruleutils.c, isSimpleNode).
fn is_simple(child: &Expr, parent: Parent) -> bool {
    match child {
        Expr::Call { function, arguments, .. } => match operator_name(*function) {
            None => true,
            Some(name) => match parent {
                Parent::Operator { name: outer, first } if arguments.len() == 2 => {
                    binds_tighter(name, outer, first)
                }
                Parent::Operator { .. } | Parent::Cast | Parent::Test => false,
                Parent::And | Parent::Or | Parent::Not => true,
            },
        },
        Expr::IsNull { .. } | Expr::IsBool { .. } | Expr::IsDistinctFrom { .. } => {
            matches!(parent, Parent::And | Parent::Or | Parent::Not)
        }
        Expr::And(_) | Expr::Not(_) => matches!(parent, Parent::And | Parent::Or),
        Expr::Or(_) => matches!(parent, Parent::Or),
        Expr::InList { .. } | Expr::Quantified { .. } => false,
        _ => true,
    }
}

/// Of two arithmetic operators, whether the inner one needs no parentheses.
fn binds_tighter(inner: &str, outer: &str, first: bool) -> bool {
    let rank = |name| match name {
        "+" | "-" => Some(0),
        "*" | "/" | "%" => Some(1),
        _ => None,
    };
    match (rank(inner), rank(outer)) {
        (Some(inner), Some(outer)) => inner > outer || (inner == outer && first),
        _ => false,
    }
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
pub fn type_text(column_type: ColumnType) -> String {
    let name = column_type.data_type.sql_name();
    let typmod = column_type.typmod;
    if typmod == ColumnType::NO_MODIFIER {
        // `character` alone would mean character(1).
        return if column_type.data_type == DataType::Bpchar { "bpchar".into() } else { name };
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
