//! A view's query as text that means the same wherever it is read, laid out as PostgreSQL lays out such text.
//!
//! The query is kept as it was written but for what depends on the session (see [`crate::frozen`]), with the search path along which its names were
//! looked up. For whoever reads it the text is mended, token by token:
//!
//! - Names of relations, functions and types get their schemas unless the reader's search path leads to them.
//! - Columns are qualified by the item of FROM that has them, `*` becomes the columns that it stands for.
//! - The columns of the SELECT list are called what the view calls them.
//! - The clauses of a plain SELECT each begin a line.
//!
//! What is left as written: expressions otherwise (PostgreSQL shows them as it understood them, with the casts that it put in),
//! set operations, and queries with WITH.

use std::collections::BTreeMap;

use types::{PgError, PgResult};

use crate::Catalog;
use crate::ast::{ExpressionKind, Query, QueryBody, Select, StatementKind};
use crate::bind::{NameUse, name_uses};
use crate::catalog::View;
use crate::options::PlanOptions;
use crate::parser::keywords::{Category, Keyword, quote_identifier};
use crate::parser::lexer::{Token, TokenKind, tokenize};

/// Something in a schema.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SchemaObject {
    Relation(types::descriptor::Oid),
    Function(types::descriptor::Oid),
    Type(types::descriptor::Oid),
}

/// The text of a view's query. `schema_of` tells the schema of an object if the reader's search path does not lead to it.
/// Errors: those of binding the query.
pub fn view_query_text(
    view: &View,
    catalog: &dyn Catalog,
    schema_of: &dyn Fn(SchemaObject) -> Option<String>,
) -> PgResult<String> {
    let statement = crate::parser::parse(&view.query)?.into_iter().next();
    let Some(StatementKind::Select(query)) = statement.map(|statement| statement.kind) else {
        return Err(PgError::internal(format!("the view \"{}\" has no query", view.name)));
    };
    let options = PlanOptions { search_path: view.search_path.clone(), ..PlanOptions::default() };
    let (names, columns) = name_uses(&query, catalog, &options)?;
    let wanted: Vec<&str> = view.columns.iter().map(|column| column.name.as_str()).collect();
    let text = Text { source: &view.query, tokens: tokenize(&view.query).list, names, schema_of };
    match &query.body {
        QueryBody::Select(select) if text.is_plain(&query) && text.can_name(select) => {
            Ok(text.laid_out(select, &wanted))
        }
        _ => {
            let plain = text.words(0, text.tokens.len());
            let same = columns.iter().map(|name| &**name).eq(wanted.iter().copied());
            if same {
                return Ok(plain);
            }
            let list: Vec<String> = wanted.iter().map(|name| quote_identifier(name).to_string()).collect();
            let alias = quote_identifier(&view.name);
            Ok(format!("SELECT *\n   FROM ({plain}) {alias}({})", list.join(", ")))
        }
    }
}

/// The text of a query to be kept as a view's, with the columns that `*` stands for today instead of `*`: what is added to a table later
/// is no column of the view, nor moves those of the tables behind it. `*` over columns that a join has merged stays as it is.
pub fn expand_wildcards(text: &str, catalog: &dyn Catalog, options: &PlanOptions) -> PgResult<String> {
    let bound = |text: &str| {
        let statement = crate::parser::parse(text)?.into_iter().next();
        match statement.map(|statement| statement.kind) {
            Some(StatementKind::Select(query)) => name_uses(&query, catalog, options),
            _ => Err(PgError::internal("the view has no query")),
        }
    };
    let (names, columns) = bound(text)?;
    let tokens = tokenize(text).list;
    let mut expanded = String::new();
    let mut copied = 0;
    for (position, meaning) in &names {
        let NameUse::Wildcard(all) = meaning else { continue };
        let is = |index: usize, wanted: &str| {
            let token = tokens.get(index);
            token.is_some_and(|token| &text[token.start as usize..token.end as usize] == wanted)
        };
        let mut star = tokens.partition_point(|token| token.start < *position);
        while is(star + 1, ".") {
            star += 2;
        }
        // TABLE t has none.
        if !is(star, "*") || all.is_empty() {
            continue;
        }
        let list = all
            .iter()
            .map(|(item, column)| format!("{}.{}", quote_identifier(item), quote_identifier(column)));
        expanded.push_str(&text[copied..*position as usize]);
        expanded.push_str(&list.collect::<Vec<_>>().join(", "));
        copied = tokens[star].end as usize;
    }
    expanded.push_str(&text[copied..]);
    // Not if it means something else: an item of FROM may have two columns of one name.
    let is_same = bound(&expanded).is_ok_and(|(_, again)| again == columns);
    Ok(if is_same { expanded } else { text.to_string() })
}

struct Text<'a> {
    source: &'a str,
    tokens: Vec<Token>,
    names: BTreeMap<u32, NameUse>,
    schema_of: &'a dyn Fn(SchemaObject) -> Option<String>,
}

