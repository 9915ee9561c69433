use std::path::Path;

use tokio_postgres::config::{Host, SslMode};

use super::Postgres;

/// Host, port, user, database and encryption in one line.
fn summary(postgres: &Postgres) -> String {
    let config = postgres.config();
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "-".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let encryption = match config.get_ssl_mode() {
        SslMode::Disable => "plain",
        SslMode::Prefer => "maybe",
        _ => "tls",
    };
    format!("{host}:{port} {} {} {encryption}", config.get_user().unwrap_or("-"), config.get_dbname().unwrap_or("-"))
}

#[test]
fn urls_are_read_as_libpq_reads_them() {
    let cases = [
        ("postgresql://u:p@h:5433/d", "h:5433 u d maybe"),
        ("postgres://u@h/d", "h:5432 u d maybe"),
        ("postgresql://u:p%40ss@h/d?sslmode=disable", "h:5432 u d plain"),
        ("postgresql://u:p@h/d?sslmode=allow", "h:5432 u d maybe"),
        ("postgresql://u:p@h/d?sslmode=prefer&application_name=x", "h:5432 u d maybe"),
        ("postgresql://u:p@h/d?sslmode=require", "h:5432 u d tls"),
        ("postgresql://u:p@h/d?sslmode=verify-full", "h:5432 u d tls"),
        ("postgresql://u:p@h/d?sslrootcert=system", "h:5432 u d tls"),
        ("postgresql://u:p@h/d?sslmode=verify%2Dfull&connect_timeout=3", "h:5432 u d tls"),
        ("postgresql://u:p@h/d?sslmode=require&channel_binding=require&gssencmode=disable", "h:5432 u d tls"),
        ("postgresql://u@%2Fvar%2Frun%2Fpostgresql/d?sslmode=require", "/var/run/postgresql:5432 u d plain"),
        ("postgresql:///d?user=u&host=/tmp&port=54399", "/tmp:54399 u d plain"),
        ("postgresql://u@[::1]:6000/d", "::1:6000 u d maybe"),
        ("host=h user=u dbname=d sslmode=require", "h:5432 u d tls"),
        ("host = 'h' user=u password='a \\'b' sslmode = disable dbname=d", "h:5432 u d plain"),
        ("hostaddr=127.0.0.1 user=u dbname=d", "127.0.0.1:5432 u d maybe"),
    ];
    for (url, expected) in cases {
        let read = Postgres::from_url(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(summary(&read), expected, "{url}");
    }
}

#[test]
fn a_url_that_cannot_be_used_is_refused_with_its_cure_and_without_its_password() {
    //  URL, a part of the refusal
    let cases = [
        ("", "no host"),
        ("postgresql://", "no host"),
        ("postgresql:///d?user=u", "no host"),
        ("mysql://u:hunter2@h/d", "scheme"),
        ("postgresql://u:hunter2@h:x/d", "\"port\""),
        ("postgresql://u:hunter2@h:70000/d", "\"port\""),
        ("postgresql://u:hun@ter2@h/d", "%40"),
        ("postgresql://u:hunter2", "\"port\""),
        ("postgresql://u:hunter2@h/d?sslmode=on", "verify-full"),
        ("postgresql://u:hunter2@h/d?sslmode=verify-ca", "sslrootcert"),
        ("postgresql://u:hunter2@h/d?sslmode=require&sslrootcert=system", "verify-full"),
        ("postgresql://u:hunter2@h/d?sslmode=verify-full&sslrootcert=/missing.pem", "/missing.pem"),
        ("postgresql://u:hunter2@h/d?sslmode=verify-full&sslrootcert=/dev/null", "no PEM certificate"),
        ("postgresql://u:hunter2@h/d?sslcert=me.pem", "client certificate"),
        ("postgresql://u:hunter2@h/d?shema=x", "shema"),
        ("postgresql://h/d?user=u&password=x&hunter2=", "not known"),
        ("host=h user=u password=x hunter2=y", "not known"),
        ("postgresql://u:hunter2@h/d?connect_timeout=soon", "connect_timeout"),
        ("postgresql://u:hunter2@h/d?sslmode", "no value"),
        ("postgresql://u:hunter2@h,i/d?port=1,2,3", "\"port\""),
        ("host=h user=u password='hunter2", "quote"),
        ("just words", "no URL"),
        ("postgresql://u:hunter2@h/d?application_name=%FF", "UTF-8"),
    ];
    for (url, part) in cases {
        let refusal = match Postgres::from_url(url) {
            Err(refusal) => format!("{refusal} {refusal:?}"),
            Ok(read) => panic!("{url} was read as {read:?}"),
        };
        assert!(refusal.contains(part), "{url}: {refusal}");
        assert!(!refusal.contains("hunter2") && !refusal.contains("ter2"), "{url}: {refusal}");
    }
}

#[test]
fn a_url_prints_without_its_password() {
    let postgres = Postgres::from_url("postgresql://u:hunter2@h/d").expect("a valid URL");
    assert_eq!(postgres.config().get_password(), Some(&b"hunter2"[..]));
    assert!(!format!("{postgres:?}").contains("hunter2"));
}

#[test]
fn require_with_a_root_certificate_verifies() {
    // Reading the file is what tells `verify-ca` from plain `require`.
    let missing = "postgresql://u@h/d?sslmode=require&sslrootcert=/missing.pem";
    assert!(!Path::new("/missing.pem").exists());
    assert!(Postgres::from_url(missing).is_err());
    assert!(Postgres::from_url("postgresql://u@h/d?sslmode=prefer&sslrootcert=/missing.pem").is_ok());
}
