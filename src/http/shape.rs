//! `GET /shape` and `GET /v1/shape` on the API: the read path enters here, for the tables of agent state only.
//!
//! Also what the engine's own port shares with it: how a shape request is read, and the headers that
//! every answer on a shape route has.

use std::future::{Ready, ready};

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{Error, FromRequest, HttpRequest, HttpResponse, ResponseError};

use super::cors::{self, Origins};
use super::stream;
use crate::shape::{Answer, DEFAULT_CACHE_CONTROL, Invalid, MissingOffset, ShapeRequest, TableName, parse_relation};
use crate::source::Source;

#[cfg(test)]
mod tests;

/// The tables that may be followed through the API, all in schema `public`.
pub const AGENT_TABLES: [&str; 5] = ["sessions", "messages", "parts", "snapshot_history", "subtasks"];

/// The shape routes of the API. Needs `Data<Source>` and `Data<Origins>` in the application.
pub fn api_routes(config: &mut ServiceConfig) {
    config.service(
        web::resource(["/shape", "/v1/shape"])
            .wrap(from_fn(shape_route))
            .route(web::get().to(follow_agent_table))
            .route(web::head().to(follow_agent_table))
            .route(web::method(Method::OPTIONS).to(preflight))
            .default_service(web::to(refuse_method)),
    );
}

/// `GET /v1/shape`: a reader asks for the rows of one session, or for what is new in them.
async fn follow_agent_table(asked: AgentShape, method: Method, source: Data<Source>) -> HttpResponse {
    stream::respond(&method, source.answer(*asked.0).await)
}

/// `OPTIONS` on a shape route.
pub async fn preflight(requested: RequestedHeaders) -> HttpResponse {
    cors::preflight(requested.0.as_ref())
}

/// Any other method on a shape route.
pub async fn refuse_method(method: Method) -> HttpResponse {
    let answer = match method {
        Method::POST | Method::DELETE => Answer::invalid(&Invalid::unsupported("method")).uncached(),
        _ => Answer::not_found(),
    };
    stream::respond(&method, answer)
}

/// A request for one of [`AGENT_TABLES`]; without `offset`, from the start.
struct AgentShape(Box<ShapeRequest>);

/// A request for any table, strictly as the protocol says. Boxed, because each layer of futures that it
/// passes through would keep room for a copy as long as the request is held.
pub struct AnyShape(pub Box<ShapeRequest>);

/// A request that is none: a 400 with the reasons.
#[derive(Debug, thiserror::Error)]
#[error("invalid shape request: {0:?}")]
pub struct Refused(Invalid);

impl FromRequest for AgentShape {
    type Error = Refused;
    type Future = Ready<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let read = read_request(request, MissingOffset::Start).and_then(|asked| {
            check_agent_table(&asked.table)?;
            Ok(Self(Box::new(asked)))
        });
        ready(read.map_err(Refused))
    }
}

impl FromRequest for AnyShape {
    type Error = Refused;
    type Future = Ready<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read_request(request, MissingOffset::Refuse).map(Box::new).map(Self).map_err(Refused))
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }

    fn error_response(&self) -> HttpResponse {
        // The server itself drops this body where the request was a HEAD.
        stream::respond(&Method::GET, Answer::invalid(&self.0))
    }
}

fn read_request(request: &HttpRequest, missing_offset: MissingOffset) -> Result<ShapeRequest, Invalid> {
    let lines: Vec<&str> =
        request.headers().get_all(header::IF_NONE_MATCH).filter_map(|line| line.to_str().ok()).collect();
    ShapeRequest::parse(request.query_string(), Some(&lines.join(",")), missing_offset)
}

/// A table outside agent state looks the same as one that does not exist.
fn check_agent_table(table: &str) -> Result<(), Invalid> {
    let name = parse_relation(table).map_err(|text| Invalid::one("table", text))?;
    let TableName { schema, name: table } = &name;
    if schema == "public" && AGENT_TABLES.contains(&table.as_str()) {
        Ok(())
    } else {
        Err(Invalid::unknown_table(&name))
    }
}

/// What a preflight asks to send.
pub struct RequestedHeaders(Option<HeaderValue>);

impl FromRequest for RequestedHeaders {
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
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
    keep_read_headers(request.headers_mut());
    let mut response = next.call(request).await?;
    caller.finish(&mut response, cors::SHAPE_METHODS);
    Ok(response)
}

/// Replaces the map, because a map that is only emptied keeps its memory.
fn keep_read_headers(headers: &mut HeaderMap) {
    let read = [header::IF_NONE_MATCH, header::ACCESS_CONTROL_REQUEST_HEADERS];
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
