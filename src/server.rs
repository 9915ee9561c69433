//! Start order and stop order; the only file that knows all the others.
//!
//! | start | stop |
//! |---|---|
//! | migrations | |
//! | pool | 6. the pool closes with its last user |
//! | guard | |
//! | Writer | 4. the Writer does what it has taken |
//! | engine, or proxy | 5. the engine stores what it has applied and confirms it to Postgres; the proxy closes its connections |
//! | registry | 2. live answers end, so that their readers connect elsewhere |
//! | instances | 4. other processes get no answers from this one any more |
//! | HTTP   | 1. the demo ends, and no new connections; 3. no new requests, and those in flight are answered |
//!
//! All of a stop is over in 2 s.

use std::net::SocketAddr;
use std::time::Duration;

use actix::{Actor, Addr, Arbiter};
use actix_web::App;
use actix_web::middleware::{Condition, from_fn};
use actix_web::web::{self, Data};
use futures_util::future::{join, join_all};
use secrecy::ExposeSecret;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::auth::jwt::{self, KeysError, Verifier};
use crate::auth::named::BadShape;
use crate::auth::narrow::AGENT_TABLES;
use crate::auth::revocations::Refreshing;
use crate::auth::{Guard, NamedShapes, Narrow, Revocations};
use crate::config::{ColumnClaim, Config, ElectricConfig};
use crate::db::migrations::{self, MigrateError};
use crate::db::{Database, ReadError, access};
use crate::demo::Demo;
use crate::engine::{Engine, EngineError};
use crate::http::address::TrustedProxies;
use crate::http::admin::Admin;
use crate::http::cors::Origins;
use crate::http::electric::{Access, electric_app};
use crate::http::loopback::from_here;
use crate::http::viewer::AboutHere;
use crate::http::watch::Door;
use crate::http::{self, AgentState};
use crate::instances::{self, Instances};
use crate::listener::{BadCertificate, Listener, Tls};
use crate::postgres::{InvalidUrl, Postgres};
use crate::proxy::{InvalidUpstream, Proxy, UpstreamUrl};
use crate::shape::Handle;
use crate::source::{Running, Source, SourceError};
use crate::subscription::{Ask, Question, Stop, Subscriptions};
use crate::writer::{Drain, Writer};

