//! One run of the shell: runs statements and commands, prints what comes of them.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::client::{ClientError, Connection, CopySource, Event, Field, ServerMessage, TransactionStatus};
use crate::interrupt::Interrupt;
use crate::scan::{Piece, Scanner};
use crate::table::{Alignment, Column, Expanded, Footer, Style, Table};
use crate::url::ConnectionUrl;
use crate::variables::Variables;
use crate::{Exit, ShellOptions, diagnostics, meta};

/// Where lines come from, beside the statements themselves: the data of a COPY.
pub trait Lines {
    /// The next line without its break; `None` at the end.
    fn next_line(&mut self) -> std::io::Result<Option<String>>;
}

impl<R: BufRead> Lines for R {
    fn next_line(&mut self) -> std::io::Result<Option<String>> {
        let mut bytes = Vec::new();
        if self.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&bytes);
        Ok(Some(text.trim_end_matches('\n').trim_end_matches('\r').to_string()))
    }
}

/// What a script is called in messages.
#[derive(Clone, Debug)]
pub enum Source {
    StandardInput,
    File(PathBuf),
}

/// Why no more pieces are to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Quit,
    ConnectionLost,
    /// An error under ON_ERROR_STOP.
    Error,
}

/// Whether a statement or command did what it was to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Failed,
    Quit,
    ConnectionLost,
}

pub struct Session {
    connection: Connection,
    output: Box<dyn Write + Send>,
    errors: Box<dyn Write + Send>,
    interrupt: Interrupt,
    interactive: bool,
    quit: bool,
    pub style: Style,
    pub quiet: bool,
    pub timing: bool,
    pub variables: Variables,
    /// The file being run and its line, for messages.
    location: Option<(PathBuf, usize)>,
}

impl Session {
    pub fn new(
        connection: Connection,
        options: &ShellOptions,
        output: Box<dyn Write + Send>,
        errors: Box<dyn Write + Send>,
    ) -> Session {
        let mut variables = Variables::default();
        for (name, value) in &options.variables {
            variables.set(name, value);
        }
        let style = Style {
            expanded: if options.expanded { Expanded::On } else { Expanded::Off },
            unaligned: options.unaligned,
            tuples_only: options.tuples_only,
            ..Style::default()
        };
        Session {
            connection,
            output,
            errors,
            interrupt: Interrupt::default(),
            interactive: false,
            quit: false,
            style,
            quiet: options.quiet,
            timing: false,
            variables,
            location: None,
        }
    }

    pub fn become_interactive(&mut self) {
        self.interactive = true;
        self.interrupt.listen();
    }

    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    pub fn set_terminal_columns(&mut self, columns: Option<usize>) {
        self.style.terminal_columns = columns;
    }

    pub fn wants_to_quit(&self) -> bool {
        self.quit
    }

    pub fn url(&self) -> &ConnectionUrl {
        self.connection.url()
    }

    pub fn database(&self) -> &str {
        &self.connection.url().database
    }

    pub fn transaction_status(&self) -> TransactionStatus {
        self.connection.status()
    }

    pub fn is_superuser(&self) -> bool {
        self.connection.parameter("is_superuser") == Some("on")
    }

    pub fn greeting(&self) -> String {
        let server = self.connection.parameter("server_version").unwrap_or("unknown");
        format!("meridian sql {} (server {server})", env!("CARGO_PKG_VERSION"))
    }

