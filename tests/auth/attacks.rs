//! Readers who try to see more than their token shows, by either source of shapes.

use actix_web::http::Method;
use serde_json::{Value, json};

use super::{Scene, Source, admin, ids_of, rows, token, viewer, with_both_sources};
use crate::support::Relay;

with_both_sources!(
    no_request_shows_rows_beyond_the_scope,
    a_subset_cannot_be_asked_for_more_than_its_shape,
    another_shapes_handle_and_offset_show_nothing,
    named_shapes_show_their_columns_and_rows_alone,
);

async fn no_request_shows_rows_beyond_the_scope(source: Source) {
    let scene = Scene::new(source, &[]).await;
    assert_eq!(
        rows(&scene.shape(&admin(), &[("table", "parts")])).await,
        Ok(vec!["prt_mine".into(), "prt_other".into()])
    );
    let viewer = viewer();
    // `None`: refused. `Some`: the rows.
    let mine: &[&str] = &["prt_mine"];
    let none: &[&str] = &[];
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a [&'a str]>);
    let cases: [Case; 32] = [
        (&[], Some(mine)),
        (&[("where", "session_id = 'mine'")], Some(mine)),
        (&[("where", "session_id = 'other'")], Some(none)),
        (&[("where", "session_id = $1"), ("params[1]", "other")], Some(none)),
        (&[("where", "session_id = $2"), ("params[1]", "x")], None),
        (&[("where", "$1 = 'mine'")], None),
        (&[("where", "1 = 1 OR session_id = 'other'")], Some(mine)),
        (&[("where", "1 = 1) OR (1 = 1")], None),
        (&[("where", "FALSE) OR (TRUE")], None),
        (&[("where", "TRUE -- ")], Some(mine)),
        (&[("where", "TRUE --\n) OR (TRUE")], None),
        (&[("where", "TRUE /* ) OR ( */")], Some(mine)),
        (&[("where", "TRUE /*")], None),
        (&[("where", "TRUE; DROP TABLE parts")], None),
        // To Postgres a comment begins where others read an operator.
        (&[("where", "session_id >--(\n'') OR (2 >--2)\n-1")], None),
        (&[("where", "sort_order >--'\n -1 OR TRUE --'")], None),
        (&[("where", "TRUE ORDER BY id")], None),
        (&[("where", "TRUE UNION SELECT 1")], None),
        (&[("where", "id IN (SELECT id FROM parts)")], None),
        (&[("where", "session_id IN (SELECT id FROM sessions WHERE project_id = 'p2')")], None),
        (&[("where", "EXISTS (SELECT 1 FROM capability_tokens)")], None),
        (&[("where", "text = 'x'' OR TRUE --'")], Some(none)),
        (&[("where", "text = $1"), ("params[1]", "' OR TRUE --")], Some(none)),
        (&[("where", "session_id = 'mine'"), ("params[1]", "a"), ("params[2]", "other")], Some(mine)),
        (&[("where", "session_id = 'mine'"), ("where", "TRUE")], Some(mine)),
        (&[("where", "session_id = 'mine'"), ("params[1]", "x"), ("params[1]", "y")], Some(mine)),
        (&[("table", "capability_tokens")], None),
        (&[("table", "parts"), ("table", "pg_catalog.pg_class")], None),
        (&[("table", "PUBLIC.PARTS")], Some(mine)),
        (&[("secret", "hunter2"), ("api_secret", "hunter2")], Some(mine)),
        (&[("queryable_columns", "id,session_id,text")], Some(mine)),
        (&[("client", "x"), ("unknown", "y"), ("where[]", "TRUE")], None),
    ];
    for (query, expected) in cases {
        let query: Vec<_> = [("table", "parts")].into_iter().chain(query.iter().copied()).collect();
        let seen = rows(&scene.shape(&viewer, &query)).await;
        match expected {
            Some(expected) => assert_eq!(
                seen.as_deref(),
                Ok(expected.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>().as_slice()),
                "{query:?}"
            ),
            None => assert_eq!(seen, Err(400), "{query:?}"),
        }
    }
    for (table, expected) in [("sessions", "mine"), ("messages", "msg_mine"), ("parts", "prt_mine")] {
        assert_eq!(rows(&scene.shape(&viewer, &[("table", table)])).await, Ok(vec![expected.to_owned()]), "{table}");
    }
    // By project, and by a list that names nothing.
    let by_project = token(json!({"sub": "p", "role": "viewer", "projects": ["p2"]}));
    assert_eq!(rows(&scene.shape(&by_project, &[("table", "parts")])).await, Ok(vec!["prt_other".to_owned()]));
    let nobody = token(json!({"sub": "n", "role": "viewer"}));
    assert_eq!(rows(&scene.shape(&nobody, &[("table", "parts")])).await, Ok(vec![]));
    // Nobody ends a shape here, and HEAD tells the headers of the same answer and no more.
    let shape = scene.shape(&viewer, &[("table", "parts")]);
    assert_eq!(shape.send(Method::DELETE, &[], &[]).await.status, 405);
    let (head, get) = (shape.send(Method::HEAD, &[("offset", "-1")], &[]).await, shape.first().await);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("etag"), get.header("etag"));
}

