//! `plue-sync dev`: everything for one developer, from one program.
//!
//! Order: look at the ports, start the private Postgres, migrate, serve; and back in the opposite order. Postgres is stopped whatever
//! happened after its start. Nothing here is protected, so nothing here listens beyond this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use plue_sync::config::{Config, DemoConfig, Environment};
use plue_sync::local_postgres::{Cluster, Error, Settings, create_database};
use plue_sync::server::Server;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{FileFlag, refuse_taken, token};

/// Name and password are those of the usual `DATABASE_URL`, so that what was written for it works here.
const DATABASE: &str = "electric";
const PASSWORD: &str = "password";
/// All of a stop must be over in 2 s, and the server before it may take one. A longer checkpoint is cut short: the next start recovers.
const STOP_PATIENCE: Duration = Duration::from_millis(900);

#[derive(Debug, Args)]
pub struct Flags {
    #[command(flatten)]
    file: FileFlag,
    /// Where the API listens; only this machine may reach it [default: server.listen, 127.0.0.1:4000]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Port of the shape engine's own API
    #[arg(long, value_name = "PORT", default_value_t = 3000)]
    engine_port: u16,
    /// Port of the private Postgres
    #[arg(long, value_name = "PORT", default_value_t = 54321)]
    postgres_port: u16,
    /// Folder of the private Postgres and the shape logs
    #[arg(long, value_name = "FOLDER", default_value = ".plue")]
    dir: PathBuf,
    /// Play a session of an agent, to see what it looks like
    #[arg(long)]
    demo: bool,
    /// How many times slower than usual the demo plays; for tests
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, hide = true, value_parser = pace)]
    demo_pace: f64,
}

/// Runs until `stop` is cancelled.
pub async fn run(flags: Flags, environment: &Environment, stop: CancellationToken) -> anyhow::Result<()> {
    let mut config = Config::load(flags.file.config.as_deref(), environment)?;
    config.server.listen = flags.listen.unwrap_or(config.server.listen);
    let address = config.server.listen;
    if !address.ip().is_loopback() {
        bail!(
            "`dev` has ports without authentication and listens on this machine only; choose --listen 127.0.0.1:{}",
            address.port()
        );
    }
    let authorization = match flags.demo && config.auth.is_set() {
        true => Some(format!("Bearer {}", token::for_demo(&config.auth)?).into()),
        false => None,
    };
    config.server.demo = Some(DemoConfig { pace: flags.demo_pace, opens: flags.demo, authorization });
    let engine = SocketAddr::from((Ipv4Addr::LOCALHOST, flags.engine_port));
    refuse_taken(address, "--listen")?;
    refuse_taken(engine, "--engine-port")?;
    let mut cluster = start_postgres(&flags).await?;
    config.server.engine_listen = Some(engine);
    config.server.viewer = true;
    config.server.only_from_here = !config.auth.is_set();
    // ELECTRIC_URL may be set for other programs, and for `serve`: this command brings everything itself.
    config.upstream.url = String::new().into();
    config.database.url = cluster.url(DATABASE).into();
    config.engine.storage_dir = flags.dir.join("shapes");
    let served = serve(&config, &cluster, stop).await;
    spawn_blocking(move || cluster.stop(STOP_PATIENCE)).await.context("cannot stop the private Postgres")?;
    served
}

async fn start_postgres(flags: &Flags) -> anyhow::Result<Cluster> {
    let settings = Settings {
        dir: flags.dir.join("postgres"),
        port: flags.postgres_port,
        password: Some(PASSWORD.to_owned()),
        server: Vec::new(),
        durable: true,
    };
    match spawn_blocking(|| Cluster::start(settings)).await.context("cannot start the private Postgres")? {
        Err(Error::PortTaken { port }) => {
            bail!("port {port} is taken, which the private Postgres needs; choose another with --postgres-port")
        }
        Err(Error::InUse { dir }) => {
            bail!("another `plue-sync dev` uses {}; stop it, or choose another folder with --dir", dir.display())
        }
        started => Ok(started?),
    }
}

async fn serve(config: &Config, cluster: &Cluster, stop: CancellationToken) -> anyhow::Result<()> {
    create_database(&cluster.url("postgres"), DATABASE).await.context("cannot make the database")?;
    if stop.is_cancelled() {
        return Ok(());
    }
    let server = Server::start(config).await?;
    println!("{}", welcome(config, &server.addresses(), &cluster.url(DATABASE), cluster.dir()));
    Ok(server.run(stop).await?)
}

fn pace(text: &str) -> Result<f64, String> {
    let pace = text.parse().ok().filter(|pace: &f64| (0.0..=1000.0).contains(pace));
    pace.ok_or_else(|| "expected a number from 0 to 1000".to_owned())
}

/// What to open, and what to try first.
fn welcome(config: &Config, addresses: &[SocketAddr], url: &str, data: &Path) -> String {
    let [api, engine] = addresses else { return String::new() };
    let (port, data) = (api.port(), data.display());
    let http = if config.server.tls().is_some() { "https" } else { "http" };
    let (to_whom, token) = if config.auth.is_set() {
        let show = " -H \"authorization: Bearer $(plue-sync token --role admin)\"";
        ("to this machine alone; the API asks for a token", show)
    } else {
        ("open to everybody on this machine and to nobody else", "")
    };
    format!(
        "
plue-sync runs, {to_whom}.

  Viewer    {http}://localhost:{port}/   (open this)
  API       {http}://{api}
  engine    http://{engine}/v1/shape   (as the Electric service)
  Postgres  {url}   (its data: {data})

Create a session, then read all of them as a shape:

  curl {http}://{api}/v1/sessions{token} -H 'content-type: application/json' -d '{{\"directory\": \"/tmp\", \"title\": \"First\"}}'
  curl '{http}://{api}/shape?table=sessions'{token}

Ctrl-C stops all of it; the data stays.
"
    )
}
