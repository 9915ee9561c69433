//! What a shape request was let in as: who asks, what it gets to see, and until when.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest};

use super::AgentState;
use super::shape::Tables;
use crate::auth::narrow::Narrowed;
use crate::auth::{Denied, Guard, Principal};
use crate::ids::SessionId;
use crate::shape::{Answer, ShapeRequest};

/// How long it is remembered who may see a session, for counting its readers.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// A request that may be answered.
pub struct Entrance {
    principal: Arc<Principal>,
    narrowed: Narrowed,
}

impl Entrance {
    /// Confines what is asked to what its sender may see; `None` on a port where everybody sees everything. `query` is how a URL
    /// says it, whether or not it is that of the request: what is public is answered as to everybody.
    ///
    /// # Errors
    /// It may not be answered.
    pub fn of(
        tables: Tables,
        request: &HttpRequest,
        query: &str,
        asked: &mut ShapeRequest,
    ) -> Result<Option<Self>, Denied> {
        if tables == Tables::Any {
            return Ok(None);
        }
        // Without either, nobody has looked at who asks.
        let sender = request.extensions().get::<Arc<Principal>>().cloned().ok_or(Denied::NoToken)?;
        let guard = request.app_data::<Data<Guard>>().ok_or(Denied::NoToken)?;
        let principal = if guard.narrow.is_public(query) { Arc::clone(guard.public()) } else { sender };
        let narrowed = guard.narrow.narrow(&principal, asked)?;
        if let Some(mark) = &principal.mark {
            asked.if_none_match = asked.if_none_match.iter().filter_map(|tag| unmarked(tag, mark)).collect();
        }
        Ok(Some(Self { principal, narrowed }))
    }

    /// What it follows, as its reader knows it.
    pub fn name(&self) -> &str {
        &self.narrowed.name
    }

    /// The plain name of the table.
    pub fn table(&self) -> &str {
        &self.narrowed.table.name
    }

    pub fn principal(&self) -> Option<Arc<str>> {
        self.principal.name.clone()
    }

    /// Whether its principal may see a session.
    pub async fn shows(&self, request: &HttpRequest, session: &str) -> bool {
        let Ok(session) = SessionId::try_from(session.to_owned()) else { return false };
        if let Some(is_shown) = self.principal.scope.has_session(&session) {
            return is_shown;
        }
        let Some(name) = &self.principal.name else { return false };
        let Some(state) = request.app_data::<Data<AgentState>>() else { return false };
        let key = (name.to_string(), session);
        if let Some((is_shown, at)) = state.shown.get(&key)
            && at.elapsed() < REMEMBERED_FOR
        {
            return is_shown;
        }
        let (state, principal) = (state.clone(), Arc::clone(&self.principal));
        // It decides where a reader is counted, and nothing that it sees. A task, which ends with its query: one of several requests that
        // is given up each time before Postgres has answered would otherwise never get further.
        let asked = actix_web::rt::spawn(async move {
            let is_shown = state.shows(&principal, &key.1).await.unwrap_or(false);
            state.shown.insert(key, (is_shown, Instant::now()));
            is_shown
        });
        asked.await.unwrap_or(false)
    }

    /// How long its principal may see anything; `None` for as long as it likes.
    pub fn time_left(&self) -> Option<Duration> {
        self.principal.expires.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Completes when its principal is thrown out, or its time is over.
    pub async fn until_out(&self, request: &HttpRequest) {
        match request.app_data::<Data<Guard>>() {
            Some(guard) => guard.until_out(&self.principal).await,
            None => std::future::pending().await,
        }
    }

    /// Completes when that is over.
    pub async fn expired(&self) {
        match self.time_left() {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    }

    /// Makes an answer that of its principal alone: no shared cache may keep it, and its entity tag is no other's.
    pub fn marked(&self, answer: Answer) -> Answer {
        match &self.principal.mark {
            Some(mark) if !self.narrowed.is_public => answer.private(mark),
            _ => answer,
        }
    }
}

/// A tag without the mark of its principal; `None` if it is another's.
fn unmarked(tag: &str, mark: &str) -> Option<String> {
    tag.strip_suffix(mark)?.strip_suffix(':').map(str::to_owned)
}
