//! What caches may keep of an answer, and for whom.

use actix_web::http::Method;
use serde_json::json;

use super::{Scene, Source, admin, token, viewer, with_both_sources};
use crate::support::{Reply, Shape};

with_both_sources!(an_answer_is_its_principals_alone, what_is_public_is_everybodys);

/// What a cache that several share goes by.
fn rules(reply: &Reply) -> (u16, Option<&str>, Option<&str>) {
    (reply.status, reply.header("cache-control"), reply.header("vary"))
}

async fn an_answer_is_its_principals_alone(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let second = token(json!({"sub": "second", "role": "viewer", "sessions": ["mine"]}));
    let definition = [("table", "parts"), ("where", "session_id = 'mine'")];
    let (own, other) = (scene.shape(&viewer(), &definition), scene.shape(&second, &definition));
    let (first, seconds) = (own.first().await.is(200), other.first().await.is(200));
    assert_eq!(first.handle(), seconds.handle(), "both follow one shape");
    assert_eq!(first.body, seconds.body);
    assert_ne!(first.header("etag"), seconds.header("etag"));
    let tag = first.header("etag").expect("a tag").to_owned();
    let tags =
        async |shape: &Shape, tag: &str| shape.send(Method::GET, &[("offset", "-1")], &[("if-none-match", tag)]).await;
    let same = tags(&own, &tag).await;
    assert_eq!((same.status, same.header("etag")), (304, Some(tag.as_str())));
    let not_same = tags(&other, &tag).await;
    assert_eq!((not_same.status, not_same.header("etag")), (200, seconds.header("etag")));
    // A tag without the mark of anybody is nobody's.
    let bare = format!("\"{}\"", tag.trim_matches('"').rsplit_once(':').expect("a mark").0);
    assert_eq!(tags(&own, &bare).await.status, 200);

    let at = [("handle", first.handle()), ("offset", first.offset())];
    let at: Vec<(&str, &str)> = at.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let next = own.get(&at).await.is(200);
    let wrong = own.get(&[("handle", "1-1"), ("offset", "0_0")]).await;
    let invalid = own.get(&[("offset", "x")]).await;
    let live: Vec<_> = at.iter().copied().chain([("live", "true")]).collect();
    let live = {
        let waiting = own.get(&live);
        let writing = scene.write("mine", "second");
        futures_util::future::join(waiting, writing).await.0.is(200)
    };
    for reply in [&first, &same, &next, &wrong, &invalid, &live] {
        let (status, rule, vary) = rules(reply);
        let rule = rule.expect("a rule");
        assert!(!rule.contains("public") && !rule.contains("s-maxage"), "{status}: {rule}");
        assert!(rule.contains("private") || rule.contains("no-"), "{status}: {rule}");
        assert!(vary.is_some_and(|vary| vary.contains("authorization, cookie")), "{status}: {vary:?}");
    }
    let all = scene.shape(&admin(), &[("table", "parts")]).first().await.is(200);
    assert!(all.header("cache-control").expect("a rule").starts_with("private"));
}

async fn what_is_public_is_everybodys(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let http = awc::Client::builder().timeout(super::SOON).finish();
    let anybody = Shape::new(http, format!("http://{}", scene.api.address()), &[("table", "news")]);
    let first = anybody.first().await.is(200);
    let (_, rule, vary) = rules(&first);
    assert!(rule.is_some_and(|rule| rule.starts_with("public")), "{rule:?}");
    assert!(!vary.is_some_and(|vary| vary.contains("authorization")), "{vary:?}");
    // A token makes no difference, so that one answer serves all.
    let known = scene.shape(&viewer(), &[("table", "news")]).first().await.is(200);
    assert_eq!((&known.body, known.header("etag")), (&first.body, first.header("etag")));
}
