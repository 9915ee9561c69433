//! `/v1/admin/shapes` and `/v1/admin/replication`: what the source of shapes holds, and how far behind it is.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use serde::Serialize;
use serde_json::{Value, json};
use tracing::warn;

use super::query::Paged;
use super::{Admin, Ended, Gathered, Silent};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::shape::Handle;
use crate::source::Source;
use crate::subscription::{Page, Question, Reply};

const ELSEWHERE: ApiError =
    ApiError::NotAvailable("shapes come from ELECTRIC_URL here; ask the service there, which holds them");

/// A page of shapes, and where the next one starts.
#[derive(Serialize)]
pub struct Shapes {
    shapes: Vec<Value>,
    next: Option<String>,
    #[serde(flatten)]
    silent: Silent,
}

/// `GET /v1/admin/shapes?limit=&after=`: those of the engine, the oldest first; of a proxy, those that somebody follows, by
/// handle, with the subscriptions that follow them as `readers`.
pub async fn list(admin: Data<Admin>, source: Data<Source>, Paged(page): Paged) -> Result<Json<Shapes>, ApiError> {
    let Some(engine) = source.engine() else {
        let limit = page.limit;
        let Gathered { reply, silent } = admin.ask(Question::Shapes { page }).await;
        let Reply::Shapes(shapes) = reply else { return Err(ApiError::Internal) };
        let next = shapes.last().filter(|_| shapes.len() == limit).map(|last| last.handle.clone());
        return Ok(Json(Shapes { shapes: shapes.iter().map(|shape| json!(shape)).collect(), next, silent }));
    };
    let Page { after, limit } = page;
    let number = |after: String| Handle::from(after.as_str()).number().ok_or(ApiError::invalid("after", "a handle"));
    let after = after.map(number);
    let shapes = engine.shapes_after(after.transpose()?, limit);
    let next = shapes.last().filter(|_| shapes.len() == limit).map(|last| last.handle.to_string());
    let shapes = shapes.iter().map(|shape| json!(shape)).collect();
    Ok(Json(Shapes { shapes, next, silent: Silent::NOBODY }))
}

/// `DELETE /v1/admin/shapes/{handle}`: its readers start over.
pub async fn end(source: Data<Source>, handle: Path<String>) -> Result<HttpResponse, ApiError> {
    let ended = in_process(&source)?.end_shape(&Handle::from(handle.as_str())).await;
    Ok(HttpResponse::Ok().json(Ended { ended: usize::from(ended), silent: Silent::NOBODY }))
}

/// `GET /v1/admin/replication`.
pub async fn replication(source: Data<Source>) -> Result<HttpResponse, ApiError> {
    let progress = in_process(&source)?.replication().await;
    let progress = progress.map_err(|error| {
        warn!(error = &error as &dyn std::error::Error, "{error}");
        ApiError::Unavailable
    })?;
    Ok(HttpResponse::Ok().json(progress))
}

fn in_process(source: &Source) -> Result<&Engine, ApiError> {
    source.engine().ok_or(ELSEWHERE)
}
