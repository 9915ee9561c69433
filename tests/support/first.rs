//! Calls of `POST /v1/shape/first`: several long-polls in one request.

use std::time::Duration;

use actix_web::http::Method;

use super::{Api, Reply};

/// Longer than any call is held, also on a machine that runs other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// One who calls, over connections of its own.
pub struct First {
    http: awc::Client,
    url: String,
}

impl First {
    /// A caller who shows this token, if it has one.
    pub fn new(api: &Api, token: Option<&str>) -> Self {
        let http = awc::Client::builder().timeout(PATIENCE);
        let http = match token {
            Some(token) => http.add_default_header(("authorization", format!("Bearer {token}"))),
            None => http,
        };
        Self { http: http.finish(), url: format!("http://{}/v1/shape/first", api.address()) }
    }

    /// Waits for the first of these query strings that has an answer.
    pub async fn of(&self, requests: &[impl AsRef<str>]) -> Reply {
        let requests: Vec<&str> = requests.iter().map(AsRef::as_ref).collect();
        self.send(Method::POST, serde_json::to_vec(&requests).expect("JSON"), &[]).await
    }

    /// Sends whatever it is.
    pub async fn send(&self, method: Method, body: impl Into<Vec<u8>>, headers: &[(&str, &str)]) -> Reply {
        let mut request = self.http.request(method, &self.url);
        for header in headers {
            request = request.insert_header(*header);
        }
        let mut response = request.send_body(body.into()).await.unwrap_or_else(|e| panic!("{}: {e}", self.url));
        let body = response.body().limit(64 << 20).await.expect("a body");
        Reply { status: response.status().as_u16(), headers: response.headers().clone(), body }
    }
}

impl Reply {
    /// Which request of a list it answers; `None` where the call itself was wrong.
    pub fn index(&self) -> Option<usize> {
        self.header("plue-index").map(|at| at.parse().expect("a number"))
    }
}
