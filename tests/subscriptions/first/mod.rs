//! `POST /v1/shape/first`: several long-polls in one request, answered by the first of them that has an answer.

mod follow;
mod registry;

use actix_web::http::Method;
use futures_util::future::join3;
use serde_json::json;
use tokio::time::Instant;

use super::{SOON, Scene, Source, Tail, eventually, with_both_sources};
use crate::support::Reply;

with_both_sources!(
    the_first_that_changes_is_answered_as_by_itself,
    without_a_change_the_wait_ends_as_by_itself,
    what_is_there_already_is_answered_at_once,
    a_refusal_is_an_answer_and_comes_at_once,
    who_is_moved_to_the_end_does_not_keep_others_from_their_turn,
);

/// Headers that differ from one answer to the next, or do so on purpose.
const OWN: [&str; 6] = ["date", "x-request-id", "cache-control", "surrogate-control", "plue-index", "retry-after"];

/// An answer without what differs between two of the same.
fn common(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let text = |value: &awc::http::header::HeaderValue| value.to_str().expect("text").to_owned();
    let named = reply.headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    let mut headers: Vec<_> = named.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    headers.sort();
    (reply.status, headers, reply.text())
}

/// The parts of three sessions, each read to its end.
async fn three(scene: &Scene) -> [Tail; 3] {
    for session in ["ses_2", "ses_3"] {
        scene.api.session(session).await;
    }
    let tail = |session| Tail::of(scene.parts(session, Some("tab")));
    [tail("ses_1").await, tail("ses_2").await, tail("ses_3").await]
}

async fn the_first_that_changes_is_answered_as_by_itself(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let tails = three(&scene).await;
    let (list, first, before) = (tails.each_ref().map(Tail::query), scene.first(), scene.requests().await);
    let write = async {
        // One by itself, and three together.
        scene.until_asked(before + 4).await;
        scene.write_to("ses_2", "m1").await;
    };
    let (alone, together, ()) = join3(tails[1].poll(), first.of(&list), write).await;
    assert_eq!(together.index(), Some(1), "{together:?}");
    assert_eq!(common(&together), common(&alone), "the answer is that of a request by itself");
    assert_eq!(together.changes().len(), 1, "{together:?}");
    assert_eq!(together.header("cache-control"), Some("no-cache"), "no cache may keep it");
    assert_eq!(alone.index(), None);

    // More than is sent in one piece.
    let text = "x".repeat(400_000);
    let part = json!([{"id": "long", "type": "text", "text": text}]);
    let message = json!({"id": "m2", "role": "user", "parts": part});
    scene.api.post("/v1/sessions/ses_3/messages", message).await.is(201);
    let long = first.of(&list[2..]).await.is(200);
    assert_eq!(long.index(), Some(0));
    assert_eq!(long.changes()[0].column("text"), Some(text.as_str()));
}

async fn without_a_change_the_wait_ends_as_by_itself(source: Source) {
    let settings = [("PLUE_ENGINE__LONG_POLL_TIMEOUT", "1s")];
    let scene = Scene::over(source, &settings, &[("ELECTRIC_LONG_POLL_TIMEOUT", "1000")]).await;
    let tails = three(&scene).await;
    let list = tails.each_ref().map(Tail::query);
    let reply = scene.first().of(&list).await.is(200);
    let at = reply.index().expect("an index");
    assert_eq!(reply.header("electric-has-data"), Some("false"), "{reply:?}");
    assert_eq!(reply.handle(), tails[at].handle);
    assert_eq!(reply.messages().len(), 1, "{reply:?}");
}

