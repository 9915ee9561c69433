//! The commands from outside: what they print, how they end, and what they leave behind.

mod demo;
mod open;
mod tls;
mod token;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, test_kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Binary, Database, eventually};

const SOON: Duration = Duration::from_secs(20);
/// What a stop may take, in all.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Arguments, environment, and what is told.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

#[tokio::test]
async fn a_start_that_cannot_succeed_says_why_and_how_to_mend_it() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("its address");
    let (address, port) = (taken.to_string(), taken.port().to_string());
    let database = ("DATABASE_URL", "postgresql://postgres@127.0.0.1:1/none");
    let secret = ("PLUE_AUTH__JWT_SECRET", "a secret of the tests that is long enough");
    let cases: &[Case] = &[
        (&["serve"], &[], "DATABASE_URL is not set; set it to postgresql://"),
        (&["serve"], &[database], "set PLUE_AUTH__JWT_SECRET or PLUE_AUTH__JWKS, or start with --insecure"),
        (&["serve", "--insecure"], &[database, secret], "--insecure and authentication exclude each other"),
        (&["serve"], &[database, ("PLUE_AUTH__JWT_SECRET", "short")], "auth.jwt_secret"),
        (&["serve", "--listen", "127.0.0.1:0"], &[database, ("PLUE_AUTH__JWKS", "nowhere.json")], "nowhere.json"),
        (
            &["serve"],
            &[database, ("PLUE_SERVER__TLS_KEY", "key.pem")],
            "server.tls_certificate in the settings must be",
        ),
        (&["serve"], &[database, ("PLUE_SERVER__TLS_CERTIFICATE", "a.pem")], "server.tls_key in the settings must be"),
        (
            &["serve", "--insecure", "--listen", "127.0.0.1:0"],
            &[database, ("PLUE_SERVER__TLS_CERTIFICATE", "none.pem"), ("PLUE_SERVER__TLS_KEY", "key.pem")],
            "server.tls_certificate: cannot read none.pem",
        ),
        (&["serve"], &[("PLUE_SERVER__PORT", "1")], "PLUE_SERVER__PORT in the environment is no setting"),
        (&["serve", "--config", "none.toml"], &[], "cannot read none.toml"),
        (&["serve", "--insecure", "--listen", &address], &[database], "choose another address with --listen"),
        (&["serve"], &[("PLUE_LOG", "a=b=c")], "PLUE_LOG must be a list of levels"),
        (&["dev", "--listen", "0.0.0.0:0"], &[], "choose --listen 127.0.0.1:0"),
        (&["dev", "--listen", &address], &[], "choose another address with --listen"),
        (&["dev", "--listen", "127.0.0.1:0", "--engine-port", &port], &[], "choose another address with --engine-port"),
        (
            &["dev", "--listen", "127.0.0.1:0", "--engine-port", "0", "--postgres-port", &port],
            &[],
            "which the private Postgres needs; choose another with --postgres-port",
        ),
        (
            &["dev", "--demo", "--listen", "127.0.0.1:0"],
            &[("PLUE_AUTH__JWKS", "https://issuer.example/jwks.json")],
            "--demo writes with a token that it signs itself",
        ),
        (
            &["dev", "--demo", "--listen", "127.0.0.1:0"],
            &[secret, ("PLUE_AUTH__COLUMN_CLAIMS", "project_id=team")],
            "--demo cannot sign a token here, because the claim team",
        ),
        (&["engine"], &[], "DATABASE_URL is not set"),
        (&["engine"], &[database], "set either ELECTRIC_SECRET="),
        (&["engine"], &[database, ("ELECTRIC_INSECURE", "true"), ("ELECTRIC_PORT", &port)], "with ELECTRIC_PORT"),
        (&["serve", "--insecure", "--listen", "127.0.0.1:0"], &[database], "cannot connect to Postgres"),
        (&["migrate"], &[], "DATABASE_URL is not set"),
        (&["migrate"], &[database], "plue-sync: "),
    ];
    for (args, env, told) in cases {
        let mut binary = Binary::spawn(args, env);
        let status = binary.exit(SOON).await;
        let log = binary.log();
        assert!(!status.success(), "{args:?}: {log}");
        assert!(log.starts_with("plue-sync: ") && log.trim_end().lines().count() == 1, "{args:?}: {log}");
        assert!(log.contains(told), "{args:?}: {log}");
        assert!(!log.contains("panicked"), "{args:?}: {log}");
    }
}

