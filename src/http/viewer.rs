//! The built viewer page, from inside the program, and what it asks before it has a token.
//!
//! | path | answer |
//! |---|---|
//! | `/`, `/favicon.svg` and others at the top | GET, HEAD: the file; whoever has it asks whether it is still the same |
//! | `/assets/{name}` | GET, HEAD: a file whose name changes with its content, kept for good |
//! | `/v1/viewer` | GET: [`AboutHere`] |
//!
//! Nobody needs a token for these: the page asks for one, and holds no data of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{LazyLock, OnceLock};

use actix_web::http::header::{
    self, AcceptEncoding, ContentEncoding, Encoding, EntityTag, Header, HeaderValue, IfNoneMatch,
};
use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::resource;
use crate::error::ApiError;

/// What Vite built of `clients/viewer`; nothing where that was not done before this program was.
#[derive(RustEmbed)]
#[folder = "clients/viewer/dist/"]
#[allow_missing = true]
struct Built;

/// The page talks to us alone and is nobody's frame. An image from elsewhere would tell that place what an agent was talked into; inline
/// styles are those of elements that scripts place.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const INDEX: &str = "index.html";
/// Files below have the hash of their content in their names.
const HASHED: &str = "assets/";
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// What a page has to know of this server before it has a token.
#[derive(Debug, Clone, Serialize)]
pub struct AboutHere {
    pub version: &'static str,
    pub needs_token: bool,
    /// Whether `POST /v1/demo` plays a session.
    pub demo: bool,
}

/// The routes of the viewer. `/` says what to do where it is not in this build.
pub fn viewer_routes(app: &mut ServiceConfig, about: &AboutHere) {
    app.service(page("/", INDEX));
    for name in FILES.keys().filter(|name| *name != INDEX && !name.contains('/')) {
        app.service(page(&format!("/{name}"), name));
    }
    let asset = async |name: Path<String>, request: HttpRequest| {
        let file = FILES.get(format!("{HASHED}{name}").as_str()).ok_or(ApiError::NotFound("path"))?;
        Ok::<_, ApiError>(file.answer(&request))
    };
    app.service(resource("/assets/{name:.*}").route(web::get().to(asset)).route(web::head().to(asset)));
    app.service(resource("/v1/viewer").app_data(Data::new(about.clone())).get(tell));
}

fn page(path: &str, name: &'static str) -> Resource {
    let answer = move |request: HttpRequest| async move {
        let file = FILES.get(name).ok_or(ApiError::NoViewer)?;
        Ok::<_, ApiError>(file.answer(&request))
    };
    resource(path).route(web::get().to(answer)).route(web::head().to(answer))
}

/// `GET /v1/viewer`.
async fn tell(about: Data<AboutHere>) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(about)
}

/// Every file by its path.
static FILES: LazyLock<BTreeMap<String, File>> = LazyLock::new(|| {
    let file = |name: Cow<'static, str>| {
        let bytes = match Built::get(&name)?.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        Some((name.to_string(), File::new(&name, bytes)))
    };
    Built::iter().filter_map(file).collect()
});

/// A file that is served.
struct File {
    plain: Bytes,
    /// `None` where that would not be shorter.
    gzip: OnceLock<Option<Bytes>>,
    content_type: String,
    cache_control: HeaderValue,
    /// Of its content.
    hash: String,
}

impl File {
    fn new(name: &str, plain: Bytes) -> Self {
        let mut content_type = mime_guess::from_path(name).first_or_octet_stream().to_string();
        if content_type.starts_with("text/") {
            content_type.push_str("; charset=utf-8");
        }
        let hash = Sha256::digest(&plain)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let cache_control = if name.starts_with(HASHED) { FOR_GOOD } else { ASK_AGAIN };
        Self { plain, gzip: OnceLock::new(), content_type, cache_control, hash }
    }

    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let gzip = if takes_gzip(request) { self.gzip() } else { None };
        let tag = EntityTag::new_strong(if gzip.is_some() { format!("{}-gzip", self.hash) } else { self.hash.clone() });
        let is_known = match IfNoneMatch::parse(request) {
            Ok(IfNoneMatch::Any) => true,
            Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
            Err(_) => false,
        };
        let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response
            .insert_header((header::CACHE_CONTROL, self.cache_control.clone()))
            .insert_header((header::VARY, "accept-encoding"))
            .insert_header(header::ETag(tag))
            .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::REFERRER_POLICY, "no-referrer"));
        if is_known {
            return response.finish();
        }
        response.content_type(self.content_type.as_str());
        match gzip {
            Some(gzip) => response.insert_header(ContentEncoding::Gzip).body(gzip.clone()),
            None => response.body(self.plain.clone()),
        }
    }

    /// The same, compressed at the first use.
    fn gzip(&self) -> Option<&Bytes> {
        let compressed = || {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&self.plain).ok()?;
            let bytes = encoder.finish().ok()?;
            (bytes.len() < self.plain.len()).then(|| bytes.into())
        };
        self.gzip.get_or_init(compressed).as_ref()
    }
}

