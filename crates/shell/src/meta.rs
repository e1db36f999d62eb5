//! Backslash commands.

use std::fs::File;
use std::io::BufReader;
use std::process::Command;

use crate::describe;
use crate::help;
use crate::scan::{Scanner, split_arguments};
use crate::session::{Lines, Outcome, Session, Source};
use crate::table::Expanded;
use crate::url::ConnectionUrl;
use crate::variables::parse_bool;
use crate::{Exit, diagnostics};

/// Runs one command; what stands in the scanner's buffer is the query that it may be about.
pub fn run(
    session: &mut Session,
    name: &str,
    raw_arguments: &str,
    scanner: &mut Scanner,
    lines: &mut dyn Lines,
) -> Outcome {
    let arguments = split_arguments(raw_arguments, &session.variables);
    let first = arguments.first().map(String::as_str);
    match name {
        "q" | "quit" => return Outcome::Quit,
        "g" | "gx" => return go(session, name == "gx", first, scanner, lines),
        "p" | "print" => {
            let text = match scanner.current() {
                "" => "Query buffer is empty.\n".to_string(),
                query => format!("{query}\n"),
            };
            session.print(&text);
        }
        "r" | "reset" => {
            scanner.take_buffer();
            tell(session, "Query buffer reset (cleared).");
        }
        "?" => session.print(help::COMMANDS),
        "h" | "help" => session.print(help::SQL),
        "copyright" => session.print(help::LICENCE),
        "echo" | "qecho" => session.print(&echo(&arguments)),
        "warn" => {
            let text = echo(&arguments);
            session.warn(&text);
        }
        "i" | "include" => return include(session, first),
        "!" => return shell_command(session, raw_arguments),
        "c" | "connect" => return connect(session, &arguments),
        "conninfo" => connection_info(session),
        "set" => set(session, &arguments),
        "unset" => match first {
            Some(variable) => session.variables.unset(variable),
            None => return missing_argument(session, name),
        },
        "x" => return expanded(session, first),
        "t" => return tuples_only(session, first),
        "timing" => return timing(session, first),
        "a" => {
            session.style.unaligned = !session.style.unaligned;
            tell_format(session);
        }
        "pset" => return pset(session, &arguments),
        _ => return describe::run(session, name, first).unwrap_or_else(|| unknown(session, name)),
    }
    Outcome::Done
}

fn unknown(session: &mut Session, name: &str) -> Outcome {
    session.complain(&format!("invalid command \\{name}"));
    if session.is_interactive() {
        session.complain("Try \\? for help.");
    }
    Outcome::Failed
}

fn missing_argument(session: &mut Session, name: &str) -> Outcome {
    session.complain(&format!("\\{name}: missing required argument"));
    Outcome::Failed
}

fn go(
    session: &mut Session,
    expanded: bool,
    argument: Option<&str>,
    scanner: &mut Scanner,
    lines: &mut dyn Lines,
) -> Outcome {
    if argument.is_some() {
        session.complain("\\g to a file or a command is not supported");
        return Outcome::Failed;
    }
    let query = scanner.take_current();
    if query.trim().is_empty() {
        return Outcome::Done;
    }
    let before = session.style.expanded;
    if expanded {
        session.style.expanded = Expanded::On;
    }
    let outcome = session.execute(&query, lines);
    session.style.expanded = before;
    outcome
}

fn echo(arguments: &[String]) -> String {
    match arguments.split_first() {
        Some((first, rest)) if first == "-n" => rest.join(" "),
        _ => arguments.join(" ") + "\n",
    }
}

fn include(session: &mut Session, file: Option<&str>) -> Outcome {
    let Some(file) = file else { return missing_argument(session, "i") };
    match File::open(file) {
        Ok(opened) => match session.run_script(&mut BufReader::new(opened), Source::File(file.into())) {
            Exit::Success => Outcome::Done,
            Exit::Connection => Outcome::ConnectionLost,
            Exit::Failure | Exit::Script => Outcome::Failed,
        },
        Err(error) => {
            session.complain(&format!("{file}: {}", diagnostics::plain(&error)));
            Outcome::Failed
        }
    }
}

fn shell_command(session: &mut Session, command: &str) -> Outcome {
    match Command::new("sh").arg("-c").arg(command).status() {
        Ok(status) if status.success() => Outcome::Done,
        Ok(_) => Outcome::Failed,
        Err(error) => {
            session.complain(&format!("\\!: failed: {}", diagnostics::plain(&error)));
            Outcome::Failed
        }
    }
}

