//! Shapes from an upstream: an engine of its own process, a relay that looks and does harm, and `serve` in front of both.

mod faults;
mod forward;
mod live;
mod slow;

use std::time::Duration;

use crate::support::{Binary, Database, Engine, Relay, Reply, Shape, eventually};

/// What anything here may take, on a machine that runs other tests.
const SOON: Duration = Duration::from_secs(30);
/// What the engine asks for, and clients do not know.
const SECRET: &str = "hunter&2";

/// Everything that a proxied shape goes through.
struct Setup {
    serve: Binary,
    relay: Relay,
    engine: Engine,
    database: Database,
}

impl Setup {
    /// The usual settings.
    async fn start() -> Self {
        Self::with(&[], &[]).await
    }

    /// Settings of the engine and of `serve`, added to the usual ones.
    async fn with(engine: &[(&str, &str)], serve: &[(&str, &str)]) -> Self {
        let database = Database::fresh().await;
        let secret = [("ELECTRIC_INSECURE", ""), ("ELECTRIC_SECRET", SECRET)];
        let engine = Engine::with(&database, &[&secret, engine].concat()).await;
        let relay = Relay::to(&engine.binary.url()).await;
        let url = relay.url();
        let usual = [("DATABASE_URL", database.url()), ("ELECTRIC_URL", &url), ("ELECTRIC_SECRET", SECRET)];
        let args = ["serve", "--insecure", "--listen", "127.0.0.1:0"];
        let serve = Binary::start(&args, &[&usual, serve].concat()).await;
        let setup = Self { serve, relay, engine, database };
        setup.is_ready(true).await;
        setup
    }

    /// A shape through the proxy.
    fn shape(&self, params: &[(&str, &str)]) -> Shape {
        Shape::new(self.engine.http.clone(), self.serve.url(), params)
    }

    /// The same shape at the engine's own port.
    fn direct(&self, params: &[(&str, &str)]) -> Shape {
        Shape::new(self.engine.http.clone(), self.engine.binary.url(), &[params, &[("secret", SECRET)]].concat())
    }

    /// All sessions, through the proxy.
    fn sessions(&self) -> Shape {
        self.shape(&[("table", "sessions")])
    }

    /// Runs statements.
    async fn run(&self, statements: &str) {
        self.database.connect().await.batch_execute(statements).await.expect("statements");
    }

    /// Adds sessions with these numbers.
    async fn add(&self, numbers: std::ops::Range<u32>) {
        let (first, last) = (numbers.start, numbers.end - 1);
        self.run(&format!(
            "INSERT INTO sessions (id, title, directory, time_created, time_updated) \
             SELECT 's' || n, 'Session ' || n, '/src', 0, 0 \
             FROM generate_series({first}, {last}) n"
        ))
        .await;
    }

    /// Waits until `/ready` says so, and gives its body.
    async fn is_ready(&self, ready: bool) -> String {
        let url = format!("{}/ready", self.serve.url());
        let expected = if ready { 200 } else { 503 };
        eventually(SOON, "another readiness", async || {
            let mut answer = self.engine.http.get(&url).send().await.map_err(|error| error.to_string())?;
            let body = answer.body().await.map_err(|error| error.to_string())?;
            let body = String::from_utf8_lossy(&body).into_owned();
            if answer.status() == expected { Ok(body) } else { Err(body) }
        })
        .await
    }

    /// Asks until the answer is one of success: after harm, the breaker may still be open.
    async fn recovers(&self) -> Reply {
        self.relay.set(None);
        let shape = self.sessions();
        eventually(SOON, "an answer", async || {
            let reply = shape.first().await;
            if reply.status == 200 { Ok(reply) } else { Err((reply.status, reply.text())) }
        })
        .await
    }

    /// Waits until nothing is under way at the relay.
    async fn is_idle(&self) {
        eventually(SOON, "an idle upstream", async || {
            let counts = self.relay.counts();
            if (counts.live, counts.plain) == (0, 0) { Ok(()) } else { Err(counts) }
        })
        .await;
    }
}
