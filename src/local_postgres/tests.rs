//! Real servers in folders of their own; each test has one.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::place::{Place, User, unprivileged_user};
use super::programs::major_version;
use super::{Cluster, Error, Settings, create_database};

#[test]
fn the_version_is_read_from_what_every_packager_prints() {
    let cases = [
        ("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n", Some(15)),
        ("postgres (PostgreSQL) 17.5 (Homebrew)\n", Some(17)),
        ("postgres (PostgreSQL) 18beta1\n", Some(18)),
        ("postgres (PostgreSQL)\n", None),
        ("", None),
    ];
    for (answer, version) in cases {
        assert_eq!(major_version(answer), version, "{answer:?}");
    }
}

#[test]
fn root_runs_the_server_as_postgres_or_else_as_nobody_and_never_as_root() {
    let nobody = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
    let both = format!("{nobody}postgres:x:101:104::/:/bin/sh\n");
    let cases = [
        (both.as_str(), Some(User { uid: 101, gid: 104 })),
        (nobody, Some(User { uid: 65534, gid: 65533 })),
        ("nobody:*:-2:-2::/:/bin/false", Some(User { uid: u32::MAX - 1, gid: u32::MAX - 1 })),
        ("postgres:x:0:0::/:/bin/sh", None),
        ("postgres:x", None),
        ("", None),
    ];
    for (passwd, user) in cases {
        assert_eq!(unprivileged_user(passwd), user, "{passwd:?}");
    }
}

#[test]
fn a_cluster_keeps_its_data_over_a_stop_and_a_crash() {
    let dir = Scratch::new("keeps");
    let mut cluster = Cluster::start(dir.settings()).expect("a cluster");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(create_database(&cluster.url("postgres"), "electric \"quoted\"")).expect("a database");
    runtime.block_on(create_database(&cluster.url("postgres"), "electric \"quoted\"")).expect("the same database");
    let count = |cluster: &Cluster| {
        runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(&cluster.url("postgres"), tokio_postgres::NoTls).await.expect("a connection");
            tokio::spawn(connection);
            let query = "SELECT count(*), current_setting('wal_level') FROM pg_database WHERE datname LIKE 'electric%'";
            let row = client.query_one(query, &[]).await.expect("a row");
            (row.get::<_, i64>(0), row.get::<_, String>(1))
        })
    };
    assert_eq!(count(&cluster), (1, "logical".to_owned()));
    let port = cluster.port();
    assert!(cluster.stop(Duration::from_secs(20)), "a fast stop");
    cluster.start_again().expect("a second start");
    assert_eq!(cluster.port(), port, "the port stays");
    cluster.crash();
    cluster.start_again().expect("a third start");
    assert_eq!(count(&cluster), (1, "logical".to_owned()));
}

#[test]
fn a_folder_has_one_owner_and_an_orphan_is_taken_over() {
    let dir = Scratch::new("orphan");
    let mut first = Cluster::start(Settings { password: Some("secret".into()), ..dir.settings() }).expect("a cluster");
    let refused = Cluster::start(dir.settings()).expect_err("the folder is in use");
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");

    // What a kill -9 leaves behind: the server runs, and nobody holds the lock.
    let mut orphan = first.server.take().expect("a running server");
    let port = first.port();
    drop(first);
    assert!(matches!(orphan.try_wait(), Ok(None)), "the orphan runs");
    let settings = Settings { port, password: Some("secret".into()), ..dir.settings() };
    let second = Cluster::start(settings).expect("the orphan's port is free again");
    assert!(orphan.wait().expect("an exit status").success(), "the orphan was stopped properly");
    assert_eq!(second.url("postgres"), format!("postgresql://postgres:secret@127.0.0.1:{port}/postgres"));
}

#[test]
fn a_stranger_that_got_the_old_process_id_is_left_alone() {
    let dir = Scratch::new("stranger");
    let mut cluster = Cluster::start(dir.settings()).expect("a cluster");
    cluster.crash();
    let data = cluster.dir().join("data");
    drop(cluster);
    let mut stranger = Command::new("sleep").arg("600").spawn().expect("a process");
    let left = format!("{}\n{}\n1\n5432\n\n127.0.0.1\n\nready\n", stranger.id(), data.display());
    fs::write(data.join("postmaster.pid"), left).expect("the file of a dead server");
    let started = Cluster::start(dir.settings());
    let alive = matches!(stranger.try_wait(), Ok(None));
    stranger.kill().expect("the stranger ends");
    stranger.wait().expect("the stranger ends");
    started.expect("the cluster starts");
    assert!(alive, "the stranger was signalled");
}

#[test]
fn what_stops_a_start_is_named() {
    let dir = Scratch::new("refused");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its number").port();
    let error = Cluster::start(Settings { port, ..dir.settings() }).expect_err("the port is taken");
    assert_eq!(error.to_string(), format!("port {port} is taken; stop what listens there or choose another port"));

    let server = vec![("no_such_setting".to_owned(), "1".to_owned())];
    let error = Cluster::start(Settings { server, ..dir.settings() }).expect_err("a setting that does not exist");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

/// A folder in the temporary folder that goes away at the end, with what stands in for it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(env::temp_dir().join(format!("plue-sync-{name}-{}", uuid::Uuid::now_v7().simple())))
    }

    fn settings(&self) -> Settings {
        Settings { dir: self.0.clone(), port: 0, password: None, server: Vec::new(), durable: false }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = Place::prepare(&self.0).map(|place| fs::remove_dir_all(place.dir));
        let _ = fs::remove_dir_all(&self.0);
    }
}
