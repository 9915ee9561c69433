//! Tokens that are none, however they are shown.

use actix_web::http::Method;
use serde_json::{Value, json};

use super::{SECRET, Scene, Source, now, token, viewer};
use crate::support::Binary;

/// Everything that needs a token, with a method for each way in.
const GUARDED: [(&str, &str); 16] = [
    ("GET", "/shape?table=sessions"),
    ("GET", "/v1/shape?table=sessions&offset=-1"),
    ("GET", "/v1/shape/?table=sessions"),
    ("HEAD", "/v1/shape?table=sessions"),
    ("POST", "/v1/shape?table=sessions"),
    ("DELETE", "/v1/shape?table=sessions"),
    ("POST", "/v1/shape/first"),
    ("GET", "/v1/shape/first"),
    ("GET", "/shape?table=tickets"),
    ("GET", "/v1/sessions"),
    ("POST", "/v1/sessions"),
    ("GET", "/v1/sessions/mine/messages"),
    ("DELETE", "/v1/sessions/mine"),
    ("GET", "/v1/sessions/mine/nothing"),
    ("GET", "/v1/admin/subscriptions"),
    ("GET", "/v1/admin/events"),
];

fn method(name: &str) -> Method {
    name.parse().expect("a method")
}

#[actix_rt::test]
async fn who_shows_no_valid_token_is_told_so_everywhere() {
    let settings =
        [("PLUE_AUTH__AUDIENCE", "plue"), ("PLUE_AUTH__ISSUER", "tests"), ("PLUE_AUTH__FAILURES_PER_MINUTE", "0")];
    let scene = Unready::start(&settings).await;
    let good = json!({"sub": "u", "role": "admin", "aud": "plue", "iss": "tests"});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        token(claims)
    };
    let signature_of = |token: &str| token.rsplit_once('.').expect("three parts").1.to_owned();
    let valid = token(good.clone());
    let (head, _) = valid.split_once('.').expect("three parts");
    let forged = format!("{head}.eyJzdWIiOiJ1Iiwicm9sZSI6ImFkbWluIn0.{}", signature_of(&valid));
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", valid.split('.').nth(1).expect("claims"));
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let shown = [
        ("nothing", None),
        ("another scheme", Some(format!("Basic {valid}"))),
        ("no token", Some("Bearer ".to_owned())),
        ("garbage", bearer("x")),
        ("expired", bearer(&with("exp", json!(now() - 600)))),
        ("not yet valid", bearer(&with("nbf", json!(now() + 600)))),
        ("without an end", bearer(&with("exp", Value::Null))),
        ("for others", bearer(&with("aud", json!("others")))),
        ("of others", bearer(&with("iss", json!("others")))),
        ("of nobody", bearer(&with("sub", Value::Null))),
        ("without a role", bearer(&with("role", Value::Null))),
        ("unsigned", bearer(&unsigned)),
        ("forged", bearer(&forged)),
        ("a token that was never minted", bearer(&format!("pst_{}", "0".repeat(64)))),
        ("a token that is too long", bearer(&"x".repeat(9000))),
    ];
    for (what, header) in &shown {
        for (name, path) in GUARDED {
            let headers: Vec<_> = header.iter().map(|header| ("authorization", header.as_str())).collect();
            let answer = scene.0.send_with(method(name), path, &headers, "{}").await;
            assert_eq!(answer.status, 401, "{what}: {name} {path}: {}", answer.body);
            assert_eq!(answer.headers.get("www-authenticate").expect("a challenge"), "Bearer", "{what}: {name} {path}");
            assert_eq!(answer.headers.get("cache-control").expect("a rule"), "no-store", "{what}: {name} {path}");
            if name != "HEAD" {
                assert_eq!(answer.body["code"], "unauthorized", "{what}: {name} {path}");
            }
        }
    }
    // Two tokens could be two principals, to us and to a proxy in front.
    let two = [("authorization", format!("Bearer {valid}")), ("authorization", format!("Bearer {valid}"))];
    let two: Vec<_> = two.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(scene.0.send_with(Method::GET, "/v1/sessions", &two, "").await.status, 401);
    assert_eq!(scene.0.send_with(Method::GET, "/v1/sessions", &two[..1], "").await.status, 200);
    for path in ["/health", "/ready"] {
        assert_ne!(scene.0.send_with(Method::GET, path, &[], "").await.status, 401, "{path}");
    }
}

