//! What authentication costs a live request, and how soon a revoked token is out.
//!
//! Prints:
//! * how long a live request takes that is answered at once because something is there, on a connection that is kept: at a program that
//!   is open, and beside it, in alternating rounds, at one where the request carries a token (HS256) for one session; then the same at
//!   another open one instead, which tells what two programs differ by of themselves;
//! * beside that, for information, the same request with a token that the program has not seen yet, signed HS256 and RS256;
//! * how long event streams live after their token has been revoked, at the program that revokes it and at another one.

mod support;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use plue_sync::postgres::Postgres;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use support::{Server, percentiles};

const SECRET: &str = "a secret of benchmarks that is long enough";
const ROUNDS: usize = 40;
/// Requests of each program in a round.
const REQUESTS: usize = 100;
/// Tokens that are shown once.
const FIRST_USES: usize = 300;
const REVOCATIONS: usize = 30;

#[tokio::main]
async fn main() -> Result<()> {
    support::with_database(async |url| {
        live_requests(&url).await?;
        revocations(&url).await
    })
    .await
}

/// Nobody is slowed: every request of a benchmark comes from one address.
const UNLIMITED: [(&str, &str); 3] = [
    ("PLUE_AUTH__REQUESTS_PER_SECOND", "0"),
    ("PLUE_AUTH__ADDRESS_REQUESTS_PER_SECOND", "0"),
    ("PLUE_AUTH__FAILURES_PER_MINUTE", "0"),
];

/// A connection that is kept, and the requests on it.
struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: vec![0; 64 << 10] })
    }

    /// Sends a request, and waits for the whole answer. Gives it as text.
    async fn ask(&mut self, request: &str) -> Result<String> {
        self.stream.write_all(request.as_bytes()).await?;
        let mut length = 0;
        loop {
            let count = self.stream.read(&mut self.read[length..]).await?;
            ensure!(count > 0, "the connection was closed");
            length += count;
            if is_whole(&self.read[..length])? {
                return Ok(String::from_utf8_lossy(&self.read[..length]).into_owned());
            }
        }
    }
}

/// Whether an answer has come to its end.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some(head) = memchr::memmem::find(answer, b"\r\n\r\n") else { return Ok(false) };
    let text = std::str::from_utf8(&answer[..head])?.to_ascii_lowercase();
    match text.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        Some(length) => Ok(answer.len() >= head + 4 + length.trim().parse::<usize>()?),
        None => Ok(answer.ends_with(b"0\r\n\r\n")),
    }
}

fn request(method: &str, path: &str, token: Option<&str>, body: &str) -> String {
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let body_head = if body.is_empty() {
        String::new()
    } else {
        format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len())
    };
    format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n{token}{body_head}\r\n{body}")
}

/// Asks on a connection of its own, and gives the answer if its status is good.
async fn once(address: &str, request: &str) -> Result<String> {
    let answer = Connection::open(address).await?.ask(request).await?;
    ensure!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    Ok(answer)
}

/// A header of an answer.
fn header<'a>(answer: &'a str, name: &str) -> Result<&'a str> {
    let value = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.with_context(|| format!("{name} in {answer}"))
}

fn claims(subject: &str) -> Result<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(json!({"sub": subject, "role": "viewer", "sessions": ["ses_1"], "exp": now + 3600}))
}

fn signed(subject: &str) -> Result<String> {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(subject)?, &key)?)
}

fn admin() -> Result<String> {
    let mut claims = claims("root")?;
    claims["role"] = json!("admin");
    Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET.as_bytes()))?)
}

/// A program that is ready, and the request that readers of a session send it while there is something to read.
struct Measured {
    server: Server,
    token: Option<String>,
    path: String,
}

impl Measured {
    async fn start(url: &str, stream: &str, keys: Option<&Path>) -> Result<Self> {
        let stream = [("PLUE_ENGINE__STREAM_ID", stream)];
        let keys_path = keys.map(|path| path.display().to_string()).unwrap_or_default();
        let closed = [
            ("PLUE_AUTH__JWT_SECRET", SECRET),
            ("PLUE_AUTH__JWKS", &keys_path),
            ("PLUE_AUTH__ALGORITHMS", "HS256,RS256"),
        ];
        let settings: Vec<_> = match keys {
            Some(_) => stream.into_iter().chain(closed).chain(UNLIMITED).collect(),
            None => stream.to_vec(),
        };
        let server = if keys.is_some() { Server::closed(url, &settings)? } else { Server::api(url, &settings)? };
        let (token, root) = match keys {
            Some(_) => (Some(signed("reader")?), Some(admin()?)),
            None => (None, None),
        };
        ready(&server, root.as_deref()).await?;
        Ok(Self { server, token, path: String::new() })
    }

