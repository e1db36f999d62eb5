//! The command line of the test runner.

use std::process::ExitCode;

use sqltests::{Options, USAGE};

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--help" || argument == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("sqltests: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sqltests: no runtime: {error}");
            return ExitCode::from(2);
        }
    };
    match runtime.block_on(sqltests::run(&options)) {
        Ok(summary) => {
            for (count, message) in summary.unsupported_features() {
                println!("unsupported {count:5} x {message}");
            }
            println!("{summary}");
            ExitCode::from(u8::from(!summary.is_success(options.unsupported_max)))
        }
        Err(message) => {
            eprintln!("sqltests: {message}");
            ExitCode::from(2)
        }
    }
}
