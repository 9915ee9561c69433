//! `/shape` and `/v1/shape` on the API: the read path enters here, for the tables of agent state only.
//!
//! Also what the engine's own port shares with it: how a shape request is admitted, read and answered, and the
//! headers that every answer on a shape route has.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{Error, FromRequest, HttpRequest, HttpResponse};
use bytes::BytesMut;
use futures_util::StreamExt;

use super::cors::{self, Origins};
use super::stream;
use super::watch::Door;
use crate::shape::{
    Answer, BadBody, DEFAULT_CACHE_CONTROL, Given, Handle, Invalid, MAX_BODY_BYTES, MissingOffset, PostBody, Query,
    ShapeRequest, TableName, parse_relation,
};
use crate::source::Source;

#[cfg(test)]
mod tests;

/// The tables that may be followed through the API, all in schema `public`.
pub const AGENT_TABLES: [&str; 5] = ["sessions", "messages", "parts", "snapshot_history", "subtasks"];

/// How long the body of a POST may take: a request that is being read keeps others out.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A body that is too large is read to its end, so that its sender comes to read the answer; but not further than this.
const MAX_UNREAD_BYTES: usize = 4 * MAX_BODY_BYTES;

/// What may be asked for on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// Any table, strictly as the protocol says.
    Any,
    /// One of [`AGENT_TABLES`]; without `offset`, from the start.
    AgentState,
}

/// The shape routes of the API. Needs `Data<Source>` and `Data<Origins>` in the application.
pub fn api_routes(config: &mut ServiceConfig) {
    let resource = web::resource(["/shape", "/shape/", "/v1/shape", "/v1/shape/"]).wrap(from_fn(shape_route));
    config.service(shape_methods(resource, Tables::AgentState).route(web::delete().to(refuse_delete)));
}

/// Adds the methods that every shape route has, and the answer to those that none has.
pub fn shape_methods<T>(resource: actix_web::Resource<T>, tables: Tables) -> actix_web::Resource<T>
where
    T: actix_web::dev::ServiceFactory<ServiceRequest, Config = (), Error = Error, InitError = ()> + 'static,
{
    let follow = move |request: HttpRequest, body: Payload, source: Data<Source>, door: Option<Data<Door>>| {
        follow(tables, request, body, source, door)
    };
    resource
        .route(web::get().to(follow))
        .route(web::head().to(follow))
        .route(web::post().to(follow))
        .route(web::method(Method::OPTIONS).to(preflight))
        .default_service(web::to(not_found))
}

/// `GET`, `HEAD` and `POST /v1/shape`: a reader asks for the rows of a shape, or for what is new in them.
async fn follow(
    tables: Tables,
    request: HttpRequest,
    body: Payload,
    source: Data<Source>,
    door: Option<Data<Door>>,
) -> HttpResponse {
    let method = request.method().clone();
    // Nothing below answers a POST with something that a cache may keep.
    let cached = |answer: Answer| if method == Method::POST { answer.uncached() } else { answer };
    let Named { handle, client } = Named::of(&request);
    let mut permit = match source.admit(handle.as_ref()) {
        Ok(permit) => permit,
        Err(refusal) => return stream::respond(&method, cached(refusal)),
    };
    let body = match method {
        // Boxed: a request that is held must not keep room for what reads a body.
        Method::POST => Box::pin(read_body(body)).await.map(Some),
        _ => Ok(None),
    };
    let (mut asked, table) = match body.map(|body| read_request(tables, &request, body)) {
        Ok(Ok(asked)) => asked,
        Ok(Err(invalid)) => return stream::respond_to(&method, cached(Answer::invalid(&invalid)), permit, None),
        Err(bad) => return stream::respond(&method, Answer::bad_body(&bad)),
    };
    let Some((door, table)) = door.filter(|_| method != Method::HEAD).zip(table) else {
        // By reference: each layer of futures would keep room for a copy as long as the request is held.
        let answer = source.answer(&asked, &mut permit).await;
        return stream::respond_to(&method, cached(answer), permit, None);
    };
    // Boxed, as above.
    let ticket = match Box::pin(door.enter(&request, &mut asked, &table, client)).await {
        Ok(ticket) => ticket,
        Err(refusal) => return stream::respond(&method, cached(refusal)),
    };
    let answer = tokio::select! {
        biased;
        answer = source.answer(&asked, &mut permit) => answer,
        () = ticket.subscription().end.cancelled() => door.ended(&asked),
    };
    let watch = door.watch(ticket, &asked, &answer);
    stream::respond_to(&method, cached(answer), permit, Some(watch))
}

/// `DELETE` on the API: a shape there is shared by everybody.
async fn refuse_delete(method: Method) -> HttpResponse {
    stream::respond(&method, Answer::delete_not_allowed())
}

/// `OPTIONS` on a shape route.
async fn preflight(requested: RequestedHeaders) -> HttpResponse {
    cors::preflight(requested.0.as_ref())
}

async fn not_found(method: Method) -> HttpResponse {
    stream::respond(&method, Answer::not_found())
}

/// What a URL says of who asks, whatever else is wrong with it.
#[derive(Default)]
struct Named {
    /// It alone decides among whom a request is counted.
    handle: Option<Handle>,
    /// The name that a reader gives itself. No part of the protocol: no source ever sees it.
    client: Option<String>,
}

impl Named {
    fn of(request: &HttpRequest) -> Self {
        let Ok(mut query) = Query::decode(request.query_string()) else { return Self::default() };
        let mut text = |name: &str| match query.take(name) {
            Some(Given::Text(text)) => Some(text),
            _ => None,
        };
        Self { handle: text("handle").map(|handle| Handle::from(handle.as_str())), client: text("client") }
    }
}