    /// Writes to the output. A reader that has gone away ends the run, quietly.
    pub fn print(&mut self, text: &str) {
        if self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush()).is_err() {
            self.quit = true;
        }
    }

    /// Writes a message of the server to the error stream, with the place in the script that it is about.
    pub fn relay(&mut self, text: &str) {
        let place = match &self.location {
            Some((file, line)) => format!("meridian:{}:{line}: ", file.display()),
            None => String::new(),
        };
        self.warn(&format!("{place}{text}"));
    }

    /// Writes an error of the shell itself to the error stream.
    pub fn complain(&mut self, text: &str) {
        if self.location.is_some() {
            self.relay(&format!("error: {text}"));
        } else {
            self.warn(text);
        }
    }

    /// Writes a line to the error stream as it is.
    pub fn warn(&mut self, text: &str) {
        // Nobody listens to the errors: nothing better can be done with them.
        let _ = writeln!(self.errors, "{}", text.trim_end_matches('\n')).and_then(|()| self.errors.flush());
    }

    /// Runs a `-c`: one backslash command, or statements sent as one query.
    pub fn run_command(&mut self, text: &str) -> Exit {
        let mut input = std::io::BufReader::new(std::io::stdin());
        let outcome = match text.trim_start().strip_prefix('\\') {
            Some(_) => {
                let mut scanner = Scanner::new();
                scanner.feed(text.trim_start());
                let mut outcome = Outcome::Done;
                while let Some(piece) = scanner.next_piece(&self.variables) {
                    outcome = self.run_piece(piece, &mut scanner, &mut input);
                    if outcome != Outcome::Done {
                        break;
                    }
                }
                outcome
            }
            None => self.execute(text, &mut input),
        };
        match outcome {
            Outcome::Done => Exit::Success,
            Outcome::Failed => Exit::Failure,
            Outcome::ConnectionLost => Exit::Connection,
            Outcome::Quit => {
                self.quit = true;
                Exit::Success
            }
        }
    }

    /// Runs all lines of a script.
    pub fn run_script(&mut self, lines: &mut dyn Lines, source: Source) -> Exit {
        let outer = self.location.take();
        if let Source::File(path) = &source {
            self.location = Some((path.clone(), 0));
        }
        let stop = self.run_lines(lines);
        self.location = outer;
        match stop {
            None => Exit::Success,
            Some(Stop::Quit) => {
                self.quit = true;
                Exit::Success
            }
            Some(Stop::ConnectionLost) => Exit::Connection,
            Some(Stop::Error) => Exit::Script,
        }
    }

    fn run_lines(&mut self, lines: &mut dyn Lines) -> Option<Stop> {
        let mut scanner = Scanner::new();
        loop {
            match lines.next_line() {
                Ok(Some(line)) => {
                    self.advance_lines(1);
                    scanner.feed(&line);
                    let stop = self.run_pieces(&mut scanner, lines);
                    if stop.is_some() {
                        return stop;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.complain(&format!("could not read the script: {}", diagnostics::plain(&error)));
                    return Some(Stop::Error);
                }
            }
        }
        // What a script leaves without a semicolon is run as well.
        let rest = scanner.take_buffer();
        if rest.trim().is_empty() {
            return None;
        }
        let outcome = self.execute(&rest, lines);
        self.stop_after(outcome)
    }

    fn advance_lines(&mut self, count: usize) {
        if let Some((_, line)) = &mut self.location {
            *line += count;
        }
    }

    /// Runs whatever the scanner can make of the lines it has been fed.
    pub fn run_pieces(&mut self, scanner: &mut Scanner, lines: &mut dyn Lines) -> Option<Stop> {
        while let Some(piece) = scanner.next_piece(&self.variables) {
            let outcome = self.run_piece(piece, scanner, lines);
            let stop = self.stop_after(outcome);
            if stop.is_some() {
                return stop;
            }
        }
        self.quit.then_some(Stop::Quit)
    }

    fn run_piece(&mut self, piece: Piece, scanner: &mut Scanner, lines: &mut dyn Lines) -> Outcome {
        match piece {
            Piece::Statement(text) => self.execute(&text, lines),
            Piece::Command { name, arguments } => meta::run(self, &name, &arguments, scanner, lines),
        }
    }

    fn stop_after(&self, outcome: Outcome) -> Option<Stop> {
        match outcome {
            Outcome::Done => None,
            Outcome::Quit => Some(Stop::Quit),
            Outcome::ConnectionLost => Some(Stop::ConnectionLost),
            Outcome::Failed if self.variables.is_on("ON_ERROR_STOP") && !self.interactive => {
                Some(Stop::Error)
            }
            Outcome::Failed => None,
        }
    }

    /// Sends a query and prints everything that comes back.
    pub fn execute(&mut self, sql: &str, lines: &mut dyn Lines) -> Outcome {
        let start = Instant::now();
        self.interrupt.set(self.connection.cancel_target());
        let mut copy = CopyLines { lines, announce: self.interactive, done: false, count: 0 };
        let mut events = Vec::new();
        let mut printer = Printer::default();
        let result = {
            let Session { connection, output, .. } = self;
            connection.query(sql, &mut copy, &mut |event| match event {
                // Copied data can be large: it goes out as it comes.
                Event::CopyOut(data) => printer.copied(output.as_mut(), &data),
                other => events.push(other),
            })
        };
        self.interrupt.set(None);
        let copied_lines = copy.count;
        self.advance_lines(copied_lines);
        for event in events {
            printer.take(self, event, sql);
        }
        if let Err(error) = result {
            self.tell_loss(&error);
            return Outcome::ConnectionLost;
        }
        if self.timing {
            self.print(&timing_line(start.elapsed()));
        }
        if printer.failed { Outcome::Failed } else { Outcome::Done }
    }

    /// Runs a query of the shell's own; an error is told and gives `None`.
    pub fn rows(&mut self, sql: &str) -> Option<Vec<Vec<Option<String>>>> {
        let mut rows = Vec::new();
        let mut error = None;
        let result = self.connection.query(sql, &mut NoCopy, &mut |event| match event {
            Event::Row(row) => rows.push(row),
            Event::Error(message) => error = Some(message),
            _ => {}
        });
        if let Err(lost) = result {
            self.tell_loss(&lost);
            return None;
        }
        if let Some(message) = error {
            self.relay(&diagnostics::text(&message, sql));
            return None;
        }
        Some(rows)
    }

    pub fn print_table(&mut self, table: &Table) {
        let text = table.text(&self.style);
        self.print(&text);
    }

    fn tell_loss(&mut self, error: &ClientError) {
        self.relay(&error.to_string());
        self.complain("connection to server was lost");
    }

    /// After a loss: tries once to connect again.
    pub fn reconnect(&mut self) -> bool {
        let url = self.connection.url().clone();
        let outcome = self.connect(&url);
        if let Err(error) = &outcome {
            self.complain(&error.connect_text());
        }
        let verdict = if outcome.is_ok() { "Succeeded" } else { "Failed" };
        self.complain(&format!("Attempting reset: {verdict}."));
        outcome.is_ok()
    }

    /// Replaces the connection; keeps the old one if that fails.
    pub fn connect(&mut self, url: &ConnectionUrl) -> Result<(), ClientError> {
        self.connection = crate::client::connect_asking(url, self.interactive)?;
        Ok(())
    }
}

