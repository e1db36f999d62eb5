//! A Meridian binary on a temporary folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::process::{ServerProcess, free_port};

/// A running `meridian start`. Dropping it stops it.
pub struct Meridian {
    // Before the folder: fields are dropped in order, and the server must end before its folder goes.
    process: ServerProcess,
    pub http_port: u16,
    host: String,
    binary: PathBuf,
    flags: Vec<String>,
    folder: TempDir,
}

impl Meridian {
    /// Starts the binary on an empty folder; `flags` are added to the ones for folder and ports.
    pub fn start(binary: &Path, flags: &[String]) -> Result<Meridian, String> {
        Meridian::start_at("127.0.0.1", binary, flags)
    }

    /// The same, with SQL listening on another host than loopback (which must be among what it stands for).
    pub fn start_at(host: &str, binary: &Path, flags: &[String]) -> Result<Meridian, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let (process, http_port) = launch(host, binary, flags, folder.path())?;
        let (host, binary) = (host.to_string(), binary.to_path_buf());
        Ok(Meridian { process, http_port, host, binary, flags: flags.to_vec(), folder })
    }

    pub fn port(&self) -> u16 {
        self.process.port
    }

    pub fn url(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port())
    }

    /// The folder that holds the data folder and the log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        data_folder(self.folder.path())
    }

    pub fn process(&mut self) -> &mut ServerProcess {
        &mut self.process
    }

    /// Kills the process at once, and starts another one on the same data.
    pub fn crash_and_restart(&mut self) -> Result<(), String> {
        self.process.signal("KILL");
        self.process.wait(std::time::Duration::from_secs(20)).ok_or("the killed process does not end")?;
        self.start_again()
    }

    /// Stops the process in order.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// Starts another process on the same data. The one before must have ended.
    pub fn start_again(&mut self) -> Result<(), String> {
        (self.process, self.http_port) = launch(&self.host, &self.binary, &self.flags, self.folder.path())?;
        Ok(())
    }
}

fn data_folder(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// How often ports are drawn anew: another process may take one between its being seen free and its being listened on.
const ATTEMPTS: u32 = 5;

fn launch(
    host: &str,
    binary: &Path,
    flags: &[String],
    folder: &Path,
) -> Result<(ServerProcess, u16), String> {
    let mut launched = launch_once(host, binary, flags, folder);
    for _ in 1..ATTEMPTS {
        match &launched {
            Err(error) if error.contains("Address already in use") => {
                launched = launch_once(host, binary, flags, folder);
            }
            _ => break,
        }
    }
    launched
}

fn launch_once(
    host: &str,
    binary: &Path,
    flags: &[String],
    folder: &Path,
) -> Result<(ServerProcess, u16), String> {
    let (sql_port, rpc_port, http_port) = (free_port()?, free_port()?, free_port()?);
    let mut command = Command::new(binary);
    command.arg("start").arg("--data-dir").arg(data_folder(folder));
    command.arg("--listen-sql").arg(format!("{host}:{sql_port}"));
    for (flag, port) in [("--listen-rpc", rpc_port), ("--listen-http", http_port)] {
        command.arg(flag).arg(format!("127.0.0.1:{port}"));
    }
    command.args(flags);
    let process = ServerProcess::start(command, sql_port, &folder.join("log"), "TERM")?;
    Ok((process, http_port))
}
