//! Who answers a shape request. Nobody else knows how many answers that question has.

use std::time::Duration;

use crate::admission::Permit;
use crate::engine::{self, Engine, EngineError};
use crate::proxy::{self, Proxy};
use crate::shape::{Answer, Deletion, Handle, Health, ShapeRequest};

/// The source of all shapes of this process.
pub enum Source {
    /// The engine inside this process.
    Engine(Engine),
    /// A service elsewhere.
    Proxy(Proxy),
}

impl Source {
    /// A place among the requests that are answered, for one that gives this handle.
    ///
    /// # Errors
    /// The answer to a request that is one too many.
    pub fn admit(&self, handle: Option<&Handle>) -> Result<Permit, Answer> {
        match self {
            Self::Engine(engine) => engine.admit(handle),
            Self::Proxy(proxy) => proxy.admit(handle),
        }
    }

    /// The answer to a request; of a live request, once there is something to say.
    pub async fn answer(&self, request: &ShapeRequest, permit: &mut Permit) -> Answer {
        match self {
            Self::Engine(engine) => engine.answer(request, permit).await,
            Self::Proxy(proxy) => proxy.answer(request, permit).await,
        }
    }

    /// Whether shapes may be deleted, and can be just now.
    ///
    /// # Errors
    /// The answer, if not.
    pub async fn may_delete(&self) -> Result<(), Answer> {
        match self {
            Self::Engine(engine) => engine.may_delete().await,
            Self::Proxy(_) => Err(Answer::delete_not_allowed()),
        }
    }

    /// Ends a shape.
    pub async fn delete(&self, deletion: Deletion) -> Answer {
        match self {
            Self::Engine(engine) => engine.delete(deletion).await,
            // Other proxies serve the same shapes.
            Self::Proxy(_) => Answer::delete_not_allowed(),
        }
    }

    /// Frees what is held for shapes that nobody follows any more; never a log or a handle.
    pub fn release(&self, handles: &[Handle]) {
        match self {
            Self::Engine(engine) => engine.release(handles),
            // Its requests go with those who wait for them, and as long after.
            Self::Proxy(_) => {}
        }
    }

    /// The engine, for what only an engine in this process can tell.
    pub fn engine(&self) -> Option<&Engine> {
        match self {
            Self::Engine(engine) => Some(engine),
            Self::Proxy(_) => None,
        }
    }

    /// Whether shapes are served and follow Postgres.
    pub fn health(&self) -> Health {
        match self {
            Self::Engine(engine) => engine.health(),
            Self::Proxy(proxy) => proxy.health(),
        }
    }

    /// What its health is that of, in a word.
    pub fn what_is_watched(&self) -> &'static str {
        match self {
            Self::Engine(_) => "replication",
            Self::Proxy(_) => "upstream",
        }
    }
}

/// Ends a source.
pub enum Running {
    Engine(engine::Running),
    Proxy(proxy::Running),
}

/// Why a source has ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error(transparent)]
    Engine(EngineError),
    #[error("the proxy to the upstream shape service has stopped; the lines before this say why")]
    Proxy,
}

impl Running {
    /// Ends all live answers: held requests are answered, streams end. New ones are not held any more.
    pub fn end_readers(&self) {
        match self {
            Self::Engine(engine) => engine.end_readers(),
            Self::Proxy(proxy) => proxy.end_readers(),
        }
    }

    /// Completes when the source has failed for good.
    pub async fn failed(&mut self) -> SourceError {
        match self {
            Self::Engine(engine) => SourceError::Engine(engine.failed().await),
            Self::Proxy(proxy) => {
                proxy.failed().await;
                SourceError::Proxy
            }
        }
    }

    /// Finishes what is begun, and ends. Gives up after `limit`.
    pub async fn stop(self, limit: Duration) {
        match self {
            Self::Engine(engine) => engine.stop(limit).await,
            Self::Proxy(proxy) => proxy.stop(limit).await,
        }
    }
}
