//! One exchange with the upstream: a place, the breaker, the request, the head of its answer; then its body, piece by piece.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use awc::http::{Method, header};
use awc::{Client, ClientResponse};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};
use tracing::{debug, error};

use super::answer::{Head, Kind};
use super::ask::Ask;
use super::breaker::{Breaker, Pass};
use super::connection::{self, Sockets};
use super::failure::Failure;
use super::places::{Place, Places};
use super::url::UpstreamUrl;
use crate::config::UpstreamConfig;
use crate::shape::Health;

#[cfg(test)]
mod tests;

/// Pause before a request is repeated, at random: those who lost their connections together do not come back together.
const REPEAT_MS: std::ops::Range<u64> = 10..100;
/// The operator is told of a failure of one kind once in this time.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// The upstream and what is known of it. Lives on one thread.
pub struct Upstream {
    pub url: UpstreamUrl,
    config: UpstreamConfig,
    client: Client,
    sockets: Sockets,
    places: Places,
    breaker: RefCell<Breaker>,
    /// When which text was logged.
    told: RefCell<HashMap<&'static str, Instant>>,
}

/// An answer whose body is still to come. Dropping it closes its connection, unless the body has been taken to its end.
pub struct Incoming {
    pub head: Head,
    /// The body's length, where the upstream has told it.
    pub length: Option<u64>,
    /// Whether the upstream is a `plue-sync engine`.
    pub is_plue_sync: bool,
    response: Option<ClientResponse>,
    sockets: Sockets,
    silence: Duration,
    _place: Place,
}

/// A body did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

impl Upstream {
    /// An upstream that nothing has been asked yet.
    pub fn new(url: UpstreamUrl, config: UpstreamConfig) -> Self {
        let (client, sockets) = connection::client(config.connect_timeout);
        let places = Places::new(&config);
        let (breaker, told) = (RefCell::new(Breaker::new()), RefCell::default());
        Self { url, config, client, sockets, places, breaker, told }
    }

    /// Sends a request and waits for the head of an answer that may go on to readers.
    ///
    /// # Errors
    /// What to make of it instead; the operator has been told.
    pub async fn exchange(&self, ask: &Ask) -> Result<Incoming, Failure> {
        let exchanged = self.attempt(ask).await;
        if let Err(failure) = &exchanged {
            self.tell(*failure);
        }
        exchanged
    }

    async fn attempt(&self, ask: &Ask) -> Result<Incoming, Failure> {
        // Before the wait for a place: while it is open, nobody waits.
        if let Some(rest) = self.breaker.borrow().refuses(Instant::now()) {
            return Err(Failure::Resting(rest));
        }
        let place = self.places.take(ask.kind == Kind::Live).await.map_err(|_| Failure::Busy)?;
        let verdict = Verdict::pending(&self.breaker)?;
        let sent = match self.send(ask).await {
            Err(Failure::Unreachable { repeatable: true }) => {
                // A pooled connection that had just been closed, or a server between two lives.
                sleep(Duration::from_millis(rand::random_range(REPEAT_MS))).await;
                self.send(ask).await
            }
            sent => sent,
        };
        let taken = sent.and_then(|response| self.take(response, ask, place));
        verdict.pass(taken.as_ref().map(drop).map_err(|failure| *failure));
        taken
    }

