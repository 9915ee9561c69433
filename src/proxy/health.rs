//! Looks after the upstream's health: asks its health route again and again, and tells whoever wants to know.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use super::upstream::Upstream;
use crate::shape::Health;

/// Between two looks at an upstream that is well. Each also closes connections that nobody has used for a while.
const WELL: Duration = Duration::from_secs(5);
/// Between two looks at one that is not: its return should be noticed soon.
const UNWELL: Duration = Duration::from_secs(1);

/// Looks until nobody wants to know any more.
pub async fn watch(upstream: Rc<Upstream>, told: watch::Sender<Health>) {
    let mut known = None;
    loop {
        let health = tokio::select! {
            biased;
            () = told.closed() => return,
            health = upstream.health() => health,
        };
        if known.replace(health) != Some(health) {
            log(&upstream, health);
        }
        told.send_replace(health);
        let pause = if health == Health::Active { WELL } else { UNWELL };
        tokio::select! {
            biased;
            () = told.closed() => return,
            () = sleep(pause) => {}
        }
    }
}

fn log(upstream: &Upstream, health: Health) {
    let url = &upstream.url;
    match health {
        Health::Active => info!(upstream.url = %url, "shapes come from {url}"),
        Health::Waiting | Health::Starting => {
            info!(upstream.url = %url, "the upstream at {url} is {} and serves no shapes yet", health.as_str());
        }
        Health::Unreachable => {
            warn!(upstream.url = %url, "the upstream at {url} does not answer as a shape service; see ELECTRIC_URL");
        }
    }
}