/// An API that need not follow Postgres yet.
struct Unready(crate::support::Api, #[allow(dead_code, reason = "dropped with it")] crate::support::Database);

impl Unready {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let database = crate::support::Database::fresh().await;
        let settings: Vec<_> =
            [("PLUE_AUTH__JWT_SECRET", SECRET)].into_iter().chain(settings.iter().copied()).collect();
        Self(crate::support::Api::with_settings(database.url(), &settings).await, database)
    }
}

#[actix_rt::test]
async fn no_spelling_of_a_path_goes_round_the_gate() {
    let scene = Scene::new(Source::Engine, &[]).await;
    let paths = [
        "//v1/shape",
        "/v1//shape",
        "/v1/./shape",
        "/v1/x/../shape",
        "/%76%31/shape",
        "/v1/%73hape",
        "/v1/shape%2f",
        "/v1%2fshape",
        "/V1/shape",
        "/v1/SHAPE",
        "/v1/shape;x",
        "/v1/shape//",
        "/.//shape",
        "/%2e/shape",
        "/shape/.",
        "/v1/sessions/",
        "//v1/sessions",
        "/v1/sessions%2fmine",
        "/V1/sessions",
        "/v1/admin/../sessions",
        "//v1/admin/subscriptions",
        "/v1/admin//subscriptions",
        "/v1/Admin/subscriptions",
    ];
    let viewer = viewer();
    for path in paths {
        let path = format!("{path}?table=sessions");
        let status = scene.get(None, &path).await.status.as_u16();
        assert!([401, 404].contains(&status), "{path} without a token: {status}");
        let answer = scene.get(Some(&viewer), &path).await;
        let text = answer.body.to_string();
        assert!(!text.contains("other") || answer.status == 404, "{path} for a viewer: {text}");
    }
}

#[actix_rt::test]
async fn a_cookie_is_for_pages_of_this_site() {
    let scene = Scene::new(Source::Engine, &[("PLUE_SERVER__CORS_ORIGINS", "https://app.example")]).await;
    let cookie = format!("plue_session={}", token(json!({"sub": "a", "role": "agent", "sessions": ["mine"]})));
    let host = scene.api.address().to_string();
    let own = format!("http://{host}");
    //   headers beside the cookie; what a read and what a write is answered
    type Case<'a> = (&'a [(&'a str, &'a str)], u16, u16);
    let cases: [Case; 9] = [
        (&[], 200, 403),
        (&[("origin", &own)], 200, 200),
        (&[("origin", "https://app.example")], 200, 200),
        (&[("origin", "https://evil.example")], 403, 403),
        (&[("origin", "null")], 403, 403),
        (&[("origin", "https://app.example.evil")], 403, 403),
        (&[("sec-fetch-site", "same-origin")], 200, 200),
        (&[("sec-fetch-site", "cross-site")], 403, 403),
        (&[("sec-fetch-site", "same-site")], 200, 403),
    ];
    for (headers, read, written) in cases {
        let headers: Vec<_> = [("cookie", cookie.as_str())].into_iter().chain(headers.iter().copied()).collect();
        for path in ["/v1/sessions/mine", "/v1/shape?table=sessions"] {
            let answer = scene.api.send_with(Method::GET, path, &headers, "").await;
            assert_eq!(answer.status, read, "{path} {headers:?}: {}", answer.body);
        }
        let body = r#"{"title":"new"}"#;
        let answer = scene.api.send_with(Method::PATCH, "/v1/sessions/mine", &headers, body).await;
        assert_eq!(answer.status, written, "{headers:?}: {}", answer.body);
    }
    // Only a page can be made to send a cookie; a token is sent by whoever has it.
    let bearer = format!("Bearer {}", token(json!({"sub": "a", "role": "agent", "sessions": ["mine"]})));
    let headers = [("authorization", bearer.as_str()), ("origin", "https://evil.example")];
    assert_eq!(scene.api.send_with(Method::GET, "/v1/sessions/mine", &headers, "").await.status, 200);
    // A page of a listed origin may read with the cookie, and one of another origin may not.
    for (origin, trusted) in [("https://app.example", true), ("https://evil.example", false)] {
        for path in ["/v1/sessions/mine", "/v1/shape?table=sessions"] {
            let answer = scene.api.send_with(Method::GET, path, &[("cookie", &cookie), ("origin", origin)], "").await;
            let text = |name| answer.headers.get(name).map(|value| value.to_str().expect("text"));
            let permitted = text("access-control-allow-origin") == Some(origin);
            assert_eq!(permitted, trusted, "{origin} {path}");
            assert!(!trusted || text("access-control-allow-credentials") == Some("true"), "{origin} {path}");
        }
    }
}

