//! The text of `DATABASE_URL`: what tokio-postgres does not read itself is taken out first.

use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode as Encryption};

use super::tls::Trust;

/// The URL cannot be used. The text says what is wrong and how to mend it, and never shows a value.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUrl {
    #[error(
        "the database URL cannot be read ({0}); write postgresql://user:password@host:5432/database and \
         percent-encode special characters of the password (@ is %40, / is %2F, % is %25)"
    )]
    Malformed(&'static str),
    #[error("the database URL has a parameter {0:?} that is not known here; remove it")]
    UnknownParameter(String),
    #[error("the database URL has an invalid value for {0:?}{1}")]
    InvalidValue(&'static str, &'static str),
    #[error("the database URL names no {0}; write postgresql://user:password@host:5432/database")]
    Missing(&'static str),
    #[error("the database URL asks for {0}, which is not supported; {1}")]
    Unsupported(&'static str, &'static str),
    #[error("sslrootcert in the database URL: cannot read certificates from {path:?}: {reason}")]
    RootCertificate { path: PathBuf, reason: String },
}

/// `sslmode`, as libpq names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl SslMode {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            // libpq tries `allow` without TLS first; using TLS where it is spoken is the safer half.
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }

    /// Whether to encrypt, in the words of tokio-postgres.
    pub fn encryption(self) -> Encryption {
        match self {
            Self::Disable => Encryption::Disable,
            Self::Prefer => Encryption::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => Encryption::Require,
        }
    }
}

/// What the URL says of TLS.
#[derive(Debug, PartialEq, Eq)]
pub struct Ssl {
    pub mode: SslMode,
    /// `sslrootcert`; the word `system` stands for the built-in authorities.
    pub root_certificate: Option<String>,
}

impl Ssl {
    fn new(mode: Option<SslMode>, root_certificate: Option<String>) -> Result<Self, InvalidUrl> {
        let system = root_certificate.as_deref() == Some("system");
        let default = if system { SslMode::VerifyFull } else { SslMode::Prefer };
        let mode = match (mode.unwrap_or(default), &root_certificate) {
            (SslMode::Require, Some(_)) if !system => SslMode::VerifyCa,
            (mode, _) => mode,
        };
        if system && mode != SslMode::VerifyFull {
            return Err(InvalidUrl::InvalidValue("sslmode", ": sslrootcert=system needs sslmode=verify-full"));
        }
        if mode == SslMode::VerifyCa && root_certificate.is_none() {
            let cure = ": verify-ca needs sslrootcert, the file of the authority; or use verify-full";
            return Err(InvalidUrl::InvalidValue("sslmode", cure));
        }
        Ok(Self { mode, root_certificate })
    }

    /// Whom to believe. Reads the file that `sslrootcert` names.
    pub fn trust(&self) -> Result<Trust, InvalidUrl> {
        let check_name = match self.mode {
            SslMode::Disable | SslMode::Prefer | SslMode::Require => return Ok(Trust::Anyone),
            SslMode::VerifyCa => false,
            SslMode::VerifyFull => true,
        };
        match self.root_certificate.as_deref() {
            None | Some("system") => {
                let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
                Ok(Trust::Authorities { roots, pinned: Vec::new(), check_name })
            }
            Some(path) => {
                let pinned = read_certificates(path)?;
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(pinned.iter().cloned());
                Ok(Trust::Authorities { roots, pinned, check_name })
            }
        }
    }
}

fn read_certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, InvalidUrl> {
    let failed = |reason: String| InvalidUrl::RootCertificate { path: path.into(), reason };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|error| failed(error.to_string()))?;
    if certificates.is_empty() {
        return Err(failed("the file holds no PEM certificate".to_owned()));
    }
    Ok(certificates)
}

/// Parameters that tokio-postgres reads.
const KNOWN: [&str; 18] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];
/// Parameters of libpq and of common drivers without meaning here: what they choose is fixed, or harmless to leave out.
const IGNORED: [&str; 8] = [
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "krbsrvname",
    "sslcompression",
    "sslsni",
    "ssl_min_protocol_version",
    "uselibpqcompat",
];

