//! The grammar over PostgreSQL's own regression scripts, and what must not be accepted.

use super::*;
use std::path::PathBuf;

/// The suites beside the repository, if they are there.
fn suite(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites").join(name);
    path.is_dir().then_some(path)
}

/// Splits a psql script into statements, as `../shared/pgparity` does: at semicolons outside of quotes and parentheses; a
/// backslash command ends a statement (`\g`) or stands for itself; the data after COPY FROM STDIN is left out.
fn split_script(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let (mut statements, mut start, mut depth, mut i) = (Vec::new(), 0usize, 0i32, 0usize);
    let line_end = |from: usize| text[from..].find('\n').map_or(text.len(), |offset| from + offset);
    while i < bytes.len() {
        match bytes[i] {
            b'-' if bytes.get(i + 1) == Some(&b'-') => i = line_end(i),
            b'/' if bytes.get(i + 1) == Some(&b'*') => {
                i += text[i..].find("*/").map_or(text.len() - i, |n| n + 2)
            }
            b'\'' => {
                let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                let escapes = i > 0 && matches!(bytes[i - 1], b'e' | b'E') && (i < 2 || !word(bytes[i - 2]));
                i += 1;
                while i < bytes.len() && bytes[i] != b'\'' {
                    i += if escapes && bytes[i] == b'\\' { 2 } else { 1 };
                }
                i += 1;
            }
            b'"' => i += 1 + text[i + 1..].find('"').map_or(text.len() - i - 1, |n| n + 1),
            b'$' if dollar_quote(&text[i..]).is_some() => {
                let tag = dollar_quote(&text[i..]).expect("just seen");
                let from = i + tag.len();
                i = text[from..].find(tag).map_or(text.len(), |offset| from + offset + tag.len());
            }
            b'\\' => {
                let statement = text[start..i].trim();
                if !statement.is_empty() && text[i..].starts_with("\\g") && !text[i..].starts_with("\\gexec")
                {
                    statements.push(statement.to_string());
                }
                i = line_end(i);
                (start, depth) = (i, 0);
            }
            b';' if depth == 0 => {
                let statement = text[start..i].trim();
                i += 1;
                start = i;
                if !statement.is_empty() {
                    statements.push(statement.to_string());
                    if reads_stdin(statement) {
                        i = text[i..].find("\n\\.").map_or(text.len(), |offset| line_end(i + offset + 1));
                        start = i;
                    }
                }
            }
            byte => {
                depth = (depth + i32::from(byte == b'(') - i32::from(byte == b')')).max(0);
                i += 1;
            }
        }
    }
    statements
}

fn dollar_quote(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 2;
    let tag = &text[1..end - 1];
    let word = tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (word && !tag.starts_with(|c: char| c.is_ascii_digit())).then_some(&text[..end])
}

fn reads_stdin(statement: &str) -> bool {
    let words = lexer::tokenize(statement).list;
    words[0].keyword == Keyword::Copy
        && words.windows(2).any(|pair| pair[0].keyword == Keyword::From && pair[1].keyword == Keyword::Stdin)
}

/// A psql variable (`:name`, `:'name'`), which psql would replace.
fn has_variable(statement: &str) -> bool {
    let tokens = lexer::tokenize(statement).list;
    tokens.windows(3).any(|three| {
        three[1].kind == TokenKind::Symbol(b':')
            && three[1].end == three[2].start
            && matches!(three[2].kind, TokenKind::Word | TokenKind::String | TokenKind::QuotedWord)
            && !matches!(three[0].kind, TokenKind::Symbol(b'[') | TokenKind::Integer)
            && !(three[0].kind == TokenKind::Word && three[0].end == three[1].start)
    })
}

/// Statements that PostgreSQL's own grammar refuses (the scripts test its errors), with what it says: "code position message".
fn refused_by_postgresql() -> Vec<(&'static str, &'static str)> {
    include_str!("../../tests/data/refused_by_postgresql.txt")
        .split("\n=====\n")
        .filter_map(|entry| entry.trim_end().split_once("\n-----\n"))
        .collect()
}

/// What PostgreSQL would say: the code, the position in characters from 1 (0 for none), the message.
fn describe(error: &PgError, text: &str) -> String {
    let position = error.fields().position.map_or(0, |byte| text[..byte as usize].chars().count() + 1);
    format!("{} {position} {}", error.code(), error.message())
}

