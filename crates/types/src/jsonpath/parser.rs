//! The tree out of the words, by precedence: `||`, `&&`, comparisons, `+ -`, `* / %`, signs, accessors.

use super::lexer::{Token, syntax_error, tokens};
use super::{Accessor, Arithmetic, Comparison, DEPTH_MAX, Flags, Method, Node, Path, Sign};
use crate::error::{PgError, PgResult, SqlState};
use crate::numeric::Numeric;

pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// Within a filter: `@` is allowed.
    filters: usize,
    /// Within subscripts: `last` is allowed.
    subscripts: usize,
}

fn refuse<T>(message: impl Into<String>) -> PgResult<T> {
    Err(PgError::new(SqlState::SYNTAX_ERROR, message))
}

impl Parser {
    pub(super) fn new(text: &str) -> PgResult<Parser> {
        Ok(Parser { tokens: tokens(text)?, at: 0, depth: 0, filters: 0, subscripts: 0 })
    }

    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Token::Symbol(found) if *found == symbol);
        self.at += usize::from(found);
        found
    }

    fn at_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        self.at += usize::from(found);
        found
    }

    fn unexpected<T>(&self) -> PgResult<T> {
        Err(syntax_error(&match self.peek() {
            Token::End => String::new(),
            Token::Word(text) | Token::Number(text) => text.clone(),
            Token::String(text) => format!("\"{text}\""),
            Token::Variable(name) => format!("${name}"),
            Token::Symbol(symbol) => (*symbol).to_owned(),
        }))
    }

    fn expect(&mut self, symbol: &str) -> PgResult<()> {
        if self.eat(symbol) { Ok(()) } else { self.unexpected() }
    }

    pub(super) fn path(&mut self) -> PgResult<Path> {
        if *self.peek() == Token::End {
            return Err(PgError::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                "invalid input syntax for type jsonpath: \"\"",
            ));
        }
        let strict = self.eat_word("strict");
        if !strict {
            self.eat_word("lax");
        }
        let root = self.disjunction()?;
        if *self.peek() != Token::End {
            return self.unexpected();
        }
        Ok(Path { strict, root })
    }

    fn predicate(&self, node: Node) -> PgResult<Node> {
        if node.is_predicate() { Ok(node) } else { self.unexpected() }
    }

    fn value(&self, node: Node) -> PgResult<Node> {
        if node.is_predicate() { self.unexpected() } else { Ok(node) }
    }

    fn disjunction(&mut self) -> PgResult<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(PgError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
        }
        let mut left = self.conjunction()?;
        while self.eat("||") {
            left = self.predicate(left)?;
            let right = self.conjunction()?;
            left = Node::Or(Box::new(left), Box::new(self.predicate(right)?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn conjunction(&mut self) -> PgResult<Node> {
        let mut left = self.test()?;
        while self.eat("&&") {
            left = self.predicate(left)?;
            let right = self.test()?;
            left = Node::And(Box::new(left), Box::new(self.predicate(right)?));
        }
        Ok(left)
    }

    fn test(&mut self) -> PgResult<Node> {
        if self.eat("!") {
            let delimited = matches!(self.peek(), Token::Symbol("(")) || self.at_word("exists");
            if !delimited {
                return self.unexpected();
            }
            let operand = self.primary()?;
            return Ok(Node::Not(Box::new(self.predicate(operand)?)));
        }
        let left = self.sum()?;
        let comparison = match self.peek() {
            Token::Symbol("==") => Comparison::Equal,
            Token::Symbol("<>") => Comparison::NotEqual,
            Token::Symbol("<") => Comparison::Less,
            Token::Symbol("<=") => Comparison::LessOrEqual,
            Token::Symbol(">") => Comparison::Greater,
            Token::Symbol(">=") => Comparison::GreaterOrEqual,
            _ => return self.word_test(left),
        };
        let left = Box::new(self.value(left)?);
        self.at += 1;
        let right = self.sum()?;
        Ok(Node::Compare(comparison, left, Box::new(self.value(right)?)))
    }

    /// `starts with`, `like_regex`, `is unknown`.
    fn word_test(&mut self, left: Node) -> PgResult<Node> {
        if self.eat_word("starts") {
            if !self.eat_word("with") {
                return self.unexpected();
            }
            let left = Box::new(self.value(left)?);
            let initial = match self.next() {
                Token::String(text) => Node::String(text),
                Token::Variable(name) => Node::Variable(name),
                _ => {
                    self.at -= 1;
                    return self.unexpected();
                }
            };
            return Ok(Node::StartsWith(left, Box::new(initial)));
        }
        if self.eat_word("like_regex") {
            let operand = Box::new(self.value(left)?);
            let pattern = self.string()?;
            let flags = if self.eat_word("flag") { flags(&self.string()?)? } else { Flags::default() };
            return Ok(Node::LikeRegex { operand, pattern, flags });
        }
        if self.eat_word("is") {
            if !self.eat_word("unknown") {
                return self.unexpected();
            }
            return Ok(Node::IsUnknown(Box::new(self.predicate(left)?)));
        }
        Ok(left)
    }

    fn string(&mut self) -> PgResult<String> {
        match self.next() {
            Token::String(text) => Ok(text),
            _ => {
                self.at -= 1;
                self.unexpected()
            }
        }
    }

    fn sum(&mut self) -> PgResult<Node> {
        let mut left = self.product()?;
        loop {
            let operator = match self.peek() {
                Token::Symbol("+") => Arithmetic::Add,
                Token::Symbol("-") => Arithmetic::Subtract,
                _ => return Ok(left),
            };
            left = self.value(left)?;
            self.at += 1;
            let right = self.product()?;
            left = Node::Arithmetic(operator, Box::new(left), Box::new(self.value(right)?));
        }
    }

    fn product(&mut self) -> PgResult<Node> {
        let mut left = self.signed()?;
        loop {
            let operator = match self.peek() {
                Token::Symbol("*") => Arithmetic::Multiply,
                Token::Symbol("/") => Arithmetic::Divide,
                Token::Symbol("%") => Arithmetic::Modulo,
                _ => return Ok(left),
            };
            left = self.value(left)?;
            self.at += 1;
            let right = self.signed()?;
            left = Node::Arithmetic(operator, Box::new(left), Box::new(self.value(right)?));
        }
    }

    fn signed(&mut self) -> PgResult<Node> {
        let mut signs = Vec::new();
        loop {
            if self.eat("+") {
                signs.push(Sign::Plus);
            } else if self.eat("-") {
                signs.push(Sign::Minus);
            } else {
                break;
            }
            if signs.len() > DEPTH_MAX {
                return Err(PgError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
            }
        }
        let mut node = self.primary()?;
        for sign in signs.into_iter().rev() {
            node = Node::Unary(sign, Box::new(self.value(node)?));
        }
        Ok(node)
    }

    fn primary(&mut self) -> PgResult<Node> {
        let start = match self.next() {
            Token::Symbol("$") => Node::Root,
            Token::Symbol("@") if self.filters == 0 => {
                return refuse("@ is not allowed in root expressions");
            }
            Token::Symbol("@") => Node::Current,
            Token::Symbol("(") => {
                let inner = self.disjunction()?;
                self.expect(")")?;
                inner
            }
            Token::Variable(name) => Node::Variable(name),
            Token::String(text) => Node::String(text),
            Token::Number(text) => Node::Number(Numeric::parse(&text)?),
            Token::Word(word) => match word.to_ascii_lowercase().as_str() {
                // These three are words of JSON: in small letters only.
                "null" if word == "null" => Node::Null,
                "true" if word == "true" => Node::Bool(true),
                "false" if word == "false" => Node::Bool(false),
                "last" if self.subscripts == 0 => {
                    return refuse("LAST is allowed only in array subscripts");
                }
                "last" => Node::Last,
                "exists" => {
                    self.expect("(")?;
                    let operand = self.disjunction()?;
                    let operand = self.value(operand)?;
                    self.expect(")")?;
                    return Ok(Node::Exists(Box::new(operand)));
                }
                _ => {
                    self.at -= 1;
                    return self.unexpected();
                }
            },
            _ => {
                self.at -= 1;
                return self.unexpected();
            }
        };
        let mut accessors = Vec::new();
        while let Some(accessor) = self.accessor()? {
            accessors.push(accessor);
        }
        Ok(if accessors.is_empty() { start } else { Node::Access(Box::new(start), accessors) })
    }

    fn accessor(&mut self) -> PgResult<Option<Accessor>> {
        if self.eat("[") {
            return self.elements().map(Some);
        }
        if self.eat("?") {
            self.expect("(")?;
            self.filters += 1;
            let condition = self.disjunction()?;
            self.filters -= 1;
            let condition = self.predicate(condition)?;
            self.expect(")")?;
            return Ok(Some(Accessor::Filter(Box::new(condition))));
        }
        if !self.eat(".") {
            return Ok(None);
        }
        Ok(Some(match self.next() {
            Token::Symbol("*") => Accessor::AnyKey,
            Token::Symbol("**") => self.levels()?,
            Token::String(key) => Accessor::Key(key),
            Token::Word(word) => match self.method(&word)? {
                Some(method) => Accessor::Method(method),
                None => Accessor::Key(word),
            },
            _ => {
                self.at -= 1;
                return self.unexpected();
            }
        }))
    }

    fn method(&mut self, word: &str) -> PgResult<Option<Method>> {
        let method = match word.to_ascii_lowercase().as_str() {
            "abs" => Method::Abs,
            "size" => Method::Size,
            "type" => Method::Type,
            "floor" => Method::Floor,
            "ceiling" => Method::Ceiling,
            "double" => Method::Double,
            "keyvalue" => Method::KeyValue,
            "datetime" => Method::Datetime(None),
            _ => return Ok(None),
        };
        if !self.eat("(") {
            return Ok(None);
        }
        let method = match (method, self.peek()) {
            (Method::Datetime(_), Token::String(_)) => Method::Datetime(Some(self.string()?)),
            (other, _) => other,
        };
        self.expect(")")?;
        Ok(Some(method))
    }

    fn levels(&mut self) -> PgResult<Accessor> {
        if !self.eat("{") {
            return Ok(Accessor::Recursive { first: Some(0), last: None });
        }
        let first = self.level()?;
        let last = if self.eat_word("to") { self.level()? } else { first };
        self.expect("}")?;
        Ok(Accessor::Recursive { first, last })
    }

    fn level(&mut self) -> PgResult<Option<u32>> {
        if self.eat_word("last") {
            return Ok(None);
        }
        match self.next() {
            Token::Number(text) => text.parse().map(Some).or_else(|_| refuse("an invalid level of jsonpath")),
            _ => {
                self.at -= 1;
                self.unexpected()
            }
        }
    }

    fn elements(&mut self) -> PgResult<Accessor> {
        if self.eat("*") {
            self.expect("]")?;
            return Ok(Accessor::AnyElement);
        }
        let mut subscripts = Vec::new();
        loop {
            let first = self.subscript()?;
            let last = if self.eat_word("to") { Some(self.subscript()?) } else { None };
            subscripts.push((first, last));
            if self.eat("]") {
                return Ok(Accessor::Elements(subscripts));
            }
            self.expect(",")?;
        }
    }

    fn subscript(&mut self) -> PgResult<Node> {
        self.subscripts += 1;
        let node = self.disjunction()?;
        self.subscripts -= 1;
        self.value(node)
    }
}

fn flags(text: &str) -> PgResult<Flags> {
    let mut flags = Flags::default();
    for flag in text.chars() {
        match flag {
            'i' => flags.ignore_case = true,
            's' => flags.dot_all = true,
            'm' => flags.multiline = true,
            'x' => flags.expanded = true,
            'q' => flags.quote = true,
            other => {
                return Err(PgError::new(SqlState::SYNTAX_ERROR, "invalid input syntax for type jsonpath")
                    .detail(format!("Unrecognized flag character \"{other}\" in LIKE_REGEX predicate.")));
            }
        }
    }
    if flags.expanded && !flags.quote {
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "XQuery \"x\" flag (expanded regular expressions) is not implemented",
        ));
    }
    Ok(flags)
}
