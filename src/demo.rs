//! The demo: a believable session of an agent, played through the write API as an agent would write it.
//!
//! ```text
//! script (what happens) ─► player (when, and as which requests) ─► HTTP ─► /v1/sessions/...
//! ```
//! It has no way in of its own: what it writes is refused, limited and shown as what everybody writes.

mod api;
mod player;
pub mod script;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::ids::SessionId;
pub use api::Failed;
use api::WriteApi;
use player::{Player, Time};
use script::Script;

/// Sessions that are played at once: a button that is pressed again and again must not fill a developer's database.
pub const PLAYED_AT_ONCE: usize = 4;
/// How long ago the session of yesterday was.
const YESTERDAY: Duration = Duration::from_secs(26 * 60 * 60);
/// How long the players may take to say in their sessions that they were stopped.
const STOP_GRACE: Duration = Duration::from_millis(300);
/// How long after a write that failed a session is told that it goes no further: a limit is met no more then, or Postgres is back.
const BREATH: Duration = Duration::from_secs(3);

/// Plays sessions. Clones are the same.
#[derive(Clone)]
pub struct Demo(Arc<Shared>);

struct Shared {
    /// Where the API of this process is, once it listens.
    address: OnceLock<String>,
    places: Arc<Semaphore>,
    players: TaskTracker,
    stop: CancellationToken,
    /// How many times slower than the script says.
    pace: f64,
}

/// Why a session is not played.
#[derive(Debug)]
pub enum Refusal {
    /// So many are played already.
    Busy,
    /// The write API does not take its first write.
    Failed(Failed),
}

impl Demo {
    /// A demo that takes `pace` times as long as its script says.
    pub fn new(pace: f64) -> Self {
        let places = Arc::new(Semaphore::new(PLAYED_AT_ONCE));
        let (players, stop) = (TaskTracker::new(), CancellationToken::new());
        Self(Arc::new(Shared { address: OnceLock::new(), places, players, stop, pace }))
    }

    /// Says where the write API is, as `http://host:port`. The first word counts.
    pub fn is_served_at(&self, address: String) {
        let _ = self.0.address.set(address);
    }

    /// Makes the main session as whoever these headers are of, and plays it on this thread from then on.
    ///
    /// # Errors
    /// [`Refusal`]: nothing is played.
    pub async fn play(&self, headers: Vec<(HeaderName, HeaderValue)>) -> Result<SessionId, Refusal> {
        let place = Arc::clone(&self.0.places).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let session = SessionId::generate();
        let player = self.player(headers, session.clone(), Time::Live { pace: self.0.pace });
        player.create(&script::MAIN).await.map_err(Refusal::Failed)?;
        self.spawn(player, &script::MAIN, place);
        Ok(session)
    }

    /// Plays what `dev --demo` begins with on this thread: two sessions that are over, and the main one. `authorization` is what the
    /// write API asks for, if it asks for anything.
    pub fn open(&self, authorization: Option<HeaderValue>) {
        let demo = self.clone();
        actix_web::rt::spawn(self.0.players.track_future(async move {
            let headers = || authorization.iter().map(|token| (AUTHORIZATION, token.clone()));
            for (id, script, ago) in [
                ("ses_demo_yesterday", &script::YESTERDAY, YESTERDAY),
                ("ses_demo_failed", &script::FAILED, Duration::ZERO),
            ] {
                let session = SessionId::try_from(id.to_owned()).expect("a short id");
                let mut player = demo.player(headers().collect(), session, Time::past(ago + script.length()));
                let played = async {
                    player.create(script).await?;
                    player.play(script).await
                };
                tokio::select! {
                    biased;
                    () = demo.0.stop.cancelled() => return,
                    played = played => match played {
                        Ok(()) => {}
                        // It was there already, with the times of another day.
                        Err(failed) if failed.is_conflict() => {}
                        Err(failed) => return warn!("the demo could not be written: {failed}"),
                    }
                }
            }
            match demo.play(headers().collect()).await {
                Ok(session) => info!(session.id = %session, "the demo plays session {session}"),
                Err(Refusal::Busy) => info!("the demo is played already"),
                Err(Refusal::Failed(failed)) => warn!("the demo could not be written: {failed}"),
            }
        }));
    }

    /// Ends all that is played; their sessions say so, as far as they can be told in time.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        self.0.players.close();
        let _ = timeout(STOP_GRACE, self.0.players.wait()).await;
    }

    fn player(&self, headers: Vec<(HeaderName, HeaderValue)>, session: SessionId, time: Time) -> Player {
        let address = self.0.address.get().map_or("", String::as_str);
        Player::new(WriteApi::new(address, headers), session, time)
    }

    fn spawn(&self, mut player: Player, script: &'static Script, place: OwnedSemaphorePermit) {
        let stop = self.0.stop.clone();
        actix_web::rt::spawn(self.0.players.track_future(async move {
            let _place = place;
            let played = tokio::select! {
                biased;
                () = stop.cancelled() => None,
                played = player.play(script) => Some(played),
            };
            match played {
                None => player.abort("the server was stopped").await,
                Some(Ok(())) => {}
                // Somebody has deleted it.
                Some(Err(failed)) if failed.is_not_found() => info!("the demo ends: {failed}"),
                Some(Err(failed)) => {
                    warn!("the demo ends: {failed}");
                    // Otherwise its message would stream for ever. What refused this write may refuse the next one at once.
                    let _ = timeout(BREATH, stop.cancelled()).await;
                    player.abort("a write of the demo failed").await;
                }
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::script::{FAILED, MAIN, Script, Step, YESTERDAY};

    #[test]
    fn the_main_session_takes_about_three_quarters_of_a_minute() {
        let length = MAIN.length();
        assert!((Duration::from_secs(38)..Duration::from_secs(52)).contains(&length), "{length:?}");
    }

    #[test]
    fn scripts_are_well_formed() {
        for Script { title, steps, .. } in [&MAIN, &YESTERDAY, &FAILED] {
            let mut is_open = false;
            for step in *steps {
                let needs_message = match step {
                    Step::Wait(_) | Step::Snapshot(_) | Step::Subtask { .. } => is_open,
                    Step::User(_) | Step::Assistant => false,
                    _ => true,
                };
                assert_eq!(is_open, needs_message, "{title}: {step:?}");
                is_open =
                    (is_open || matches!(step, Step::Assistant)) && !matches!(step, Step::Done(_) | Step::Failed(..));
                let json = match step {
                    Step::Use(tool) => tool.input,
                    Step::Subtask { result, .. } => result,
                    _ => continue,
                };
                serde_json::from_str::<serde_json::Value>(json)
                    .unwrap_or_else(|error| panic!("{title}: {error}: {json}"));
            }
            assert!(!is_open, "{title}: the last message has no end");
        }
    }
}