#[tokio::test]
async fn migrating_twice_changes_nothing() {
    let database = Database::fresh().await;
    for expected in ["ran ", "the database is up to date"] {
        let mut binary = Binary::spawn(&["migrate"], &[("DATABASE_URL", database.url())]);
        let status = binary.exit(SOON).await;
        assert!(status.success() && binary.log().contains(expected), "{expected}: {}", binary.log());
        binary.assert_quiet(&[]);
    }
}

#[actix_rt::test]
async fn dev_brings_its_own_postgres_and_takes_it_along() {
    let folder = Folder::new();
    let mut dev = Binary::start(&folder.dev(), &[]).await;
    assert_answers(&dev).await;
    let second = folder.dev();
    let mut second = Binary::spawn(&second, &[]);
    assert!(!second.exit(SOON).await.success(), "{}", second.log());
    assert!(second.log().contains("choose another folder with --dir"), "{}", second.log());

    let postgres = postgres_of(&dev).await;
    let (status, took) = dev.terminate().await;
    assert!(status.success(), "{}", dev.log());
    assert!(took < STOP_LIMIT, "it took {took:?} to stop: {}", dev.log());
    assert!(!is_running(postgres), "Postgres is left");
    dev.assert_quiet(&[]);
}

#[actix_rt::test]
async fn dev_takes_over_what_a_kill_left_behind() {
    let folder = Folder::new();
    let mut killed = Binary::start(&folder.dev(), &[]).await;
    let orphan = postgres_of(&killed).await;
    killed.kill();
    assert!(is_running(orphan), "a kill -9 leaves Postgres running");

    let mut dev = Binary::start(&folder.dev(), &[]).await;
    assert_answers(&dev).await;
    assert!(!is_running(orphan), "the orphan still runs");
    let postgres = postgres_of(&dev).await;
    dev.signal(Signal::INT);
    let status = dev.exit(SOON).await;
    assert!(status.success() && !is_running(postgres), "{}", dev.log());
}

