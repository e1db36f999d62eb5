//! Runs files: each in a database of its own, several at a time if wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;

use crate::client::{ServerError, Session};
use crate::options::{Isolation, Options, Target};
use crate::record::{Record, Step};
use crate::report::{Failure, FileReport, Summary};
use crate::server::{Meridian, Postgres};
use crate::{slt, sqlite};

/// Failures of the connection (not of a statement) after which the rest of a file is given up.
const LOST_CONNECTIONS_MAX: usize = 20;

/// Runs everything that the options name, printing as it goes. An error means that it could not be run at all.
pub async fn run(options: &Options) -> Result<Summary, String> {
    let files = find_files(&options.paths)?;
    let known = Arc::new(read_known(options.known.as_deref())?);
    let (url, _server) = start(options).await?;
    let mut reports = futures::stream::iter(files.into_iter().enumerate())
        .map(|(number, file)| {
            let run =
                FileRun { options: options.clone(), url: url.clone(), known: Arc::clone(&known), number };
            // A task of its own, so that files use several processors.
            tokio::spawn(run.run(file))
        })
        .buffered(options.jobs);
    let mut summary = Summary::default();
    while let Some(report) = reports.next().await {
        let report = report.map_err(|error| format!("the run of a file broke: {error}"))??;
        report.print(options.failures_shown);
        summary.files.push(report);
    }
    Ok(summary)
}

/// Servers that live as long as the run.
enum Server {
    Foreign,
    Postgres(#[allow(dead_code, reason = "held for its drop, which stops it")] Postgres),
    Meridian(#[allow(dead_code, reason = "held for its drop, which stops it")] Meridian),
}

async fn start(options: &Options) -> Result<(String, Server), String> {
    match &options.target {
        Target::Url(url) => Ok((url.clone(), Server::Foreign)),
        Target::Postgres => {
            let postgres = Postgres::start()?;
            Ok((postgres.url(), Server::Postgres(postgres)))
        }
        Target::Meridian(binary) => {
            let meridian = Meridian::start(binary, &options.start_flags)?;
            Ok((meridian.url(), Server::Meridian(meridian)))
        }
    }
}

fn find_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = BTreeSet::new();
    for path in paths {
        let count = files.len();
        collect(path, &mut files).map_err(|error| format!("{}: {error}", path.display()))?;
        if files.len() == count {
            return Err(format!("{}: no .slt or .test file there", path.display()));
        }
    }
    Ok(files.into_iter().collect())
}

fn collect(path: &Path, files: &mut BTreeSet<PathBuf>) -> std::io::Result<()> {
    if std::fs::metadata(path)?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else if path.extension().is_some_and(|extension| extension == "slt" || extension == "test") {
        files.insert(path.to_path_buf());
    }
    Ok(())
}

/// Lines `FILE:LINE` with FILE relative to the list's own folder, as lines by file.
type Known = BTreeMap<PathBuf, BTreeSet<u32>>;

fn read_known(list: Option<&Path>) -> Result<Known, String> {
    let mut known = Known::new();
    let Some(list) = list else { return Ok(known) };
    let text = std::fs::read_to_string(list).map_err(|error| format!("{}: {error}", list.display()))?;
    let folder = list.parent().unwrap_or(Path::new(""));
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let parsed = line.rsplit_once(':').and_then(|(file, number)| Some((file, number.parse().ok()?)));
        let (file, number) = parsed.ok_or(format!("{}: \"{line}\" is not FILE:LINE", list.display()))?;
        let file = folder.join(file);
        known.entry(file.canonicalize().unwrap_or(file)).or_default().insert(number);
    }
    Ok(known)
}

struct FileRun {
    options: Options,
    url: String,
    known: Arc<Known>,
    number: usize,
}

enum Source {
    Slt(slt::Script),
    Sqlite(Vec<Record>),
}

impl Source {
    fn records(&self) -> &[Record] {
        match self {
            Source::Slt(script) => &script.records,
            Source::Sqlite(records) => records,
        }
    }
}

impl FileRun {
    async fn run(self, path: PathBuf) -> Result<FileReport, String> {
        let told = |error: String| format!("{}: {error}", path.display());
        let source = if path.extension().is_some_and(|extension| extension == "slt") {
            Source::Slt(slt::parse_file(&path, &self.options.label).map_err(told)?)
        } else {
            let bytes = std::fs::read(&path).map_err(|error| told(error.to_string()))?;
            Source::Sqlite(sqlite::parse(&String::from_utf8_lossy(&bytes)).map_err(told)?)
        };
        let start = Instant::now();
        let mut place = Place::make(self.options.isolation, &self.url, self.number).await.map_err(told)?;
        place.setup = place
            .setup
            .into_iter()
            .chain(self.options.setup.iter().cloned())
            .reduce(|all, next| all + ";" + &next);
        let mut report = self.run_records(&path, source, &place).await?;
        report.time = start.elapsed();
        place.remove().await;
        Ok(report)
    }