async fn what_is_there_already_is_answered_at_once(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let tails = three(&scene).await;
    scene.write_to("ses_3", "m1").await;
    let list = tails.each_ref().map(Tail::query);
    let reply = scene.first().of(&list).await.is(200);
    assert_eq!((reply.index(), reply.changes().len()), (Some(2), 1));
    // As many as there may be, each of its own reader.
    let held = (0..63).map(|tab| format!("{}&client=tab{tab}", list[0].replace("client=tab&", "")));
    let most: Vec<String> = held.chain([list[2].clone()]).collect();
    let reply = scene.first().of(&most).await.is(200);
    assert_eq!((reply.index(), reply.changes().len()), (Some(63), 1));
}

async fn a_refusal_is_an_answer_and_comes_at_once(source: Source) {
    let scene = Scene::new(source, &[("PLUE_SUBSCRIPTIONS__MAX_PER_SESSION", "4")]).await;
    let tails = three(&scene).await;
    let [held, other, _] = tails.each_ref().map(Tail::query);
    let at = |name: &str, value: &str| {
        let mut query = held.split('&').filter(|given| !given.starts_with(&format!("{name}="))).collect::<Vec<_>>();
        let given = format!("{name}={value}");
        query.push(&given);
        query.join("&")
    };
    let full: Vec<String> = (0..5).map(|tab| at("client", &format!("tab{tab}"))).collect();
    for client in &full[..3] {
        // Each takes a place of the session's.
        scene.parts("ses_1", client.rsplit_once('=').map(|(_, name)| name)).first().await.is(200);
    }
    let cases = [
        ("no handle of this shape", at("handle", "1-1"), 409),
        ("no table of ours", at("table", "pg_authid"), 400),
        ("no such column", at("where", "no_such_column%20=%201"), 400),
        ("the start cannot be waited at", at("offset", "-1"), 400),
        ("no handle", at("handle", ""), 400),
        ("no query string", "live=true&%".to_owned(), 400),
        ("a name that is too long", at("client", &"x".repeat(129)), 400),
        ("one reader too many", full[4].clone(), 429),
    ];
    for (what, query, status) in cases {
        let alone = scene.get(&query).await;
        assert_eq!(alone.status, status, "{what}: {}", alone.text());
        let begun = Instant::now();
        let reply = scene.first().of(&[&held, &other, &query, &held]).await;
        assert_eq!(reply.index(), Some(2), "{what}: {reply:?}");
        assert_eq!(common(&reply), common(&alone), "{what}");
        assert!(begun.elapsed().as_secs() < 10, "{what}: it waited for the others");
    }
}

async fn who_is_moved_to_the_end_does_not_keep_others_from_their_turn(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let [quiet, busy, _] = three(&scene).await;
    scene.write_to("ses_2", "m1").await;
    // Its offset stays, so it always has an answer at once.
    let (busy_query, first) = (busy.query(), scene.first());
    assert_eq!(first.of(&[&quiet.query(), &busy_query]).await.is(200).index(), Some(1));
    for round in 0..5 {
        let quiet = Tail::of(quiet.shape.clone()).await;
        scene.write(&format!("q{round}")).await;
        eventually(SOON, "the change", async || {
            let seen = quiet.shape.get(&[("handle", &quiet.handle), ("offset", &quiet.offset)]).await;
            if seen.changes().is_empty() { Err(seen.text()) } else { Ok(()) }
        })
        .await;
        let mut list = [busy_query.clone(), quiet.query()];
        // Two, where each can say at once what it has; through a proxy they come back in any order.
        let mut turns = 0;
        loop {
            let reply = first.of(&list).await.is(200);
            if reply.handle() == quiet.handle {
                break;
            }
            assert_eq!(
                (reply.handle(), reply.index()),
                (busy.handle.clone(), list.iter().position(|at| *at == busy_query))
            );
            turns += 1;
            assert!(turns < 50, "round {round}: it has had no turn");
            list = [quiet.query(), busy_query.clone()];
        }
    }
}

