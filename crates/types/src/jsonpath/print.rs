//! A path as text in normal form.

use super::{Accessor, Arithmetic, Comparison, Method, Node, Path, Sign};
use crate::json::write_string;
use std::fmt::{self, Write};

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.strict {
            f.write_str("strict ")?;
        }
        write_node(&self.root, true, f)
    }
}

fn priority(node: &Node) -> u8 {
    match node {
        Node::Or(..) => 0,
        Node::And(..) => 1,
        Node::Compare(..) | Node::StartsWith(..) => 2,
        Node::Arithmetic(Arithmetic::Add | Arithmetic::Subtract, ..) => 3,
        Node::Arithmetic(..) => 4,
        Node::Unary(..) => 5,
        _ => 6,
    }
}

fn binary(
    parent: &Node,
    left: &Node,
    operator: &str,
    right: &Node,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write_node(left, priority(left) <= priority(parent), f)?;
    write!(f, " {operator} ")?;
    write_node(right, priority(right) <= priority(parent), f)
}

/// In parentheses, if `brackets` says so and the node is an operator.
fn write_node(node: &Node, brackets: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let operator = matches!(
        node,
        Node::Or(..)
            | Node::And(..)
            | Node::Compare(..)
            | Node::StartsWith(..)
            | Node::LikeRegex { .. }
            | Node::Arithmetic(..)
            | Node::Unary(..)
    );
    if !(operator && brackets) {
        return write_bare(node, f);
    }
    f.write_char('(')?;
    write_bare(node, f)?;
    f.write_char(')')
}

fn write_bare(node: &Node, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match node {
        Node::Root => f.write_char('$'),
        Node::Current => f.write_char('@'),
        Node::Last => f.write_str("last"),
        Node::Variable(name) => {
            f.write_char('$')?;
            write_string(name, f)
        }
        Node::Null => f.write_str("null"),
        Node::Bool(value) => write!(f, "{value}"),
        Node::Number(number) => write!(f, "{number}"),
        Node::String(text) => write_string(text, f),
        Node::Access(start, accessors) => {
            if let Node::Number(number) = &**start {
                write!(f, "({number})")?;
            } else {
                write_node(start, true, f)?;
            }
            accessors.iter().try_for_each(|accessor| write_accessor(accessor, f))
        }
        Node::Unary(sign, operand) => {
            f.write_char(if *sign == Sign::Plus { '+' } else { '-' })?;
            write_node(operand, priority(operand) <= priority(node), f)
        }
        Node::Arithmetic(operator, left, right) => {
            let sign = match operator {
                Arithmetic::Add => "+",
                Arithmetic::Subtract => "-",
                Arithmetic::Multiply => "*",
                Arithmetic::Divide => "/",
                Arithmetic::Modulo => "%",
            };
            binary(node, left, sign, right, f)
        }
        Node::And(left, right) => binary(node, left, "&&", right, f),
        Node::Or(left, right) => binary(node, left, "||", right, f),
        Node::Not(operand) => enclosed("!(", operand, ")", f),
        Node::IsUnknown(operand) => enclosed("(", operand, ") is unknown", f),
        Node::Exists(operand) => enclosed("exists (", operand, ")", f),
        Node::Compare(comparison, left, right) => {
            let sign = match comparison {
                Comparison::Equal => "==",
                Comparison::NotEqual => "!=",
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
            };
            binary(node, left, sign, right, f)
        }
        Node::StartsWith(left, right) => binary(node, left, "starts with", right, f),
        Node::LikeRegex { operand, pattern, flags } => {
            write_node(operand, priority(operand) <= priority(node), f)?;
            f.write_str(" like_regex ")?;
            write_string(pattern, f)?;
            let letters = [
                (flags.ignore_case, 'i'),
                (flags.dot_all, 's'),
                (flags.multiline, 'm'),
                (flags.expanded, 'x'),
                (flags.quote, 'q'),
            ];
            let letters: String = letters.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
            if letters.is_empty() { Ok(()) } else { write!(f, " flag \"{letters}\"") }
        }
    }
}

fn enclosed(open: &str, node: &Node, close: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(open)?;
    write_node(node, false, f)?;
    f.write_str(close)
}

fn write_accessor(accessor: &Accessor, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match accessor {
        Accessor::Key(key) => {
            f.write_char('.')?;
            write_string(key, f)
        }
        Accessor::AnyKey => f.write_str(".*"),
        Accessor::AnyElement => f.write_str("[*]"),
        Accessor::Recursive { first: Some(0), last: None } => f.write_str(".**"),
        Accessor::Recursive { first, last } => {
            let level = |level: &Option<u32>| level.map_or("last".to_owned(), |level| level.to_string());
            match first == last {
                true => write!(f, ".**{{{}}}", level(first)),
                false => write!(f, ".**{{{} to {}}}", level(first), level(last)),
            }
        }
        Accessor::Elements(subscripts) => {
            f.write_char('[')?;
            for (position, (first, last)) in subscripts.iter().enumerate() {
                f.write_str(if position > 0 { "," } else { "" })?;
                write_node(first, false, f)?;
                if let Some(last) = last {
                    f.write_str(" to ")?;
                    write_node(last, false, f)?;
                }
            }
            f.write_char(']')
        }
        Accessor::Method(Method::Datetime(Some(template))) => {
            f.write_str(".datetime(")?;
            write_string(template, f)?;
            f.write_char(')')
        }
        Accessor::Method(method) => write!(f, ".{}()", method.name()),
        Accessor::Filter(condition) => enclosed("?(", condition, ")", f),
    }
}
