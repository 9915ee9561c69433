//! Starts logging and runs one command.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use plue_sync::config::Environment;
use plue_sync::telemetry;

/// A waiting long-poll costs 9 KB with this allocator, and 16 KB with the system's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match run(cli::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One sentence: what failed, and each cause behind it.
            eprintln!("plue-sync: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: cli::Arguments) -> anyhow::Result<()> {
    let environment = Environment::of_process(&std::env::current_dir()?)?;
    telemetry::start(&environment)?;
    // The pool and the engine's tasks live on this runtime; the HTTP server's workers have threads of their own.
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads for the runtime");
    actix_rt::System::with_tokio_rt(runtime).block_on(cli::run(arguments, &environment))
}