fn connect(session: &mut Session, arguments: &[String]) -> Outcome {
    let mut url = session.url().clone();
    let given = |index: usize| arguments.get(index).filter(|argument| *argument != "-");
    match given(0) {
        Some(text) if text.contains("://") => match ConnectionUrl::parse(text) {
            Ok(parsed) => url = parsed,
            Err(error) => {
                session.complain(&error.to_string());
                return Outcome::Failed;
            }
        },
        Some(database) => url.database = database.trim_matches('"').to_string(),
        None => {}
    }
    if let Some(user) = given(1) {
        if *user != url.user {
            url.password = None;
        }
        url.user = user.clone();
    }
    if let Some(host) = given(2) {
        url.host = host.clone();
    }
    if let Some(port) = given(3) {
        match port.parse() {
            Ok(port) => url.port = port,
            Err(_) => {
                session.complain(&format!("invalid port number: \"{port}\""));
                return Outcome::Failed;
            }
        }
    }
    if let Err(error) = session.connect(&url) {
        session.complain(&format!("\\connect: {}", error.connect_text()));
        if !session.is_interactive() {
            // What follows in a script was meant for the other database.
            return Outcome::ConnectionLost;
        }
        session.complain("Previous connection kept");
        return Outcome::Failed;
    }
    if !session.quiet {
        session.print(&format!(
            "You are now connected to database \"{}\" as user \"{}\".\n",
            url.database, url.user
        ));
    }
    Outcome::Done
}

fn connection_info(session: &mut Session) {
    let url = session.url();
    let text = format!(
        "You are connected to database \"{}\" as user \"{}\" on host \"{}\" at port \"{}\".\n",
        url.database, url.user, url.host, url.port
    );
    session.print(&text);
}

fn set(session: &mut Session, arguments: &[String]) {
    match arguments.split_first() {
        Some((name, values)) => session.variables.set(name, &values.concat()),
        None => {
            let list: String =
                session.variables.iter().map(|(name, value)| format!("{name} = '{value}'\n")).collect();
            session.print(&list);
        }
    }
}

/// `\t`: as psql does, tells only when it toggles.
fn tuples_only(session: &mut Session, argument: Option<&str>) -> Outcome {
    match argument.map(|text| (text, parse_bool(text))) {
        Some((_, Some(value))) => session.style.tuples_only = value,
        Some((text, None)) => return not_boolean(session, "tuples_only", text),
        None => {
            session.style.tuples_only = !session.style.tuples_only;
            let state = if session.style.tuples_only { "on" } else { "off" };
            tell(session, &format!("Tuples only is {state}."));
        }
    }
    Outcome::Done
}

/// `\timing`: as psql does, tells the state after a mistake as well.
fn timing(session: &mut Session, argument: Option<&str>) -> Outcome {
    let mut outcome = Outcome::Done;
    match argument.map(|text| (text, parse_bool(text))) {
        Some((_, Some(value))) => session.timing = value,
        Some((text, None)) => outcome = not_boolean(session, "\\timing", text),
        None => session.timing = !session.timing,
    }
    let state = if session.timing { "on" } else { "off" };
    tell(session, &format!("Timing is {state}."));
    outcome
}

/// Says what a command has set, unless the shell is to be quiet.
fn tell(session: &mut Session, text: &str) {
    if !session.quiet {
        session.print(&format!("{text}\n"));
    }
}

fn not_boolean(session: &mut Session, command: &str, text: &str) -> Outcome {
    session.complain(&format!("unrecognized value \"{text}\" for \"{command}\": Boolean expected"));
    Outcome::Failed
}

fn expanded(session: &mut Session, argument: Option<&str>) -> Outcome {
    let wanted = match argument {
        None if session.style.expanded == Expanded::Off => Expanded::On,
        None => Expanded::Off,
        Some("auto") => Expanded::Auto,
        Some(text) => match parse_bool(text) {
            Some(true) => Expanded::On,
            Some(false) => Expanded::Off,
            None => {
                session.complain(&format!("unrecognized value \"{text}\" for \"expanded\""));
                session.warn("Available values are: on, off, auto.");
                return Outcome::Failed;
            }
        },
    };
    session.style.expanded = wanted;
    tell(
        session,
        match wanted {
            Expanded::On => "Expanded display is on.",
            Expanded::Off => "Expanded display is off.",
            Expanded::Auto => "Expanded display is used automatically.",
        },
    );
    Outcome::Done
}

fn tell_format(session: &mut Session) {
    let name = if session.style.unaligned { "unaligned" } else { "aligned" };
    tell(session, &format!("Output format is {name}."));
}

fn pset(session: &mut Session, arguments: &[String]) -> Outcome {
    let value = arguments.get(1).map(String::as_str);
    match (arguments.first().map(String::as_str), value) {
        (Some("null"), _) => {
            session.style.null = value.unwrap_or_default().to_string();
            let text = format!("Null display is \"{}\".", session.style.null);
            tell(session, &text);
            Outcome::Done
        }
        (Some("expanded" | "x"), _) => expanded(session, value),
        (Some("tuples_only" | "t"), _) => tuples_only(session, value),
        (Some("format"), Some(format @ ("aligned" | "unaligned"))) => {
            session.style.unaligned = format == "unaligned";
            tell_format(session);
            Outcome::Done
        }
        // There is no pager to be used.
        (Some("pager"), Some("off")) => {
            tell(session, "Pager usage is off.");
            Outcome::Done
        }
        (Some(option), _) => {
            session.complain(&format!(
                "\\pset: unknown option: {option}, or a value that is not supported here"
            ));
            Outcome::Failed
        }
        (None, _) => missing_argument(session, "pset"),
    }
}
