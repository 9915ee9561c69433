//! Tokens that are minted here, each for one session.

use actix_web::http::Method;
use serde_json::json;

use super::{SOON, Scene, Source, agent, rows, token, viewer};
use crate::support::{Api, Database, eventually};

#[actix_rt::test]
async fn a_minted_token_is_for_one_session_and_no_more_than_it_says() {
    let scene = Scene::new(Source::Engine, &[]).await;
    let minted = scene.api.post("/v1/sessions/mine/tokens", json!({"tables": ["messages", "parts"]})).await.is(201);
    assert_eq!((minted["role"].clone(), minted["minted_by"].clone()), (json!("viewer"), json!("root")));
    let token_of = minted["token"].as_str().expect("a token").to_owned();
    assert_eq!(rows(&scene.shape(&token_of, &[("table", "parts")])).await, Ok(vec!["prt_mine".to_owned()]));
    for table in ["sessions", "subtasks", "tickets", "capability_tokens"] {
        assert_eq!(rows(&scene.shape(&token_of, &[("table", table)])).await, Err(400), "{table}");
    }
    assert_eq!(scene.get(Some(&token_of), "/v1/sessions/mine/messages").await.status, 200);
    for path in ["/v1/sessions/mine", "/v1/sessions", "/v1/sessions/mine/snapshots", "/v1/sessions/mine/tokens"] {
        scene.get(Some(&token_of), path).await.refuses(403, "forbidden");
    }
    scene.get(Some(&token_of), "/v1/sessions/other/messages").await.refuses(404, "not_found");
    let message = json!({"role": "user"});
    let write = scene.send(Some(&token_of), Method::POST, "/v1/sessions/mine/messages", message.clone()).await;
    write.refuses(403, "forbidden");

    let (writer, id) = scene.mint("mine", json!({"role": "agent", "lifetime_seconds": 60})).await;
    scene.send(Some(&writer), Method::POST, "/v1/sessions/mine/messages", message).await.is(201);
    // Whoever holds one cannot make it last.
    for (method, path) in [(Method::POST, ""), (Method::DELETE, ""), (Method::GET, "")] {
        let path = format!("/v1/sessions/mine/tokens{path}");
        scene.send(Some(&writer), method, &path, json!({})).await.refuses(403, "forbidden");
    }
    let listed = scene.api.get("/v1/sessions/mine/tokens").await.is(200);
    assert_eq!((listed["tokens"].as_array().map(Vec::len), listed["tokens"][0]["id"].clone()), (Some(2), json!(id)));
    assert!(!listed.to_string().contains("pst_") && !listed.to_string().contains("hash"), "{listed}");
    // With the session goes what was for it.
    assert_eq!(scene.api.delete("/v1/sessions/mine/tokens/nothing").await.is(200)["revoked"], 0);
    scene.api.delete("/v1/sessions/mine").await.is(200);
    eventually(SOON, "a refusal", async || {
        let answer = scene.get(Some(&writer), "/v1/sessions/mine/messages").await;
        if answer.status == 401 { Ok(()) } else { Err(answer.status) }
    })
    .await;
    // And it does not come back with another session of this name.
    scene.api.session("mine").await;
    scene.get(Some(&writer), "/v1/sessions/mine/messages").await.refuses(401, "unauthorized");
}

#[actix_rt::test]
async fn who_may_mint_and_what() {
    let scene = Scene::new(Source::Engine, &[("PLUE_AUTH__MAX_TOKEN_LIFETIME", "2h")]).await;
    let mint = async |token: &str, session: &str, body| {
        scene.send(Some(token), Method::POST, &format!("/v1/sessions/{session}/tokens"), body).await
    };
    mint(&agent(), "mine", json!({"role": "agent"})).await.is(201);
    mint(&viewer(), "mine", json!({})).await.refuses(403, "forbidden");
    mint(&agent(), "other", json!({})).await.refuses(404, "not_found");
    let root = token(json!({"sub": "root", "role": "admin"}));
    mint(&root, "nobodys", json!({})).await.refuses(404, "not_found");
    let wrong = [
        (json!({"role": "admin"}), "role"),
        (json!({"lifetime_seconds": 7201}), "lifetime_seconds"),
        (json!({"lifetime_seconds": 0}), "lifetime_seconds"),
        (json!({"tables": []}), "tables"),
        (json!({"tables": "parts"}), "tables"),
        (json!({"tables": ["a; DROP"]}), "tables"),
        (json!({"session": "other"}), "session"),
    ];
    for (body, field) in wrong {
        let blamed = mint(&root, "mine", body.clone()).await.refuses(400, "invalid_request");
        assert_eq!(blamed.as_deref(), Some(field), "{body}");
    }
}

#[actix_rt::test]
async fn without_authentication_there_is_nothing_to_mint_or_block() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("mine").await;
    api.post("/v1/sessions/mine/tokens", json!({})).await.refuses(501, "not_available");
    api.put("/v1/admin/principals/u/block", json!({})).await.refuses(501, "not_available");
}

#[actix_rt::test]
async fn what_is_revoked_in_postgres_is_known_without_being_told() {
    let scene = Scene::new(Source::Engine, &[]).await;
    let (holder, _) = scene.mint("mine", json!({})).await;
    scene.get(Some(&holder), "/v1/sessions/mine").await.is(200);
    let client = scene.database.connect().await;
    client.batch_execute("UPDATE capability_tokens SET revoked_at = now()").await.expect("an update");
    eventually(SOON, "a refusal", async || {
        let answer = scene.get(Some(&holder), "/v1/sessions/mine").await;
        if answer.status == 401 { Ok(()) } else { Err(answer.status) }
    })
    .await;
}
