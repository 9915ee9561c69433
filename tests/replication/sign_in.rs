//! Ways to prove who we are, and to know to whom we speak: for the replication connection and for plain ones.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use plue_sync::engine::replication::{Connection, ReplicationError, SetUpError};
use plue_sync::postgres::Postgres;
use tokio_postgres::NoTls;

use super::DEADLINE;
use crate::support::{OwnCluster, eventually};

/// A cluster with roles that sign in by different methods, and with certificates to choose from.
struct Server {
    cluster: OwnCluster,
    data: PathBuf,
}

impl Server {
    async fn start() -> Self {
        let cluster = OwnCluster::start(&[("unix_socket_directories", "/tmp")]);
        let data = cluster.postgres.dir().join("data");
        let server = Self { cluster, data };
        let roles =
            "CREATE ROLE by_trust LOGIN REPLICATION; CREATE ROLE by_password LOGIN REPLICATION PASSWORD 'Secret 1';
             CREATE ROLE by_scram LOGIN REPLICATION PASSWORD 'Secret 1';
             CREATE ROLE by_scram_and_tls LOGIN REPLICATION PASSWORD 'Secret 1';
             SET password_encryption = 'md5'; CREATE ROLE by_md5 LOGIN REPLICATION PASSWORD 'Secret 1'";
        server.admin(roles).await;
        let rules = "host all postgres,by_trust 127.0.0.1/32 trust\nhost all by_password 127.0.0.1/32 password\n\
             host all by_md5 127.0.0.1/32 md5\nhost all by_scram 127.0.0.1/32 scram-sha-256\n\
             hostssl all by_scram_and_tls 127.0.0.1/32 scram-sha-256\nlocal all by_trust trust\n";
        fs::write(server.data.join("pg_hba.conf"), rules).expect("rules");
        server.reload().await;
        server
    }

    async fn admin(&self, sql: &str) {
        let (client, connection) = tokio_postgres::connect(&self.cluster.url(), NoTls).await.expect("a connection");
        tokio::spawn(connection);
        // `ALTER SYSTEM` cannot run together with others.
        for statement in sql.split(';') {
            client.batch_execute(statement).await.expect(statement);
        }
    }

    /// Lets the server read its files again, and waits until new connections see them.
    async fn reload(&self) {
        let loaded = async || {
            let (client, connection) = tokio_postgres::connect(&self.cluster.url(), NoTls).await.expect("a connection");
            tokio::spawn(connection);
            client.query_one("SELECT pg_conf_load_time()::text", &[]).await.expect("a time").get::<_, String>(0)
        };
        let before = loaded().await;
        self.admin("SELECT pg_reload_conf()").await;
        eventually(DEADLINE, "the new settings", async || {
            let now = loaded().await;
            if now == before { Err(now) } else { Ok(()) }
        })
        .await;
    }

    /// Turns TLS on with this key and certificate.
    async fn use_certificate(&self, name: &str) {
        let owner = fs::metadata(&self.data).expect("a data folder");
        for (from, to) in [(format!("{name}.key"), "server.key"), (format!("{name}.crt"), "server.crt")] {
            let to = self.data.join(to);
            fs::copy(self.file(&from), &to).expect("a copy");
            fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("permissions");
            chown(&to, Some(owner.uid()), Some(owner.gid())).expect("an owner");
        }
        self.admin("ALTER SYSTEM SET ssl = on").await;
        self.reload().await;
    }

    fn file(&self, name: &str) -> PathBuf {
        self.cluster.postgres.dir().join(name)
    }