    /// Has the reader go to the end of its shape, and has `write` add to it: from there, a live request is answered at once.
    async fn prepare(&mut self) -> Result<String> {
        let shape = "/v1/shape?table=parts&where=session_id%20%3D%20%241&params%5B1%5D=ses_1";
        let first = request("GET", &format!("{shape}&offset=-1"), self.token.as_deref(), "");
        let first = once(&self.server.address, &first).await?;
        let (handle, offset) = (header(&first, "electric-handle")?, header(&first, "electric-offset")?);
        self.path = format!("{shape}&handle={handle}&offset={offset}&live=true");
        Ok(request("GET", &self.path, self.token.as_deref(), ""))
    }

    fn with_token(&self, token: &str) -> String {
        request("GET", &self.path, Some(token), "")
    }
}

async fn ready(server: &Server, token: Option<&str>) -> Result<()> {
    let request = request("GET", "/ready", token, "");
    for _ in 0..400 {
        if Connection::open(&server.address).await?.ask(&request).await?.starts_with("HTTP/1.1 200") {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("shapes are not served")
}

async fn live_requests(url: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let keys = folder.path().join("keys.json");
    let rsa = write_keys(&keys)?;
    // Each with an engine of its own over the same rows.
    let mut programs = Vec::new();
    for (stream, keys) in [("open", None), ("closed", Some(&*keys)), ("open_again", None)] {
        programs.push(Measured::start(url, stream, keys).await?);
        if stream == "open" {
            fill(url).await?;
        }
    }
    let mut requests = Vec::new();
    for program in &mut programs {
        requests.push(program.prepare().await?);
    }
    let writer = Postgres::from_url(url)?.connect().await?;
    writer.batch_execute("UPDATE parts SET text = 'a part of a message' WHERE id = 'prt_1'").await?;
    let mut connections = Vec::new();
    for (program, request) in programs.iter().zip(&requests) {
        let mut connection = Connection::open(&program.server.address).await?;
        // The first one may wait for the change; it warms up too.
        for _ in 0..REQUESTS {
            let answer = connection.ask(request).await?;
            ensure!(answer.starts_with("HTTP/1.1 200") && answer.contains("a part of a message"), "{answer}");
        }
        connections.push(connection);
    }
    let mut taken = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        for turn in 0..connections.len() {
            let at = (round + turn) % connections.len();
            for _ in 0..REQUESTS {
                let asked = Instant::now();
                connections[at].ask(&requests[at]).await?;
                taken[at].push(asked.elapsed());
            }
        }
    }
    println!("a live request that is answered at once, over {ROUNDS} rounds of {REQUESTS} (microseconds):");
    let mut medians = Vec::new();
    for (name, values) in ["open", "with a token", "open, another program"].into_iter().zip(taken) {
        let (median, p99) = percentiles(values);
        println!("  {name:24} median {:8.1}   99th {:8.1}", micros(median), micros(p99));
        medians.push(micros(median));
    }
    let (more, ratio) = (medians[1] - medians[0], medians[1] / medians[0]);
    println!("  a token takes {more:.1} more: {ratio:.2} of an open request; at most 50 more is promised");
    println!("  two open programs differ by {:.1}", medians[2] - medians[0]);
    first_uses(&programs[1], &rsa).await
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The same request with tokens that nobody has shown before.
async fn first_uses(program: &Measured, rsa: &EncodingKey) -> Result<()> {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some("bench".to_owned());
    let by_secret = (0..FIRST_USES).map(|number| signed(&format!("reader {number}"))).collect::<Result<Vec<_>>>()?;
    let by_key =
        (0..FIRST_USES).map(|number| Ok(jsonwebtoken::encode(&header, &claims(&format!("reader {number}"))?, rsa)?));
    let by_key = by_key.collect::<Result<Vec<_>>>()?;
    for (name, tokens) in [("HS256, first use", by_secret), ("RS256, first use", by_key)] {
        let mut taken = Vec::new();
        // The program has closed the one of before, if signing took long.
        let mut connection = Connection::open(&program.server.address).await?;
        for token in &tokens {
            let request = program.with_token(token);
            let asked = Instant::now();
            let answer = connection.ask(&request).await?;
            taken.push(asked.elapsed());
            ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        let (median, p99) = percentiles(taken);
        println!("  {name:24} median {:8.1}   99th {:8.1}", micros(median), micros(p99));
    }
    Ok(())
}

/// Writes the public half of a key as a JWKS, and gives the key.
fn write_keys(to: &Path) -> Result<EncodingKey> {
    let key = EncodingKey::from_rsa_pem(include_bytes!("../tests/fixtures/jwt/rsa.pem"))?;
    let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, Algorithm::RS256)?;
    let mut jwk = serde_json::to_value(jwk)?;
    jwk["kid"] = json!("bench");
    std::fs::write(to, json!({"keys": [jwk]}).to_string())?;
    Ok(key)
}

/// One session with one part.
async fn fill(url: &str) -> Result<()> {
    let sql = "INSERT INTO sessions (id, directory, title, time_created, time_updated) VALUES ('ses_1', '/', 'one', 1, 1);
               INSERT INTO messages (id, session_id, role, time_created) VALUES ('msg_1', 'ses_1', 'assistant', 1);
               INSERT INTO parts (id, session_id, message_id, type, text) VALUES ('prt_1', 'ses_1', 'msg_1', 'text', '')";
    Ok(Postgres::from_url(url)?.connect().await?.batch_execute(sql).await?)
}

/// Streams whose token is revoked, where it is and elsewhere.
async fn revocations(url: &str) -> Result<()> {
    let engine = Server::engine(url)?;
    engine.ready("/v1/health").await?;
    let upstream = format!("http://{}", engine.address);
    let closed = [("PLUE_AUTH__JWT_SECRET", SECRET), ("ELECTRIC_URL", &*upstream)];
    let settings: Vec<_> = closed.into_iter().chain(UNLIMITED).collect();
    let (own, other) = (Server::closed(url, &settings)?, Server::closed(url, &settings)?);
    let root = admin()?;
    for server in [&own, &other] {
        ready(server, Some(&root)).await?;
    }
    println!("from the order to revoke a token to the end of its event stream, {REVOCATIONS} times (milliseconds):");
    for (name, server) in [("at the same program", &own), ("at another one", &other)] {
        let mut taken = Vec::new();
        for _ in 0..REVOCATIONS {
            taken.push(revocation(&own, server, &root).await?);
        }
        taken.sort_unstable();
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let (median, worst) = (taken[taken.len() / 2], taken[taken.len() - 1]);
        println!("  {name:24} median {:8.1}   worst {:8.1}", millis(median), millis(worst));
    }
    println!("  100 is promised");
    Ok(())
}

/// Mints a token, opens a stream with it at `follows`, and revokes it at `revokes`.
async fn revocation(revokes: &Server, follows: &Server, root: &str) -> Result<Duration> {
    let tokens = "/v1/sessions/ses_1/tokens";
    let minted = once(&revokes.address, &request("POST", tokens, Some(root), "{}")).await?;
    let (_, body) = minted.split_once("\r\n\r\n").context("a body")?;
    let minted: Value = serde_json::from_str(body)?;
    let text = |name: &str| minted[name].as_str().with_context(|| format!("{name} in {minted}"));
    let (token, id) = (text("token")?, text("id")?);

    let shape = "/v1/shape?table=parts&where=session_id%20%3D%20%241&params%5B1%5D=ses_1";
    let first = once(&follows.address, &request("GET", &format!("{shape}&offset=-1"), Some(token), "")).await?;
    let (handle, offset) = (header(&first, "electric-handle")?, header(&first, "electric-offset")?);
    let path = format!("{shape}&handle={handle}&offset={offset}&live=true&live_sse=true");
    let mut stream = TcpStream::connect(&follows.address).await?;
    stream.write_all(request("GET", &path, Some(token), "").as_bytes()).await?;
    let mut read = Vec::new();
    // It is open when its head has come, and the registry knows of it before that.
    while memchr::memmem::find(&read, b"\r\n\r\n").is_none() {
        ensure!(stream.read_buf(&mut read).await? > 0, "the stream was cut off");
    }
    ensure!(read.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&read));
    let ended = tokio::spawn(async move {
        while !read.ends_with(b"0\r\n\r\n") && matches!(stream.read_buf(&mut read).await, Ok(1..)) {}
        Instant::now()
    });
    let asked = Instant::now();
    once(&revokes.address, &request("DELETE", &format!("{tokens}/{id}"), Some(root), "")).await?;
    let ended = tokio::time::timeout(Duration::from_secs(30), ended).await.context("the stream goes on")??;
    Ok(ended.saturating_duration_since(asked))
}