async fn read_body(mut payload: Payload) -> Result<PostBody, BadBody> {
    let read = async {
        let (mut body, mut length) = (BytesMut::new(), 0);
        while let Some(piece) = payload.next().await {
            let piece = piece.map_err(|_| BadBody::Unreadable)?;
            length += piece.len();
            if length <= MAX_BODY_BYTES {
                body.extend_from_slice(&piece);
            } else if length <= MAX_UNREAD_BYTES {
                body = BytesMut::new();
            } else {
                break;
            }
        }
        if length > MAX_BODY_BYTES { Err(BadBody::TooLarge) } else { PostBody::read(&body) }
    };
    tokio::time::timeout(BODY_TIMEOUT, read).await.unwrap_or(Err(BadBody::Unreadable))
}

/// The request, and the name of its table where that had to be looked at.
fn read_request(
    tables: Tables,
    request: &HttpRequest,
    body: Option<PostBody>,
) -> Result<(Box<ShapeRequest>, Option<TableName>), Invalid> {
    let missing_offset = match tables {
        Tables::Any => MissingOffset::Refuse,
        Tables::AgentState => MissingOffset::Start,
    };
    let query = request.query_string();
    let mut asked = match body {
        Some(body) => ShapeRequest::parse_post(query, body, missing_offset)?,
        None => ShapeRequest::parse(query, joined(request, header::IF_NONE_MATCH).as_deref(), missing_offset)?,
    };
    let table = match tables {
        Tables::Any => None,
        Tables::AgentState => Some(agent_table(&asked.table)?),
    };
    asked.accept_encoding = joined(request, header::ACCEPT_ENCODING);
    Ok((Box::new(asked), table))
}

/// A header's list, which may be on several lines.
fn joined(request: &HttpRequest, name: HeaderName) -> Option<String> {
    let lines: Vec<&str> = request.headers().get_all(name).filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// A table of agent state. One outside of it looks the same as one that does not exist.
fn agent_table(table: &str) -> Result<TableName, Invalid> {
    let name = parse_relation(table).map_err(|text| Invalid::one("table", text))?;
    let is_ours = name.schema == "public" && AGENT_TABLES.contains(&name.name.as_str());
    if is_ours { Ok(name) } else { Err(Invalid::unknown_table(&name)) }
}

/// What a preflight asks to send.
pub struct RequestedHeaders(Option<HeaderValue>);

impl FromRequest for RequestedHeaders {
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        ready(Ok(Self(request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned())))
    }
}

/// Wraps a shape route: sets the headers of every answer, and frees those of the request.
///
/// A held long-poll costs 9 KB without the request's headers and 16 KB with them (measured with
/// jemalloc), so only those that a handler reads are kept. Must be the only holder of the request.
pub async fn shape_route(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let caller = Caller::of(&request);
    let live = request.query_string().split('&').any(|parameter| parameter == "live=true");
    keep_read_headers(request.headers_mut(), live);
    let mut response = next.call(request).await?;
    caller.finish(&mut response, cors::SHAPE_METHODS);
    Ok(response)
}

/// Replaces the map, because a map that is only emptied keeps its memory. Which encodings are accepted is read only where a
/// body may come from elsewhere as it is, and that of a live answer may not.
fn keep_read_headers(headers: &mut HeaderMap, live: bool) {
    let read = [header::IF_NONE_MATCH, header::ACCESS_CONTROL_REQUEST_HEADERS, header::ACCEPT_ENCODING];
    let read = if live { &read[..2] } else { &read };
    let kept: Vec<(HeaderName, HeaderValue)> =
        read.iter().flat_map(|name| headers.get_all(name).map(|value| (name.clone(), value.clone()))).collect();
    *headers = HeaderMap::with_capacity(0);
    for (name, value) in kept {
        headers.append(name, value);
    }
}

/// What an answer's common headers repeat of its request.
pub struct Caller {
    origin: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
}

impl Caller {
    /// Reads a request's headers.
    pub fn of(request: &ServiceRequest) -> Self {
        let header = |name: HeaderName| request.headers().get(name).cloned();
        Self { origin: header(header::ORIGIN), request_id: header(REQUEST_ID).filter(is_request_id) }
    }

    /// Sets what every answer of a shape server has (protocol, 1.2 and 1.3), unless it is set.
    pub fn finish(self, response: &mut ServiceResponse<impl MessageBody>, methods: HeaderValue) {
        let origins = response.request().app_data::<Data<Origins>>().cloned();
        let is_preflight = response.request().method() == Method::OPTIONS && response.status().is_success();
        let headers = response.headers_mut();
        if let Some(origins) = origins {
            origins.permit(self.origin.as_ref(), methods, headers);
        }
        if !headers.contains_key(header::CACHE_CONTROL) && !is_preflight {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(DEFAULT_CACHE_CONTROL));
        }
        if !headers.contains_key(REQUEST_ID) {
            headers.insert(REQUEST_ID, self.request_id.unwrap_or_else(new_request_id));
        }
        headers.insert(SERVER, HeaderValue::from_static(concat!("plue-sync/", env!("CARGO_PKG_VERSION"))));
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER: HeaderName = HeaderName::from_static("electric-server");

/// Long enough to be one, short enough to be echoed.
fn is_request_id(value: &HeaderValue) -> bool {
    (20..=200).contains(&value.len()) && value.to_str().is_ok()
}

fn new_request_id() -> HeaderValue {
    let id = uuid::Uuid::new_v4().simple().to_string();
    HeaderValue::from_str(&id).expect("hexadecimal digits are a valid header")
}
