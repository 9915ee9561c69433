//! `serve` with a certificate: HTTP/2 inside TLS, with a live stream on it, up to the stop.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::SendRequest;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Folder, SOON, STOP_LIMIT};
use crate::support::{Binary, Database, eventually};

/// Certificate and key for `localhost`, as files.
fn certificate() -> (TempDir, [String; 2]) {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let contents = [("certificate.pem", made.cert.pem()), ("key.pem", made.signing_key.serialize_pem())];
    let files = contents.map(|(name, content)| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path.to_str().expect("a path in UTF-8").to_owned()
    });
    (folder, files)
}

/// An HTTP/2 connection to whoever has this certificate.
async fn connect(address: SocketAddr, certificate: &str) -> SendRequest<Bytes> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).expect("a certificate")).expect("a root");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let socket = TcpStream::connect(address).await.expect("the server listens");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.expect("a handshake");
    let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    actix_rt::spawn(connection);
    client
}

async fn send(client: &SendRequest<Bytes>, method: &str, path: &str, body: &str) -> http::Response<h2::RecvStream> {
    let request = http::Request::builder().method(method).uri(format!("https://localhost{path}"));
    let request = request.header("content-type", "application/json").body(()).expect("a request");
    let mut client = client.clone().ready().await.expect("a connection");
    let (answer, mut stream) = client.send_request(request, false).expect("a stream");
    stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).expect("a body");
    answer.await.expect("an answer")
}

/// Reads until the text is there, or the end; says which, with all that was read.
async fn read_until(body: &mut h2::RecvStream, text: &str) -> (bool, String) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        match timeout(SOON, body.data()).await.unwrap_or_else(|_| panic!("{:?}", String::from_utf8_lossy(&read))) {
            Some(piece) => read.extend_from_slice(&piece.expect("a stream that is not cut")),
            None => return (false, String::from_utf8_lossy(&read).into_owned()),
        }
    }
    (true, String::from_utf8_lossy(&read).into_owned())
}

#[actix_rt::test]
async fn many_live_streams_share_one_connection_inside_tls_and_a_stop_ends_them() {
    const STREAMS: usize = 20;
    let database = Database::fresh().await;
    let (_folder, [certificate, key]) = certificate();
    let env = [
        ("DATABASE_URL", database.url()),
        ("PLUE_SERVER__TLS_CERTIFICATE", &certificate),
        ("PLUE_SERVER__TLS_KEY", &key),
    ];
    let mut serve = Binary::start(&["serve", "--insecure", "--listen", "127.0.0.1:0"], &env).await;
    let url = serve.url();
    let address: SocketAddr = url.strip_prefix("https://").and_then(|rest| rest.parse().ok()).expect(&url);
    let client = connect(address, &certificate).await;
    let handle = eventually(SOON, "a shape", async || {
        let answer = send(&client, "GET", "/shape?table=sessions&offset=-1", "").await;
        let handle = answer.headers().get("electric-handle").and_then(|handle| handle.to_str().ok());
        handle.map(str::to_owned).ok_or_else(|| answer.status().to_string())
    })
    .await;
    let mut streams = Vec::new();
    for number in 0..STREAMS {
        let path =
            format!("/shape?table=sessions&handle={handle}&offset=0_inf&live=true&live_sse=true&client={number}");
        let answer = send(&client, "GET", &path, "").await;
        assert_eq!(answer.status(), 200);
        streams.push(answer.into_body());
    }
    let new = r#"{"id": "ses_tls", "directory": "/src", "title": "Inside TLS"}"#;
    assert_eq!(send(&client, "POST", "/v1/sessions", new).await.status(), 201);
    for body in &mut streams {
        let (is_there, read) = read_until(body, "ses_tls").await;
        assert!(is_there, "{read}");
    }
    let (status, took) = serve.terminate().await;
    assert!(status.success() && took < STOP_LIMIT, "{status} after {took:?}: {}", serve.log());
    for body in &mut streams {
        // A proper end, and no reset.
        assert!(!read_until(body, "what nobody sends").await.0);
    }
    serve.assert_quiet(&[]);
}

#[actix_rt::test]
async fn the_demo_of_a_dev_with_a_certificate_writes_inside_tls() {
    let (_files, [certificate, key]) = certificate();
    let folder = Folder::new();
    let args = [&folder.dev()[..], &["--demo", "--demo-pace", "0"]].concat();
    let env = [("PLUE_SERVER__TLS_CERTIFICATE", certificate.as_str()), ("PLUE_SERVER__TLS_KEY", &key)];
    let dev = Binary::start(&args, &env).await;
    let url = dev.url();
    let client =
        connect(url.strip_prefix("https://").and_then(|rest| rest.parse().ok()).expect(&url), &certificate).await;
    eventually(SOON, "a session of the demo", async || {
        let status = send(&client, "GET", "/v1/sessions/ses_demo_failed", "").await.status();
        if status == 200 { Ok(()) } else { Err(status) }
    })
    .await;
    dev.assert_quiet(&[]);
}
