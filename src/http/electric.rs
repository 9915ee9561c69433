//! The engine alone on its own port, as the Electric service that it can stand in for (protocol, 1).
//!
//! | path | methods |
//! |---|---|
//! | `/` | GET, HEAD |
//! | `/v1/shape` | GET, HEAD, POST, OPTIONS; DELETE where the configuration allows it |
//! | `/v1/health` | GET, HEAD |
//!
//! Anything else is 404. Slashes are merged and trimmed before routing, and the secret is asked for by the
//! route itself, so no spelling of its path goes round it.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::{Next, NormalizePath, from_fn};
use actix_web::web::{self, Data};
use actix_web::{App, Error, HttpRequest, HttpResponse};
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::cors::{self, Origins};
use super::shape::{Caller, Tables, shape_methods, shape_route};
use super::stream;
use crate::shape::{Answer, Body, DEFAULT_CACHE_CONTROL, Deletion, Given, Health, Query};
use crate::source::Source;

#[cfg(test)]
mod tests;

/// What a request to the shape route must know.
#[derive(Debug, Clone)]
pub enum Access {
    /// Nothing: insecure mode.
    Open,
    /// The shared secret, as parameter `secret` or, in its absence, `api_secret`.
    Secret(SecretString),
}

/// The application of the engine's port. The caller adds `Data<Source>`.
pub fn electric_app(
    access: Access,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let shape = web::resource("/v1/shape").wrap(from_fn(ask_secret)).wrap(from_fn(shape_route));
    let shape = shape_methods(shape, Tables::Any).route(web::delete().to(delete_shape));
    App::new()
        .app_data(Data::new(access))
        .app_data(Data::new(Origins::Any))
        .wrap(from_fn(other_route))
        .wrap(NormalizePath::trim())
        .service(shape)
        .service(read_only("/", web::get().to(root), web::head().to(root)))
        .service(read_only("/v1/health", web::get().to(health), web::head().to(health)))
        .default_service(web::to(not_found))
}

/// A path that can only be read; other methods are as unknown as other paths.
fn read_only(path: &str, get: actix_web::Route, head: actix_web::Route) -> actix_web::Resource {
    web::resource(path).route(get).route(head).default_service(web::to(not_found))
}

/// `DELETE /v1/shape`: a test or an administrator ends a shape.
async fn delete_shape(request: HttpRequest, source: Data<Source>) -> HttpResponse {
    let answer = match source.may_delete().await {
        Err(refusal) => refusal,
        Ok(()) => match Deletion::parse(request.query_string()) {
            Ok(deletion) => source.delete(deletion).await,
            Err(invalid) => Answer::invalid(&invalid),
        },
    };
    stream::respond(request.method(), answer.uncached())
}

/// `GET /`: for those who only look whether anyone is there.
async fn root(method: Method) -> HttpResponse {
    let headers = vec![("cache-control", DEFAULT_CACHE_CONTROL.to_owned())];
    stream::respond(&method, Answer { status: 200, headers, body: Body::Empty })
}

/// `GET /v1/health`: only 200 means that shapes are served and follow Postgres.
async fn health(method: Method, source: Data<Source>) -> HttpResponse {
    stream::respond(&method, health_answer(source.health()))
}

fn health_answer(health: Health) -> Answer {
    let headers = vec![
        ("content-type", "application/json; charset=utf-8".to_owned()),
        ("cache-control", "no-cache, no-store, must-revalidate".to_owned()),
    ];
    let body = format!(r#"{{"status":"{}"}}"#, health.as_str());
    let status = if health == Health::Active { 200 } else { 202 };
    Answer { status, headers, body: Body::Full(Bytes::from(body)) }
}

async fn not_found(method: Method) -> HttpResponse {
    stream::respond(&method, Answer::not_found())
}

/// Wraps all routes: the headers of answers that no shape route gave.
async fn other_route(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let caller = Caller::of(&request);
    let mut response = next.call(request).await?;
    caller.finish(&mut response, cors::OTHER_METHODS);
    Ok(response)
}

/// Wraps the shape route: refuses who does not know the secret, before anything else is looked at.
async fn ask_secret(
    access: Data<Access>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let method = request.method().clone();
    if method == Method::OPTIONS || access.admits(request.query_string()) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    Ok(request.into_response(stream::respond(&method, Answer::unauthorized())))
}

impl Access {
    /// Whether a query string shows the secret. One that cannot be read shows none.
    fn admits(&self, query: &str) -> bool {
        let Self::Secret(secret) = self else { return true };
        let Ok(mut query) = Query::decode(query) else { return false };
        let given = query.take("secret").or_else(|| query.take("api_secret"));
        let Some(Given::Text(given)) = given else { return false };
        given.as_bytes().ct_eq(secret.expose_secret().as_bytes()).into()
    }
}
