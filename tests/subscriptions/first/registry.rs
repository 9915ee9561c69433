//! What the registry knows of those who wait for several shapes in one request, and what such a request holds.

use futures_util::future::{join, select};
use serde_json::Value;
use tokio::time::timeout;

use super::super::{SOON, Scene, Source, Tail, eventually, with_both_sources};
use super::three;
use crate::support::Reply;

with_both_sources!(
    a_reader_stays_the_same_from_call_to_call,
    who_has_gone_is_forgotten_and_holds_no_place,
    one_that_is_full_is_told_so_and_gives_back_what_it_had,
    an_operator_ends_one_of_the_waits,
    a_stop_ends_the_wait,
);

fn ids(listed: &[Value]) -> Vec<&str> {
    listed.iter().map(|one| one["id"].as_str().expect("an id")).collect()
}

async fn a_reader_stays_the_same_from_call_to_call(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let tails = three(&scene).await;
    // Under a name that nobody has read under: as after a restart, the calls are all that there is of these readers.
    let list = tails.each_ref().map(|tail| tail.query().replace("client=tab", "client=new"));
    let first = scene.first();
    scene.write_to("ses_2", "m1").await;
    let call = async || first.of(&list).await.is(200);
    assert_eq!(call().await.index(), Some(1));
    // What was read before, and those that stand before the one that was answered, at least: whoever stands behind it may have
    // been given up before it was heard.
    let opened = scene.listed().await;
    assert!(opened.len() >= 5, "{opened:?}");
    for _ in 0..5 {
        call().await;
    }
    let listed = scene.until_open(6).await;
    assert_eq!(ids(&listed)[..opened.len()], ids(&opened), "nobody has gone and come again");
    let mine: Vec<&Value> = listed.iter().filter(|one| one["client"] == "new").collect();
    assert_eq!(mine.len(), 3, "one for each shape");
    for one in mine {
        let answered = one["session"] == "ses_2";
        let tail = &tails[one["session"].as_str().expect("a session")[4..].parse::<usize>().expect("a number") - 1];
        assert_eq!(one["offset"] != tail.offset.as_str(), answered, "who was not answered is where it was: {one}");
        assert_eq!(one["bytes"].as_u64() > Some(0), answered, "{one}");
        assert_eq!(one["transport"], "long_poll");
        assert!(one["requests"] == 6 || one["session"] == "ses_3", "{one}");
    }
    let counted = scene.api.get("/v1/admin/sessions").await.is(200);
    for session in counted["sessions"].as_array().expect("a list") {
        assert_eq!(session["subscriptions"], 2, "two of each session: {counted}");
    }
}

async fn who_has_gone_is_forgotten_and_holds_no_place(source: Source) {
    let settings = [("PLUE_SUBSCRIPTIONS__IDLE_TIMEOUT", "2s"), ("PLUE_ENGINE__MAX_EXISTING_REQUESTS", "3")];
    let scene = Scene::new(source, &settings).await;
    let tails = three(&scene).await;
    let list = tails.each_ref().map(Tail::query);
    for _ in 0..3 {
        let first = scene.first();
        {
            let waiting = std::pin::pin!(first.of(&list));
            let held = std::pin::pin!(async {
                // As many as may be held at once, so that one more is too many.
                eventually(SOON, "no place", async || match tails[0].shape.first().await.status {
                    503 => Ok(()),
                    other => Err(other),
                })
                .await;
            });
            select(waiting, held).await;
        }
        eventually(SOON, "a place", async || match tails[0].shape.first().await.status {
            200 => Ok(()),
            other => Err(other),
        })
        .await;
    }
    scene.until_open(0).await;
}

async fn one_that_is_full_is_told_so_and_gives_back_what_it_had(source: Source) {
    let scene = Scene::new(source, &[("PLUE_ENGINE__MAX_EXISTING_REQUESTS", "2")]).await;
    let tails = three(&scene).await;
    let list = tails.each_ref().map(Tail::query);
    let first = scene.first();
    for round in 0..5 {
        // The place of what was answered last is free when its body has gone.
        let reply: Reply = eventually(SOON, "two places", async || {
            let reply = first.of(&list).await.is(503);
            if reply.index() == Some(2) { Ok(reply) } else { Err(reply) }
        })
        .await;
        assert_eq!(reply.header("electric-internal-known-error"), Some("true"), "round {round}");
        assert!(reply.header("retry-after").is_some(), "round {round}");
    }
}

async fn an_operator_ends_one_of_the_waits(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let tails = three(&scene).await;
    let (list, first) = (tails.each_ref().map(Tail::query), scene.first());
    let listed = scene.until_open(3).await;
    let (id, before) = (ids(&listed)[1].to_owned(), scene.requests().await);
    let end = async {
        scene.until_asked(before + 3).await;
        scene.api.delete(&format!("/v1/admin/subscriptions/{id}?block=60")).await.is(200)
    };
    let (reply, ended) = join(timeout(SOON, first.of(&list)), end).await;
    let reply = reply.expect("an answer").is(200);
    assert_eq!((&ended["ended"], reply.index()), (&Value::from(1), Some(1)), "{reply:?}");
    assert_eq!((reply.handle(), reply.offset()), (tails[1].handle.clone(), tails[1].offset.clone()));
    let refused = first.of(&list).await.is(403);
    assert_eq!((refused.index(), &refused.json()["code"]), (Some(1), &Value::from("blocked")));
    let left = [&list[0], &list[2]];
    scene.write_to("ses_3", "m1").await;
    assert_eq!(first.of(&left).await.is(200).index(), Some(1), "the others go on");
    assert_eq!(ids(&scene.until_open(2).await), [ids(&listed)[0], ids(&listed)[2]]);
}

async fn a_stop_ends_the_wait(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let tails = three(&scene).await;
    let (list, first, before) = (tails.each_ref().map(Tail::query), scene.first(), scene.requests().await);
    let stop = async {
        scene.until_asked(before + 3).await;
        let Scene { api, database, upstream } = scene;
        api.stop().await;
        (database, upstream)
    };
    let (reply, _) = join(timeout(SOON, first.of(&list)), stop).await;
    let reply = reply.expect("an answer").is(200);
    assert!(reply.index().is_some() && reply.changes().is_empty(), "{reply:?}");
}
