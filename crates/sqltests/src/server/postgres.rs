//! The machine's own PostgreSQL, as the reference.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};

use tempfile::TempDir;

use super::process::{ServerProcess, free_port};

/// A running PostgreSQL with superuser `postgres` and no password, without fsync. Dropping it stops it.
pub struct Postgres {
    // Before the folder: fields are dropped in order, and the server must end before its folder goes.
    process: ServerProcess,
    programs: PathBuf,
    _folder: TempDir,
}

/// PostgreSQL refuses to run as root; then it runs as this user.
const USER: &str = "postgres";

impl Postgres {
    pub fn start() -> Result<Postgres, String> {
        let programs =
            programs().ok_or("PostgreSQL's server programs (initdb, postgres) are not on this machine")?;
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let identity = Identity::find()?;
        identity.own(folder.path())?;
        let data = folder.path().join("data");
        let mut initdb = identity.command(&programs.join("initdb"));
        initdb.current_dir(folder.path()).arg("-D").arg(&data);
        initdb.args(["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]);
        let output = initdb.output().map_err(|error| format!("initdb cannot be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("initdb failed:\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        let port = free_port()?;
        let mut server = identity.command(&programs.join("postgres"));
        server.current_dir(folder.path()).arg("-D").arg(&data).args(["-p", &port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "timezone=UTC"]
        {
            server.args(["-c", setting]);
        }
        // INT is PostgreSQL's fast shutdown: sessions are ended.
        let process = ServerProcess::start(server, port, &folder.path().join("log"), "INT")?;
        let postgres = Postgres { process, programs, _folder: folder };
        postgres.wait_until_ready()?;
        Ok(postgres)
    }

    /// A server that all users of this process share; it stops with the last of them. (A static would never be dropped,
    /// and leave the server running.)
    pub fn shared() -> Result<Arc<Postgres>, String> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(Postgres::start()?);
        *shared = Arc::downgrade(&started);
        Ok(started)
    }

    /// The port opens a little before the server lets anybody in.
    fn wait_until_ready(&self) -> Result<(), String> {
        for _ in 0..600 {
            let mut check = Command::new(self.programs.join("pg_isready"));
            check.args(["-q", "-h", "127.0.0.1", "-p", &self.port().to_string()]);
            if check.status().is_ok_and(|status| status.success()) {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Err("PostgreSQL started but lets nobody in".to_string())
    }

    pub fn port(&self) -> u16 {
        self.process.port
    }

    pub fn url(&self) -> String {
        format!("postgresql://{USER}@127.0.0.1:{}/postgres", self.port())
    }

    /// The folder of PostgreSQL's programs: psql, pgbench and the others.
    pub fn programs(&self) -> &Path {
        &self.programs
    }
}

/// PATH, then the folder that Debian keeps them in, newest version last.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    folders.sort();
    folders.extend(std::env::split_paths(&path));
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

/// Who runs the server.
struct Identity {
    user_and_group: Option<(u32, u32)>,
}

impl Identity {
    fn find() -> Result<Identity, String> {
        if id(&["-u"])? != 0 {
            return Ok(Identity { user_and_group: None });
        }
        let user = id(&["-u", USER])?;
        let group = id(&["-g", USER])?;
        Ok(Identity { user_and_group: Some((user, group)) })
    }

    fn own(&self, folder: &Path) -> Result<(), String> {
        let (user, group) =
            self.user_and_group.map_or((None, None), |(user, group)| (Some(user), Some(group)));
        std::os::unix::fs::chown(folder, user, group)
            .map_err(|error| format!("{}: {error}", folder.display()))
    }

    fn command(&self, program: &Path) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(program);
        if let Some((user, group)) = self.user_and_group {
            command.uid(user).gid(group);
        }
        command
    }
}

fn id(arguments: &[&str]) -> Result<u32, String> {
    let told = format!(
        "`id {}` failed: PostgreSQL does not run as root, and wants a user \"{USER}\"",
        arguments.join(" ")
    );
    let output = Command::new("id").args(arguments).output().map_err(|_| told.clone())?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| told)
}
