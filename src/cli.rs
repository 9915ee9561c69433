//! The commands and their flags. Each reads its settings, listens, and hands over to one function.
//!
//! A flag exists where a person types it; everything else is a setting. A port is tried before anything else is started, so a taken one is
//! told at once, by number and with the flag that changes it.

mod dev;
mod token;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use plue_sync::config::{Config, ElectricConfig, Environment};
use plue_sync::db::migrations;
use plue_sync::postgres::Postgres;
use plue_sync::server::Server;
use secrecy::ExposeSecret;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Agents write sessions, messages and parts; every browser that watches a session sees them at once.
#[derive(Debug, Parser)]
#[command(version, about, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything for one developer, with a Postgres of its own
    Dev(dev::Flags),
    /// Serve the API on the Postgres of DATABASE_URL
    Serve(ServeFlags),
    /// Run the shape engine alone, as an ElectricSQL service for any Postgres, with that service's variables
    Engine(EngineFlags),
    /// Bring the database to the newest migration and stop
    Migrate(FileFlag),
    /// Print a token for development, signed with the secret of the settings
    Token(token::Flags),
}

#[derive(Debug, Args)]
struct EngineFlags {
    /// Where it listens [default: all addresses, as the Electric service, at ELECTRIC_PORT]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
struct FileFlag {
    /// A TOML file over the default settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ServeFlags {
    #[command(flatten)]
    file: FileFlag,
    /// Where the API listens [default: server.listen, 127.0.0.1:4000]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Let whoever reaches the API read and write everything
    #[arg(long)]
    insecure: bool,
}

/// Runs one command to its end: for a server, until SIGINT or SIGTERM.
///
/// # Errors
///
/// What stops a start, in one sentence with its cure.
pub async fn run(arguments: Arguments, environment: &Environment) -> anyhow::Result<()> {
    match arguments.command {
        Command::Dev(flags) => dev::run(flags, environment, stop_on_signals()?).await,
        Command::Serve(flags) => serve(flags, environment).await,
        Command::Engine(flags) => engine(&flags, environment).await,
        Command::Migrate(file) => migrate(file, environment).await,
        Command::Token(flags) => token::run(&flags, environment),
    }
}

async fn serve(flags: ServeFlags, environment: &Environment) -> anyhow::Result<()> {
    let mut config = Config::load(flags.file.config.as_deref(), environment)?;
    config.server.listen = flags.listen.unwrap_or(config.server.listen);
    config.require_database()?;
    match (config.auth.is_set(), flags.insecure) {
        (false, false) => bail!(
            "no authentication is configured: whoever reaches {} could read and write everything; set \
             PLUE_AUTH__JWT_SECRET or PLUE_AUTH__JWKS, or start with --insecure to accept that",
            config.server.listen
        ),
        (true, true) => bail!(
            "--insecure and authentication exclude each other: leave out the flag, or PLUE_AUTH__JWT_SECRET and \
             PLUE_AUTH__JWKS"
        ),
        _ => {}
    }
    let stop = stop_on_signals()?;
    refuse_taken(config.server.listen, "--listen")?;
    let server = Server::start(&config).await?;
    Ok(server.run(stop).await?)
}

async fn engine(flags: &EngineFlags, environment: &Environment) -> anyhow::Result<()> {
    let mut config = ElectricConfig::from_environment(environment)?;
    config.listen = flags.listen.unwrap_or(config.listen);
    if !config.unsupported.is_empty() {
        warn!("these variables have no effect here: {}", config.unsupported.join(", "));
    }
    refuse_taken(config.listen, "ELECTRIC_PORT")?;
    let stop = stop_on_signals()?;
    let server = Server::start_engine(&config)?;
    Ok(server.run(stop).await?)
}

async fn migrate(file: FileFlag, environment: &Environment) -> anyhow::Result<()> {
    let config = Config::load(file.config.as_deref(), environment)?;
    config.require_database()?;
    let postgres = Postgres::from_url(config.database.url.expose_secret())?;
    let ran = migrations::run(&postgres).await?;
    match ran.len() {
        0 => println!("the database is up to date"),
        count => println!("ran {count} migrations: {}", ran.join(", ")),
    }
    Ok(())
}

/// Refuses an address that cannot be listened on; `changed_by` is the flag or variable that chooses another.
fn refuse_taken(address: SocketAddr, changed_by: &str) -> anyhow::Result<()> {
    let tried = TcpListener::bind(address);
    tried.map(drop).with_context(|| format!("cannot listen on {address}; choose another address with {changed_by}"))
}

/// Cancelled by the first SIGINT or SIGTERM. The second ends the process at once.
fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let mut interrupts = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut terminations = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = interrupts.recv() => "SIGINT",
                _ = terminations.recv() => "SIGTERM",
            };
            if asked.is_cancelled() {
                eprintln!("plue-sync: ended at once, by a second signal");
                std::process::exit(130);
            }
            info!("stopping on {name}");
            asked.cancel();
        }
    });
    Ok(stop)
}
