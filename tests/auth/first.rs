//! Several long-polls in one request: each is let in as if it came alone, and the request ends with its sender's right to it.

use std::time::Duration;

use actix_web::http::Method;
use futures_util::future::join;
use serde_json::json;

use super::{SECRET, SOON, Scene, Source, admin, ids_of, now, shape_at, token, viewer, with_both_sources};
use crate::support::{Api, Database, First, Link, Shape, eventually};

with_both_sources!(
    each_request_of_a_list_shows_what_it_would_show_alone,
    a_call_ends_with_its_token,
    who_is_thrown_out_is_out_of_a_call,
);

/// The long-poll at the end of a shape.
async fn poll(shape: &Shape) -> String {
    let mut reply = shape.first().await.is(200);
    while reply.header("electric-up-to-date").is_none() {
        reply = shape.get(&[("handle", &reply.handle()), ("offset", &reply.offset())]).await.is(200);
    }
    shape.query(&[("handle", &reply.handle()), ("offset", &reply.offset()), ("live", "true")])
}

async fn each_request_of_a_list_shows_what_it_would_show_alone(source: Source) {
    let scene = Scene::new(source, &[("PLUE_AUTH__BURST", "20"), ("PLUE_AUTH__REQUESTS_PER_SECOND", "20")]).await;
    let parts = scene.shape(&viewer(), &[("table", "parts")]);
    let (mine, all) = (poll(&parts).await, poll(&scene.shape(&admin(), &[("table", "parts")])).await);
    let news = scene.shape(&viewer(), &[("table", "news")]);
    let public = poll(&news).await;
    let first = First::new(&scene.api, Some(&viewer()));
    // What is of another is a shape that it may not go on with.
    let refused = first.of(&[&mine, &all]).await;
    assert_eq!((refused.status, refused.index()), (409, Some(1)), "{refused:?}");
    assert!(!refused.text().contains("other"), "{refused:?}");

    scene.write("other", "hidden").await;
    let seen = async {
        let seen = first.of(&[&public, &mine]).await.is(200);
        assert_eq!((seen.index(), ids_of(&seen)), (Some(1), vec!["prt_shown".to_owned()]));
        assert_eq!(seen.header("vary"), Some("authorization, cookie"));
        assert_eq!(seen.header("cache-control"), Some("no-cache"));
    };
    join(seen, scene.write("mine", "shown")).await;
    // What is public is, with a token too, what everybody sees; and the call needs one.
    scene.database.connect().await.batch_execute("INSERT INTO news VALUES (2, 'more')").await.expect("a row");
    let mine = poll(&parts).await;
    let seen = first.of(&[&mine, &public]).await.is(200);
    assert_eq!((seen.index(), ids_of(&seen)), (Some(1), vec!["2".to_owned()]));
    let url = format!("/v1/shape/first?{public}");
    for path in ["/v1/shape/first", &url] {
        let refused = scene.api.send_with(Method::POST, path, &[], json!([public]).to_string()).await;
        assert!(!refused.headers.contains_key("plue-index"), "{path}");
        refused.refuses(401, "unauthorized");
    }
    // 64 requests are one request of their principal, who may make 20 at once.
    let many: Vec<String> = (0..64).map(|tab| format!("{mine}&client=tab{tab}")).collect();
    let all_of = async {
        let seen = first.of(&many).await.is(200);
        assert!(seen.index().is_some() && ids_of(&seen) == ["prt_again"], "{seen:?}");
    };
    join(all_of, scene.write("mine", "again")).await;
}

async fn a_call_ends_with_its_token(source: Source) {
    let scene = Scene::new(source, &[]).await;
    // As long as reading the shapes may take on a busy machine, and far less than a request is held.
    let expires = now() + 6;
    let token = token(json!({"sub": "short", "role": "viewer", "sessions": ["mine"], "exp": expires}));
    let list = [
        poll(&scene.shape(&token, &[("table", "parts")])).await,
        poll(&scene.shape(&token, &[("table", "messages")])).await,
    ];
    let first = First::new(&scene.api, Some(&token));
    let reply = tokio::time::timeout(SOON, first.of(&list)).await.expect("an end of the call").is(200);
    assert!(now() >= expires, "it ended before the token did");
    assert!(reply.index().is_some() && reply.changes().is_empty(), "{reply:?}");
    let refused = first.of(&list).await.is(401);
    assert_eq!(refused.index(), None);
}

