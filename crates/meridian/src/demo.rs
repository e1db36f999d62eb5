//! `meridian demo`: a throw-away node in a temporary folder, with a SQL shell.

use std::process::ExitCode;

use anyhow::Context;

use crate::arguments::DemoArguments;
use crate::{logging, start};

pub fn run(arguments: &DemoArguments) -> anyhow::Result<ExitCode> {
    logging::init(false, "warn");
    let folder = tempfile::Builder::new()
        .prefix("meridian-demo-")
        .tempdir()
        .context("a temporary folder cannot be made")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let (node, sql, http) = runtime.block_on(start::start_demo(folder.path().join("data")))?;
    let url = format!("postgresql://postgres@{}/postgres", sql.local_addr()?);
    if arguments.shell.commands.is_empty() && arguments.shell.files.is_empty() && !arguments.shell.quiet {
        println!("A throw-away node: all its data goes when the shell ends.");
        println!("  url: {url}");
    }
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = env::spawn_with_result(
        &(env::RealEnv::with_runtime(runtime.handle().clone()) as std::sync::Arc<dyn env::Env>),
        "demo-server",
        async move {
            node.serve(sql, http, async move {
                // A dropped sender means the same: the shell has ended.
                let _ = stopped.await;
            })
            .await
        },
    );
    let exit = shell::run(&arguments.shell.options(&url));
    // The server may have ended by itself; then there is nobody to tell.
    let _ = stop.send(());
    runtime.block_on(serving).unwrap_or(Ok(()))?;
    Ok(ExitCode::from(exit as u8))
}