fn takes_gzip(request: &HttpRequest) -> bool {
    let is_named = request.headers().contains_key(header::ACCEPT_ENCODING);
    let accepted = AcceptEncoding::parse(request).ok().filter(|_| is_named);
    let supported = [Encoding::gzip(), Encoding::identity()];
    accepted.and_then(|accepted| accepted.negotiate(supported.iter())) == Some(Encoding::gzip())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use actix_web::test::TestRequest;
    use flate2::read::GzDecoder;

    use super::*;

    fn text_of(response: &HttpResponse, name: header::HeaderName) -> Option<&str> {
        response.headers().get(name).map(|value| value.to_str().expect("text"))
    }

    #[actix_web::test]
    async fn a_file_is_kept_as_long_as_its_name_allows_and_typed_by_it() {
        let cases = [
            ("index.html", "text/html; charset=utf-8", "no-cache"),
            ("favicon.svg", "image/svg+xml", "no-cache"),
            ("assets/index-Bf3x.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
            ("assets/index-Bf3x.css", "text/css; charset=utf-8", "public, max-age=31536000, immutable"),
            ("assets/unknown", "application/octet-stream", "public, max-age=31536000, immutable"),
        ];
        for (name, content_type, cache_control) in cases {
            let response = File::new(name, "<p>".into()).answer(&TestRequest::get().to_http_request());
            assert_eq!(response.status(), 200, "{name}");
            assert_eq!(text_of(&response, header::CONTENT_TYPE), Some(content_type), "{name}");
            assert_eq!(text_of(&response, header::CACHE_CONTROL), Some(cache_control), "{name}");
            assert_eq!(text_of(&response, header::X_CONTENT_TYPE_OPTIONS), Some("nosniff"), "{name}");
            assert!(
                text_of(&response, header::CONTENT_SECURITY_POLICY)
                    .is_some_and(|policy| policy.starts_with("default-src 'none';"))
            );
        }
    }

    #[actix_web::test]
    async fn a_file_is_compressed_for_those_who_take_that_and_where_it_helps() {
        let long = "the same again and again. ".repeat(100);
        let cases = [
            (long.as_str(), None, false),
            (long.as_str(), Some(""), false),
            (long.as_str(), Some("gzip, deflate, br, zstd"), true),
            (long.as_str(), Some("br"), false),
            (long.as_str(), Some("gzip;q=0, identity"), false),
            (long.as_str(), Some("gzip;q=much"), false),
            ("short", Some("gzip"), false),
        ];
        for (content, accepted, is_compressed) in cases {
            let request = TestRequest::get();
            let request = accepted
                .into_iter()
                .fold(request, |request, accepted| request.insert_header(("accept-encoding", accepted)));
            let response = File::new("assets/a.js", content.to_owned().into()).answer(&request.to_http_request());
            assert_eq!(text_of(&response, header::CONTENT_ENCODING), is_compressed.then_some("gzip"), "{accepted:?}");
            assert_eq!(text_of(&response, header::VARY), Some("accept-encoding"), "{accepted:?}");
            let body = actix_web::body::to_bytes(response.into_body()).await.expect("a body in memory");
            let mut read = String::new();
            match is_compressed {
                true => GzDecoder::new(&*body).read_to_string(&mut read),
                false => (&*body).read_to_string(&mut read),
            }
            .expect("text");
            assert_eq!(read, content, "{accepted:?}");
        }
    }

    #[actix_web::test]
    async fn a_file_that_is_known_is_not_sent_again() {
        let file = File::new("index.html", "the same again and again. ".repeat(100).into());
        let ask = |known: &str, accepted: &'static str| {
            let request = TestRequest::get().insert_header(("accept-encoding", accepted));
            file.answer(&request.insert_header(("if-none-match", known.to_owned())).to_http_request())
        };
        for accepted in ["identity", "gzip"] {
            let first = ask("\"another\"", accepted);
            assert_eq!(first.status(), 200);
            let tag = text_of(&first, header::ETAG).expect("an etag").to_owned();
            for known in [tag.clone(), format!("W/{tag}"), format!("\"another\", {tag}"), "*".to_owned()] {
                let again = ask(&known, accepted);
                assert_eq!(again.status(), 304, "{known}");
                assert_eq!(text_of(&again, header::ETAG), Some(tag.as_str()), "{known}");
                assert!(again.headers().contains_key(header::CONTENT_SECURITY_POLICY), "{known}");
            }
            let other = if accepted == "gzip" { "identity" } else { "gzip" };
            assert_eq!(ask(&tag, other).status(), 200, "other bytes have another name");
            assert_eq!(ask("no etag", accepted).status(), 200);
        }
    }
}