#[actix_rt::test]
async fn a_call_that_is_wrong_is_refused_as_a_whole() {
    let scene = Scene::new(Source::Engine, &[]).await;
    let tail = Tail::of(scene.parts("ses_1", Some("tab"))).await;
    let (held, first) = (tail.query(), scene.first());
    let list = |second: &str| json!([held, second]).to_string();
    let many: Vec<&str> = vec![&held; 65];
    let not_live = held.replace("live=true", "live=false");
    //   body, field
    let cases = [
        (String::new(), "body"),
        ("[".to_owned(), "body"),
        ("{}".to_owned(), "body"),
        (json!({"requests": [held]}).to_string(), "body"),
        (json!(held).to_string(), "body"),
        ("[]".to_owned(), "body"),
        (json!(many).to_string(), "body"),
        (json!([held, 1]).to_string(), "requests[1]"),
        (json!([held, null]).to_string(), "requests[1]"),
        (json!([[held]]).to_string(), "requests[0]"),
        (list(&not_live), "requests[1]"),
        (list(""), "requests[1]"),
        (list("table=parts"), "requests[1]"),
        (list("table=parts&offset=x"), "requests[1]"),
        (list(&format!("{held}&live_sse=true")), "requests[1]"),
        (list(&format!("{held}&experimental_live_sse=true")), "requests[1]"),
        (list("table=parts&offset=-1&live=true&live_sse=true"), "requests[1]"),
    ];
    for (body, field) in cases {
        let reply = first.send(Method::POST, body.clone(), &[]).await;
        let seen = reply.json();
        assert_eq!((reply.status, reply.index()), (400, None), "{body}: {seen}");
        assert_eq!((&seen["code"], &seen["field"]), (&json!("invalid_request"), &json!(field)), "{body}");
        assert!(seen["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}: {seen}");
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{body}: a page may read what is wrong");
    }
    let sse = first.send(Method::POST, list(&not_live), &[]).await.json();
    assert!(sse["message"].as_str().is_some_and(|text| text.contains("live=true") && text.contains("GET")), "{sse}");
    let long = json!([format!("{held}&where={}", "x".repeat(256 * 1024))]).to_string();
    let long = first.send(Method::POST, long, &[]).await;
    assert_eq!((long.status, long.index(), &long.json()["code"]), (413, None, &json!("too_large")));
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        let reply = first.send(method, json!([held]).to_string(), &[]).await;
        assert_eq!((reply.status, &reply.json()["code"]), (405, &json!("method_not_allowed")));
    }
    assert_eq!(scene.listed().await.len(), 1, "nobody has been registered for it");
}

#[actix_rt::test]
async fn pages_of_other_origins_may_call_it() {
    let scene = Scene::new(Source::Engine, &[("PLUE_SERVER__CORS_ORIGINS", "https://app.example")]).await;
    let tail = Tail::of(scene.parts("ses_1", None)).await;
    let origin = ("origin", "https://app.example");
    let asks = [
        origin,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type, authorization"),
    ];
    let preflight = scene.first().send(Method::OPTIONS, "", &asks).await.is(204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("content-type, authorization"));
    let methods = preflight.header("access-control-allow-methods").expect("methods");
    assert!(methods.contains("POST"), "{methods}");
    scene.write("m1").await;
    let headers = [origin, ("content-type", "application/json")];
    let reply = scene.first().send(Method::POST, json!([tail.query()]).to_string(), &headers).await.is(200);
    assert_eq!((reply.index(), reply.header("access-control-allow-origin")), (Some(0), Some("https://app.example")));
    let exposed = reply.header("access-control-expose-headers").expect("headers");
    assert!(exposed.split(',').any(|name| name == "plue-index"), "{exposed}");
}

impl Scene {
    /// Asks by a query string.
    async fn get(&self, query: &str) -> Reply {
        let url = format!("http://{}/v1/shape?{query}", self.api.address());
        let mut response = awc::Client::default().get(url).send().await.expect("an answer");
        let body = response.body().await.expect("a body");
        Reply { status: response.status().as_u16(), headers: response.headers().clone(), body }
    }
}
