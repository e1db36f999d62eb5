//! The shell's variables: `\set`, `-v`, and `:name` in statements.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
}

impl Variables {
    pub fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_string(), value.to_string());
    }

    pub fn unset(&mut self, name: &str) {
        self.values.remove(name);
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether a variable is set to something that means yes. Unset is no.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| parse_bool(value).unwrap_or(true))
    }

    /// What `text` begins with if that is a reference to a set variable (`:name`, `:'name'`, `:"name"`): the value as it is
    /// to be put in, and the length of the reference.
    pub fn reference(&self, text: &str) -> Option<(String, usize)> {
        let rest = text.strip_prefix(':')?;
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let name_text = &rest[usize::from(quote.is_some())..];
        let length = name_text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name_text.len());
        let name = &name_text[..length];
        let value = self.get(name)?;
        match quote {
            None => Some((value.to_string(), 1 + length)),
            Some(quote) if name_text[length..].starts_with(quote) => {
                let doubled = value.replace(quote, &format!("{quote}{quote}"));
                Some((format!("{quote}{doubled}{quote}"), length + 3))
            }
            Some(_) => None,
        }
    }
}

/// psql's notion of a boolean; unique prefixes count.
pub fn parse_bool(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let is = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    if is("true", 1) || is("yes", 1) || text == "on" || text == "1" {
        return Some(true);
    }
    (is("false", 1) || is("no", 1) || is("off", 2) || text == "0").then_some(false)
}

#[test]
fn references_are_put_in_with_their_quotes() {
    let mut variables = Variables::default();
    variables.set("a", "it's");
    assert_eq!(variables.reference(":a, 1"), Some(("it's".to_string(), 2)));
    assert_eq!(variables.reference(":'a' x"), Some(("'it''s'".to_string(), 4)));
    assert_eq!(variables.reference(":\"a\""), Some(("\"it's\"".to_string(), 4)));
    assert_eq!(variables.reference(":b"), None);
    assert_eq!(variables.reference("::a"), None);
}
