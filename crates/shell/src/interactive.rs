//! At a terminal: prompts, line editing, history.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};

use crate::Exit;
use crate::client::TransactionStatus;
use crate::help;
use crate::scan::Scanner;
use crate::session::{Lines, Session, Stop};

const HISTORY_FILE: &str = ".meridian_history";
const HISTORY_LINES_MAX: usize = 2_000;

type LineEditor = Editor<(), FileHistory>;

pub fn run(session: &mut Session, quiet: bool) -> Exit {
    let config =
        Config::builder().max_history_size(HISTORY_LINES_MAX).map(|builder| builder.auto_add_history(false));
    let editor = config.and_then(|builder| LineEditor::with_config(builder.build()));
    let mut editor = match editor {
        Ok(editor) => editor,
        Err(error) => {
            session.complain(&format!("meridian: error: no line editing here: {error}"));
            return Exit::Failure;
        }
    };
    let history = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(HISTORY_FILE));
    if let Some(file) = &history {
        // The first run has none yet.
        let _ = editor.load_history(file);
    }
    if !quiet {
        session.print(&format!("{}\n{}\n", session.greeting(), help::WELCOME));
    }
    session.become_interactive();
    let mut lines = TerminalLines { editor };
    let exit = converse(session, &mut lines);
    if let Some(file) = &history
        && let Err(error) = lines.editor.append_history(file)
    {
        session.complain(&format!("could not save history to file \"{}\": {error}", file.display()));
    }
    exit
}

struct TerminalLines {
    editor: LineEditor,
}

impl Lines for TerminalLines {
    fn next_line(&mut self) -> std::io::Result<Option<String>> {
        match self.editor.readline(">> ") {
            Ok(line) => Ok(Some(line)),
            Err(ReadlineError::Eof) => Ok(None),
            Err(ReadlineError::Interrupted) => Err(std::io::Error::other("canceled by user")),
            Err(error) => Err(std::io::Error::other(error.to_string())),
        }
    }
}

fn converse(session: &mut Session, lines: &mut TerminalLines) -> Exit {
    let mut scanner = Scanner::new();
    // The lines of the statement so far go into the history as one entry.
    let mut entry = String::new();
    loop {
        session.set_terminal_columns(lines.editor.dimensions().map(|(columns, _)| usize::from(columns)));
        let line = match lines.editor.readline(&prompt(session, &scanner)) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                scanner.reset();
                entry.clear();
                continue;
            }
            Err(ReadlineError::Eof) => {
                session.print("\\q\n");
                return Exit::Success;
            }
            Err(error) => {
                session.complain(&format!("meridian: error: {error}"));
                return Exit::Failure;
            }
        };
        if !entry.is_empty() {
            entry.push('\n');
        }
        entry.push_str(&line);
        scanner.feed(&line);
        let stop = session.run_pieces(&mut scanner, lines);
        if scanner.buffer().is_empty() && !entry.trim().is_empty() {
            // A full disk costs the history, not the session.
            let _ = lines.editor.add_history_entry(std::mem::take(&mut entry));
        } else if scanner.buffer().is_empty() {
            entry.clear();
        }
        match stop {
            Some(Stop::Quit) => return Exit::Success,
            Some(Stop::ConnectionLost) if !session.reconnect() => return Exit::Connection,
            _ => {}
        }
    }
}

/// `database=# `: what is open, whether in a transaction, and `#` for a superuser.
fn prompt(session: &Session, scanner: &Scanner) -> String {
    let transaction = match session.transaction_status() {
        TransactionStatus::Idle => "",
        TransactionStatus::Open => "*",
        TransactionStatus::Failed => "!",
    };
    let end = if session.is_superuser() { '#' } else { '>' };
    format!("{}{}{transaction}{end} ", session.database(), scanner.prompt_mark())
}

/// Asks without showing what is typed.
pub fn ask_password(prompt: &str) -> std::io::Result<String> {
    let echo =
        |setting: &str| Command::new("stty").arg(setting).stdin(std::process::Stdio::inherit()).status();
    eprint!("{prompt}");
    std::io::stderr().flush()?;
    echo("-echo")?;
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    echo("echo")?;
    eprintln!();
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_string())
}
