//! The keys as they were read last, and the one task that reads them again.
//!
//! It reads when the time has come, and when somebody waits for a key that nobody knows; but it never begins twice within 10 s,
//! whoever asks. All who wait meanwhile share what it finds. What was read stays in use until something better has been read: an issuer
//! that is away locks nobody out. A JWKS that *was* read takes the place of the last one whole, so a key taken out of it counts no more.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use awc::error::PayloadError;
use awc::http::{StatusCode, Uri, header};
use jsonwebtoken::Algorithm;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::Denied;
use super::keys::{Key, KeySet, MAX_BYTES, Unusable};
use crate::config::AuthConfig;

/// The keys, for those who verify.
pub struct Ring {
    state: watch::Receiver<State>,
    /// The number of the reading that somebody waits for.
    wanted: watch::Sender<u64>,
    apart: Duration,
}

/// When keys are read.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two readings that went well.
    pub refresh: Duration,
    /// After one that failed, if nobody asks before.
    pub retry: Duration,
    /// Between the beginnings of any two readings.
    pub apart: Duration,
    /// What one fetch may take in all.
    pub patience: Duration,
}

/// Ends the reading of keys when dropped.
pub struct Running {
    task: Option<JoinHandle<()>>,
}

/// The keys of `auth.jwks` cannot be used, so the start stops.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the keys of auth.jwks in {place}")]
pub struct KeysError {
    pub place: String,
    #[source]
    pub cause: Unusable,
}

/// What the task tells.
#[derive(Default)]
struct State {
    /// `None` until there was something to read.
    keys: Option<Arc<KeySet>>,
    /// How many readings have ended, well or not.
    readings: u64,
    /// When the last of them began.
    begun: Option<Instant>,
}

enum Source {
    File(PathBuf),
    Url(String),
}

/// The task.
struct Reader {
    source: Source,
    client: awc::Client,
    pinned: Vec<Algorithm>,
    pace: Pace,
    state: watch::Sender<State>,
    wanted: watch::Receiver<u64>,
    /// What the log was told last of a failure; `None` while all is well.
    told: Option<String>,
}

impl Default for Pace {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { refresh: seconds(600), retry: seconds(10), apart: seconds(10), patience: seconds(10) }
    }
}

impl Ring {
    /// Starts the task, which a URL needs for its first keys too; those of a file are there at once.
    pub async fn start(config: &AuthConfig, pinned: Vec<Algorithm>, pace: Pace) -> Result<(Self, Running), KeysError> {
        let source = match config.jwks_url() {
            Some(url) => Source::Url(url.to_owned()),
            None => Source::File(PathBuf::from(&config.jwks)),
        };
        let mut first = State::default();
        if let Source::File(path) = &source {
            let begun = Instant::now();
            let keys = read_file(path).await.and_then(|json| KeySet::parse(&json, &pinned));
            let keys = keys.and_then(|keys| match keys.len() {
                0 => Err(Unusable::NoneOfUse(keys.left_out)),
                _ => Ok(keys),
            });
            let keys = keys.map_err(|cause| KeysError { place: source.place(), cause })?;
            log_keys(&source, &keys);
            first = State { keys: Some(Arc::new(keys)), readings: 1, begun: Some(begun) };
        }
        let (told, state) = watch::channel(first);
        let (asks, wanted) = watch::channel(0);
        // The client cannot change threads, so the task stays on this one.
        let task = actix_rt::spawn(async move {
            let client = client(pace.patience);
            Reader { source, client, pinned, pace, state: told, wanted, told: None }.run().await;
        });
        Ok((Self { state, wanted: asks, apart: pace.apart }, Running { task: Some(task) }))
    }

