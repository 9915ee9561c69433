//! HTTP requests to the byte: what is given is what is sent, and what came is what is returned.

use actix_web::http::Method;
use awc::http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::SOON;
use crate::support::Reply;

/// Longer than any answer is held by default, event streams included.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(150);

/// A server's address, `host:port`.
#[derive(Clone)]
pub struct Http {
    address: String,
}

/// An answer that is being read.
pub struct Stream {
    pub status: u16,
    pub headers: HeaderMap,
    socket: TcpStream,
    /// The body so far, still in the form of its transfer.
    raw: Vec<u8>,
}

impl Http {
    /// For a server such as `http://127.0.0.1:3000`.
    pub fn to(url: &str) -> Self {
        Self { address: url.trim_start_matches("http://").to_owned() }
    }

    /// Asks for a path with its query, both as they are.
    pub async fn get(&self, target: &str) -> Reply {
        self.send(Method::GET, target, &[], b"").await
    }

    /// Sends a request, on a connection of its own, and reads the answer to its end.
    pub async fn send(&self, method: Method, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.open(&method, target, headers, body).await.read(&method).await
    }

    /// Sends a request and reads the head of its answer.
    pub async fn open(&self, method: &Method, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Stream {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == Method::POST {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut socket = TcpStream::connect(&self.address).await.expect("a connection");
        socket.write_all(head.as_bytes()).await.expect("a request");
        // A body that is too large may be refused before all of it was sent; the answer tells.
        let _ = socket.write_all(body).await;
        let mut read = Vec::new();
        let end = loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            let came = timeout(PATIENCE, socket.read_buf(&mut read)).await.expect("an answer in time");
            assert!(came.expect("more of the head") > 0, "{method} {target}: the answer ended in its head: {read:?}");
        };
        let raw = read.split_off(end + 4);
        let head = String::from_utf8(read).expect("a head in UTF-8");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
            assert_eq!(name, name.to_lowercase(), "names are lower case on the wire");
            let name = HeaderName::try_from(name).expect("a name");
            headers.append(name, HeaderValue::from_str(value.trim()).expect("a value"));
        }
        Stream { status, headers, socket, raw }
    }
}

impl Stream {
    /// Reads the rest. What a HEAD, a 204 or a 304 sends behind its head would be a body, which they may not have.
    async fn read(mut self, method: &Method) -> Reply {
        let rest = timeout(PATIENCE, self.socket.read_to_end(&mut self.raw)).await.expect("the end in time");
        let is_without = method == Method::HEAD || self.status == 204 || self.status == 304;
        let body = match self.header("transfer-encoding") {
            Some("chunked") if !is_without => {
                let (body, is_whole) = dechunked(&self.raw);
                assert!(is_whole, "the connection was cut: {rest:?} after {}", String::from_utf8_lossy(&body));
                body
            }
            _ => self.raw,
        };
        Reply { status: self.status, headers: self.headers, body: Bytes::from(body) }
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header of letters"))
    }

    /// Reads on until the body so far is what the check looks for, or ends; returns all of it, and whether it has ended.
    pub async fn until(&mut self, found: impl Fn(&str) -> bool) -> (String, bool) {
        let reading = async {
            loop {
                let (body, is_whole) = dechunked(&self.raw);
                let text = String::from_utf8(body).expect("UTF-8");
                if is_whole || found(&text) {
                    return (text, is_whole);
                }
                let came = self.socket.read_buf(&mut self.raw).await.expect("more of the body");
                assert!(came > 0, "the connection was cut after {text:?}");
            }
        };
        timeout(PATIENCE.max(SOON), reading).await.expect("what was waited for, in time")
    }
}

/// The body that chunks make, and whether its end is there.
fn dechunked(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = raw.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&raw[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.unwrap_or_else(|| panic!("no size of a chunk: {:?}", String::from_utf8_lossy(&raw[..end])));
        let Some(chunk) = raw.get(end + 2..end + 2 + size) else { break };
        if size == 0 {
            return (body, true);
        }
        body.extend_from_slice(chunk);
        raw = raw.get(end + 4 + size..).unwrap_or_default();
    }
    (body, false)
}

/// A query string: each value percent-encoded to the last byte, each name as it is.
pub fn encoded(params: &[(&str, &str)]) -> String {
    let value = |text: &str| -> String {
        text.bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") },
            )
            .collect()
    };
    params.iter().map(|(name, text)| format!("{name}={}", value(text))).collect::<Vec<_>>().join("&")
}
