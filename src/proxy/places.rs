//! Who may use a connection to the upstream: so many at once, so many who wait.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::config::UpstreamConfig;

/// Live requests are held for long: one connection in this many is kept for the others.
const KEPT_FREE: usize = 8;

/// The places of one upstream.
pub struct Places {
    all: Arc<Semaphore>,
    /// Those of them that live requests may take.
    live: Arc<Semaphore>,
    waiting: Cell<usize>,
    max_waiting: usize,
    patience: Duration,
}

/// The right to one connection, until it is dropped.
pub struct Place {
    _live: Option<OwnedSemaphorePermit>,
    _any: OwnedSemaphorePermit,
}

/// There is no place, and none came free in time.
#[derive(Debug)]
pub struct Full;

impl Places {
    /// The places that the settings allow.
    pub fn new(config: &UpstreamConfig) -> Self {
        let all = config.max_connections.min(Semaphore::MAX_PERMITS);
        Self {
            all: Arc::new(Semaphore::new(all)),
            live: Arc::new(Semaphore::new((all - all / KEPT_FREE).max(1))),
            waiting: Cell::new(0),
            max_waiting: config.max_waiting,
            patience: config.connect_timeout,
        }
    }

    /// Takes a place, or waits for one if not too many do.
    pub async fn take(&self, live: bool) -> Result<Place, Full> {
        if let Some(place) = self.take_free(live) {
            return Ok(place);
        }
        if self.waiting.get() >= self.max_waiting {
            return Err(Full);
        }
        let _waiting = Waiting::begin(&self.waiting);
        match timeout(self.patience, self.next_free(live)).await {
            Ok(Some(place)) => Ok(place),
            _ => Err(Full),
        }
    }

    fn take_free(&self, live: bool) -> Option<Place> {
        let live = if live { Some(Arc::clone(&self.live).try_acquire_owned().ok()?) } else { None };
        Some(Place { _live: live, _any: Arc::clone(&self.all).try_acquire_owned().ok()? })
    }

    async fn next_free(&self, live: bool) -> Option<Place> {
        let live = if live { Some(Arc::clone(&self.live).acquire_owned().await.ok()?) } else { None };
        Some(Place { _live: live, _any: Arc::clone(&self.all).acquire_owned().await.ok()? })
    }
}

/// Counts one who waits.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a Cell<usize>) -> Self {
        waiting.set(waiting.get() + 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(max_connections: usize, max_waiting: usize) -> Places {
        let mut config = crate::config::Config::load(None, &Default::default()).expect("the defaults").upstream;
        (config.max_connections, config.max_waiting) = (max_connections, max_waiting);
        config.connect_timeout = Duration::from_millis(20);
        Places::new(&config)
    }

    #[tokio::test]
    async fn live_requests_leave_some_places_to_others() {
        let places = places(8, 1);
        let mut held = Vec::new();
        for _ in 0..7 {
            held.push(places.take(true).await.expect("a place"));
        }
        assert!(places.take(true).await.is_err(), "the eighth is not for live requests");
        held.push(places.take(false).await.expect("the eighth"));
        assert!(places.take(false).await.is_err(), "all are taken");
        let (next, refused) = tokio::join!(places.take(false), async {
            let refused = places.take(false).await.is_err();
            held.clear();
            refused
        });
        assert!(next.is_ok(), "whoever waits gets the place that comes free");
        assert!(refused, "only one may wait");
        assert_eq!(places.waiting.get(), 0);
    }

    #[tokio::test]
    async fn one_place_is_for_everybody() {
        let places = places(1, 0);
        let place = places.take(true).await.expect("the place");
        assert!(places.take(false).await.is_err());
        drop(place);
        assert!(places.take(false).await.is_ok());
    }
}
