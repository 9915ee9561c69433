//! `/health` and `/ready` of the API: whether this process is alive, and whether it can do its work.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{self, Data, ServiceConfig};
use serde_json::json;

use crate::shape::Health;
use crate::source::Source;

/// Seconds after which a caller that found us not ready may ask again.
const RETRY_AFTER_SECONDS: u64 = 1;

/// The health routes. Need `Data<Source>` in the application.
pub fn health_routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/health").route(web::get().to(alive)).route(web::head().to(alive)))
        .service(web::resource("/ready").route(web::get().to(ready)).route(web::head().to(ready)));
}

/// `GET /health`: answers as long as the process can answer at all.
async fn alive() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({"status": "alive"}))
}

/// `GET /ready`: 200 once shapes follow Postgres, here or at the upstream. The tables are there before anything listens.
async fn ready(source: Data<Source>) -> HttpResponse {
    readiness(source.what_is_watched(), source.health())
}

fn readiness(what: &str, health: Health) -> HttpResponse {
    let ready = health == Health::Active;
    let mut response = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    if !ready {
        response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS));
    }
    let status = if ready { "ready" } else { "not ready" };
    response.insert_header((header::CACHE_CONTROL, "no-store")).json(json!({"status": status, what: health.as_str()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn ready_means_replicating() {
        let cases = [
            ("replication", Health::Active, 200, r#"{"replication":"active","status":"ready"}"#),
            ("replication", Health::Waiting, 503, r#"{"replication":"waiting","status":"not ready"}"#),
            ("replication", Health::Starting, 503, r#"{"replication":"starting","status":"not ready"}"#),
            ("upstream", Health::Unreachable, 503, r#"{"status":"not ready","upstream":"unreachable"}"#),
        ];
        for (what, health, status, body) in cases {
            let response = readiness(what, health);
            assert_eq!(response.status(), status, "{body}");
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503, "{body}");
            let sent = actix_web::body::to_bytes(response.into_body()).await.expect("a body in memory");
            assert_eq!(sent, body);
        }
    }
}
