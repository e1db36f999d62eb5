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
    binary: PathBuf,
    flags: Vec<String>,
    folder: TempDir,
}

impl Meridian {
    /// Starts the binary on an empty folder; `flags` are added to the ones for folder and ports.
    pub fn start(binary: &Path, flags: &[String]) -> Result<Meridian, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let (process, http_port) = launch(binary, flags, folder.path())?;
        Ok(Meridian { process, http_port, binary: binary.to_path_buf(), flags: flags.to_vec(), folder })
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

    pub fn process(&mut self) -> &mut ServerProcess {
        &mut self.process
    }

    /// Kills the process at once, and starts another one on the same data.
    pub fn crash_and_restart(&mut self) -> Result<(), String> {
        self.process.signal("KILL");
        self.process.wait(std::time::Duration::from_secs(20)).ok_or("the killed process does not end")?;
        (self.process, self.http_port) = launch(&self.binary, &self.flags, self.folder.path())?;
        Ok(())
    }
}

fn launch(binary: &Path, flags: &[String], folder: &Path) -> Result<(ServerProcess, u16), String> {
    let (sql_port, rpc_port, http_port) = (free_port()?, free_port()?, free_port()?);
    let mut command = Command::new(binary);
    command.arg("start").arg("--data-dir").arg(folder.join("data"));
    for (flag, port) in [("--listen-sql", sql_port), ("--listen-rpc", rpc_port), ("--listen-http", http_port)]
    {
        command.arg(flag).arg(format!("127.0.0.1:{port}"));
    }
    command.args(flags);
    let process = ServerProcess::start(command, sql_port, &folder.join("log"), "TERM")?;
    Ok((process, http_port))
}