#[test]
fn regression_scripts_parse_as_in_postgresql() {
    let Some(folder) = suite("pg-regress/sql") else {
        eprintln!("skipped: ../shared/suites/pg-regress is not there");
        return;
    };
    let refused: std::collections::BTreeMap<_, _> = refused_by_postgresql().into_iter().collect();
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("readable").flatten().map(|entry| entry.path()).collect();
    files.sort();
    let (mut total, mut differences) = (0, Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("UTF-8 text");
        for statement in split_script(&text).into_iter().filter(|statement| !has_variable(statement)) {
            total += 1;
            let ours =
                parse(&statement).map(|_| String::new()).unwrap_or_else(|error| describe(&error, &statement));
            let theirs = refused.get(statement.as_str()).copied().unwrap_or("");
            // What is not supported at all may be said at once.
            if ours != theirs && !ours.starts_with("0A000") {
                let name = file.file_name().expect("a file").to_string_lossy().into_owned();
                differences
                    .push(format!("{name}: {statement}\n    PostgreSQL: {theirs}\n    Meridian:   {ours}"));
            }
        }
    }
    println!("{total} statements, {} differences", differences.len());
    if let Ok(path) = std::env::var("PARSE_REPORT") {
        std::fs::write(path, differences.join("\n")).expect("writable");
    }
    assert!(total > 10_000);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Expressions with full parentheses: what binds tighter becomes visible.
fn shape(expression: &crate::ast::Expression) -> String {
    use crate::ast::*;
    let list = |items: &[Expression], glue: &str| items.iter().map(shape).collect::<Vec<_>>().join(glue);
    match &expression.kind {
        ExpressionKind::Literal(Literal::Integer(value)) => value.to_string(),
        ExpressionKind::Literal(Literal::String(value)) => format!("'{value}'"),
        ExpressionKind::Column(names) => names.iter().map(|name| &*name.name).collect::<Vec<_>>().join("."),
        ExpressionKind::Unary(operator, operand) => format!("({} {})", operator.name, shape(operand)),
        ExpressionKind::Binary(operator, left, right) => {
            format!("({} {} {})", shape(left), operator.name, shape(right))
        }
        ExpressionKind::And(items) => format!("({})", list(items, " AND ")),
        ExpressionKind::Or(items) => format!("({})", list(items, " OR ")),
        ExpressionKind::Not(operand) => format!("(NOT {})", shape(operand)),
        ExpressionKind::IsNull { operand, .. } => format!("({} IS NULL)", shape(operand)),
        ExpressionKind::IsDistinct { left, right, .. } => {
            format!("({} IS DISTINCT {})", shape(left), shape(right))
        }
        ExpressionKind::Between(between) => {
            format!("({} BETWEEN {} {})", shape(&between.operand), shape(&between.low), shape(&between.high))
        }
        ExpressionKind::InList { operand, list: items, .. } => {
            format!("({} IN ({}))", shape(operand), list(items, ","))
        }
        ExpressionKind::Like(like) => format!("({} LIKE {})", shape(&like.operand), shape(&like.pattern)),
        ExpressionKind::Cast(operand, target) => format!("({}::{})", shape(operand), target.name),
        ExpressionKind::Collate(operand, name) => format!("({} COLLATE {name})", shape(operand)),
        ExpressionKind::Subscript(operand, _) => format!("{}[]", shape(operand)),
        ExpressionKind::Function(call) => {
            let arguments: Vec<_> = call.arguments.iter().map(|argument| shape(&argument.value)).collect();
            format!("{}({})", call.name, arguments.join(","))
        }
        other => format!("{other:?}"),
    }
}

fn shape_of(text: &str) -> String {
    parse_expression(text)
        .map(|expression| shape(&expression))
        .unwrap_or_else(|error| error.message().to_string())
}

/// Every pair of operators of different level: the tighter one takes the middle operand, whichever comes first.
#[test]
fn precedence_holds_for_every_pair() {
    // (level, text between two operands, how the shape prints it, associates)
    let binary: &[(u8, &str)] = &[
        (1, "OR"),
        (2, "AND"),
        (4, "IS DISTINCT FROM"),
        (5, "<"),
        (5, "="),
        (5, ">="),
        (5, "<>"),
        (6, "LIKE"),
        (8, "||"),
        (8, "~"),
        (8, "->"),
        (8, "OPERATOR(pg_catalog.+)"),
        (9, "+"),
        (9, "-"),
        (10, "*"),
        (10, "/"),
        (10, "%"),
        (11, "^"),
    ];
    for (left_level, left) in binary {
        for (right_level, right) in binary {
            let text = format!("a {left} b {right} c");
            let groups_left = format!("(a {left} b) {right} c");
            let groups_right = format!("a {left} (b {right} c)");
            let not_associative = left_level == right_level && (4..=6).contains(left_level);
            if not_associative {
                assert!(shape_of(&text).starts_with("syntax error"), "{text}: {}", shape_of(&text));
            } else if left_level == right_level && *left_level <= 2 {
                assert_eq!(shape_of(&text), format!("(a {left} b {right} c)"));
            } else if left_level >= right_level {
                assert_eq!(shape_of(&text), shape_of(&groups_left), "{text}");
            } else {
                assert_eq!(shape_of(&text), shape_of(&groups_right), "{text}");
            }
        }
    }
}

#[test]
fn precedence_of_prefix_and_postfix_forms() {
    let cases = [
        ("-2 ^ 2", "(-2 ^ 2)"),
        ("- a ^ b", "((- a) ^ b)"),
        ("- a::int4", "(- (a::int4))"),
        ("a ~ b || c", "((a ~ b) || c)"),
        ("@ a + b", "(@ (a + b))"),
        ("@ a || b", "((@ a) || b)"),
        ("NOT a = b AND c", "((NOT (a = b)) AND c)"),
        ("NOT a IS NULL", "(NOT (a IS NULL))"),
        ("a + b IS NULL", "((a + b) IS NULL)"),
        ("a = b IS NULL", "((a = b) IS NULL)"),
        ("a IS NULL IS NULL", "((a IS NULL) IS NULL)"),
        ("a IS NULL = b", "((a IS NULL) = b)"),
        ("a BETWEEN 1 AND 2 AND b", "((a BETWEEN 1 2) AND b)"),
        ("a = b BETWEEN 1 AND 2", "(a = (b BETWEEN 1 2))"),
        ("a BETWEEN 1 + 1 AND 2 + 2 = b", "((a BETWEEN (1 + 1) (2 + 2)) = b)"),
        ("a IN (1, 2) = b", "((a IN (1,2)) = b)"),
        ("a LIKE b || c", "(a LIKE (b || c))"),
        ("a < b IS DISTINCT FROM c", "((a < b) IS DISTINCT c)"),
        ("a OR b AND c OR d", "(a OR (b AND c) OR d)"),
        ("a ^ b COLLATE c", "(a ^ (b COLLATE c))"),
        ("a + b AT TIME ZONE c", "(a + timezone(c,b))"),
        ("a AT TIME ZONE b::text", "timezone((b::text),a)"),
        ("-a[1]", "(- a[])"),
        ("a < b < c", "syntax error at or near \"<\""),
        ("a IS DISTINCT FROM b IS NULL", "syntax error at or near \"IS\""),
        ("a BETWEEN 1 AND 2 BETWEEN 3 AND 4", "syntax error at or near \"BETWEEN\""),
        ("2147483647 - -2147483648", "(2147483647 - Literal(Number(\"-2147483648\")))"),
    ];
    for (text, expected) in cases {
        assert_eq!(shape_of(text), expected, "{text}");
    }
}

/// Whatever is nested without end is refused, not crashed upon; what people write by hand is not.
#[test]
fn nesting_is_bounded() {
    let deep = |open: &str, middle: &str, close: &str, times: usize| {
        format!("SELECT {}{middle}{}", open.repeat(times), close.repeat(times))
    };
    let bombs = [
        format!("SELECT 1{}", " + 1".repeat(1_000_000)),
        format!("SELECT {}1", "- ".repeat(100_000)),
        format!("SELECT {}true", "NOT ".repeat(100_000)),
        format!("SELECT 1{}", "::int".repeat(100_000)),
        format!("SELECT a{}", "[1].b".repeat(100_000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(100_000)),
        format!("SELECT * FROM a{}", " CROSS JOIN a".repeat(100_000)),
        deep("(", "1", ")", 100_000),
        deep("(SELECT ", "1", ")", 100_000),
        deep("f(", "1", ")", 100_000),
        deep("ARRAY[", "1", "]", 100_000),
        deep("CASE WHEN ", "true", " THEN 1 END", 100_000),
        format!("SELECT * FROM {}a{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{}SELECT 1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("EXPLAIN {}", "EXPLAIN ".repeat(100_000)),
        format!("{}SELECT 1", "WITH a AS (".repeat(100_000)),
    ];
    for bomb in bombs {
        let code = parse(&bomb).map(|_| ()).expect_err("too deep").code();
        let head = &bomb[..40];
        assert!(code == SqlState::STATEMENT_TOO_COMPLEX || code == SqlState::SYNTAX_ERROR, "{head}: {code}");
    }
    assert!(parse(&deep("(", "1", ")", 500)).is_ok());
    assert!(parse(&format!("SELECT 1{}", " + 1".repeat(1_000))).is_ok());
    assert!(parse(&format!("SELECT true{}", " OR a = 1".repeat(100_000))).is_ok(), "flat");
    assert!(parse(&format!("INSERT INTO t VALUES (1){}", ", (1)".repeat(100_000))).is_ok());
}
