//! `GET /v1/admin/events`: what opens and ends in this process, as it happens.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::Admin;
use crate::auth::Guard;
use crate::error::ApiError;
use crate::http::access::Who;
use crate::subscription::{Event, Watch};

/// Silence after which a comment is sent, to keep proxies from closing the stream.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Streams `opened`, `ended`, and `missed` where this reader was too slow. Ends with the server, and with its reader's right to it.
pub async fn watch(admin: Data<Admin>, guard: Data<Guard>, Who(principal): Who) -> Result<HttpResponse, ApiError> {
    let events = admin.registry.send(Watch).await.map_err(|_| ApiError::Unavailable)?;
    let instance = admin.instances.id().to_string();
    // Sent at once, so that whoever waits for the head knows that nothing is missed from here on.
    let watching = stream::iter([Bytes::from_static(b": watching\n\n")]);
    let pieces = stream::unfold((events, instance), |(mut events, instance)| async move {
        Some((next(&mut events, &instance).await?, (events, instance)))
    });
    let out = Box::pin(async move { guard.until_out(&principal).await });
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(watching.chain(pieces).take_until(out).map(Ok::<_, std::convert::Infallible>)))
}

/// The next piece of the stream; `None` at its end.
async fn next(events: &mut Receiver<Event>, instance: &str) -> Option<Bytes> {
    match timeout(KEEP_ALIVE, events.recv()).await {
        Err(_) => Some(Bytes::from_static(b": keep-alive\n\n")),
        Ok(Ok(event)) => Some(printed(event.name(), &json!(event.of_instance(instance)))),
        Ok(Err(RecvError::Lagged(events))) => Some(printed("missed", &json!({"events": events}))),
        Ok(Err(RecvError::Closed)) => None,
    }
}

fn printed(name: &str, data: &serde_json::Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}
