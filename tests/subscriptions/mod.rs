//! The registry and its operators, over whatever answers: each scene runs against the engine in process, and against a
//! proxy to an engine in another.

mod admin;
mod first;
mod readers;
mod stalled;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Api, Database, Engine, First, Reply, Shape, Source, eventually, with_both_sources};

/// Everything here happens within seconds, also on a machine that runs other tests.
const SOON: Duration = Duration::from_secs(60);

/// An API with a session, and what answers its shapes.
struct Scene {
    api: Api,
    /// The engine in another process, if there is one.
    upstream: Option<Engine>,
    database: Database,
}

impl Scene {
    async fn new(source: Source, settings: &[(&str, &str)]) -> Self {
        Self::over(source, settings, &[]).await
    }

    /// The same, with settings of the engine in another process, if there is one.
    async fn over(source: Source, settings: &[(&str, &str)], upstream: &[(&str, &str)]) -> Self {
        let database = Database::fresh().await;
        let upstream = match source {
            Source::Engine => None,
            Source::Proxy => Some(Engine::with(&database, upstream).await),
        };
        let url = upstream.as_ref().map(|engine| engine.binary.url());
        let upstream_url = url.as_deref().map(|url| ("ELECTRIC_URL", url));
        let settings: Vec<_> = settings.iter().copied().chain(upstream_url).collect();
        let api = Api::with_settings(database.url(), &settings).await;
        let scene = Self { api, upstream, database };
        eventually(SOON, "shapes", async || {
            let ready = scene.api.get("/ready").await;
            if ready.status == 200 { Ok(()) } else { Err(ready.body) }
        })
        .await;
        scene.api.session("ses_1").await;
        scene
    }

    /// Another process of the same deployment, where both are proxies.
    async fn another(&self) -> Api {
        let url = self.upstream.as_ref().expect("an upstream").binary.url();
        Api::with_settings(self.database.url(), &[("ELECTRIC_URL", &url)]).await
    }

    /// The parts of a session, for a reader that may give itself a name.
    fn parts(&self, session: &str, client: Option<&str>) -> Shape {
        self.parts_at(&self.api, session, client)
    }

    /// The same at another process.
    fn parts_at(&self, api: &Api, session: &str, client: Option<&str>) -> Shape {
        let client = client.map(|client| ("client", client));
        let own = [("table", "parts"), ("where", "session_id = $1"), ("params[1]", session)];
        let params: Vec<_> = own.into_iter().chain(client).collect();
        let http = awc::Client::builder().timeout(SOON).finish();
        Shape::new(http, format!("http://{}", api.address()), &params)
    }

    /// What the registry lists, in order of age.
    async fn listed(&self) -> Vec<Value> {
        let listed = self.api.get("/v1/admin/subscriptions").await.is(200);
        listed["subscriptions"].as_array().expect("a list").clone()
    }

    /// Waits until so many subscriptions are open.
    async fn until_open(&self, count: usize) -> Vec<Value> {
        eventually(SOON, &format!("{count} subscriptions"), async || {
            let listed = self.listed().await;
            if listed.len() == count { Ok(listed) } else { Err(listed) }
        })
        .await
    }

    /// Requests of all subscriptions that are open.
    async fn requests(&self) -> u64 {
        self.listed().await.iter().map(|one| one["requests"].as_u64().expect("a count")).sum()
    }

    /// Waits until the open subscriptions have made so many requests.
    async fn until_asked(&self, count: u64) {
        eventually(SOON, &format!("{count} requests"), async || match self.requests().await {
            seen if seen >= count => Ok(()),
            seen => Err(seen),
        })
        .await;
    }

    /// Adds a part to the session, in a message of its own.
    async fn write(&self, id: &str) {
        self.write_to("ses_1", id).await;
    }

    /// The same to another session.
    async fn write_to(&self, session: &str, id: &str) {
        let message =
            json!({"id": id, "role": "user", "parts": [{"id": format!("prt_{id}"), "type": "text", "text": id}]});
        self.api.post(&format!("/v1/sessions/{session}/messages"), message).await.is(201);
    }

    /// Waits for several shapes in one request.
    fn first(&self) -> First {
        First::new(&self.api, None)
    }
}

/// Where the log of a shape ends.
struct Tail {
    shape: Shape,
    handle: String,
    offset: String,
}

impl Tail {
    /// Reads a shape to its end.
    async fn of(shape: Shape) -> Self {
        let mut reply = shape.first().await.is(200);
        while reply.header("electric-up-to-date").is_none() {
            reply = shape.get(&[("handle", &reply.handle()), ("offset", &reply.offset())]).await.is(200);
        }
        Self { handle: reply.handle(), offset: reply.offset(), shape }
    }

    /// The query string by which it is waited for.
    fn query(&self) -> String {
        self.shape.query(&[("handle", &self.handle), ("offset", &self.offset), ("live", "true")])
    }

    /// Waits for what comes next.
    async fn poll(&self) -> Reply {
        self.shape.get(&[("handle", &self.handle), ("offset", &self.offset), ("live", "true")]).await
    }
}
