//! Where the upstream is: `ELECTRIC_URL`, checked once at the start.

use std::fmt;

use awc::http::Uri;
use secrecy::{ExposeSecret, SecretString};

use crate::shape::encode_text;

/// Longer URLs cannot be sent: the HTTP library's own limit.
const MAX_URL_BYTES: usize = u16::MAX as usize - 1;

/// Why an address cannot be used. Each says what to write instead, and repeats nothing that may be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUpstream {
    #[error("it is no URL; write http://host:3000 or https://host/path")]
    Malformed,
    #[error("it must begin with http:// or https://; write http://host:3000")]
    Scheme,
    #[error("it must not hold a user or password; give the service's secret by ELECTRIC_SECRET")]
    UserInfo,
}

/// The address of an upstream shape service.
#[derive(Clone)]
pub struct UpstreamUrl {
    /// `http://host:port/path`, without a slash at its end; this much may be shown.
    base: String,
    /// Parameters of the address, which every request has.
    parameters: SecretString,
    /// The parameter `secret`, ready to be sent; empty for none.
    secret: SecretString,
}

impl UpstreamUrl {
    /// Reads the address. An empty secret is none.
    pub fn parse(url: &str, secret: &SecretString) -> Result<Self, InvalidUpstream> {
        let url = url.trim();
        let (scheme, _) = url.split_once("://").ok_or(InvalidUpstream::Malformed)?;
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(InvalidUpstream::Scheme);
        }
        let uri: Uri = url.parse().map_err(|_| InvalidUpstream::Malformed)?;
        let authority = uri.authority().ok_or(InvalidUpstream::Malformed)?.as_str();
        if authority.contains('@') {
            return Err(InvalidUpstream::UserInfo);
        }
        // The library takes `host:` and `host:name` for addresses.
        let port = uri.host().filter(|host| !host.is_empty()).and_then(|host| authority.strip_prefix(host));
        if !port.is_some_and(|port| {
            port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
        }) {
            return Err(InvalidUpstream::Malformed);
        }
        let path = uri.path().trim_end_matches('/');
        // Some services name the route itself.
        let path = path.strip_suffix("/v1/shape").unwrap_or(path).trim_end_matches('/');
        let base = format!("{}://{authority}{path}", scheme.to_ascii_lowercase());
        let parameters = uri.query().unwrap_or_default().trim_matches('&').to_owned();
        let mut parameter = String::new();
        if !secret.expose_secret().is_empty() {
            parameter.push_str("secret=");
            encode_text(secret.expose_secret(), &mut parameter);
        }
        Ok(Self { base, parameters: parameters.into(), secret: parameter.into() })
    }

    /// The URL of a shape request; `None` if it is too long to be sent. What is ours comes last, where it wins.
    pub fn shape(&self, query: &str) -> Option<Uri> {
        self.uri("/v1/shape", [query, self.parameters.expose_secret(), self.secret.expose_secret()])
    }

    /// The URL of the health route, which asks for no secret.
    pub fn health(&self) -> Option<Uri> {
        self.uri("/v1/health", ["", self.parameters.expose_secret(), ""])
    }

    fn uri(&self, route: &str, queries: [&str; 3]) -> Option<Uri> {
        let mut url = format!("{}{route}", self.base);
        for (query, mark) in queries.into_iter().filter(|query| !query.is_empty()).zip(["?", "&", "&"]) {
            url.push_str(mark);
            url.push_str(query);
        }
        if url.len() > MAX_URL_BYTES { None } else { url.parse().ok() }
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

impl fmt::Debug for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UpstreamUrl").field(&self.base).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_path_and_parameters() {
        //   address, secret, shape URL for "a=1"
        let cases = [
            ("http://localhost:3000", "", "http://localhost:3000/v1/shape?a=1"),
            ("http://localhost:3000///", "", "http://localhost:3000/v1/shape?a=1"),
            (" HTTP://localhost:3000 ", "", "http://localhost:3000/v1/shape?a=1"),
            ("https://cloud.example/eu/", "s&1", "https://cloud.example/eu/v1/shape?a=1&secret=s%261"),
            ("https://cloud.example/v1/shape?source_id=x", "", "https://cloud.example/v1/shape?a=1&source_id=x"),
            ("http://[::1]:3000?source_id=x&", "s", "http://[::1]:3000/v1/shape?a=1&source_id=x&secret=s"),
        ];
        for (address, secret, expected) in cases {
            let url = UpstreamUrl::parse(address, &secret.into()).unwrap_or_else(|e| panic!("{address}: {e}"));
            assert_eq!(url.shape("a=1").map(|uri| uri.to_string()).as_deref(), Some(expected), "{address}");
            assert!(!format!("{url} {url:?}").contains("secret"), "{url:?}");
        }
        let url = UpstreamUrl::parse("http://h/p", &"".into()).expect("an address");
        assert_eq!(url.health().map(|uri| uri.to_string()).as_deref(), Some("http://h/p/v1/health"));
        assert_eq!(url.shape(&"a".repeat(70_000)), None);
    }

    #[test]
    fn an_address_that_cannot_be_meant_is_refused() {
        let cases = [
            ("localhost:3000", InvalidUpstream::Malformed),
            ("http://", InvalidUpstream::Malformed),
            ("http://host:port", InvalidUpstream::Malformed),
            ("http://host:", InvalidUpstream::Malformed),
            ("http://host name/", InvalidUpstream::Malformed),
            ("postgresql://host/db", InvalidUpstream::Scheme),
            ("http://me:hunter2@host/", InvalidUpstream::UserInfo),
            ("https://me@host", InvalidUpstream::UserInfo),
        ];
        for (address, expected) in cases {
            let refused = UpstreamUrl::parse(address, &"".into()).err();
            assert_eq!(refused, Some(expected), "{address}");
            assert!(!expected.to_string().contains("hunter2"));
        }
    }
}
