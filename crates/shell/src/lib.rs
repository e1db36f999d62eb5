//! The SQL shell: what `meridian sql` runs.
//!
//! It speaks the PostgreSQL protocol to any server and prints as psql does, to the blank: tables, errors, command tags,
//! `\d`. Scripts that read psql's output can read this one's. A test compares both against PostgreSQL.
//!
//! ```text
//!   -c / -f / terminal --> scan: statements and backslash commands --> session --> client --> server
//!                                                                        |
//!                                                   stdout: tables, tags |  stderr: errors, notices
//! ```
//!
//! What psql has and this shell lacks: a pager, `\copy`, `\e`, `\if`, `\gset`, `\watch`, formats other than aligned,
//! expanded and unaligned. An unknown command is told, not ignored.

// A program around the node: it talks to a person and a server in real time, without `Env`.
#![allow(clippy::disallowed_methods)]

mod client;
mod describe;
mod diagnostics;
mod help;
mod interactive;
mod interrupt;
mod meta;
mod scan;
mod session;
mod table;
mod url;
mod variables;

use std::fs::File;
use std::io::{BufReader, IsTerminal, Write};
use std::path::PathBuf;

pub use url::{ConnectionUrl, TlsMode, UrlError};

use session::{Session, Source};

/// What psql's exit codes say, and this shell's as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Success = 0,
    /// An error of the shell itself, such as a missing file, or a failed `-c`.
    Failure = 1,
    /// The connection could not be made, or was lost.
    Connection = 2,
    /// A script failed under ON_ERROR_STOP.
    Script = 3,
}

/// One `-c` or `-f`, in the order of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Command(String),
    /// `-` is the standard input.
    File(PathBuf),
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct ShellOptions {
    pub url: String,
    /// Without any, statements come from the standard input: with prompts and history, if it is a terminal.
    pub actions: Vec<Action>,
    /// `-t`: no titles, headers and footers.
    pub tuples_only: bool,
    /// `-A`: columns separated by `|`.
    pub unaligned: bool,
    /// `-x`.
    pub expanded: bool,
    /// `-q`: no welcome, no command tags.
    pub quiet: bool,
    /// `-v NAME=VALUE`, such as `ON_ERROR_STOP=1`.
    pub variables: Vec<(String, String)>,
}

impl ShellOptions {
    pub fn new(url: impl Into<String>) -> ShellOptions {
        ShellOptions {
            url: url.into(),
            actions: Vec::new(),
            tuples_only: false,
            unaligned: false,
            expanded: false,
            quiet: false,
            variables: Vec::new(),
        }
    }
}

/// Runs the shell on the process's own standard streams until it is done.
pub fn run(options: &ShellOptions) -> Exit {
    run_with(options, Box::new(std::io::stdout()), Box::new(std::io::stderr()))
}

/// Runs the shell with the given streams for output. The standard input stays the process's own.
pub fn run_with(
    options: &ShellOptions,
    output: Box<dyn Write + Send>,
    mut errors: Box<dyn Write + Send>,
) -> Exit {
    let interactive = options.actions.is_empty() && std::io::stdin().is_terminal();
    let connection = ConnectionUrl::parse(&options.url)
        .map_err(|error| error.to_string())
        .and_then(|url| client::connect_asking(&url, interactive).map_err(|error| error.connect_text()));
    let connection = match connection {
        Ok(connection) => connection,
        Err(message) => {
            // Nothing can be done if even the error stream is gone; the exit code tells.
            let _ = writeln!(errors, "meridian: error: {message}");
            return Exit::Connection;
        }
    };
    let mut session = Session::new(connection, options, output, errors);
    if interactive {
        return interactive::run(&mut session, options.quiet);
    }
    if options.actions.is_empty() {
        return session.run_script(&mut BufReader::new(std::io::stdin()), Source::StandardInput);
    }
    run_actions(&mut session, &options.actions)
}

/// All actions in order. As with psql, the last one's outcome is the exit code, and a failure ends the run only under
/// ON_ERROR_STOP.
fn run_actions(session: &mut Session, actions: &[Action]) -> Exit {
    let mut exit = Exit::Success;
    for action in actions {
        exit = match action {
            Action::Command(text) => session.run_command(text),
            Action::File(path) if path.as_os_str() == "-" => {
                session.run_script(&mut BufReader::new(std::io::stdin()), Source::StandardInput)
            }
            Action::File(path) => match File::open(path) {
                Ok(file) => session.run_script(&mut BufReader::new(file), Source::File(path.clone())),
                Err(error) => {
                    session.complain(&format!(
                        "meridian: error: {}: {}",
                        path.display(),
                        diagnostics::plain(&error)
                    ));
                    Exit::Failure
                }
            },
        };
        let stop = exit != Exit::Success && session.variables.is_on("ON_ERROR_STOP");
        if stop || exit == Exit::Connection || session.wants_to_quit() {
            break;
        }
    }
    exit
}
