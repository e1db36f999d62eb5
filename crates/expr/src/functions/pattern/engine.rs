//! Compiled regular expressions that match as PostgreSQL's do.
//!
//! Both engines find the leftmost match; where several begin at one place PostgreSQL takes the longest, the `regex` crate the one
//! that its alternatives and quantifiers prefer: `a|ab` matches "ab" in the one and "a" in the other. So after a match has been
//! found, a lazy DFA that follows all alternatives says how far a match from that place can reach; if further, the groups are
//! found again in the text cut off there. A pattern with a non-greedy quantifier is left to the engine's preferences.
//!
//! Compiled expressions are kept per thread, the most recently used first, as PostgreSQL keeps them per session.

use super::translate::{Options, Translated, invalid, translate};
use regex::{Captures, Regex, RegexBuilder};
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};
use std::cell::RefCell;
use std::rc::Rc;
use types::PgResult;

/// Compiled expressions kept by a thread.
const CACHE_ENTRIES_MAX: usize = 32;
/// Memory that one compiled expression may take.
const COMPILED_BYTES_MAX: usize = 16 << 20;

/// A compiled expression.
pub(super) struct Pattern {
    regex: Regex,
    longest: Option<Longest>,
}

/// What finds the longest match from a given start.
struct Longest {
    dfa: DFA,
    cache: RefCell<Cache>,
    /// The same expression, anchored at the end of the text.
    exact: Regex,
}

struct Cached {
    pattern: String,
    options: Options,
    compiled: Rc<Pattern>,
}

thread_local! {
    static CACHE: RefCell<Vec<Cached>> = const { RefCell::new(Vec::new()) };
}

/// The compiled form of a pattern. 2201B when it is malformed, 0A000 for what is not supported.
pub(super) fn compile(pattern: &str, options: Options) -> PgResult<Rc<Pattern>> {
    let options = Options { global: false, ..options };
    let kept = CACHE.with_borrow_mut(|cache| {
        let at = cache.iter().position(|entry| entry.options == options && entry.pattern == pattern)?;
        cache[..=at].rotate_right(1);
        Some(Rc::clone(&cache[0].compiled))
    });
    if let Some(compiled) = kept {
        return Ok(compiled);
    }
    let compiled = Rc::new(Pattern::new(&translate(pattern, options)?)?);
    CACHE.with_borrow_mut(|cache| {
        cache.truncate(CACHE_ENTRIES_MAX - 1);
        cache.insert(0, Cached { pattern: pattern.to_owned(), options, compiled: Rc::clone(&compiled) });
    });
    Ok(compiled)
}

fn build(pattern: &str, options: Options) -> PgResult<Regex> {
    RegexBuilder::new(pattern)
        .case_insensitive(options.ignore_case)
        .dot_matches_new_line(true)
        .multi_line(options.newline_anchors)
        .size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => invalid("regular expression is too complex"),
            other => invalid(&reason(&other)),
        })
}

/// PostgreSQL's words for what the engine found wrong.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let known = [
        ("invalid character class range", "invalid character range"),
        ("unclosed character class", "brackets [] not balanced"),
        ("unclosed group", "parentheses () not balanced"),
        ("unopened group", "parentheses () not balanced"),
        ("repetition", "quantifier operand invalid"),
    ];
    match known.iter().find(|(theirs, _)| text.contains(theirs)) {
        Some((_, ours)) => (*ours).to_owned(),
        None => text.lines().last().unwrap_or("").to_owned(),
    }
}

impl Longest {
    /// `None` when the lazy DFA cannot be built: the engine's preference then stands.
    fn new(pattern: &str, options: Options) -> Option<Longest> {
        let syntax = syntax::Config::new()
            .case_insensitive(options.ignore_case)
            .dot_matches_new_line(true)
            .multi_line(options.newline_anchors);
        let config = DFA::config().match_kind(MatchKind::All).unicode_word_boundary(true);
        let dfa = DFA::builder().configure(config).syntax(syntax).build(pattern).ok()?;
        let cache = RefCell::new(dfa.create_cache());
        let exact = build(&format!("(?:{pattern})\\z"), options).ok()?;
        Some(Longest { dfa, cache, exact })
    }

    /// Where the longest match that begins at `start` ends; `None` when it cannot be told.
    fn end(&self, text: &str, start: usize) -> Option<usize> {
        let input = Input::new(text).range(start..).anchored(Anchored::Yes);
        let found = self.dfa.try_search_fwd(&mut self.cache.borrow_mut(), &input).ok()??;
        Some(found.offset())
    }
}

impl Pattern {
    fn new(translated: &Translated) -> PgResult<Pattern> {
        let regex = build(&translated.pattern, translated.options)?;
        let longest =
            if translated.choices { Longest::new(&translated.pattern, translated.options) } else { None };
        Ok(Pattern { regex, longest })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Groups, the whole match counted.
    pub(super) fn group_count(&self) -> usize {
        self.regex.captures_len()
    }

    /// The first match at or after a byte offset.
    pub(super) fn captures_at<'t>(&self, text: &'t str, at: usize) -> Option<Captures<'t>> {
        if at > text.len() {
            return None;
        }
        let Some(longest) = &self.longest else { return self.regex.captures_at(text, at) };
        let found = self.regex.find_at(text, at)?;
        match longest.end(text, found.start()) {
            Some(end) if end > found.end() => longest.exact.captures_at(&text[..end], found.start()),
            _ => self.regex.captures_at(text, at),
        }
    }

    /// All matches, one after the other: after an empty one the search goes on a character further.
    pub(super) fn captures_iter<'p, 't>(
        &'p self,
        text: &'t str,
    ) -> impl Iterator<Item = Captures<'t>> + use<'p, 't> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let captures = self.captures_at(text, at)?;
            let whole = captures.get(0)?;
            at = after_match(text, whole.start(), whole.end());
            Some(captures)
        })
    }
}

/// Where to look next: past a match, one character further when it was empty.
pub(super) fn after_match(text: &str, start: usize, end: usize) -> usize {
    if end > start {
        return end;
    }
    end + text[end..].chars().next().map_or(1, char::len_utf8)
}