fn timing_line(elapsed: Duration) -> String {
    let milliseconds = elapsed.as_secs_f64() * 1e3;
    let seconds = elapsed.as_secs_f64();
    if seconds < 1.0 {
        return format!("Time: {milliseconds:.3} ms\n");
    }
    let (minutes, rest) = ((seconds / 60.0).floor(), seconds % 60.0);
    if minutes < 60.0 {
        return format!("Time: {milliseconds:.3} ms ({minutes:02.0}:{rest:06.3})\n");
    }
    let (hours, minutes) = ((minutes / 60.0).floor(), minutes % 60.0);
    format!("Time: {milliseconds:.3} ms ({hours:02.0}:{minutes:02.0}:{rest:06.3})\n")
}

/// The lines up to `\.` as the data of a COPY.
struct CopyLines<'a> {
    lines: &'a mut dyn Lines,
    announce: bool,
    done: bool,
    /// How many lines have been taken out of the script.
    count: usize,
}

impl CopySource for CopyLines<'_> {
    fn next_chunk(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        if std::mem::take(&mut self.announce) {
            println!("Enter data to be copied followed by a newline.");
            println!("End with a backslash and a period on a line by itself, or an EOF signal.");
        }
        if self.done {
            return Ok(None);
        }
        self.count += 1;
        match self.lines.next_line()? {
            Some(line) if line != "\\." => Ok(Some((line + "\n").into_bytes())),
            _ => {
                self.done = true;
                Ok(None)
            }
        }
    }
}

/// The shell's own queries copy nothing.
struct NoCopy;

impl CopySource for NoCopy {
    fn next_chunk(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        Err(std::io::Error::other("no data here"))
    }
}

/// Makes tables of the events of a query.
#[derive(Default)]
struct Printer {
    fields: Option<Vec<Field>>,
    rows: Vec<Vec<Option<String>>>,
    copied: bool,
    failed: bool,
}

impl Printer {
    fn copied(&mut self, output: &mut dyn Write, data: &[u8]) {
        self.copied = true;
        // A reader that has gone away: the next print finds out and ends the run.
        let _ = output.write_all(data);
    }

    fn take(&mut self, session: &mut Session, event: Event, sql: &str) {
        match event {
            Event::Columns(fields) => self.fields = Some(fields),
            Event::Row(row) => self.rows.push(row),
            Event::Complete(tag) => self.complete(session, &tag),
            Event::EmptyQuery => {}
            Event::Error(message) => {
                self.failed = true;
                self.fields = None;
                self.rows.clear();
                tell(session, &message, sql);
            }
            Event::Notice(message) => tell(session, &message, sql),
            Event::Notification { channel, payload, process } => {
                let with =
                    if payload.is_empty() { String::new() } else { format!(" with payload \"{payload}\"") };
                session.print(&format!(
                    "Asynchronous notification \"{channel}\"{with} received from server process with PID {process}.\n"
                ));
            }
            Event::CopyOut(_) => {}
        }
    }

    fn complete(&mut self, session: &mut Session, tag: &str) {
        let copied = std::mem::take(&mut self.copied);
        let mut show_tag = !copied;
        if let Some(fields) = self.fields.take() {
            let columns = fields
                .into_iter()
                .map(|field| Column { name: field.name, alignment: Alignment::of_type(field.type_oid) });
            let rows = std::mem::take(&mut self.rows);
            session.print_table(&Table {
                title: None,
                columns: columns.collect(),
                rows,
                footer: Footer::RowCount,
            });
            show_tag = ["INSERT", "UPDATE", "DELETE"].iter().any(|verb| tag.starts_with(verb));
        }
        if show_tag && !session.quiet {
            session.print(&format!("{tag}\n"));
        }
    }
}

fn tell(session: &mut Session, message: &ServerMessage, sql: &str) {
    session.relay(&diagnostics::text(message, sql));
}
