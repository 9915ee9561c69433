//! Who answers a shape request. Nobody else knows how many answers that question has.

use crate::engine::Engine;
use crate::shape::{Answer, Health, ShapeRequest};

/// The source of all shapes of this process.
pub enum Source {
    /// The engine inside this process.
    Engine(Engine),
}

impl Source {
    /// The answer to a request; of a live request, once there is something to say.
    pub async fn answer(&self, request: ShapeRequest) -> Answer {
        match self {
            Self::Engine(engine) => engine.answer(request).await,
        }
    }

    /// Whether shapes are served and follow Postgres.
    pub fn health(&self) -> Health {
        match self {
            Self::Engine(engine) => engine.health(),
        }
    }
}