/// Reads the text into what tokio-postgres knows, and what it does not.
pub fn parse(text: &str) -> Result<(Config, Ssl), InvalidUrl> {
    let mut mode = None;
    let mut root_certificate = None;
    let mut take = |key: &str, value: String| -> Result<Keep, InvalidUrl> {
        match key {
            "sslmode" => {
                let words = "; use disable, prefer, require, verify-ca or verify-full";
                mode = Some(SslMode::parse(&value).ok_or(InvalidUrl::InvalidValue("sslmode", words))?);
            }
            "sslrootcert" => root_certificate = Some(value),
            "sslcert" | "sslkey" | "sslpassword" => {
                return Err(InvalidUrl::Unsupported("a client certificate", "use a password (SCRAM) instead"));
            }
            "service" | "passfile" => {
                return Err(InvalidUrl::Unsupported("a file with settings", "write them into the URL itself"));
            }
            known if KNOWN.contains(&known) => return Ok(Keep::Yes),
            ignored if IGNORED.contains(&ignored) => {}
            unknown if unknown.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') => {
                return Err(InvalidUrl::UnknownParameter(unknown.chars().take(40).collect()));
            }
            // It may be the rest of a password with an `&` or a space in it.
            _ => return Err(InvalidUrl::Malformed("it has a parameter that is not known")),
        }
        Ok(Keep::No)
    };
    let rest = match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
        Some(rest) => filter_url(rest, &mut take)?,
        None if text.contains("://") => return Err(InvalidUrl::Malformed("its scheme is not postgresql://")),
        None => filter_pairs(text, &mut take)?,
    };
    let mut config: Config = rest.parse().map_err(|error| invalid_value(&error))?;
    complete(&mut config)?;
    Ok((config, Ssl::new(mode, root_certificate)?))
}

/// Whether a parameter is left in the text for tokio-postgres.
enum Keep {
    Yes,
    No,
}

type Take<'a> = &'a mut dyn FnMut(&str, String) -> Result<Keep, InvalidUrl>;

/// Takes parameters out of the query of a URL. `rest` is what follows the scheme.
fn filter_url(rest: &str, take: Take<'_>) -> Result<String, InvalidUrl> {
    // The same order as tokio-postgres reads it in: credentials end at the first `@`.
    let after_credentials = rest.find('@').map_or(0, |at| at + 1);
    let (credentials, location) = rest.split_at(after_credentials);
    let (location, query) = location.split_once('?').unwrap_or((location, ""));
    if location.contains('@') {
        return Err(InvalidUrl::Malformed("it has more than one @"));
    }
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or(InvalidUrl::Malformed("a parameter has no value"))?;
        if let Keep::Yes = take(key, percent_decode(value)?)? {
            kept.push(pair);
        }
    }
    Ok(format!("postgresql://{credentials}{location}?{}", kept.join("&")))
}

/// Takes parameters out of a `key=value` string; values may be in single quotes, with backslashes.
fn filter_pairs(text: &str, take: Take<'_>) -> Result<String, InvalidUrl> {
    let mut kept = String::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or(InvalidUrl::Malformed("it is no URL"))?;
        let after = after.trim_start();
        let (value, length) = pair_value(after)?;
        let (raw, next) = after.split_at(length);
        if let Keep::Yes = take(key.trim(), value)? {
            kept.push_str(&format!("{}={raw} ", key.trim()));
        }
        rest = next.trim_start();
    }
    Ok(kept)
}

/// The value at the start of `text`, and how many bytes it takes.
fn pair_value(text: &str) -> Result<(String, usize), InvalidUrl> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' if quoted => return Ok((value, at + 1)),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            space if space.is_whitespace() && !quoted => return Ok((value, at)),
            other => value.push(other),
        }
    }
    if quoted { Err(InvalidUrl::Malformed("a quote is not closed")) } else { Ok((value, text.len())) }
}

fn percent_decode(text: &str) -> Result<String, InvalidUrl> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => {
                decoded.push(escaped);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).map_err(|_| InvalidUrl::Malformed("a parameter is not UTF-8"))
}

/// Names the parameter that tokio-postgres refused. Its own text is not shown: it may quote the input.
fn invalid_value(error: &tokio_postgres::Error) -> InvalidUrl {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let refused = KNOWN.into_iter().find(|name| cause == format!("invalid value for option `{name}`"));
    refused
        .map_or(InvalidUrl::Malformed("its parts are not where they belong"), |name| InvalidUrl::InvalidValue(name, ""))
}

/// Fills in what libpq takes from the environment, and refuses what cannot be used.
fn complete(config: &mut Config) -> Result<(), InvalidUrl> {
    if config.get_hosts().is_empty() {
        // The certificate is then checked for the address itself.
        for address in config.get_hostaddrs().to_vec() {
            config.host(address.to_string());
        }
    }
    let hosts = config.get_hosts().len();
    if hosts == 0 || config.get_hosts().contains(&Host::Tcp(String::new())) {
        return Err(InvalidUrl::Missing("host"));
    }
    if config.get_ports().len() > 1 && config.get_ports().len() != hosts {
        return Err(InvalidUrl::InvalidValue("port", ": give one port, or one for each host"));
    }
    if !config.get_hostaddrs().is_empty() && config.get_hostaddrs().len() != hosts {
        return Err(InvalidUrl::InvalidValue("hostaddr", ": give one address for each host"));
    }
    if config.get_user().is_none_or(str::is_empty) {
        let user = std::env::var("USER").map_err(|_| InvalidUrl::Missing("user"))?;
        config.user(user);
    }
    Ok(())
}
