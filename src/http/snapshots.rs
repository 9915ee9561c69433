//! `/v1/sessions/{session}/snapshots`: the states of the working copy, in order.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use serde::Serialize;

use super::AgentState;
use super::body::{Body, Fields, int4, varchar};
use crate::db::session;
use crate::db::snapshot::{self, Snapshot};
use crate::error::ApiError;
use crate::ids::SessionId;
use crate::writer::{Command, SnapshotAt};

/// The snapshots of a session.
#[derive(Serialize)]
pub struct Snapshots {
    snapshots: Vec<Snapshot>,
}

/// `GET /v1/sessions/{session}/snapshots`.
pub async fn list(state: Data<AgentState>, path: Path<SessionId>) -> Result<Json<Snapshots>, ApiError> {
    let read = async |conn: &mut _| {
        session::read_at_once(conn, &path, async |conn| snapshot::of_session(conn, &path).await).await
    };
    let snapshots = state.database.read(read).await?.ok_or(ApiError::NotFound("session"))?;
    Ok(Json(Snapshots { snapshots }))
}

/// `POST /v1/sessions/{session}/snapshots`: appends one, at the next place unless the caller names it.
pub async fn append(state: Data<AgentState>, path: Path<SessionId>, body: Body) -> Result<HttpResponse, ApiError> {
    let snapshot = snapshot_at(body.object()?)?;
    state.create(Command::AppendSnapshot { session: path.into_inner(), snapshot }).await
}

/// `PUT /v1/sessions/{session}/snapshots`: the whole history, in place of what is there.
pub async fn replace(state: Data<AgentState>, path: Path<SessionId>, body: Body) -> Result<HttpResponse, ApiError> {
    let mut snapshots = Vec::new();
    for mut fields in body.list("snapshots")? {
        // What we gave out can be sent back.
        fields.repeated("session_id", path.as_str())?;
        fields.ignored("id");
        fields.ignored("created_at");
        snapshots.push(snapshot_at(fields)?);
    }
    state.write(Command::ReplaceSnapshots { session: path.into_inner(), snapshots }).await
}

fn snapshot_at(mut fields: Fields) -> Result<SnapshotAt, ApiError> {
    let snapshot = SnapshotAt {
        change_id: fields.required("change_id", varchar(255))?,
        sort_order: fields.optional("sort_order", int4)?,
    };
    fields.finish()?;
    Ok(snapshot)
}
