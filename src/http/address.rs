//! Where a request comes from: the socket's other end, or whom a proxy in front of us names.

use std::net::IpAddr;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::HeaderMap;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest};

/// Addresses of proxies whose `x-forwarded-for` is believed. Everybody else could write anything into it.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(pub Vec<IpAddr>);

/// The address of a request, once it has been looked for: its headers may be gone later.
#[derive(Debug, Clone, Copy)]
struct Source(IpAddr);

/// The address of a request; `None` if its connection has gone. Remembered with it.
pub fn note(request: &ServiceRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let trusted = request.app_data::<Data<TrustedProxies>>();
    let address = trusted.map_or(peer, |trusted| trusted.source(peer, request.headers()));
    request.extensions_mut().insert(Source(address));
    Some(address)
}

/// The address of a request that was noted, or else of its connection.
pub fn of(request: &HttpRequest) -> Option<IpAddr> {
    let noted = request.extensions().get::<Source>().map(|Source(address)| *address);
    noted.or_else(|| request.peer_addr().map(|peer| peer.ip().to_canonical()))
}

impl TrustedProxies {
    /// Each proxy adds, at the end, whom it was asked by: the last one that is no proxy of ours is the one that we know of.
    fn source(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut address = peer;
        let lines: Vec<&str> = headers.get_all("x-forwarded-for").filter_map(|line| line.to_str().ok()).collect();
        for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            if !self.0.contains(&address) {
                break;
            }
            let Ok(named) = entry.trim().parse::<IpAddr>() else { break };
            address = named.to_canonical();
        }
        address
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_proxies_of_ours_are_believed() {
        let trusted = TrustedProxies(["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().expect("an address")).to_vec());
        //   the other end, the header's lines; the address
        let cases: [(&str, &[&str], &str); 8] = [
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["9.9.9.9, 1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["9.9.9.9", "1.2.3.4, 10.0.0.2"], "1.2.3.4"),
            ("10.0.0.1", &["9.9.9.9, nonsense"], "10.0.0.1"),
            ("10.0.0.1", &["::ffff:1.2.3.4"], "1.2.3.4"),
            ("8.8.8.8", &["1.2.3.4"], "8.8.8.8"),
            ("8.8.8.8", &["1.2.3.4, 10.0.0.1"], "8.8.8.8"),
        ];
        for (peer, lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in lines {
                let name = HeaderName::from_static("x-forwarded-for");
                headers.append(name, HeaderValue::from_str(line).expect("a value"));
            }
            let seen = trusted.source(peer.parse().expect("an address"), &headers);
            assert_eq!(seen.to_string(), expected, "{peer} {lines:?}");
        }
    }
}
