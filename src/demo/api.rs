//! The write API of this process, as a client of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use awc::http::{Method, StatusCode};
use serde_json::Value;

use crate::postgres::{Trust, client_config};

/// A write that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What sends writes, as whoever its headers are of.
pub struct WriteApi {
    client: awc::Client,
    address: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A write that was not answered as it should have been.
#[derive(Debug)]
pub struct Failed {
    what: String,
    /// Of the answer, if there was one.
    pub status: Option<StatusCode>,
    /// Its body, or what went wrong.
    pub message: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.message)
    }
}

impl Failed {
    pub fn is_conflict(&self) -> bool {
        self.status == Some(StatusCode::CONFLICT)
    }

    pub fn is_not_found(&self) -> bool {
        self.status == Some(StatusCode::NOT_FOUND)
    }
}

impl WriteApi {
    /// Of the process that listens at `address`, `http://host:port`.
    pub fn new(address: &str, headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        // Whose certificate it is does not matter: the address is our own, and the certificate names another.
        let connector = awc::Connector::new().rustls_0_23(Arc::new(client_config(Trust::Anyone, false)));
        let client = awc::Client::builder().connector(connector).timeout(PATIENCE).finish();
        Self { client, address: address.to_owned(), headers }
    }

    /// Sends a write below `/v1/sessions`.
    ///
    /// # Errors
    /// [`Failed`]: it may not have happened.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Result<(), Failed> {
        let mut request = self.client.request(method.clone(), format!("{}/v1/sessions{path}", self.address));
        for (name, value) in &self.headers {
            request = request.insert_header((name.clone(), value.clone()));
        }
        let failed = |status, message| Failed { what: format!("{method} /v1/sessions{path}"), status, message };
        let mut answer = request.send_json(body).await.map_err(|cause| failed(None, cause.to_string()))?;
        let status = answer.status();
        let said = answer.body().await.map_err(|cause| failed(Some(status), cause.to_string()))?;
        if status.is_success() {
            return Ok(());
        }
        let message = serde_json::from_slice::<Value>(&said).ok();
        let message = message.as_ref().and_then(|body| body["message"].as_str()).unwrap_or("it was refused");
        Err(failed(Some(status), message.to_owned()))
    }
}
