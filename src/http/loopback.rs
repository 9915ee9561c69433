//! In front of an open `dev`: only this machine's own programs and pages are answered.
//!
//! Nothing else protects it. A page of any site that the developer looks at could send requests to it, and read the answers too once the
//! name of its own host leads to this machine (DNS rebinding). Browsers tell both: the page by `origin`, the name by `host`.

use std::net::IpAddr;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::http::uri::Authority;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, ResponseError};

use super::cors::Origins;
use crate::error::ApiError;

/// Wraps all routes. Pages of elsewhere are refused where [`Origins::Loopback`] is in the application: otherwise the developer has said
/// who may.
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
        let why = "an open `dev` answers only to localhost, 127.0.0.1 and [::1]; set PLUE_AUTH__JWT_SECRET to use another name";
        return Some(ApiError::Forbidden(why.into()));
    }
    let is_judged = request.app_data::<Data<Origins>>().is_some_and(|origins| ***origins == Origins::Loopback);
    if is_judged && header(header::ORIGIN).is_some_and(|origin| !is_loopback_origin(origin)) {
        let why = "an open `dev` is for pages of this machine only; list the page's origin in server.cors_origins to permit it";
        return Some(ApiError::Forbidden(why.into()));
    }
    None
}

/// Whether an origin, as browsers write it, is of this machine: `http://localhost:5173`.
pub fn is_loopback_origin(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    host.is_some_and(is_loopback)
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
        //   host, origin, answered with Origins::Loopback, with others
        let cases = [
            ("localhost:4000", None, true, true),
            ("LOCALHOST", None, true, true),
            ("127.0.0.1:4000", None, true, true),
            ("[::1]:4000", None, true, true),
            ("127.8.9.1", None, true, true),
            ("localhost:4000", Some("http://localhost:5173"), true, true),
            ("localhost:4000", Some("https://127.0.0.1"), true, true),
            ("localhost:4000", Some("http://[::1]:1"), true, true),
            ("evil.example:4000", None, false, false),
            ("localhost.evil.example", None, false, false),
            ("192.168.0.2:4000", None, false, false),
            ("evil.example@localhost", None, false, false),
            ("localhost@evil.example", None, false, false),
            ("", None, false, false),
            ("a b", None, false, false),
            ("localhost:4000", Some("https://evil.example"), false, true),
            ("localhost:4000", Some("http://localhost.evil.example"), false, true),
            ("localhost:4000", Some("http://localhost@evil.example"), false, true),
            ("localhost:4000", Some("ftp://localhost"), false, true),
            ("localhost:4000", Some("null"), false, true),
            ("localhost:4000", Some(""), false, true),
        ];
        for origins in [Origins::Loopback, Origins::Any] {
            let app = App::new().app_data(Data::new(origins.clone())).wrap(from_fn(from_here));
            let app = init_service(app.default_service(web::to(HttpResponse::NoContent))).await;
            for (host, origin, by_loopback, by_others) in cases {
                let request = TestRequest::post().insert_header((header::HOST, host));
                let request =
                    origin.into_iter().fold(request, |request, origin| request.insert_header((header::ORIGIN, origin)));
                let is_answered = call_service(&app, request.to_request()).await.status() == 204;
                let expected = if origins == Origins::Loopback { by_loopback } else { by_others };
                assert_eq!(is_answered, expected, "{origins:?}: {host} {origin:?}");
            }
        }
    }
}