async fn a_subset_cannot_be_asked_for_more_than_its_shape(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let shape = scene.shape(&viewer(), &[("table", "parts"), ("log", "changes_only")]);
    let get = async |where_: &str| {
        let reply = shape.get(&[("offset", "-1"), ("subset__where", where_)]).await;
        (reply.status, if reply.status == 200 { ids_of(&reply) } else { vec![] })
    };
    let mine = vec!["prt_mine".to_owned()];
    assert_eq!(get("TRUE").await, (200, mine.clone()));
    assert_eq!(get("session_id = 'other'").await, (200, vec![]));
    assert_eq!(get("1 = 1) OR (1 = 1").await, (400, vec![]));
    assert_eq!(get("id IN (SELECT id FROM parts)").await, (400, vec![]));

    let url = "/v1/shape?table=parts&offset=-1&log=changes_only";
    let bodies = [
        (json!({"subset": {"where": "TRUE"}}), 200),
        (json!({"where": "TRUE"}), 200),
        (json!({"subset": {"where": "TRUE"}, "secret": "x", "api_secret": "x"}), 200),
        (json!({"subset": {"where": "TRUE"}, "queryable_columns": ["id", "session_id"]}), 200),
        (json!({"subset": {"where": "TRUE"}, "columns": ["id", "nothing"]}), 400),
        (json!({"subset": {"where": "TRUE"}, "table": "capability_tokens"}), 400),
        (json!({"subset": {"where": "session_id = $1", "params": {"1": "other"}}}), 200),
        (json!({"subset": {"where": "session_id IN (SELECT id FROM sessions)"}}), 400),
    ];
    for (body, status) in bodies {
        let bearer = format!("Bearer {}", viewer());
        let answer = scene.api.send_with(Method::POST, url, &[("authorization", &bearer)], body.to_string()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert!(!answer.body.to_string().contains("prt_other"), "{body}: {}", answer.body);
    }
    // A table of the body is the one that is judged, whatever the URL says.
    let public = "/v1/shape?table=news&offset=-1&log=changes_only";
    let body = json!({"table": "parts", "subset": {"where": "TRUE"}});
    let answer = scene.api.send_with(Method::POST, public, &[], body.to_string()).await;
    assert_eq!(answer.status, 401, "{}", answer.body);
}

async fn another_shapes_handle_and_offset_show_nothing(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let all = scene.shape(&admin(), &[("table", "parts")]).first().await.is(200);
    let own = scene.shape(&viewer(), &[("table", "parts")]);
    let first = own.first().await.is(200);
    assert_ne!(all.handle(), first.handle());
    for (handle, offset) in [(all.handle(), all.offset()), (all.handle(), "0_0".into()), (first.handle(), all.offset())]
    {
        for live in [vec![], vec![("live", "true")], vec![("live", "true"), ("live_sse", "true")]] {
            if handle == first.handle() && !live.is_empty() {
                // Its own shape, at a place where it waits.
                continue;
            }
            let query: Vec<_> = [("handle", handle.as_str()), ("offset", &offset)].into_iter().chain(live).collect();
            let reply = own.get(&query).await;
            assert!(!String::from_utf8_lossy(&reply.body).contains("prt_other"), "{query:?}: {reply:?}");
            if handle != first.handle() {
                assert_eq!(
                    (reply.status, reply.header("electric-handle")),
                    (409, Some(first.handle().as_str())),
                    "{query:?}"
                );
            }
        }
    }
    // What another has in its cache proves nothing here.
    let tag = all.header("etag").expect("a tag").to_owned();
    let reply = own.send(Method::GET, &[("offset", "-1")], &[("if-none-match", &tag)]).await;
    assert_eq!(reply.status, 200);
}

async fn named_shapes_show_their_columns_and_rows_alone(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let viewer = viewer();
    let named = [("table", "tickets"), ("params[since]", "0")];
    let ask = |more: &[(&'static str, &'static str)]| {
        let query: Vec<_> = named.iter().chain(more).copied().collect();
        scene.shape(&viewer, &query)
    };
    assert_eq!(rows(&ask(&[])).await, Ok(vec!["1".to_owned(), "3".to_owned()]));
    let reply = ask(&[]).first().await.is(200);
    assert!(!String::from_utf8_lossy(&reply.body).contains("s1"), "{reply:?}");
    assert_eq!(rows(&ask(&[("where", "title = $1"), ("params[1]", "mine too")])).await, Ok(vec!["3".to_owned()]));
    assert_eq!(rows(&ask(&[("columns", "id")])).await, Ok(vec!["1".to_owned(), "3".to_owned()]));
    let refused: [&[(&str, &str)]; 8] = [
        &[("columns", "id,secret")],
        &[("queryable_columns", "id,secret"), ("columns", "secret,id")],
        &[("where", "secret = 's1'")],
        &[("where", "\"secret\" LIKE 's%'")],
        &[("where", "id IN (SELECT id FROM tickets)")],
        &[("subset__where", "secret = 's1'")],
        &[("subset__order_by", "secret"), ("subset__limit", "1")],
        &[("params[org]", "o2")],
    ];
    for more in refused {
        assert_eq!(rows(&ask(more)).await, Err(400), "{more:?}");
    }
    // The table under its own name is none of ours, and neither is the shape anybody's who lacks the claim.
    assert_eq!(rows(&scene.shape(&viewer, &[("table", "public.tickets")])).await, Err(400));
    let without = token(json!({"sub": "w", "role": "viewer", "sessions": ["mine"]}));
    assert_eq!(rows(&scene.shape(&without, &named)).await, Err(403));
    let injected = [("table", "tickets"), ("params[since]", "0) OR (1=1")];
    assert_eq!(rows(&scene.shape(&viewer, &injected)).await, Err(400));
    // One that is for everybody needs no token, and shows the same to those who have one.
    let news = scene.get(None, "/shape?table=news").await;
    assert_eq!((news.status.as_u16(), news.body[0]["value"]["text"].clone()), (200, json!("hello")));
    assert_eq!(rows(&scene.shape(&viewer, &[("table", "news")])).await, Ok(vec!["1".to_owned()]));
}

#[actix_rt::test]
async fn nothing_of_a_reader_goes_on_to_the_upstream() {
    let database = crate::support::Database::fresh().await;
    let engine = crate::support::Engine::start(&database).await;
    let relay = Relay::to(&engine.binary.url()).await;
    let settings = [("PLUE_AUTH__JWT_SECRET", super::SECRET), ("ELECTRIC_URL", &relay.url())];
    let mut api = crate::support::Api::with_settings(database.url(), &settings).await;
    api.show(&admin());
    crate::support::eventually(super::SOON, "shapes", async || {
        let ready = api.get("/ready").await;
        if ready.status == 200 { Ok(()) } else { Err(ready.body) }
    })
    .await;
    api.session("mine").await;
    let bearer = format!("Bearer {}", viewer());
    let headers = [
        ("authorization", bearer.as_str()),
        ("cookie", "plue_session=stolen; other=1"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-smuggled", "smuggled"),
        ("connection", "x-smuggled"),
        ("te", "trailers"),
        ("if-none-match", "\"smuggled\""),
    ];
    let path =
        "/v1/shape?table=parts&offset=-1&secret=stolen&api_secret=stolen&source_id=stolen&unknown=stolen&client=stolen";
    let answer = api.send_with(Method::GET, path, &headers, "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let heads = relay.requests();
    let asked = heads.iter().filter(|head| head.contains("table=")).collect::<Vec<_>>();
    assert!(!asked.is_empty(), "{heads:?}");
    for head in asked {
        let lower = head.to_ascii_lowercase();
        for part in ["bearer", "authorization", "cookie", "stolen", "smuggled", "x-forwarded-for", "unknown"] {
            assert!(!lower.contains(part), "{part} in {head}");
        }
        assert!(lower.contains("session_id"), "{head}");
    }
}

#[actix_rt::test]
async fn a_claim_of_an_organisation_is_a_column_of_sessions() {
    let scene = Scene::new(Source::Engine, &[("PLUE_AUTH__COLUMN_CLAIMS", "project_id=org")]).await;
    let p2 = token(json!({"sub": "o", "role": "viewer", "org": "p2"}));
    for (table, expected) in [("sessions", "other"), ("messages", "msg_other"), ("parts", "prt_other")] {
        assert_eq!(rows(&scene.shape(&p2, &[("table", table)])).await, Ok(vec![expected.to_owned()]), "{table}");
        let wanted = if table == "sessions" { "id = 'mine'" } else { "session_id = 'mine'" };
        assert_eq!(rows(&scene.shape(&p2, &[("table", table), ("where", wanted)])).await, Ok(vec![]), "{table}");
    }
    let listed = scene.get(Some(&p2), "/v1/sessions").await.is(200);
    let ids: Vec<&Value> =
        listed["sessions"].as_array().expect("a list").iter().map(|session| &session["id"]).collect();
    assert_eq!(ids, ["other"]);
    scene.get(Some(&p2), "/v1/sessions/mine").await.refuses(404, "not_found");
    let without = token(json!({"sub": "o", "role": "viewer"}));
    scene.get(Some(&without), "/v1/sessions").await.refuses(401, "unauthorized");
}