/// How long a reader may take no byte while there are some to take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the registry may take to end every subscription.
const REGISTRY_GRACE: Duration = Duration::from_millis(200);
/// How long the writes that were taken may take.
const WRITER_GRACE: Duration = Duration::from_millis(400);
/// How long the engine may take to store and confirm, or the proxy to end.
const SOURCE_GRACE: Duration = Duration::from_millis(500);

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("DATABASE_URL: {0}")]
    Url(#[from] InvalidUrl),
    #[error("ELECTRIC_URL: {0}")]
    Upstream(#[from] InvalidUpstream),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Shape(#[from] BadShape),
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    #[error("auth.jwks: {0}")]
    Keys(#[from] KeysError),
    #[error("cannot read from Postgres who is kept out, and what claims are columns of")]
    Revocations(#[from] ReadError),
    #[error("auth.column_claims: the table sessions has no column {column}, which the claim {claim} is to equal")]
    ColumnClaim { column: String, claim: String },
    #[error("cannot listen on {address}: {cause}")]
    Listen { address: SocketAddr, cause: std::io::Error },
}

/// Why a service has ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("the registry of subscriptions has stopped; the lines before this say why")]
    Registry,
}

/// A service that answers requests.
pub struct Server {
    /// The API, if there is one, and the engine's own port.
    listeners: Vec<Listener>,
    /// Only with the API.
    behind_api: Option<BehindApi>,
    source: Running,
    /// Only in `dev`.
    demo: Option<Demo>,
}

/// What only the API needs.
struct BehindApi {
    writer: Addr<Writer>,
    registry: Registry,
    instances: instances::Running,
    /// Ends with the rest: it only reads.
    _gate: Option<Gate>,
}

/// What keeps a guard's knowledge new.
struct Gate {
    _keys: jwt::Running,
    _revocations: Refreshing,
}

/// What the handlers of the API ask.
#[derive(Clone)]
struct ApiData {
    state: Data<AgentState>,
    source: Data<Source>,
    admin: Data<Admin>,
    guard: Data<Guard>,
    demo: Option<Demo>,
}

/// The registry and its thread.
struct Registry {
    address: Addr<Subscriptions>,
    thread: Arbiter,
    /// Completes with an error when the actor is gone.
    ended: oneshot::Receiver<()>,
}

impl Server {
    /// Starts everything, in order. To be called inside an actix system on a multi-thread runtime.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let postgres = Postgres::from_url(config.database.url.expose_secret())?;
        let (upstream, direct) = (upstream(config)?, postgres.clone());
        // First what the settings alone can get wrong.
        let narrow = Narrow::new(NamedShapes::new(&config.shapes, &AGENT_TABLES)?);
        let tls = config.server.tls().map(|(certificate, key)| Tls::read(certificate, key)).transpose()?;
        let verifier = Verifier::start(&config.auth).await?;
        let ran = migrations::run(&postgres).await?;
        if !ran.is_empty() {
            info!(migrations = ran.len(), "migrated the database");
        }
        let database = Database::new(&postgres, &config.database);
        let writer = Writer::new(database.clone(), config.writer.clone()).start();
        let (source, running) = match upstream {
            Some(url) => {
                let linger = config.subscriptions.session_linger;
                let (proxy, running) = Proxy::start(url, &config.upstream, &config.engine, linger);
                (Source::Proxy(proxy), Running::Proxy(running))
            }
            None => {
                let (engine, running) = Engine::start(&config.engine, postgres.clone(), postgres)?;
                (Source::Engine(engine), Running::Engine(running))
            }
        };
        let source = Data::new(source);
        let (guard, keys) = start_guard(config, &database, narrow, verifier).await?;
        let state = Data::new(AgentState::new(database, writer.clone()));
        let registry = start_registry(config, &source);
        let (asked, revocations) = (registry.address.clone(), guard.revocations().cloned());
        let gate = keys.zip(revocations.as_ref()).map(|(keys, revocations)| {
            let registry = registry.address.clone();
            // Of whom nobody told this process.
            let thrown_out = move |principals| registry.do_send(Ask(Question::ThrowOut { principals }));
            Gate { _keys: keys, _revocations: revocations.keep_reading(thrown_out) }
        });
        let answer = move |question| Box::pin(http::admin::answer(asked.clone(), revocations.clone(), question)) as _;
        let (all, instances) = Instances::start(direct, answer);
        let admin = Admin { registry: registry.address.clone(), instances: all };
        let demo = config.server.demo.as_ref().map(|demo| Demo::new(demo.pace));
        let (admin, guard) = (Data::new(admin), Data::new(guard));
        let api = ApiData { state, source: source.clone(), admin, guard, demo: demo.clone() };
        let mut listeners = vec![listen_api(config, tls, api)?];
        if let Some(address) = config.server.engine_listen {
            let chosen = &config.server.cors_origins;
            let origins =
                if config.server.cors_is_chosen { Origins::from_setting(chosen, false) } else { Origins::Loopback };
            listeners.push(listen_electric(address, Access::Open, origins, source)?);
        }
        let behind_api = Some(BehindApi { writer, registry, instances, _gate: gate });
        if let (Some(demo), Some(settings)) = (&demo, &config.server.demo) {
            demo.is_served_at(format!("{}://{}", listeners[0].scheme(), listeners[0].address()));
            if settings.opens {
                demo.open(settings.authorization.as_ref().and_then(|token| token.expose_secret().parse().ok()));
            }
        }
        Ok(Self { listeners, behind_api, source: running, demo })
    }

    /// Starts the engine alone, on its own port. To be called as [`Server::start`].
    pub fn start_engine(config: &ElectricConfig) -> Result<Self, StartError> {
        let replication = Postgres::from_url(config.database_url.expose_secret())?;
        let queries = Postgres::from_url(config.pooled_database_url.expose_secret())?;
        let (engine, running) = Engine::start(&config.engine, replication, queries)?;
        let access = config.secret.clone().map_or(Access::Open, Access::Secret);
        let listeners = vec![listen_electric(config.listen, access, Origins::Any, Data::new(Source::Engine(engine)))?];
        Ok(Self { listeners, behind_api: None, source: Running::Engine(running), demo: None })
    }

    /// Where it listens, the API first; tells the ports where the configuration left them open.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|listener| listener.address()).collect()
    }

    /// Serves until told to stop, or until the source fails for good; then stops everything, in order.
    ///
    /// # Errors
    /// What failed, in one sentence with the cure.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), ServerError> {
        let failed = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            failure = self.source.failed() => Some(failure.into()),
            () = registry_failed(self.behind_api.as_mut()) => Some(ServerError::Registry),
        };
        if let Some(demo) = &self.demo {
            demo.stop().await;
        }
        for listener in &self.listeners {
            listener.refuse().await;
        }
        self.source.end_readers();
        let readers_end = async {
            if let Some(BehindApi { registry, .. }) = &self.behind_api {
                let _ = timeout(REGISTRY_GRACE, registry.address.send(Stop)).await;
            }
        };
        join(readers_end, join_all(self.listeners.into_iter().map(Listener::stop))).await;
        if let Some(BehindApi { writer, registry, instances, .. }) = self.behind_api {
            // A Postgres that does not answer must not hold the stop: what is in flight then is lost with
            // nobody told that it was done.
            let _ = timeout(WRITER_GRACE, join(writer.send(Drain), instances.stop())).await;
            registry.thread.stop();
        }
        match failed {
            Some(failure) => Err(failure),
            None => {
                self.source.stop(SOURCE_GRACE).await;
                Ok(())
            }
        }
    }
}

/// Completes when there is a registry and it has failed.
async fn registry_failed(api: Option<&mut BehindApi>) {
    match api {
        Some(api) => _ = (&mut api.registry.ended).await,
        None => std::future::pending().await,
    }
}