async fn who_is_thrown_out_is_out_of_a_call(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let (minted, id) = scene.mint("mine", json!({})).await;
    let somebody = token(json!({"sub": "some body", "role": "viewer", "sessions": ["mine"]}));
    let revoke = format!("/v1/sessions/mine/tokens/{id}");
    let steps = [
        (&minted, id.as_str(), Method::DELETE, revoke.as_str(), 401),
        (&somebody, "some%20body", Method::PUT, "/v1/admin/principals/some%20body/block", 403),
    ];
    for (token, principal, method, path, status) in steps {
        let list = [
            poll(&scene.shape(token, &[("table", "parts")])).await,
            poll(&scene.shape(token, &[("table", "messages")])).await,
        ];
        let first = First::new(&scene.api, Some(token));
        let asked = async || {
            let listed = scene.api.get(&format!("/v1/admin/subscriptions?principal={principal}")).await.is(200);
            let each = listed["subscriptions"].as_array().expect("a list").iter();
            each.map(|one| one["requests"].as_u64().expect("a count")).sum::<u64>()
        };
        let before = asked().await;
        let order = async {
            eventually(SOON, "two waits", async || match asked().await {
                seen if seen >= before + 2 => Ok(()),
                seen => Err((before, seen)),
            })
            .await;
            scene.send(Some(&admin()), method, path, json!({})).await.is(200)
        };
        let (reply, _) = join(tokio::time::timeout(SOON, first.of(&list)), order).await;
        let reply = reply.expect("an end of the call").is(200);
        assert!(reply.index().is_some() && reply.changes().is_empty(), "{path}: {reply:?}");
        let refused = first.of(&list).await.is(status);
        assert_eq!(refused.index(), None, "{path}");
    }
}

#[actix_rt::test]
async fn who_has_to_be_looked_up_far_away_gets_its_turn_too() {
    let database = Database::fresh().await;
    let (head, name) = database.url().rsplit_once('/').expect("an address");
    let (user, server) = head.rsplit_once('@').expect("a user and a server");
    // More than a request of a list may take that stands before one that is ready.
    let link = Link::slow(server.to_owned(), Duration::from_millis(30)).await;
    let url = format!("{user}@{}/{name}", link.address());
    let mut api = Api::with_settings(&url, &[("PLUE_AUTH__JWT_SECRET", SECRET)]).await;
    api.show(&admin());
    let of_project = |name| token(json!({"sub": name, "role": "viewer", "projects": ["p1"]}));
    let (reader, another) = (of_project("reader"), of_project("another"));
    let mut polls = Vec::new();
    for session in ["quiet", "busy"] {
        let new = json!({"id": session, "project_id": "p1", "directory": "/src", "title": session});
        api.post("/v1/sessions", new).await.is(201);
        let condition = format!("session_id = '{session}'");
        // As somebody else, so that nothing is known of the reader.
        let shape = shape_at(&api, &another, &[("table", "messages"), ("where", &condition)]);
        polls.push(
            eventually(SOON, "a shape", async || {
                let status = shape.first().await.status;
                if status == 200 { Ok(poll(&shape).await) } else { Err(status) }
            })
            .await,
        );
        api.message(session, &format!("msg_{session}")).await;
    }
    let first = First::new(&api, Some(&reader));
    assert_eq!(first.of(&polls[1..]).await.is(200).index(), Some(0), "its session is known now");
    let known = First::new(&api, Some(&another)).of(&polls[..1]).await.is(200);
    assert_eq!(known.index(), Some(0), "there is something for the other");
    // The busy one has an answer each time. What is looked up takes some calls, and not for ever.
    let mut turns = 0;
    while first.of(&polls).await.is(200).index() != Some(0) {
        turns += 1;
        assert!(turns < 200, "it has had no turn");
    }
}