#[actix_rt::test]
async fn the_engine_alone_serves_a_table_of_any_database_to_those_who_know_the_secret() {
    let database = Database::fresh().await;
    let tables = "CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items VALUES (1, 'one')";
    database.connect().await.batch_execute(tables).await.expect("a table");
    let env = [
        ("DATABASE_URL", database.url()),
        ("ELECTRIC_PORT", "0"),
        ("ELECTRIC_SECRET", "hunter2"),
        ("ELECTRIC_MAX_SHAPES", "10"),
    ];
    let mut engine = Binary::start(&["engine"], &env).await;
    let shape = format!("{}/v1/shape?table=items&offset=-1", engine.url());
    let ask = async |url: &str| {
        let mut answer = awc::Client::default().get(url).send().await.expect("an answer");
        (answer.status(), String::from_utf8(answer.body().await.expect("a body").to_vec()).expect("text"))
    };
    let (status, body) = ask(&shape).await;
    assert_eq!(status, 401, "{body}");
    let body = eventually(SOON, "the row", async || {
        let answer = ask(&format!("{shape}&secret=hunter2")).await;
        if answer.0 == 200 { Ok(answer.1) } else { Err(answer) }
    })
    .await;
    assert!(body.contains(r#""value":{"id":"1","name":"one"}"#), "{body}");

    let (status, took) = engine.terminate().await;
    assert!(status.success() && took < STOP_LIMIT, "{status} after {took:?}: {}", engine.log());
    engine.assert_quiet(&["these variables have no effect here: ELECTRIC_MAX_SHAPES"]);
    assert!(!engine.log().contains("hunter2"), "{}", engine.log());
}

#[actix_rt::test]
async fn a_stop_with_hundreds_of_live_readers_is_quick_and_ends_each_answer_properly() {
    const READERS: usize = 300;
    let database = Database::fresh().await;
    let args = ["serve", "--insecure", "--listen", "127.0.0.1:0"];
    let mut serve = Binary::start(&args, &[("DATABASE_URL", database.url())]).await;
    let url = format!("{}/shape?table=sessions&offset=-1", serve.url());
    let handle = eventually(SOON, "a shape", async || {
        let answer = awc::Client::default().get(&url).send().await.map_err(|error| error.to_string())?;
        let handle = answer.headers().get("electric-handle").and_then(|handle| handle.to_str().ok());
        handle.map(str::to_owned).ok_or_else(|| answer.status().to_string())
    })
    .await;
    let address = serve.url().replace("http://", "");
    let mut readers = Vec::new();
    for number in 0..READERS {
        let mode = if number % 2 == 0 { "&live_sse=true" } else { "" };
        let path = format!("/shape?table=sessions&handle={handle}&offset=0_inf&live=true{mode}&client={number}");
        let mut reader = TcpStream::connect(&address).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        reader.write_all(request.as_bytes()).await.expect("a request");
        readers.push(reader);
    }
    // One that the service has not read yet would be lost with its connection.
    let shapes = format!("{}/v1/admin/shapes", serve.url());
    eventually(SOON, "all readers", async || {
        let mut answer = awc::Client::default().get(&shapes).send().await.map_err(|error| error.to_string())?;
        let page: serde_json::Value = answer.json().await.map_err(|error| error.to_string())?;
        if page["shapes"][0]["readers"] == READERS { Ok(()) } else { Err(page.to_string()) }
    })
    .await;
    let streams = readers.iter_mut().step_by(2);
    for stream in streams {
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.expect("the start of an answer");
        assert_eq!(&first, b"HTTP/1.1 200");
    }

    let (status, took) = serve.terminate().await;
    assert!(status.success() && took < STOP_LIMIT, "{status} after {took:?}: {}", serve.log());
    for (number, mut reader) in readers.into_iter().enumerate() {
        let mut rest = String::new();
        reader.read_to_string(&mut rest).await.expect("the rest of an answer");
        let streams = number % 2 == 0;
        let ended = if streams { rest.ends_with("\r\n0\r\n\r\n") } else { rest.starts_with("HTTP/1.1 ") };
        assert!(ended, "reader {number} of {READERS} was cut off: {rest:?}");
    }
    serve.assert_quiet(&[]);
}

/// A folder for `dev --dir`, with every port free to choose.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("plue-sync-dev-{}", uuid::Uuid::now_v7().simple())))
    }

    fn dev(&self) -> [&str; 9] {
        let dir = self.0.to_str().expect("a path of letters");
        ["dev", "--dir", dir, "--listen", "127.0.0.1:0", "--engine-port", "0", "--postgres-port", "0"]
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits until the API and the engine's own port answer.
async fn assert_answers(dev: &Binary) {
    let addresses = eventually(SOON, "two addresses", async || {
        let addresses = dev.addresses();
        if addresses.len() == 2 { Ok(addresses) } else { Err(dev.log()) }
    })
    .await;
    for (address, path) in addresses.iter().zip(["/ready", "/v1/health"]) {
        let url = format!("{address}{path}");
        eventually(SOON, &url, async || {
            let answer = awc::Client::default().get(&url).send().await;
            match answer {
                Ok(answer) if answer.status() == 200 => Ok(()),
                Ok(answer) => Err(answer.status().to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }
}

/// The process id of the Postgres that `dev` started, by the folder that it prints.
async fn postgres_of(dev: &Binary) -> i32 {
    let dir = eventually(SOON, "a data folder", async || {
        let log = dev.log();
        let dir =
            log.split_once("(its data: ").and_then(|(_, rest)| rest.split_once(')')).map(|(dir, _)| dir.to_owned());
        dir.ok_or(log)
    })
    .await;
    let file = fs::read_to_string(PathBuf::from(dir).join("data/postmaster.pid")).expect("a running Postgres");
    file.lines().next().and_then(|line| line.parse().ok()).expect("a process id")
}

/// A zombie, whose parent was killed and whose new one has not looked yet, does not run.
fn is_running(pid: i32) -> bool {
    let Some(id) = Pid::from_raw(pid) else { return false };
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    test_kill_process(id).is_ok() && !state.contains(") Z ")
}
