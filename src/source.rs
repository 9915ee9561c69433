//! Who answers a shape request. Nobody else knows how many answers that question has.

use crate::admission::Permit;
use crate::engine::Engine;
use crate::shape::{Answer, Deletion, Handle, Health, ShapeRequest};

/// The source of all shapes of this process.
pub enum Source {
    /// The engine inside this process.
    Engine(Engine),
}

impl Source {
    /// A place among the requests that are answered, for one that gives this handle.
    ///
    /// # Errors
    /// The answer to a request that is one too many.
    pub fn admit(&self, handle: Option<&Handle>) -> Result<Permit, Answer> {
        match self {
            Self::Engine(engine) => engine.admit(handle),
        }
    }

    /// The answer to a request; of a live request, once there is something to say.
    pub async fn answer(&self, request: &ShapeRequest, permit: &mut Permit) -> Answer {
        match self {
            Self::Engine(engine) => engine.answer(request, permit).await,
        }
    }

    /// Whether shapes may be deleted, and can be just now.
    ///
    /// # Errors
    /// The answer, if not.
    pub async fn may_delete(&self) -> Result<(), Answer> {
        match self {
            Self::Engine(engine) => engine.may_delete().await,
        }
    }

    /// Ends a shape.
    pub async fn delete(&self, deletion: Deletion) -> Answer {
        match self {
            Self::Engine(engine) => engine.delete(deletion).await,
        }
    }

    /// Whether shapes are served and follow Postgres.
    pub fn health(&self) -> Health {
        match self {
            Self::Engine(engine) => engine.health(),
        }
    }
}
