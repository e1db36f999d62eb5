//! Rust sources as the tidy tests see them.
//!
//! The scanner blanks comments, strings and character literals (line breaks stay, so that line numbers hold), and
//! can blank whatever is compiled for tests alone. It is no parser: it counts braces.

use std::path::{Path, PathBuf};

use crate::workspace::root;

/// One source file of a crate.
pub struct Source {
    /// Relative to the top folder, for messages.
    pub path: PathBuf,
    pub crate_name: String,
    pub text: String,
    /// Only for tests: `tests.rs`, or in a folder `tests` or `benches`.
    pub is_test: bool,
}

impl Source {
    /// The text with comments, strings and character literals blanked.
    pub fn code(&self) -> String {
        blank_non_code(&self.text)
    }

    /// The code without what is compiled for tests alone; empty for a test file.
    pub fn shipped_code(&self) -> String {
        if self.is_test { String::new() } else { blank_tests(&self.code()) }
    }
}

/// All sources of the workspace, in the order of their paths.
pub fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let tops = std::fs::read_dir(root().join("crates")).expect("the checkout has crates");
    let mut folders: Vec<PathBuf> = tops.map(|entry| entry.expect("a readable folder").path()).collect();
    folders.push(root().join("xtask"));
    folders.sort();
    for folder in folders {
        let crate_name = folder.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        for path in files_below(&folder) {
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source is UTF-8");
                let relative = path.strip_prefix(root()).expect("it lies in the checkout").to_path_buf();
                let is_test = is_test_path(&relative) || text.contains("#![cfg(test)]");
                found.push(Source { path: relative, crate_name: crate_name.clone(), text, is_test });
            }
        }
    }
    found
}

fn is_test_path(relative: &Path) -> bool {
    let in_test_folder = relative.components().any(|part| {
        let part = part.as_os_str();
        part == "tests" || part == "benches" || part == "examples" || part == "tidy"
    });
    let stem = relative.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    in_test_folder || stem == "tests" || stem.ends_with("_tests")
}

/// All files below a folder, in order; without what tools leave behind.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if ["target", ".git", "meridian-data"].contains(&name.as_str()) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Replaces comments, strings and character literals by spaces.
pub fn blank_non_code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match literal_end(bytes, at) {
            Some(end) => end,
            None => {
                at += 1;
                continue;
            }
        };
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(code).expect("whole literals were blanked")
}

/// Where the comment, string or character literal that begins at `at` ends; `None` if none begins there.
fn literal_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let after_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => Some(at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())),
        [b'/', b'*', ..] => Some(block_comment_end(bytes, at)),
        [b'"', ..] => Some(string_end(bytes, at + 1)),
        [b'b' | b'c', b'"', ..] if !after_word => Some(string_end(bytes, at + 2)),
        [b'r', ..] if !after_word => raw_string_end(bytes, at + 1),
        [b'b' | b'c', b'r', ..] if !after_word => raw_string_end(bytes, at + 2),
        [b'\'', b'\\', ..] => {
            let close = rest[3..].iter().position(|byte| *byte == b'\'')?;
            Some(at + 3 + close + 1)
        }
        // A character, not a lifetime: the closing quote comes after exactly one character.
        [b'\'', first, ..] => {
            let width = match first {
                0..=0x7f => 1,
                0xc0..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            (rest.get(1 + width) == Some(&b'\'')).then_some(at + width + 2)
        }
        _ => None,
    }
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn raw_string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let hashes = bytes[at..].iter().take_while(|byte| **byte == b'#').count();
    at += hashes;
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = &bytes[at + 1..];
    let length = body.windows(close.len()).position(|window| window == close).unwrap_or(body.len());
    Some((at + 1 + length + close.len()).min(bytes.len()))
}

/// Blanks every item under `#[cfg(test)]` or `#[test]`.
pub fn blank_tests(code: &str) -> String {
    let mut blanked = code.as_bytes().to_vec();
    for marker in ["#[cfg(test)]", "#[test]", "#[cfg(any(test"] {
        let mut from = 0;
        while let Some(found) = code[from..].find(marker) {
            let start = from + found;
            let end = item_end(code, start + marker.len());
            for byte in &mut blanked[start..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
            from = end;
        }
    }
    String::from_utf8(blanked).expect("whole items were blanked")
}

/// Where the item that begins at `at` ends: at a `;` outside of braces, or the brace that closes its body.
fn item_end(code: &str, at: usize) -> usize {
    let mut depth = 0usize;
    for (offset, character) in code[at..].char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => return at + offset + 1,
            '{' => return at + offset + block_length(&code[at + offset..]),
            _ => {}
        }
    }
    code.len()
}

/// The length of the block that begins with the brace at the start of `code`.
fn block_length(code: &str) -> usize {
    let mut depth = 0usize;
    for (offset, character) in code.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return offset + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// A function with a body: its name, first line (from 1) and count of lines.
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

pub fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for start in word_positions(code, "fn") {
        let rest = &code[start + 2..];
        let name: String =
            rest.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let end = item_end(code, start + 2);
        if !name.is_empty() && code[..end].ends_with('}') {
            let line = line_of(code, start);
            found.push(Function { name, line, lines: code[start..end].lines().count() });
        }
    }
    found
}

/// Where `word` stands as a word of its own.
pub fn word_positions<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let starts_word = word.starts_with(is_word);
        let ends_word = word.ends_with(is_word);
        !(starts_word && code[..at].ends_with(is_word))
            && !(ends_word && code[at + word.len()..].starts_with(is_word))
    })
}

/// The line, from 1, of a position.
pub fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

#[test]
fn the_scanner_tells_code_from_text() {
    let text = "let a = \"// no\"; // yes \"\nlet b = 'x'; let c: &'a str = r#\"\"}\"#; /* {\n/* */ } */ let d = '\\'';\n";
    let code = blank_non_code(text);
    assert_eq!(code.lines().count(), text.lines().count());
    let words: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(words.join(" "), "let a = ; let b = ; let c: &'a str = ; let d = ;");
}

#[test]
fn the_scanner_blanks_what_is_for_tests() {
    let code =
        "fn a() { x(); }\n#[cfg(test)]\nmod tests {\n fn b() { y(); }\n}\n#[cfg(test)]\nuse z;\nfn c() {}\n";
    let shipped = blank_tests(code);
    assert!(shipped.contains("fn a") && shipped.contains("fn c"));
    assert!(!shipped.contains("fn b") && !shipped.contains("use z"));
}

#[test]
fn functions_are_measured() {
    let code = "trait T { fn none(&self) -> [u8; 2]; }\nfn two(a: [u8; 3])\n-> u8 { if a { b } }\n";
    let found = functions(code);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].name.as_str(), found[0].line, found[0].lines), ("two", 2, 2));
}
