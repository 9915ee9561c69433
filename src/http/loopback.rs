//! In front of an open `dev`: only this machine's own programs and pages are answered.
//!
//! Nothing else protects it. A page of any site that the developer looks at could send requests to it, and read the answers too once the
//! name of its own host leads to this machine (DNS rebinding). Browsers tell both: the page by `origin`, the name by `host`.

use std::net::IpAddr;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::uri::Authority;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, ResponseError};

use super::cors::Origins;
use crate::error::ApiError;

/// Wraps all routes. Pages that `Data<Origins>` of the application does not name are refused, except those of the server itself: a
/// header that is left out would keep them from reading only.
pub async fn from_here(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match refusal(&request) {
        None => Ok(next.call(request).await?.map_into_boxed_body()),
        Some(refused) => Ok(request.into_response(refused.error_response())),
    }
}

fn refusal(request: &ServiceRequest) -> Option<ApiError> {
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    // HTTP/2 has it in the URI.
    let hosts = [header(header::HOST), request.uri().authority().map(Authority::as_str)];
    if hosts.into_iter().flatten().any(|host| !is_loopback(host)) {
        let why = "without tokens `dev` answers to localhost, 127.0.0.1 and [::1] alone; with PLUE_AUTH__JWT_SECRET its API has any name";
        return Some(ApiError::Forbidden(why.into()));
    }
    let origin = request.headers().get(header::ORIGIN)?;
    let is_named = request.app_data::<Data<Origins>>().is_some_and(|origins| origins.names(origin));
    let is_own =
        hosts.into_iter().flatten().any(|host| authority_of(origin).is_some_and(|own| own.eq_ignore_ascii_case(host)));
    let why =
        "without tokens `dev` is for pages of this machine; list the page's origin in server.cors_origins to permit it";
    (!is_named && !is_own).then(|| ApiError::Forbidden(why.into()))
}

/// Whether an origin, as browsers write it, is of this machine: `http://localhost:5173`.
pub fn is_loopback_origin(origin: &HeaderValue) -> bool {
    authority_of(origin).is_some_and(is_loopback)
}

/// `host` or `host:port` of a web page's origin.
fn authority_of(origin: &HeaderValue) -> Option<&str> {
    let origin = origin.to_str().ok()?;
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
}

/// Whether `host` or `host:port` names this machine.
fn is_loopback(host: &str) -> bool {
    // No name of a host has one, but whoever reads it in another way could see another host.
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_ours = name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    is_ours && !host.contains('@')
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};

    use super::*;

    #[actix_web::test]
    async fn only_this_machines_programs_and_pages_are_answered() {
        let (own, theirs) = ("http://localhost:4000", "https://app.example");
        //   host, origin, answered with Origins::Loopback, where one is listed, with any
        let cases = [
            ("localhost:4000", None, [true; 3]),
            ("LOCALHOST", None, [true; 3]),
            ("127.0.0.1:4000", None, [true; 3]),
            ("[::1]:4000", None, [true; 3]),
            ("127.8.9.1", None, [true; 3]),
            ("localhost:4000", Some(own), [true; 3]),
            ("LocalHost:4000", Some(own), [true; 3]),
            ("localhost:4000", Some(theirs), [false, true, true]),
            ("localhost:4000", Some("http://localhost:5173"), [true, false, true]),
            ("localhost:4000", Some("https://127.0.0.1"), [true, false, true]),
            ("localhost:4000", Some("http://[::1]:1"), [true, false, true]),
            ("evil.example:4000", None, [false; 3]),
            ("evil.example:4000", Some("http://evil.example:4000"), [false; 3]),
            ("evil.example:4000", Some(theirs), [false; 3]),
            ("localhost.evil.example", None, [false; 3]),
            ("127.0.0.1.evil.example", None, [false; 3]),
            ("192.168.0.2:4000", None, [false; 3]),
            ("evil.example@localhost", None, [false; 3]),
            ("localhost@evil.example", None, [false; 3]),
            ("", None, [false; 3]),
            ("a b", None, [false; 3]),
            ("localhost:4000", Some("https://evil.example"), [false, false, true]),
            ("localhost:4000", Some("http://localhost.evil.example"), [false, false, true]),
            ("localhost:4000", Some("http://localhost@evil.example"), [false, false, true]),
            ("localhost:4000", Some("ftp://localhost:4000"), [false, false, true]),
            ("localhost:4000", Some("null"), [false, false, true]),
            ("localhost:4000", Some(""), [false, false, true]),
        ];
        let listed = Origins::from_setting(&[theirs.to_owned()], false);
        for (at, origins) in [Origins::Loopback, listed, Origins::Any].into_iter().enumerate() {
            let app = App::new().app_data(Data::new(origins.clone())).wrap(from_fn(from_here));
            let app = init_service(app.default_service(web::to(HttpResponse::NoContent))).await;
            for (host, origin, is_answered) in cases {
                let request = TestRequest::post().insert_header((header::HOST, host));
                let request =
                    origin.into_iter().fold(request, |request, origin| request.insert_header((header::ORIGIN, origin)));
                let status = call_service(&app, request.to_request()).await.status();
                assert_eq!(status == 204, is_answered[at], "{origins:?}: {host} {origin:?}");
            }
        }
    }
}