#[actix_rt::test]
async fn failures_and_requests_are_bounded_by_principal_and_address() {
    let settings =
        [("PLUE_AUTH__FAILURES_PER_MINUTE", "3"), ("PLUE_AUTH__REQUESTS_PER_SECOND", "1"), ("PLUE_AUTH__BURST", "5")];
    let scene = Unready::start(&settings).await;
    let ask = async |token: &str| {
        let bearer = format!("Bearer {token}");
        scene.0.send_with(Method::GET, "/v1/sessions", &[("authorization", &bearer)], "").await
    };
    let known = token(json!({"sub": "known", "role": "admin"}));
    assert_eq!(ask(&known).await.status, 200);
    let mut statuses = Vec::new();
    for number in 0..5 {
        statuses.push(ask(&format!("wrong-{number}")).await.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    let refused = ask("wrong").await;
    assert!(refused.headers.contains_key("retry-after"), "{:?}", refused.headers);
    assert_eq!(refused.refuses(429, "too_many_requests"), None);
    // Who is known is not made to wait for those who guess behind the same address.
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(ask(&known).await.status.as_u16());
    }
    assert_eq!(statuses[..3], [200, 200, 200]);
    assert!(statuses.contains(&429), "{statuses:?}");
    let long = [("x-long", "x".repeat(40_000))];
    let long: Vec<_> = long.iter().map(|(name, value)| (*name, value.as_str())).collect();
    scene.0.send_with(Method::GET, "/v1/sessions", &long, "").await.refuses(431, "headers_too_large");
}

#[actix_rt::test]
async fn no_token_is_ever_printed() {
    let database = crate::support::Database::fresh().await;
    let env =
        [("DATABASE_URL", database.url()), ("PLUE_AUTH__JWT_SECRET", SECRET), ("RUST_LOG", "trace,h2=off,hyper=off")];
    let binary = Binary::start(&["serve", "--listen", "127.0.0.1:0"], &env).await;
    let (good, bad) = (token(json!({"sub": "u", "role": "admin"})), token(json!({"sub": "u", "exp": 1})));
    let mint = format!("{}/v1/sessions/s/tokens", binary.url());
    let client = awc::Client::default();
    for token in [&good, &bad] {
        for (name, value) in [("authorization", format!("Bearer {token}")), ("cookie", format!("plue_session={token}"))]
        {
            for path in ["/v1/sessions", "/v1/shape?table=sessions", "/v1/admin/sessions"] {
                let url = format!("{}{path}", binary.url());
                client.get(url).insert_header((name, value.as_str())).send().await.expect("an answer");
            }
        }
        let bearer = ("authorization", format!("Bearer {token}"));
        let new = json!({"id": "s", "directory": "/", "title": "t"});
        let sessions = format!("{}/v1/sessions", binary.url());
        client.post(sessions).insert_header(bearer.clone()).send_json(&new).await.expect("an answer");
    }
    let bearer = ("authorization", format!("Bearer {good}"));
    let mut minted = client.post(mint).insert_header(bearer).send_json(&json!({})).await.expect("an answer");
    let minted: Value = minted.json().await.expect("JSON");
    let minted = minted["token"].as_str().expect("a token").to_owned();
    let url = format!("{}/v1/sessions/s", binary.url());
    let seen = client.get(url).insert_header(("authorization", format!("Bearer {minted}"))).send().await;
    assert_eq!(seen.expect("an answer").status(), 200);
    let log = binary.log();
    assert!(log.contains("TRACE") && log.contains("listens on"), "{log}");
    for secret in [SECRET, &good, &bad, &minted, good.rsplit('.').next().expect("a signature")] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
