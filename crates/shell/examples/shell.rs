//! The shell by itself, for work on it without building the server: `cargo run -p shell --example shell -- URL`.

use shell::{ShellOptions, run};

fn main() -> std::process::ExitCode {
    let Some(url) = std::env::args().nth(1) else {
        eprintln!("usage: shell postgresql://user@host:port/database");
        return std::process::ExitCode::FAILURE;
    };
    std::process::ExitCode::from(run(&ShellOptions::new(url)) as u8)
}