    async fn run_records(
        &self,
        path: &Path,
        mut source: Source,
        place: &Place,
    ) -> Result<FileReport, String> {
        let mut report = FileReport { path: path.to_path_buf(), ..FileReport::default() };
        let known = path.canonicalize().ok().and_then(|path| self.known.get(&path));
        let mut sessions: BTreeMap<Option<String>, Session> = BTreeMap::new();
        let mut lost = 0;
        for index in 0..source.records().len() {
            let record = source.records()[index].clone();
            let Step::Run { sql, expected, attempts, backoff } = record.step else {
                match record.step {
                    Step::Sleep(duration) => tokio::time::sleep(duration).await,
                    _ => report.skipped += 1,
                }
                continue;
            };
            if lost >= LOST_CONNECTIONS_MAX {
                let difference = "given up: the connection was lost too often".to_string();
                report.failures.push(Failure { line: record.line, sql, difference });
                continue;
            }
            let session = sessions.entry(record.connection).or_insert_with(|| place.session());
            let limit = Duration::from_secs(self.options.record_seconds_max);
            let mut answer = session.run(&sql, limit).await;
            let mut verdict = expected.check(&answer);
            for _ in 1..attempts {
                if verdict.is_ok() {
                    break;
                }
                tokio::time::sleep(backoff).await;
                answer = session.run(&sql, limit).await;
                verdict = expected.check(&answer);
            }
            lost += usize::from(answer.as_ref().is_err_and(|error| error.code.is_none()));
            match (self.options.record, &mut source, verdict) {
                (true, Source::Slt(script), _) => {
                    script.set_found(index, &answer);
                    report.passed += 1;
                }
                (_, _, Ok(())) => report.passed += 1,
                (_, _, Err(_)) if known.is_some_and(|lines| lines.contains(&record.line)) => {
                    report.known += 1
                }
                (_, _, Err(_)) if answer.as_ref().is_err_and(ServerError::is_unsupported) => {
                    report.unsupported.extend(answer.err().map(|error| error.headline().to_string()));
                }
                (_, _, Err(difference)) => {
                    report.failures.push(Failure { line: record.line, sql, difference })
                }
            }
        }
        if let (true, Source::Slt(script)) = (self.options.record, &source) {
            std::fs::write(path, script.text()?).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(report)
    }
}

/// Where a file's tables live.
struct Place {
    url: String,
    setup: Option<String>,
    removal: Option<(String, String)>,
}

impl Place {
    async fn make(isolation: Isolation, url: &str, number: usize) -> Result<Place, String> {
        let name = format!("sqltest_{}_{number}", std::process::id());
        let (create, drop, place_url, setup) = match isolation {
            Isolation::None => return Ok(Place { url: url.to_string(), setup: None, removal: None }),
            Isolation::Database => {
                let place_url = with_database(url, &name)?;
                (
                    format!("CREATE DATABASE {name}"),
                    format!("DROP DATABASE IF EXISTS {name}"),
                    place_url,
                    None,
                )
            }
            Isolation::Schema => {
                let drop = format!("DROP SCHEMA IF EXISTS {name} CASCADE");
                (
                    format!("CREATE SCHEMA {name}"),
                    drop,
                    url.to_string(),
                    Some(format!("SET search_path = {name}")),
                )
            }
        };
        let limit = Duration::from_secs(60);
        let mut administrator = Session::new(url.to_string(), None);
        administrator.run(&create, limit).await.map_err(|error| format!("{create}: {}", error.text()))?;
        Ok(Place { url: place_url, setup, removal: Some((url.to_string(), drop)) })
    }

    fn session(&self) -> Session {
        Session::new(self.url.clone(), self.setup.clone())
    }

    async fn remove(self) {
        let Some((url, drop)) = self.removal else { return };
        // PostgreSQL refuses while a backend of the closed sessions is still ending: a few attempts.
        for _ in 0..20 {
            match Session::new(url.clone(), None).run(&drop, Duration::from_secs(60)).await {
                Err(error) if error.code.as_deref() == Some("55006") => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return eprintln!("{drop}: {}", error.text()),
                Ok(_) => return,
            }
        }
    }
}

/// The URL with another database.
fn with_database(url: &str, name: &str) -> Result<String, String> {
    let wrong = || format!("\"{url}\" is not of the form postgresql://user@host:port/database");
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let (scheme, rest) = base.split_once("://").ok_or_else(wrong)?;
    let authority = rest.split('/').next().filter(|authority| !authority.is_empty()).ok_or_else(wrong)?;
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Ok(format!("{scheme}://{authority}/{name}{query}"))
}

#[test]
fn a_url_gets_another_database() {
    assert_eq!(with_database("postgresql://u@h:1/d?x=y", "n").as_deref(), Ok("postgresql://u@h:1/n?x=y"));
    assert_eq!(with_database("postgresql://u@h:1", "n").as_deref(), Ok("postgresql://u@h:1/n"));
    assert!(with_database("host=h", "n").is_err());
}
