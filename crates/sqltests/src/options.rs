//! What to run against what.

use std::path::PathBuf;

pub const USAGE: &str = "\
sqltests [OPTIONS] PATH ...

Runs the .slt and .test files at or below the paths, and prints what failed and a summary.
Exit code: 0 if nothing failed, 1 if something did, 2 if the call was wrong or the server cannot be reached.

Against what (one of them):
  --url URL            a running server, as postgresql://user@host:port/database
  --meridian BINARY    starts this binary on a temporary folder
  --postgres           starts the machine's own PostgreSQL on a temporary folder

  --flag FLAG          another flag for `BINARY start`; can be repeated
  --setup SQL          a statement that every connection begins with; can be repeated
  --label LABEL        what skipif and onlyif of .slt files see (meridian, or postgresql with --postgres)
  --isolation KIND     what each file gets of its own: database (default), schema or none
  --known FILE         failures that do not count, as FILE:LINE, relative to FILE's folder
  --unsupported-max N  how many records may answer 0A000 (feature not supported) without being failures (0)
  --jobs N             files run at the same time (1)
  --failures N         failures printed per file (5)
  --seconds N          time allowed for one record (60)
  --record             write the results into the .slt files instead of comparing
";

/// The server under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Url(String),
    Meridian(PathBuf),
    Postgres,
}

/// What a file gets of its own, so that files do not see each other's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    Database,
    Schema,
    None,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub target: Target,
    pub start_flags: Vec<String>,
    /// Statements that every connection begins with.
    pub setup: Vec<String>,
    pub label: String,
    pub isolation: Isolation,
    pub known: Option<PathBuf>,
    pub unsupported_max: usize,
    pub jobs: usize,
    pub failures_shown: usize,
    pub record_seconds_max: u64,
    pub record: bool,
    pub paths: Vec<PathBuf>,
}

impl Options {
    pub fn new(target: Target, paths: Vec<PathBuf>) -> Options {
        let label = if target == Target::Postgres { "postgresql" } else { "meridian" };
        Options {
            target,
            start_flags: Vec::new(),
            setup: Vec::new(),
            label: label.to_string(),
            isolation: Isolation::Database,
            known: None,
            unsupported_max: 0,
            jobs: 1,
            failures_shown: 5,
            record_seconds_max: 60,
            record: false,
            paths,
        }
    }

    /// Reads the command line; an error says what is wrong with it.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut arguments = arguments;
        let mut target = None;
        let mut options = Options::new(Target::Postgres, Vec::new());
        let mut label = None;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} takes a value"));
            match argument.as_str() {
                "--url" => target = Some(Target::Url(value()?)),
                "--meridian" => target = Some(Target::Meridian(value()?.into())),
                "--postgres" => target = Some(Target::Postgres),
                "--flag" => options.start_flags.push(value()?),
                "--setup" => options.setup.push(value()?),
                "--label" => label = Some(value()?),
                "--isolation" => options.isolation = parse_isolation(&value()?)?,
                "--known" => options.known = Some(value()?.into()),
                "--unsupported-max" => options.unsupported_max = parse_number(&argument, &value()?)?,
                "--jobs" => options.jobs = parse_count(&argument, &value()?)?,
                "--failures" => options.failures_shown = parse_count(&argument, &value()?)?,
                "--seconds" => options.record_seconds_max = parse_count(&argument, &value()?)? as u64,
                "--record" => options.record = true,
                flag if flag.starts_with('-') => return Err(format!("there is no option {flag}")),
                path => options.paths.push(path.into()),
            }
        }
        let Some(target) = target else {
            return Err("say what to run against: --url, --meridian or --postgres".to_string());
        };
        if options.paths.is_empty() {
            return Err("say which files or folders to run".to_string());
        }
        let defaults = Options::new(target, Vec::new());
        Ok(Options { label: label.unwrap_or(defaults.label), target: defaults.target, ..options })
    }
}

fn parse_isolation(text: &str) -> Result<Isolation, String> {
    match text {
        "database" => Ok(Isolation::Database),
        "schema" => Ok(Isolation::Schema),
        "none" => Ok(Isolation::None),
        other => Err(format!("--isolation is database, schema or none, not {other}")),
    }
}

fn parse_number(option: &str, text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{option} takes a number, not {text}"))
}

fn parse_count(option: &str, text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or(format!("{option} takes a positive number, not {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_string))
    }

    #[test]
    fn the_command_line_is_read_and_mistakes_are_told() {
        let options =
            parse("--meridian bin/m --flag --tiny --jobs 3 --isolation schema a b").expect("it is right");
        assert_eq!(options.target, Target::Meridian("bin/m".into()));
        assert_eq!((options.label.as_str(), options.jobs, options.paths.len()), ("meridian", 3, 2));
        assert_eq!(parse("--postgres a").expect("it is right").label, "postgresql");
        for wrong in ["a", "--postgres", "--postgres --jobs 0 a", "--postgres --bogus a", "--url"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