/// What begins a clause after the SELECT list, with what stands before it on its line.
fn clause_indent(keyword: Keyword) -> Option<&'static str> {
    match keyword {
        Keyword::From => Some("   "),
        Keyword::Where | Keyword::Group | Keyword::Order => Some("  "),
        Keyword::Having
        | Keyword::Window
        | Keyword::Limit
        | Keyword::Offset
        | Keyword::Fetch
        | Keyword::For => Some(" "),
        _ => None,
    }
}

impl Text<'_> {
    fn token_text(&self, token: &Token) -> &str {
        &self.source[token.start as usize..token.end as usize]
    }

    /// Begins with SELECT: no WITH, no parenthesis.
    fn is_plain(&self, query: &Query) -> bool {
        query.with.is_none() && self.tokens[0].keyword == Keyword::Select
    }

    /// Whether each column of the SELECT list can be given its name by itself.
    fn can_name(&self, select: &Select) -> bool {
        select.items.iter().all(|item| match &item.expression.kind {
            ExpressionKind::Wildcard(_) => {
                matches!(self.names.get(&item.expression.position), Some(NameUse::Wildcard(_)))
            }
            ExpressionKind::FieldWildcard(_) => false,
            _ => true,
        })
    }

    fn schema_prefix(&self, object: SchemaObject) -> String {
        (self.schema_of)(object).map_or_else(String::new, |schema| format!("{}.", quote_identifier(&schema)))
    }

    fn keyword_at(&self, index: usize) -> Keyword {
        self.tokens.get(index).map_or(Keyword::None, |token| token.keyword)
    }

    /// INNER and OUTER say nothing before JOIN.
    fn is_noise(&self, index: usize) -> bool {
        matches!(self.keyword_at(index), Keyword::Inner | Keyword::Outer)
            && self.keyword_at(index + 1) == Keyword::Join
    }

    /// Whether a word is part of the grammar here: those are shown in capitals. left(...) and its like are functions.
    fn is_grammar(&self, index: usize) -> bool {
        let called = self.tokens.get(index + 1).is_some_and(|next| next.kind == TokenKind::Symbol(b'('));
        match self.keyword_at(index) {
            Keyword::None | Keyword::True | Keyword::False => false,
            Keyword::By | Keyword::Between | Keyword::Exists => true,
            keyword => match keyword.category() {
                Category::Reserved => true,
                Category::TypeFunctionName => !called || keyword == Keyword::Join,
                _ => false,
            },
        }
    }

    /// A token with what belongs before it.
    fn mended(&self, index: usize) -> String {
        let token = &self.tokens[index];
        let written = self.token_text(token);
        if !self.names.contains_key(&token.start) && self.is_grammar(index) {
            return written.to_ascii_uppercase();
        }
        let prefix = match self.names.get(&token.start) {
            Some(NameUse::Relation(id)) => self.schema_prefix(SchemaObject::Relation(*id)),
            Some(NameUse::Function(id)) => self.schema_prefix(SchemaObject::Function(*id)),
            Some(NameUse::Type(id)) => self.schema_prefix(SchemaObject::Type(types::descriptor::Oid(*id))),
            Some(NameUse::Column(item)) => format!("{}.", quote_identifier(item)),
            Some(NameUse::Wildcard(_) | NameUse::Literal(_)) | None => String::new(),
        };
        format!("{prefix}{written}")
    }

    /// The tokens of a range as text: one space where there was any.
    fn words(&self, from: usize, to: usize) -> String {
        let mut text = String::new();
        let mut end = None;
        for (index, token) in self.tokens.iter().enumerate().take(to).skip(from) {
            if matches!(token.kind, TokenKind::End | TokenKind::Symbol(b';')) {
                break;
            }
            if self.is_noise(index) {
                continue;
            }
            if end.is_some_and(|end| token.start > end) {
                text.push(' ');
            }
            end = Some(token.end);
            text.push_str(&self.mended(index));
        }
        text
    }

    fn index_at(&self, position: u32) -> usize {
        self.tokens.partition_point(|token| token.start < position)
    }

    /// The places where clauses begin, outside of parentheses, from a token on; the last one is the end.
    fn clauses(&self, from: usize) -> Vec<usize> {
        let mut starts = Vec::new();
        let mut depth = 0_i32;
        for (index, token) in self.tokens.iter().enumerate().skip(from) {
            match token.kind {
                TokenKind::Symbol(b'(' | b'[') => depth += 1,
                TokenKind::Symbol(b')' | b']') => depth -= 1,
                TokenKind::End | TokenKind::Symbol(b';') => {
                    starts.push(index);
                    return starts;
                }
                _ => {}
            }
            // IS DISTINCT FROM
            let compares = index > 0 && self.tokens[index - 1].keyword == Keyword::Distinct;
            if depth == 0 && !compares && clause_indent(token.keyword).is_some() {
                starts.push(index);
            }
        }
        starts
    }

    /// The commas outside of parentheses between two tokens.
    fn commas(&self, from: usize, to: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let mut depth = 0_i32;
        for (index, token) in self.tokens.iter().enumerate().take(to).skip(from) {
            match token.kind {
                TokenKind::Symbol(b'(' | b'[') => depth += 1,
                TokenKind::Symbol(b')' | b']') => depth -= 1,
                TokenKind::Symbol(b',') if depth == 0 => found.push(index),
                _ => {}
            }
        }
        found
    }

    /// Where the SELECT list begins: after SELECT and what DISTINCT says.
    fn list_start(&self, select: &Select) -> usize {
        let mut at = self.index_at(select.position) + 1;
        match self.tokens[at].keyword {
            Keyword::All => at += 1,
            Keyword::Distinct => {
                at += 1;
                if self.tokens[at].keyword == Keyword::On {
                    let mut depth = 0_i32;
                    loop {
                        at += 1;
                        match self.tokens[at].kind {
                            TokenKind::Symbol(b'(') => depth += 1,
                            TokenKind::Symbol(b')') => depth -= 1,
                            TokenKind::End => break,
                            _ => {}
                        }
                        if depth == 0 {
                            at += 1;
                            break;
                        }
                    }
                }
            }
            _ => {}
        }
        at
    }

    fn laid_out(&self, select: &Select, wanted: &[&str]) -> String {
        let list_start = self.list_start(select);
        let clauses = self.clauses(list_start);
        let list_end = clauses.first().copied().unwrap_or(self.tokens.len());
        let mut ends = self.commas(list_start, list_end);
        ends.push(list_end);
        let mut wanted = wanted.iter();
        let mut columns = Vec::new();
        let mut start = list_start;
        for (item, end) in select.items.iter().zip(ends) {
            match self.names.get(&item.expression.position) {
                Some(NameUse::Wildcard(all))
                    if matches!(item.expression.kind, ExpressionKind::Wildcard(_)) =>
                {
                    for ((item, column), name) in all.iter().zip(wanted.by_ref()) {
                        let text = format!("{}.{}", quote_identifier(item), quote_identifier(column));
                        columns.push(named(text, Some(column), name));
                    }
                }
                _ => {
                    let Some(name) = wanted.next() else { break };
                    let stop = match &item.alias {
                        Some(alias) => self.before_alias(start, self.index_at(alias.position)),
                        None => end,
                    };
                    let own = match &item.expression.kind {
                        ExpressionKind::Column(parts) => parts.last().map(|part| &*part.name),
                        _ => None,
                    };
                    columns.push(named(self.words(start, stop), own, name));
                }
            }
            start = end + 1;
        }
        let mut text = format!("{} {}", self.words(0, list_start), columns.join(",\n    "));
        for pair in clauses.windows(2) {
            let keyword = self.tokens[pair[0]].keyword;
            text.push('\n');
            text.push_str(clause_indent(keyword).unwrap_or("  "));
            text.push_str(&self.clause(keyword, pair[0], pair[1]));
        }
        text
    }

    /// The end of an expression before its alias, AS left out.
    fn before_alias(&self, start: usize, alias: usize) -> usize {
        match alias.checked_sub(1) {
            Some(before) if before > start && self.tokens[before].keyword == Keyword::As => before,
            _ => alias,
        }
    }

    /// A clause; the joins of FROM begin lines.
    fn clause(&self, keyword: Keyword, from: usize, to: usize) -> String {
        if keyword != Keyword::From {
            return self.words(from, to);
        }
        let mut breaks = vec![from];
        let mut depth = 0_i32;
        for index in from + 1..to {
            let token = &self.tokens[index];
            match token.kind {
                TokenKind::Symbol(b'(' | b'[') => depth += 1,
                TokenKind::Symbol(b')' | b']') => depth -= 1,
                _ => {}
            }
            let begins = token.keyword.begins_join();
            let before = self.tokens[index - 1].keyword;
            let within = before == Keyword::Outer || (before.begins_join() && before != Keyword::Join);
            // left(...) and right(...) are functions.
            let called = self.tokens.get(index + 1).is_some_and(|next| next.kind == TokenKind::Symbol(b'('));
            if depth == 0 && begins && !within && (!called || token.keyword == Keyword::Join) {
                breaks.push(index);
            }
        }
        breaks.push(to);
        let pieces: Vec<String> = breaks.windows(2).map(|pair| self.words(pair[0], pair[1])).collect();
        pieces.join("\n     ")
    }
}

/// An item of the SELECT list under a name; `own` is what it is called by itself.
fn named(text: String, own: Option<&str>, name: &str) -> String {
    // What has no name gets none.
    if own == Some(name) || name == "?column?" {
        text
    } else {
        format!("{text} AS {}", quote_identifier(name))
    }
}
