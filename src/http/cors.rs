//! What browsers of other origins may do with the shape routes (protocol, 1.3 and 1.4).

use actix_cors::Cors;
use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderMap, HeaderValue};

use super::loopback::is_loopback_origin;

/// Methods of the shape route.
pub const SHAPE_METHODS: HeaderValue = HeaderValue::from_static("GET, POST, HEAD, DELETE, OPTIONS");

/// Methods of every other route of a shape server.
pub const OTHER_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD");

/// Response headers that a page's script may read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "electric-cursor,electric-handle,electric-has-data,electric-offset,electric-schema,electric-up-to-date,\
     electric-internal-known-error,retry-after,plue-index",
);

/// Request headers that a page's script may set.
const ALLOWED: [&str; 6] = ["if-none-match", "traceparent", "content-type", "authorization", "cache-control", "accept"];

/// Seconds for which a browser need not ask again.
const PREFLIGHT_MAX_AGE: HeaderValue = HeaderValue::from_static("86400");
const PREFLIGHT_SECONDS: usize = 86_400;

/// The origins whose pages may read answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every origin, told by `*`: then a shared cache may keep the answer for all of them.
    Any,
    /// Those of this machine, at any port.
    Loopback,
    /// These, exactly as browsers write them: `https://app.example`.
    Listed {
        origins: Vec<String>,
        /// Whether their pages may have browsers send what they keep, such as a cookie.
        with_credentials: bool,
    },
}

impl Origins {
    /// Reads the setting `server.cors_origins`, where `*` stands for any: those are never trusted with a cookie.
    pub fn from_setting(origins: &[String], with_credentials: bool) -> Self {
        if origins.iter().any(|origin| origin == "*") {
            return Self::Any;
        }
        Self::Listed { origins: origins.to_vec(), with_credentials }
    }

    /// The same for the routes of agent state, as middleware. Shapes set their headers themselves.
    pub fn of_agent_state(&self) -> Cors {
        let cors = Cors::default()
            .allow_any_method()
            .allow_any_header()
            .expose_headers(["retry-after"])
            .max_age(PREFLIGHT_SECONDS);
        match self {
            Self::Any => cors.send_wildcard().allow_any_origin(),
            Self::Loopback => cors.allowed_origin_fn(|origin, _| is_loopback_origin(origin)),
            Self::Listed { origins, with_credentials } => {
                let cors = if *with_credentials { cors.supports_credentials() } else { cors };
                origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
            }
        }
    }

    /// Sets the headers of an answer to a page of `origin`. What is set already stays.
    pub fn permit(&self, origin: Option<&HeaderValue>, methods: HeaderValue, headers: &mut HeaderMap) {
        let set = |headers: &mut HeaderMap, name, value| {
            if !headers.contains_key(&name) {
                headers.insert(name, value);
            }
        };
        set(headers, header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        match self {
            Self::Any => set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
            Self::Loopback | Self::Listed { .. } => {
                // Who is asked for decides the answer, also the answer to a stranger. An upstream may have named more.
                let origin_alone = HeaderValue::from_static("origin");
                if !headers.get_all(header::VARY).any(|value| *value == origin_alone) {
                    headers.append(header::VARY, origin_alone);
                }
                if let Some(origin) = origin.filter(|origin| self.names(origin)) {
                    set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                    if matches!(self, Self::Listed { with_credentials: true, .. }) {
                        set(headers, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
                    }
                }
            }
        }
    }

    /// Whether pages of this origin may read answers.
    pub fn names(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Any => true,
            Self::Loopback => is_loopback_origin(origin),
            Self::Listed { origins, .. } => origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes()),
        }
    }
}

/// 204 for a browser that asks what it may send.
///
/// `requested` is the header `access-control-request-headers`; of its list, what is allowed is repeated.
pub fn preflight(requested: Option<&HeaderValue>) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    response.insert_header((header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE));
    let requested = requested.and_then(|list| list.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let allowed: Vec<&str> = requested.split(',').map(str::trim).filter(|name| ALLOWED.contains(name)).collect();
    if !allowed.is_empty() {
        response.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, allowed.join(", ")));
    }
    response.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_answers_only_where_its_origin_is_permitted() {
        let listed = Origins::from_setting(&["https://a.example".to_owned(), "https://b.example".to_owned()], true);
        let any = Origins::from_setting(&["https://a.example".to_owned(), "*".to_owned()], true);
        //   setting, origin, allow-origin, vary
        let cases = [
            (&any, Some("https://evil.example"), Some("*"), None),
            (&any, None, Some("*"), None),
            (&listed, Some("https://b.example"), Some("https://b.example"), Some("origin")),
            (&listed, Some("https://b.example.evil"), None, Some("origin")),
            (&listed, Some("null"), None, Some("origin")),
            (&listed, None, None, Some("origin")),
            (&Origins::Loopback, Some("http://localhost:5173"), Some("http://localhost:5173"), Some("origin")),
            (&Origins::Loopback, Some("https://a.example"), None, Some("origin")),
            (&Origins::from_setting(&[], false), Some("https://a.example"), None, Some("origin")),
        ];
        for (origins, origin, allowed, vary) in cases {
            let mut headers = HeaderMap::new();
            let from = origin.map(HeaderValue::from_static);
            origins.permit(from.as_ref(), SHAPE_METHODS, &mut headers);
            let seen = [header::ACCESS_CONTROL_ALLOW_ORIGIN, header::VARY]
                .map(|name| headers.get(name).and_then(|value| value.to_str().ok().map(str::to_owned)));
            assert_eq!(seen, [allowed, vary].map(|value| value.map(str::to_owned)), "{origins:?} {origin:?}");
            let trusted = headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
            assert_eq!(trusted, allowed.is_some() && origins == &listed, "{origins:?} {origin:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        listed.permit(None, SHAPE_METHODS, &mut headers);
        listed.permit(None, SHAPE_METHODS, &mut headers);
        let vary: Vec<_> = headers.get_all(header::VARY).cloned().collect();
        assert_eq!(vary, ["accept-encoding", "origin"], "an upstream's is kept");
    }

    #[test]
    fn a_preflight_repeats_the_headers_that_are_allowed() {
        let cases = [
            (None, None),
            (Some("x-custom"), None),
            (Some("if-none-match"), Some("if-none-match")),
            (Some("Content-Type, x-custom,Authorization"), Some("content-type, authorization")),
        ];
        for (requested, allowed) in cases {
            let response = preflight(requested.map(HeaderValue::from_static).as_ref());
            assert_eq!(response.status(), 204);
            let seen = response.headers().get(header::ACCESS_CONTROL_ALLOW_HEADERS);
            assert_eq!(seen.map(HeaderValue::as_bytes), allowed.map(str::as_bytes), "{requested:?}");
        }
    }
}
