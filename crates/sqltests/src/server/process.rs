//! A child process that is a server: waited for until it accepts connections, ended when dropped.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_SECONDS_MAX: u64 = 60;
const STOP_SECONDS_MAX: u64 = 20;

pub struct ServerProcess {
    child: Child,
    pub port: u16,
    stop_signal: &'static str,
}

/// A port of the loopback address that nobody listens on at this moment.
pub fn free_port() -> Result<u16, String> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| format!("no free port: {error}"))?;
    listener.local_addr().map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

impl ServerProcess {
    /// Starts the command, its output going to `log`, and waits until something accepts connections on `port`.
    pub fn start(
        mut command: Command,
        port: u16,
        log: &Path,
        stop_signal: &'static str,
    ) -> Result<ServerProcess, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = std::fs::File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = child.map_err(|error| format!("{program} cannot be started: {error}"))?;
        let mut server = ServerProcess { child, port, stop_signal };
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = server.child.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || Instant::now() > deadline {
                let text = std::fs::read_to_string(log).unwrap_or_default();
                let what = ended.map_or("did not accept connections in time".to_string(), |status| {
                    format!("ended with {status}")
                });
                return Err(format!("{program} {what}; it printed:\n{text}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as TERM.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        // It may have ended already; then there is nobody to signal.
        let _ = Command::new("kill").args(["-s", name, &id]).stderr(Stdio::null()).status();
    }

    /// Waits for the end; `None` if it has not come in time.
    pub fn wait(&mut self, limit: Duration) -> Option<std::process::ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.stop();
    }
}

impl ServerProcess {
    /// Stops it in order, unless it has ended already; kills it if it does not end.
    pub fn stop(&mut self) {
        if self.wait(Duration::ZERO).is_some() {
            return;
        }
        self.signal(self.stop_signal);
        if self.wait(Duration::from_secs(STOP_SECONDS_MAX)).is_none() {
            // Nothing more can be done about a process that cannot be killed.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
