//! The viewer, as a browser fetches it. What of it is in the program depends on what was built before: both are tested, each where it is.

use awc::ClientResponse;
use awc::http::Method;
use awc::http::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::{Api, Database};

struct Page {
    status: u16,
    headers: HeaderMap,
    text: String,
}

async fn fetch(api: &Api, method: Method, path: &str, headers: &[(&str, &str)]) -> Page {
    let client = awc::Client::builder().no_default_headers().finish();
    let request = client.request(method, format!("http://{}{path}", api.address())).no_decompress();
    let request = headers.iter().fold(request, |request, header| request.insert_header(*header));
    let mut response: ClientResponse<_> = request.send().await.unwrap_or_else(|error| panic!("{path}: {error}"));
    let body = response.body().await.expect("a body");
    let text = String::from_utf8_lossy(&body).into_owned();
    Page { status: response.status().as_u16(), headers: response.headers().clone(), text }
}

fn code(page: &Page) -> Value {
    serde_json::from_str::<Value>(&page.text).unwrap_or_else(|_| panic!("JSON, and not {:?}", page.text))["code"].take()
}

#[actix_rt::test]
async fn the_viewer_is_at_the_root_or_says_how_to_have_it_there() {
    let database = Database::fresh().await;
    let api = Api::with_settings(database.url(), &[("PLUE_SERVER__VIEWER", "true")]).await;
    let page = fetch(&api, Method::GET, "/", &[]).await;
    if cfg!(viewer_is_built) {
        assert_eq!(page.status, 200, "{}", page.text);
        assert_eq!(page.headers.get("cache-control").expect("how long it is kept"), "no-cache");
        let tag = page.headers.get("etag").and_then(|tag| tag.to_str().ok()).expect("an etag");
        assert_eq!(fetch(&api, Method::GET, "/", &[("if-none-match", tag)]).await.status, 304);
        let head = fetch(&api, Method::HEAD, "/", &[]).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));
        assert_eq!(head.headers.get("content-length"), page.headers.get("content-length"));
        for quoted in page.text.split('"').filter(|quoted| quoted.starts_with("/assets/")) {
            let asset = fetch(&api, Method::GET, quoted, &[("accept-encoding", "gzip")]).await;
            assert_eq!(asset.status, 200, "{quoted}");
            let kept = asset.headers.get("cache-control").expect("how long it is kept");
            assert_eq!(kept, "public, max-age=31536000, immutable", "{quoted}");
        }
    } else {
        assert_eq!((page.status, code(&page)), (404, json!("not_found")));
        assert!(page.text.contains("run `make viewer`, then build again"), "{}", page.text);
    }
    for unknown in ["/assets/none.js", "/assets/", "/assets/..%2findex.html", "/assets/%ff", "/index.htm"] {
        let page = fetch(&api, Method::GET, unknown, &[]).await;
        assert_eq!((page.status, code(&page)), (404, json!("not_found")), "{unknown}");
    }
    let page = fetch(&api, Method::POST, "/", &[]).await;
    assert_eq!((page.status, code(&page)), (405, json!("method_not_allowed")));
    api.stop().await;
}

#[actix_rt::test]
async fn the_page_is_told_what_it_needs_before_it_has_a_token() {
    let database = Database::fresh().await;
    let secret = ("PLUE_AUTH__JWT_SECRET", "a secret of the tests that is long enough");
    for (settings, needs_token) in [(vec![], false), (vec![secret], true)] {
        let settings = [settings, vec![("PLUE_SERVER__VIEWER", "true")]].concat();
        let api = Api::with_settings(database.url(), &settings).await;
        let page = fetch(&api, Method::GET, "/v1/viewer", &[]).await;
        let told: Value = serde_json::from_str(&page.text).expect("JSON");
        let expected = json!({"version": env!("CARGO_PKG_VERSION"), "needs_token": needs_token, "demo": false});
        assert_eq!((page.status, told), (200, expected));
        assert_eq!(page.headers.get("cache-control").expect("how long it is kept"), "no-store");
        api.stop().await;
    }
}

#[actix_rt::test]
async fn nothing_of_the_viewer_is_served_unless_the_settings_say_so() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    for path in ["/", "/v1/viewer", "/assets/none.js"] {
        let page = fetch(&api, Method::GET, path, &[]).await;
        assert_eq!((page.status, code(&page)), (404, json!("not_found")), "{path}");
        assert!(!page.text.contains("make viewer"), "{path}: {}", page.text);
    }
    let page = fetch(&api, Method::POST, "/v1/demo", &[]).await;
    assert_eq!((page.status, code(&page)), (404, json!("not_found")), "only `dev` plays");
    api.stop().await;
}
