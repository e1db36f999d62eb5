//! Name patterns: `name`, `schema.name`, with `*` and `?`, folded to lower case outside of double quotes.

/// A pattern as conditions of SQL.
#[derive(Debug, PartialEq, Eq)]
pub struct Pattern {
    schema: Option<Part>,
    name: Part,
}

#[derive(Debug, PartialEq, Eq)]
struct Part {
    /// The name itself, or a regular expression for it.
    text: String,
    is_expression: bool,
    matches_all: bool,
}

impl Pattern {
    pub fn parse(text: &str) -> Pattern {
        let mut parts = vec![PartBuilder::default()];
        let mut quoted = false;
        for c in text.chars() {
            let part = parts.last_mut().expect("there is always one");
            match c {
                '"' => quoted = !quoted,
                '.' if !quoted => parts.push(PartBuilder::default()),
                '*' | '?' if !quoted => part.push_wildcard(c),
                c if quoted => part.push(c),
                c => c.to_lowercase().for_each(|c| part.push(c)),
            }
        }
        let name = parts.pop().expect("there is always one").finish();
        Pattern { schema: parts.pop().map(PartBuilder::finish), name }
    }

    /// Conditions, each with a leading AND, on a schema's and an object's name. Without a schema in the pattern, the
    /// object has to be visible.
    pub fn conditions(&self, schema_column: &str, name_column: &str, visible: &str) -> String {
        let name = self.name.condition(name_column);
        match &self.schema {
            Some(schema) => format!("{name}{}", schema.condition(schema_column)),
            None => format!("{name} AND {visible}"),
        }
    }

    /// The condition, with a leading AND, on the name of an object that lies in no schema.
    pub fn name_condition(&self, name_column: &str) -> String {
        self.name.condition(name_column)
    }
}

#[derive(Default)]
struct PartBuilder {
    plain: String,
    expression: String,
    is_expression: bool,
}

impl PartBuilder {
    fn push(&mut self, c: char) {
        self.plain.push(c);
        if !c.is_alphanumeric() && c != '_' {
            self.expression.push('\\');
        }
        self.expression.push(c);
    }

    fn push_wildcard(&mut self, c: char) {
        self.is_expression = true;
        self.expression.push_str(if c == '*' { ".*" } else { "." });
    }

    fn finish(self) -> Part {
        let matches_all = self.is_expression && self.expression == ".*";
        let text = if self.is_expression { format!("^({})$", self.expression) } else { self.plain };
        Part { text, is_expression: self.is_expression, matches_all }
    }
}

impl Part {
    fn condition(&self, column: &str) -> String {
        if self.matches_all {
            return String::new();
        }
        let operator = if self.is_expression { "~" } else { "=" };
        format!(" AND {column} {operator} '{}'", self.text.replace('\'', "''"))
    }
}

#[test]
fn patterns_become_conditions() {
    let conditions = |text: &str| Pattern::parse(text).conditions("s", "n", "v");
    assert_eq!(conditions("Ab"), " AND n = 'ab' AND v");
    assert_eq!(conditions("\"A'b.c\""), " AND n = 'A''b.c' AND v");
    assert_eq!(conditions("x.a*_?"), " AND n ~ '^(a.*_.)$' AND s = 'x'");
    assert_eq!(conditions("*.*"), "");
}
