//! `POST /v1/demo`, in `dev` only: plays the demo for whoever may write.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use tracing::error;

use super::access::{Who, authenticated};
use super::resource;
use crate::auth::Role;
use crate::demo::{Demo, Refusal};
use crate::error::ApiError;

/// Seconds after which one of the sessions that are played may be over.
const RETRY_AFTER_SECONDS: u64 = 10;

/// What a request shows of who sends it, and from where.
const SHOWN: [HeaderName; 4] =
    [header::AUTHORIZATION, header::COOKIE, header::ORIGIN, HeaderName::from_static("sec-fetch-site")];

/// The route of the demo. Needs `Data<Guard>` in the application.
pub fn demo_routes(app: &mut ServiceConfig, demo: &Demo) {
    app.service(resource("/v1/demo").app_data(Data::new(demo.clone())).wrap(from_fn(authenticated)).post(play));
}

/// `POST /v1/demo`: 202 with the session, which is there and goes on for about 45 s.
async fn play(demo: Data<Demo>, Who(principal): Who, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if principal.role < Role::Agent {
        return Err(ApiError::Forbidden("this needs the role agent".into()));
    }
    let session = Box::pin(demo.play(shown_by(&request))).await?;
    Ok(HttpResponse::build(StatusCode::ACCEPTED)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({"session": session.as_str()})))
}

/// The demo writes as its caller, and may write no more.
fn shown_by(request: &HttpRequest) -> Vec<(HeaderName, HeaderValue)> {
    let header = |name: HeaderName| request.headers().get(&name).map(|value| (name, value.clone()));
    let authority = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    let host = authority.map(|host| (header::HOST, host)).or_else(|| header(header::HOST));
    SHOWN.into_iter().filter_map(header).chain(host).collect()
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let failed = match refusal {
            Refusal::Busy => return Self::TooManyRequests(RETRY_AFTER_SECONDS),
            Refusal::Failed(failed) => failed,
        };
        match failed.status {
            Some(StatusCode::UNAUTHORIZED) => Self::Unauthorized(failed.message),
            Some(StatusCode::FORBIDDEN) => Self::Forbidden(failed.message.into()),
            Some(StatusCode::TOO_MANY_REQUESTS) => Self::TooManyRequests(RETRY_AFTER_SECONDS),
            Some(StatusCode::SERVICE_UNAVAILABLE) => Self::Busy,
            _ => {
                error!("the demo could not be written: {failed}");
                Self::Internal
            }
        }
    }
}