    /// A self-signed certificate for `localhost` and 127.0.0.1.
    fn self_signed(&self, name: &str, options: &[&str]) {
        let mut arguments = vec!["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
        arguments.extend(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
        arguments.extend(options);
        openssl(self.cluster.postgres.dir(), &arguments, name);
    }

    fn url(&self, role: &str, host: &str, more: &str) -> String {
        let port = self.cluster.postgres.port();
        format!("postgresql://{role}:Secret%201@{host}:{port}/postgres?hostaddr=127.0.0.1&{more}")
    }
}

fn openssl(dir: &Path, arguments: &[&str], name: &str) {
    let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
    let mut command = Command::new("openssl");
    let output = command.args(arguments).args(["-keyout", &key, "-out", &certificate]).current_dir(dir).output();
    let output = output.expect("the openssl program");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Who the server says we are and how, on a replication connection; the plain one must agree.
async fn sign_in(url: &str) -> Result<String, ReplicationError> {
    let sql = "SELECT current_user || ' ' || CASE WHEN ssl THEN 'tls' ELSE 'plain' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let postgres = Postgres::from_url(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    let plain = postgres.connect().await;
    let connected = Connection::connect(&postgres).await;
    assert_eq!(plain.is_ok(), connected.is_ok(), "{url}: {:?} {:?}", plain.err(), connected.err());
    let mut rows = connected?.query(sql).await?;
    let seen = rows.pop().and_then(|mut row| row.pop()?).expect("one value");
    let plain = plain.expect("as good as the other").query_one(sql, &[]).await.expect("a row");
    assert_eq!(plain.get::<_, String>(0), seen, "{url}");
    Ok(seen)
}

#[tokio::test]
async fn every_method_of_signing_in_works_and_refusals_are_for_the_operator() {
    let server = Server::start().await;
    for role in ["by_trust", "by_password", "by_md5", "by_scram"] {
        // Without TLS on the server, `prefer` goes on without.
        for mode in ["sslmode=disable", "sslmode=prefer"] {
            let seen = sign_in(&server.url(role, "localhost", mode)).await;
            assert_eq!(seen.expect(role), format!("{role} plain"), "{mode}");
        }
    }
    let socket = format!("postgresql://by_trust@%2Ftmp:{}/postgres?sslmode=require", server.cluster.postgres.port());
    assert_eq!(sign_in(&socket).await.expect("a Unix socket"), "by_trust plain");

    let port = server.cluster.postgres.port();
    //  address, part of the refusal
    let cases = [
        (format!("postgresql://by_scram:wrong@127.0.0.1:{port}/postgres"), "password"),
        (format!("postgresql://by_md5:wrong@127.0.0.1:{port}/postgres"), "password"),
        (format!("postgresql://by_scram@127.0.0.1:{port}/postgres"), "has none"),
        (format!("postgresql://nobody:x@127.0.0.1:{port}/postgres"), "pg_hba.conf"),
        (format!("postgresql://by_scram:Secret%201@127.0.0.1:{port}/postgres?sslmode=require"), "ssl = on"),
        (
            format!("postgresql://by_scram:Secret%201@127.0.0.1:{port}/postgres?channel_binding=require"),
            "channel_binding",
        ),
        (
            format!("postgresql://by_md5:Secret%201@127.0.0.1:{port}/postgres?channel_binding=require"),
            "channel_binding",
        ),
    ];
    for (url, part) in cases {
        match sign_in(&url).await.map_err(SetUpError::from) {
            Err(SetUpError::Fatal(refusal)) => {
                let said = refusal.to_string();
                assert!(said.contains(part) && !said.contains("Secret"), "{url}: {said}");
            }
            other => panic!("{url}: expected a refusal, not {other:?}"),
        }
    }
}

#[tokio::test]
async fn scram_is_bound_to_the_certificate_whatever_its_hash() {
    let server = Server::start().await;
    let rsa = ["-newkey", "rsa:2048"];
    let ecdsa = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    // Not ECDSA with SHA-512: the library of the plain connections knows no binding there.
    let cases = [(&rsa[..], "-sha256"), (&rsa, "-sha384"), (&rsa, "-sha512"), (&ecdsa, "-sha256"), (&ecdsa, "-sha384")];
    for (number, (key, hash)) in cases.into_iter().enumerate() {
        let name = format!("certificate{number}");
        server.self_signed(&name, &[key, &[hash]].concat());
        server.use_certificate(&name).await;
        for binding in ["require", "prefer", "disable"] {
            let more = format!("sslmode=require&channel_binding={binding}");
            let seen = sign_in(&server.url("by_scram_and_tls", "localhost", &more)).await;
            let seen = seen.unwrap_or_else(|error| panic!("{key:?} {hash} {binding}: {error}"));
            assert_eq!(seen, "by_scram_and_tls tls");
        }
    }
    let seen = sign_in(&server.url("by_scram_and_tls", "localhost", "sslmode=prefer")).await;
    assert_eq!(seen.expect("TLS where it is offered"), "by_scram_and_tls tls");
    let error = sign_in(&server.url("by_scram_and_tls", "localhost", "sslmode=disable")).await.expect_err("no TLS");
    assert_eq!(error.code(), Some("28000"), "{error}");
}

#[tokio::test]
async fn certificates_are_believed_as_sslmode_says() {
    let server = Server::start().await;
    server.self_signed("own", &["-newkey", "rsa:2048"]);
    server.self_signed("other", &["-newkey", "rsa:2048"]);
    let dir = server.cluster.postgres.dir().to_owned();
    openssl(
        &dir,
        &["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=authority", "-newkey", "rsa:2048"],
        "authority",
    );
    let leaf = ["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-newkey", "rsa:2048"];
    let signed = ["-CA", "authority.crt", "-CAkey", "authority.key", "-addext", "subjectAltName=DNS:localhost"];
    openssl(&dir, &[&leaf[..], &signed, &["-addext", "basicConstraints=critical,CA:FALSE"]].concat(), "leaf");
    //  the server's, sslmode, sslrootcert, the host we ask for, believed
    let cases = [
        ("own", "require", "", "localhost", true),
        ("own", "require", "", "wrong.example", true),
        ("own", "require", "own", "wrong.example", true),
        ("own", "require", "other", "localhost", false),
        ("own", "verify-ca", "own", "wrong.example", true),
        ("own", "verify-ca", "other", "localhost", false),
        ("own", "verify-full", "own", "localhost", true),
        ("own", "verify-full", "own", "127.0.0.1", true),
        ("own", "verify-full", "own", "wrong.example", false),
        ("own", "verify-full", "", "localhost", false),
        ("leaf", "verify-ca", "authority", "wrong.example", true),
        ("leaf", "verify-full", "authority", "localhost", true),
        ("leaf", "verify-full", "authority", "wrong.example", false),
        ("leaf", "verify-full", "other", "localhost", false),
    ];
    let mut current = "";
    for case in cases {
        let (certificate, mode, root, host, believed) = case;
        if certificate != current {
            server.use_certificate(certificate).await;
            current = certificate;
        }
        let root = match root {
            "" => String::new(),
            name => format!("&sslrootcert={}", server.file(&format!("{name}.crt")).display()),
        };
        let seen = sign_in(&server.url("by_scram", host, &format!("sslmode={mode}{root}"))).await;
        match (believed, &seen) {
            (true, Ok(_)) | (false, Err(ReplicationError::Tls { .. })) => {}
            _ => panic!("{case:?}: {seen:?}"),
        }
    }
}