    async fn send(&self, ask: &Ask) -> Result<ClientResponse, Failure> {
        let url = self.url.shape(&ask.query).ok_or(Failure::TooLong)?;
        let method = if ask.body.is_some() { Method::POST } else { Method::GET };
        let mut request = self.client.request(method, url).no_decompress();
        if let Some(tags) = &ask.if_none_match {
            request = request.insert_header((header::IF_NONE_MATCH, tags.as_str()));
        }
        if let Some(encodings) = &ask.accept_encoding {
            request = request.insert_header((header::ACCEPT_ENCODING, encodings.as_str()));
        }
        let sent = match &ask.body {
            Some(body) => request.content_type("application/json").send_body(body.clone()),
            // Without this type, a length of 0 would be told.
            None => request.send_body(awc::body::None::new()),
        };
        let patience = if ask.kind == Kind::Live { self.config.live_timeout } else { self.config.response_timeout };
        match timeout(patience, sent).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                debug!(%error, "a request to the upstream failed");
                Err(Failure::of(&error))
            }
            Err(_) => Err(Failure::Slow),
        }
    }

    fn take(&self, response: ClientResponse, ask: &Ask, place: Place) -> Result<Incoming, Failure> {
        let head = Head::of(response.status().as_u16(), response.headers());
        head.check(ask.kind, ask.if_none_match.is_some())?;
        let length = response.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let server = response.headers().get("electric-server");
        let is_plue_sync = server.is_some_and(|name| name.as_bytes().starts_with(b"plue-sync/"));
        let (sockets, silence) = (self.sockets.clone(), self.config.body_timeout);
        let head = head.with_retry_after();
        Ok(Incoming { head, length, is_plue_sync, response: Some(response), sockets, silence, _place: place })
    }

    /// Asks for the upstream's health.
    pub async fn health(&self) -> Health {
        let probe = async {
            let mut response = self.client.get(self.url.health()?).no_decompress().send().await.ok()?;
            let body = response.body().limit(1 << 16).await.ok()?;
            Some((response.status().as_u16(), body))
        };
        let answered = timeout(self.config.connect_timeout, probe).await.ok().flatten();
        let health = answered.map_or(Health::Unreachable, |(status, body)| health_of(status, &body));
        if health != Health::Unreachable {
            self.breaker.borrow_mut().reached();
        }
        health
    }

    /// Tells the operator, unless that was told a moment ago.
    pub fn tell(&self, failure: Failure) {
        let Some(what) = failure.for_operator() else { return };
        let now = Instant::now();
        let last = self.told.borrow().get(what).copied();
        if last.is_none_or(|last| now.duration_since(last) >= TELL_AGAIN) {
            self.told.borrow_mut().insert(what, now);
            error!(upstream.url = %self.url, "the upstream at {} cannot be used: {what}", self.url);
        }
    }
}

impl Incoming {
    /// The next bytes of the body; `None` at its end. Waits no longer than `upstream.body_timeout`.
    pub async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        let response = self.response.as_mut()?;
        match timeout(self.silence, response.next()).await {
            Ok(Some(Ok(bytes))) => return Some(Ok(bytes)),
            Ok(None) if self.ended_properly() => return None,
            _ => self.response = None,
        }
        Some(Err(Broken))
    }

    /// The whole body, or `None` if it is longer than this.
    pub async fn whole(&mut self, most: usize) -> Result<Option<Bytes>, Broken> {
        let mut whole = BytesMut::new();
        while let Some(bytes) = self.next().await {
            let bytes = bytes?;
            if whole.len() + bytes.len() > most {
                return Ok(None);
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(Some(whole.freeze()))
    }

    /// Whether the connection has left the response, as it does at a proper end: see [`connection`].
    fn ended_properly(&mut self) -> bool {
        let before = self.sockets.open();
        self.response = None;
        self.sockets.open() == before
    }
}

/// What an exchange says of the upstream; an exchange that is dropped says nothing.
struct Verdict<'a> {
    breaker: &'a RefCell<Breaker>,
    pass: Pass,
    passed: bool,
}

impl<'a> Verdict<'a> {
    fn pending(breaker: &'a RefCell<Breaker>) -> Result<Self, Failure> {
        let pass = breaker.borrow_mut().admit(Instant::now()).map_err(Failure::Resting)?;
        Ok(Self { breaker, pass, passed: false })
    }

    fn pass(mut self, result: Result<(), Failure>) {
        let mut breaker = self.breaker.borrow_mut();
        match result {
            Ok(()) | Err(Failure::Unavailable { .. }) => breaker.succeeded(),
            Err(failure) => match failure.fault() {
                Some(fault) => breaker.failed(self.pass, fault, Instant::now(), rand::random()),
                None => breaker.abandoned(self.pass, Instant::now()),
            },
        }
        drop(breaker);
        self.passed = true;
    }
}

impl Drop for Verdict<'_> {
    fn drop(&mut self) {
        if !self.passed {
            self.breaker.borrow_mut().abandoned(self.pass, Instant::now());
        }
    }
}

/// Reads the answer of a health route (protocol, 1.5).
fn health_of(status: u16, body: &[u8]) -> Health {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        status: std::borrow::Cow<'a, str>,
    }
    let word = serde_json::from_slice::<Body>(body).map(|body| body.status.into_owned()).unwrap_or_default();
    match (status, word.as_str()) {
        (200, "active") => Health::Active,
        (200 | 202, "waiting") => Health::Waiting,
        (200 | 202, "starting") => Health::Starting,
        _ => Health::Unreachable,
    }
}
