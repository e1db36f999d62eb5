//! Length, leftovers, and paths of somebody's machine.

use super::source::{files_below, functions, sources, word_positions};
use crate::workspace::root;

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_LONG: usize = 70;
const FUNCTION_LINES_MAX: usize = 150;
/// Readable codebases have 2-3 % of their functions above the long mark.
const LONG_FUNCTIONS_PER_MILLE_MAX: usize = 30;

#[test]
fn files_are_short_enough_to_have_one_concern() {
    let mut complaints = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            complaints
                .push(format!("{}: {lines} lines; is there a noun that wants out?", source.path.display()));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Long functions are told, too many of them or one of unbounded length fail.
#[test]
fn functions_are_short() {
    let (mut count, mut long, mut complaints) = (0, 0, Vec::new());
    for source in sources() {
        for function in functions(&source.shipped_code()) {
            count += 1;
            if function.lines <= FUNCTION_LINES_LONG {
                continue;
            }
            long += 1;
            let (path, line) = (source.path.display(), function.line);
            let told = format!("{path}:{line}: fn {} has {} lines", function.name, function.lines);
            println!("warning: {told}");
            if function.lines > FUNCTION_LINES_MAX {
                complaints.push(told);
            }
        }
    }
    assert!(count > 100, "the scanner found {count} functions");
    assert!(complaints.is_empty(), "above {FUNCTION_LINES_MAX} lines:\n{}\n", complaints.join("\n"));
    let share = long * 1000 / count;
    assert!(
        share <= LONG_FUNCTIONS_PER_MILLE_MAX,
        "{long} of {count} functions are above {FUNCTION_LINES_LONG} lines"
    );
}

#[test]
fn nothing_is_left_unfinished() {
    let mut complaints = Vec::new();
    for source in sources() {
        let code = source.code();
        for word in ["todo!", "unimplemented!", "dbg!"] {
            if word_positions(&code, word).next().is_some() {
                complaints.push(format!("{}: {word}", source.path.display()));
            }
        }
        // Spelled in two parts: this file is a source as well.
        for word in [concat!("FIX", "ME"), concat!("XX", "X"), concat!("TO", "DO")] {
            if word_positions(&source.text, word).next().is_some() {
                complaints.push(format!("{}: {word}: say it in the docs, or do it", source.path.display()));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_crate_opens_with_what_it_is() {
    for source in sources() {
        let name =
            source.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let in_source_folder = source.path.parent().is_some_and(|folder| folder.ends_with("src"));
        if in_source_folder && (name == "lib.rs" || name == "main.rs") {
            let opening = source.text.lines().next().unwrap_or_default();
            assert!(opening.starts_with("//! "), "{}: begin with an essay", source.path.display());
            assert!(!opening.contains("(documentation to come)"), "{}", source.path.display());
        }
    }
}

/// Whoever runs this has a checkout and a home somewhere; neither may have found its way into a file.
#[test]
fn no_file_names_a_path_of_this_machine() {
    let mut paths = vec![root().to_string_lossy().into_owned()];
    if let Some(home) = std::env::var("HOME").ok().filter(|home| home.len() > 1) {
        paths.push(home + "/");
    }
    let mut complaints = Vec::new();
    for file in files_below(&root()) {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        for path in paths.iter().filter(|path| text.contains(path.as_str())) {
            complaints.push(format!("{}: names {path}", file.display()));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
