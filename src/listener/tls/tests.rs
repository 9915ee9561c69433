//! TLS over real sockets: what is spoken, who is cut off, and which certificate is shown.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use rcgen::{CertifiedKey as Made, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as ClientStream;

use super::super::tests::{BODY_BYTES, Fate, PATIENCE, serve_as};
use super::*;

/// Files of a certificate.
struct Certificate {
    folder: TempDir,
}

impl Certificate {
    fn new() -> Self {
        let certificate = Self { folder: tempfile::tempdir().expect("a folder") };
        let Made { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        certificate.write(&cert.pem(), &signing_key.serialize_pem());
        certificate
    }

    fn write(&self, certificate: &str, key: &str) {
        let [certificate_file, key_file] = self.files();
        std::fs::write(certificate_file, certificate).expect("a file");
        std::fs::write(key_file, key).expect("a file");
    }

    /// Takes over one file of another, as if that had been written later.
    fn take(&self, other: &Self, number: usize) {
        let (from, to) = (&other.files()[number], &self.files()[number]);
        let later = SystemTime::now() + Duration::from_secs(10);
        std::fs::copy(from, to).expect("a file");
        std::fs::File::options().write(true).open(to).and_then(|file| file.set_modified(later)).expect("its time");
    }

    fn files(&self) -> [PathBuf; 2] {
        ["certificate.pem", "key.pem"].map(|name| self.folder.path().join(name))
    }

    fn read(&self) -> Result<Tls, BadCertificate> {
        let [certificate, key] = self.files();
        Tls::read(&certificate, &key)
    }
}

fn serve_tls() -> (SocketAddr, Fate, Certificate) {
    let certificate = Certificate::new();
    let (address, fate) = serve_as(PATIENCE, Some(certificate.read().expect("a certificate")));
    (address, fate, certificate)
}

/// A connection of a client that believes this certificate alone, and speaks these protocols.
async fn connect(address: SocketAddr, trusted: &Certificate, protocols: &[&[u8]]) -> ClientStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let pem = CertificateDer::from_pem_file(&trusted.files()[0]).expect("a certificate");
    roots.add(pem).expect("a root");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let socket = TcpStream::connect(address).await.expect("the server listens");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.expect("a handshake")
}

#[actix_web::test]
async fn the_client_chooses_between_the_two_versions_of_http() {
    let (address, _, certificate) = serve_tls();
    for protocols in [&[HTTP1][..], &[]] {
        let mut stream = connect(address, &certificate, protocols).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), protocols.first().copied());
        let request = "POST /small HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer and its end");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    }
    let stream = connect(address, &certificate, &[HTTP2, HTTP1]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(HTTP2));
    let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    actix_web::rt::spawn(connection);
    let request = http::Request::post("https://localhost/small").body(()).expect("a request");
    let (answer, mut body) = client.send_request(request, false).expect("a stream");
    body.send_data(Bytes::from_static(b"hello"), true).expect("a body");
    let answer = answer.await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.headers()["content-length"].as_bytes()), (200, &b"5"[..]));
}

#[actix_web::test]
async fn a_reader_that_takes_nothing_is_cut_off_inside_tls_too() {
    let (address, fate, certificate) = serve_tls();
    let mut stream = connect(address, &certificate, &[HTTP1]).await;
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("the server reads");
    assert!(fate.next().await, "it was not for stalling that the body ended");
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest).await;
    assert!(read.is_err() || rest.len() < BODY_BYTES / 4, "{} bytes were kept for it", rest.len());

    let stream = connect(address, &certificate, &[HTTP2]).await;
    let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    actix_web::rt::spawn(connection);
    let request = http::Request::get("https://localhost/large").body(()).expect("a request");
    let stalled = client.send_request(request, true).expect("a stream").0.await.expect("an answer");
    assert!(fate.next().await, "it was not for stalling that the stream ended");
    drop(stalled);
}

#[actix_web::test]
async fn whoever_does_not_begin_with_tls_is_sent_away() {
    let (address, _, certificate) = serve_tls();
    let mut plain = TcpStream::connect(address).await.expect("the server listens");
    plain.write_all(b"GET /small HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("the server reads");
    let mut silent = TcpStream::connect(address).await.expect("the server listens");
    let mut mute = connect(address, &certificate, &[HTTP2]).await;
    let start = Instant::now();
    let mut said = Vec::new();
    let ended = timeout(FIRST_BYTES, plain.read_to_end(&mut said)).await;
    assert!(ended.is_ok(), "it waits for more, after {:?}", start.elapsed());
    assert!(!said.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&said));
    for stream in [&mut silent as &mut (dyn tokio::io::AsyncRead + Unpin), &mut mute] {
        let ended = timeout(3 * FIRST_BYTES, stream.read_to_end(&mut said)).await;
        assert!(ended.is_ok(), "it is still connected after {:?}", start.elapsed());
    }
}

#[actix_web::test]
async fn a_renewed_certificate_is_shown_once_both_files_are_there() {
    let (certificate, renewed) = (Certificate::new(), Certificate::new());
    let before = std::fs::read(&certificate.files()[0]).expect("a file");
    let tls = certificate.read().expect("a certificate");
    let (address, _) = serve_as(PATIENCE, Some(tls.clone()));
    connect(address, &certificate, &[]).await;
    let shows = |tls: &Tls| tls.shown.current.read().certificate.cert[0].to_vec();
    let old = CertificateDer::from_pem_slice(&before).expect("a certificate").to_vec();
    tls.shown.read_if_changed();
    assert_eq!(shows(&tls), old, "nothing has changed");
    certificate.take(&renewed, 0);
    tls.shown.read_if_changed();
    assert_eq!(shows(&tls), old, "its key is not there yet");
    certificate.take(&renewed, 1);
    tls.shown.read_if_changed();
    assert_ne!(shows(&tls), old);
    connect(address, &renewed, &[]).await;
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_setting() {
    let (good, other) = (Certificate::new(), Certificate::new());
    let [certificate, key] = good.files();
    let empty = good.folder.path().join("empty.pem");
    std::fs::write(&empty, "").expect("a file");
    let cases = [
        (PathBuf::from("none.pem"), key.clone(), "server.tls_certificate: cannot read none.pem"),
        (certificate.clone(), PathBuf::from("none.pem"), "server.tls_key: cannot read none.pem"),
        (empty.clone(), key.clone(), "server.tls_certificate:"),
        (key.clone(), key.clone(), "server.tls_certificate:"),
        (certificate.clone(), empty, "server.tls_key:"),
        (certificate.clone(), certificate.clone(), "server.tls_key:"),
        (certificate, other.files()[1].clone(), "server.tls_key:"),
    ];
    for (certificate, key, told) in cases {
        let bad = Tls::read(&certificate, &key).expect_err("a refusal").to_string();
        assert!(bad.starts_with(told), "{bad}");
    }
}
