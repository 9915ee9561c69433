//! `plue-sync token`: a token for development, signed with the secret of the settings.
//!
//! The token alone goes to stdout, so that a shell can put it into a header; what it lets do goes to stderr.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use plue_sync::auth::jwt;
use plue_sync::config::{AuthConfig, ColumnClaim, Config, Environment, Role, parse_duration};
use plue_sync::ids::SessionId;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::FileFlag;

/// Longer, a token outlives the memory of it; a forgotten one can only be undone with a new secret.
const MAX_LIFETIME: Duration = Duration::from_secs(366 * 24 * 3600);

/// The demo is over after a minute.
const DEMO_LIFETIME: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
pub struct Flags {
    #[command(flatten)]
    file: FileFlag,
    /// What the caller may do: viewer reads, agent reads and writes, admin does everything
    #[arg(long, default_value = "viewer")]
    role: Role,
    /// A session that it may see; may be given again
    #[arg(long = "session", value_name = "ID", value_parser = session)]
    sessions: Vec<SessionId>,
    /// Every session
    #[arg(long, conflicts_with = "sessions")]
    all_sessions: bool,
    /// A project, all of whose sessions it may see; may be given again
    #[arg(long = "project", value_name = "ID")]
    projects: Vec<String>,
    /// Who the caller is
    #[arg(long, value_name = "NAME", default_value = "dev")]
    subject: String,
    /// How long the token counts, at most 8784h
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = lifetime)]
    lifetime: Duration,
    /// One more claim, as text; may be given again
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    claims: Vec<(String, String)>,
}

/// Prints a token.
pub fn run(flags: &Flags, environment: &Environment) -> anyhow::Result<()> {
    let auth = Config::load(flags.file.config.as_deref(), environment)?.auth;
    let now = SystemTime::now();
    println!("{}", signed(flags, &auth, now)?);
    let expires = DateTime::<Utc>::from(now + flags.lifetime).to_rfc3339_opts(SecondsFormat::Secs, true);
    eprintln!("plue-sync: {} is {} of {} until {expires}", flags.subject, flags.role, scope(flags));
    Ok(())
}

/// A token for the demo of `dev`, which writes sessions of its own.
pub fn for_demo(auth: &AuthConfig) -> anyhow::Result<String> {
    if let Some(ColumnClaim { claim, .. }) = auth.column_claims.first() {
        bail!("--demo cannot sign a token here, because the claim {claim} (auth.column_claims) could be anything");
    }
    let flags = Flags {
        file: FileFlag { config: None },
        role: Role::Agent,
        sessions: Vec::new(),
        all_sessions: true,
        projects: Vec::new(),
        subject: "demo".to_owned(),
        lifetime: DEMO_LIFETIME,
        claims: Vec::new(),
    };
    signed(&flags, auth, SystemTime::now()).context("--demo writes with a token that it signs itself")
}

fn signed(flags: &Flags, auth: &AuthConfig, now: SystemTime) -> anyhow::Result<String> {
    if auth.jwt_secret.expose_secret().is_empty() {
        bail!(
            "there is no secret to sign with: set PLUE_AUTH__JWT_SECRET, for example to what `openssl rand -hex 32` prints"
        );
    }
    let Some(algorithm) = auth.pinned().into_iter().find(|algorithm| jwt::is_by_secret(*algorithm)) else {
        bail!(
            "auth.algorithms has none that signs with a secret; add HS256, or take tokens from the issuer of auth.jwks"
        );
    };
    Ok(jwt::sign(&auth.jwt_secret, algorithm, &claims(flags, auth, now)?)?)
}

fn claims(flags: &Flags, auth: &AuthConfig, now: SystemTime) -> anyhow::Result<Map<String, Value>> {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map(|since| since.as_secs());
    let mut claims = Map::new();
    let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    let before_1970 = "the clock of this machine is wrong";
    set("iat", seconds(now).context(before_1970)?.into());
    set("exp", seconds(now + flags.lifetime).context(before_1970)?.into());
    for (name, text) in [("iss", &auth.issuer), ("aud", &auth.audience)] {
        if !text.is_empty() {
            set(name, text.as_str().into());
        }
    }
    set(&auth.subject_claim, flags.subject.as_str().into());
    set(&auth.role_claim, flags.role.as_str().into());
    let sessions = flags.sessions.iter().map(SessionId::as_str).collect::<Vec<_>>();
    set(&auth.sessions_claim, if flags.all_sessions { "*".into() } else { sessions.into() });
    if !flags.projects.is_empty() {
        set(&auth.projects_claim, flags.projects.clone().into());
    }
    for (name, text) in &flags.claims {
        if claims.insert(name.clone(), text.as_str().into()).is_some() {
            bail!("--claim {name}: this claim is there already, from the settings or another flag");
        }
    }
    Ok(claims)
}

/// What the token is good for, in words.
fn scope(flags: &Flags) -> String {
    if flags.role == Role::Admin || flags.all_sessions {
        return "all sessions".to_owned();
    }
    let sessions = flags.sessions.iter().map(|session| format!("session {session}"));
    let projects = flags.projects.iter().map(|project| format!("project {project}"));
    let all: Vec<_> = sessions.chain(projects).collect();
    match all.is_empty() {
        true => "no session (name some with --session, --project or --all-sessions)".to_owned(),
        false => all.join(", "),
    }
}

fn session(text: &str) -> Result<SessionId, String> {
    SessionId::try_from(text.to_owned()).map_err(|error| error.to_string())
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = parse_duration(text).map_err(|error| format!("expected {error}"))?;
    let fits = (Duration::from_secs(1)..=MAX_LIFETIME).contains(&lifetime);
    if fits { Ok(lifetime) } else { Err("expected 1s to 8784h".to_owned()) }
}

fn claim(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
