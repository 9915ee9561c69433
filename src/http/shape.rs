//! `/shape` and `/v1/shape` on the API: the read path enters here, for the tables of agent state only; and
//! `/v1/shape/first`, for several requests at once.
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
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use bytes::BytesMut;
use futures_util::StreamExt;

use super::access::{VARY, identify_reader, refuse};
use super::cors::{self, Origins};
use super::entrance::Entrance;
use super::stream;
use super::watch::Door;
use crate::auth::{Denied, Guard, Refused};
use crate::error::ApiError;
use crate::shape::{Answer, BadBody, DEFAULT_CACHE_CONTROL, Dialect, Invalid, MAX_BODY_BYTES, PostBody, ShapeRequest};
use crate::source::Source;

mod first;
mod held;
#[cfg(test)]
mod tests;

use held::{Held, admit};

/// How long the body of a POST may take: a request that is being read keeps others out.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A body that is too large is read to its end, so that its sender comes to read the answer; but not further than this.
const MAX_UNREAD_BYTES: usize = 4 * MAX_BODY_BYTES;

/// What may be asked for on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// Any table, strictly as the protocol says.
    Any,
    /// What the sender may see: tables of agent state, and shapes that have names.
    Permitted,
}

/// The shape routes of the API. Need `Data<Source>` and `Data<Origins>` in the application.
pub fn api_routes(config: &mut ServiceConfig) {
    let resource = web::resource(["/shape", "/shape/", "/v1/shape", "/v1/shape/"]).wrap(from_fn(shape_route));
    config.service(shape_methods(resource, Tables::Permitted).route(web::delete().to(refuse_delete)));
    config.configure(first::route);
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
    let method = request.method();
    let (permit, client) = match admit(request.query_string(), &source) {
        Ok(admitted) => admitted,
        Err(refusal) => return stream::respond(method, cached(method, refusal)),
    };
    // Boxed: a request that is held must not keep room for what reads a body.
    let (asked, entrance) = match Box::pin(read_request(tables, &request, body)).await {
        Ok(read) => read,
        Err(refusal) => return refusal.respond(method, permit),
    };
    // Whoever wants the headers alone follows nothing.
    let door = door.as_ref().map(|door| door.get_ref()).filter(|_| method != Method::HEAD);
    let mut held = Held { asked, entrance, client, permit, ticket: None, among_others: false };
    let answer = held.answer(&request, &source, door).await;
    held.respond(method, door, answer)
}

/// An answer to a request of this method: nothing here answers a POST with something that a cache may keep.
fn cached(method: &Method, answer: Answer) -> Answer {
    if method == Method::POST { answer.uncached() } else { answer }
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

/// What is answered where nothing may be asked.
enum Refusal {
    /// In the words of the protocol.
    Answer(Answer),
    /// In those of the API.
    Api(ApiError),
}

impl Refusal {
    /// Sends it, and keeps `held` as long as that takes.
    fn respond(self, method: &Method, held: impl Unpin + 'static) -> HttpResponse {
        match self {
            Self::Answer(answer) => stream::respond_to(method, answer, held, None),
            Self::Api(refused) => refused.error_response(),
        }
    }
}

/// What is asked, and what its sender gets to see of it.
async fn read_request(
    tables: Tables,
    request: &HttpRequest,
    body: Payload,
) -> Result<(Box<ShapeRequest>, Option<Entrance>), Refusal> {
    let method = request.method();
    let body = match *method {
        Method::POST => read_body(body).await.map(Some),
        _ => Ok(None),
    };
    let body = body.map_err(|bad| Refusal::Answer(Answer::bad_body(&bad)))?;
    let asked = parse_request(tables, request, body);
    let mut asked = asked.map_err(|invalid| Refusal::Answer(cached(method, Answer::invalid(&invalid))))?;
    let entrance = let_in(tables, request, request.query_string(), &mut asked)?;
    Ok((asked, entrance))
}

/// Confines what is asked to what its sender gets to see of it.
fn let_in(
    tables: Tables,
    request: &HttpRequest,
    query: &str,
    asked: &mut ShapeRequest,
) -> Result<Option<Entrance>, Refusal> {
    Entrance::of(tables, request, query, asked).map_err(|denied| match denied {
        Denied::Invalid(reasons) => Refusal::Answer(cached(request.method(), Answer::invalid(&reasons))),
        Denied::NoToken => Refusal::Api(Refused::NoToken.into()),
        Denied::NoClaim(name) => {
            let text = format!("the token has no claim {name}, which this shape depends on");
            Refusal::Api(ApiError::Forbidden(text.into()))
        }
    })
}

fn parse_request(tables: Tables, request: &HttpRequest, body: Option<PostBody>) -> Result<Box<ShapeRequest>, Invalid> {
    let dialect = match tables {
        Tables::Any => Dialect::Protocol,
        Tables::Permitted => Dialect::Api,
    };
    let query = request.query_string();
    let mut asked = match body {
        Some(body) => ShapeRequest::parse_post(query, body, dialect)?,
        None => ShapeRequest::parse(query, joined(request, header::IF_NONE_MATCH).as_deref(), dialect)?,
    };
    asked.accept_encoding = joined(request, header::ACCEPT_ENCODING);
    Ok(Box::new(asked))
}

/// A header's list, which may be on several lines.
fn joined(request: &HttpRequest, name: HeaderName) -> Option<String> {
    let lines: Vec<&str> = request.headers().get_all(name).filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
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

/// Wraps a shape route: finds out who asks, where that matters, sets the headers of every answer, and frees those of the request.
///
/// A held long-poll costs 9 KB without the request's headers and 16 KB with them (measured with
/// jemalloc), so only those that a handler reads are kept. Must be the only holder of the request.
pub async fn shape_route(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let caller = Caller::of(&request);
    let mut is_told_apart = false;
    if request.app_data::<Data<Guard>>().is_some() && request.method() != Method::OPTIONS {
        match Box::pin(identify_reader(&request)).await {
            Ok(principal) => {
                is_told_apart = principal.is_told_apart();
                request.extensions_mut().insert(principal);
            }
            Err(refused) => {
                let mut response = refuse(request, &refused).map_into_right_body();
                caller.finish(&mut response, cors::SHAPE_METHODS);
                return Ok(response);
            }
        }
    }
    let live = request.query_string().split('&').any(|parameter| parameter == "live=true");
    keep_read_headers(request.headers_mut(), live);
    let mut response = next.call(request).await?.map_into_left_body();
    if is_told_apart {
        response.headers_mut().append(header::VARY, VARY);
    }
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