    /// The keys that may have signed a token; where there is none, after another look for it.
    pub async fn candidates(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Vec<Arc<Key>>, Denied> {
        let known = self.known(algorithm, kid);
        if known.is_ok() {
            return known;
        }
        self.read_again().await;
        self.known(algorithm, kid)
    }

    fn known(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Vec<Arc<Key>>, Denied> {
        let state = self.state.borrow();
        let keys = state.keys.as_ref().ok_or(Denied::KeysUnavailable)?;
        let found = keys.candidates(algorithm, kid);
        if found.is_empty() { Err(Denied::UnknownKey) } else { Ok(found) }
    }

    /// Waits for the end of a reading, unless the last one began a moment ago.
    async fn read_again(&self) {
        let mut state = self.state.clone();
        let readings = {
            let state = state.borrow_and_update();
            if state.begun.is_some_and(|begun| begun.elapsed() < self.apart) {
                return;
            }
            state.readings
        };
        self.wanted.send_if_modified(|wanted| {
            let is_new = *wanted <= readings;
            *wanted = (*wanted).max(readings + 1);
            is_new
        });
        // It fails when the task has ended: then there will be nothing new.
        let _ = state.wait_for(|state| state.readings > readings).await;
    }
}

impl Running {
    /// There is no task: everything is signed with the secret.
    pub fn nothing() -> Self {
        Self { task: None }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Reader {
    async fn run(mut self) {
        loop {
            let (begun, readings) = {
                let state = self.state.borrow();
                (state.begun, state.readings)
            };
            if let Some(begun) = begun {
                let pause = if self.told.is_some() { self.pace.retry } else { self.pace.refresh };
                tokio::select! {
                    biased;
                    // Whoever asked while the last reading was under way has its outcome. Nobody asks too soon after it.
                    Ok(_) = self.wanted.wait_for(|wanted| *wanted > readings) => {}
                    () = sleep_until(begun + pause) => {}
                }
            }
            self.read().await;
        }
    }

    async fn read(&mut self) {
        let begun = Instant::now();
        let json = match &self.source {
            Source::File(path) => read_file(path).await,
            Source::Url(url) => {
                let fetched = timeout(self.pace.patience, fetch(&self.client, url)).await;
                fetched.unwrap_or(Err(Unusable::Late(self.pace.patience)))
            }
        };
        let keys = json.and_then(|json| KeySet::parse(&json, &self.pinned));
        let keys = match keys {
            Ok(keys) => Some(Arc::new(keys)),
            Err(cause) => {
                self.tell_failure(&cause);
                None
            }
        };
        if let Some(keys) = &keys {
            self.tell_keys(keys);
        }
        self.state.send_modify(|state| {
            state.keys = keys.or_else(|| state.keys.take());
            state.readings += 1;
            state.begun = Some(begun);
        });
    }

    /// The same failure is told once, however often it comes.
    fn tell_failure(&mut self, cause: &Unusable) {
        let text = cause.to_string();
        if self.told.as_ref() != Some(&text) {
            let place = self.source.place();
            let meanwhile = match self.state.borrow().keys {
                Some(_) => "the keys that were read before stay in use",
                None => "tokens that need them are refused",
            };
            warn!("cannot read the keys of auth.jwks from {place}: {text}; {meanwhile}");
            self.told = Some(text);
        }
    }

    fn tell_keys(&mut self, keys: &KeySet) {
        let before = self.state.borrow().keys.as_ref().map(|keys| (keys.len(), keys.left_out));
        if self.told.take().is_some() || before != Some((keys.len(), keys.left_out)) {
            log_keys(&self.source, keys);
        }
    }
}

impl Source {
    /// Its name in the log: of a URL only the host, since paths and parameters may be somebody's secret.
    fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Url(url) => {
                let host = url.parse::<Uri>().ok().and_then(|url| url.host().map(str::to_owned));
                host.unwrap_or_else(|| "an unknown host".to_owned())
            }
        }
    }
}

fn log_keys(source: &Source, keys: &KeySet) {
    let (place, count, left_out) = (source.place(), keys.len(), keys.left_out);
    if count == 0 {
        warn!("none of the {left_out} keys of auth.jwks from {place} is of use: tokens that need one are refused");
    } else {
        info!("tokens are verified with {count} keys from {place}; {left_out} others there are of no use");
    }
}

async fn read_file(path: &PathBuf) -> Result<Vec<u8>, Unusable> {
    let file = tokio::fs::File::open(path).await?;
    let mut json = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut json).await?;
    if json.len() > MAX_BYTES { Err(Unusable::TooLarge) } else { Ok(json) }
}

/// A connection each time: in the minutes between, it would only grow old.
fn client(patience: Duration) -> awc::Client {
    awc::Client::builder()
        .timeout(patience)
        .disable_redirects()
        .add_default_header((header::ACCEPT, "application/json"))
        .add_default_header((header::USER_AGENT, concat!("plue-sync/", env!("CARGO_PKG_VERSION"))))
        .finish()
}

async fn fetch(client: &awc::Client, url: &str) -> Result<Vec<u8>, Unusable> {
    let sent = client.get(url).no_decompress().force_close().send().await;
    let mut response = sent.map_err(|error| Unusable::Fetch(error.to_string()))?;
    if response.status() != StatusCode::OK {
        return Err(Unusable::Status(response.status().as_u16()));
    }
    match response.body().limit(MAX_BYTES).await {
        Ok(body) => Ok(body.to_vec()),
        Err(PayloadError::Overflow) => Err(Unusable::TooLarge),
        Err(error) => Err(Unusable::Fetch(error.to_string())),
    }
}