/// Starts the registry on a thread of its own: there it is not held up by requests.
fn start_registry(config: &Config, source: &Data<Source>) -> Registry {
    let (settings, source, thread) = (config.subscriptions.clone(), source.clone(), Arbiter::new());
    let (alive, ended) = oneshot::channel();
    let registry = Subscriptions::start_in_arbiter(&thread.handle(), move |_| {
        let release = move |handles: Vec<Handle>| {
            let source = source.clone();
            // It may free much, and others wait for this thread.
            drop(actix_rt::task::spawn_blocking(move || source.release(&handles)));
        };
        Subscriptions::new(settings, release, alive)
    });
    Registry { address: registry, thread, ended }
}

/// The service that answers for the engine, if there is one.
fn upstream(config: &Config) -> Result<Option<UpstreamUrl>, InvalidUpstream> {
    let upstream = &config.upstream;
    upstream.is_set().then(|| UpstreamUrl::parse(upstream.url.expose_secret(), &upstream.secret)).transpose()
}

/// Who stands at the gate: nobody, unless the settings say whose tokens are believed.
async fn start_guard(
    config: &Config,
    database: &Database,
    narrow: Narrow,
    verifier: Option<(Verifier, jwt::Running)>,
) -> Result<(Guard, Option<jwt::Running>), StartError> {
    let Some((verifier, keys)) = verifier else {
        info!("there is no authentication: whoever reaches the API may read and write everything");
        return Ok((Guard::open(narrow), None));
    };
    let algorithms: Vec<String> = config.auth.pinned().iter().map(|algorithm| format!("{algorithm:?}")).collect();
    info!("tokens are signed with {}, or minted here", algorithms.join(", "));
    let revocations = Revocations::new(database.clone());
    // Nobody who is kept out may be let in for the first moments.
    revocations.read().await?;
    for ColumnClaim { column, claim } in &config.auth.column_claims {
        let is_there = database.read(async |conn| access::has_column(conn, column).await).await?;
        if !is_there {
            return Err(StartError::ColumnClaim { column: column.clone(), claim: claim.clone() });
        }
    }
    let origins = &config.server.cors_origins;
    Ok((Guard::closed(narrow, &config.auth, verifier, database.clone(), revocations, origins), Some(keys)))
}

fn listen_api(config: &Config, tls: Option<Tls>, api: ApiData) -> Result<Listener, StartError> {
    let door = Data::new(Door::new(api.admin.registry.clone(), &config.subscriptions, &config.engine));
    let max_body_bytes = config.server.max_body_bytes;
    let (only_from_here, may_use_cookies) = (config.server.only_from_here, api.guard.cookie().is_some());
    let origins = if only_from_here && !config.server.cors_is_chosen {
        Origins::Loopback
    } else {
        Origins::from_setting(&config.server.cors_origins, may_use_cookies)
    };
    let origins = Data::new(origins);
    let trusted = Data::new(TrustedProxies(config.server.trusted_proxies.clone()));
    let version = env!("CARGO_PKG_VERSION");
    let about = AboutHere { version, needs_token: !api.guard.is_open(), demo: api.demo.is_some() };
    let viewer = config.server.viewer.then_some(about);
    let address = config.server.listen;
    let listener = Listener::start(address, config.subscriptions.idle_timeout, tls, move || {
        App::new()
            .app_data(api.source.clone())
            .app_data(api.state.clone())
            .app_data(api.admin.clone())
            .app_data(api.guard.clone())
            .app_data(origins.clone())
            .app_data(trusted.clone())
            .app_data(door.clone())
            .configure(http::shape::api_routes)
            .configure(http::health::health_routes)
            .configure(http::admin::admin_routes)
            .configure(|app| http::agent_state(app, max_body_bytes, &origins))
            .configure(|app| api.demo.iter().for_each(|demo| http::demo::demo_routes(app, demo)))
            .configure(|app| viewer.iter().for_each(|about| http::viewer::viewer_routes(app, about)))
            .default_service(web::to(http::not_found))
            .wrap(Condition::new(only_from_here, from_fn(from_here)))
    });
    let listener = listener.map_err(|cause| StartError::Listen { address, cause })?;
    let address = listener.address();
    match listener.scheme() {
        "https" => info!(%address, "the API listens on https://{address}"),
        _ => info!(%address, "the API listens on {address}"),
    }
    Ok(listener)
}

/// `origins` are whose pages may use it; unless all may, the name that they call it by is looked at too.
fn listen_electric(
    address: SocketAddr,
    access: Access,
    origins: Origins,
    source: Data<Source>,
) -> Result<Listener, StartError> {
    let (only_from_here, origins) = (origins != Origins::Any, Data::new(origins));
    let application = move || {
        let app = electric_app(access.clone()).app_data(source.clone()).app_data(origins.clone());
        app.wrap(Condition::new(only_from_here, from_fn(from_here)))
    };
    let listener = Listener::start(address, PATIENCE, None, application);
    let listener = listener.map_err(|cause| StartError::Listen { address, cause })?;
    let address = listener.address();
    info!(%address, "the shape engine listens on {address}");
    Ok(listener)
}
