//! From an open socket to a session: the start-up message and the proof of who we are.

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{self, ChannelBinding, ScramSha256};
use postgres_protocol::message::frontend;
use tokio_postgres::Config;
use tokio_postgres::config::ChannelBinding as Wanted;

use super::cursor::Cursor;
use super::error::ServerError;
use super::transport::{RawFrame, Transport};
use super::{ReplicationError, protocol};

/// How values are printed, here and in snapshots. The shape protocol promises these forms, and a
/// `postgresql.conf` or a role's settings must not change them.
pub const OUTPUT_SETTINGS: [(&str, &str); 6] = [
    ("client_encoding", "UTF8"),
    ("bytea_output", "hex"),
    ("DateStyle", "ISO, DMY"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "1"),
    ("IntervalStyle", "iso_8601"),
];

/// Signs in. Afterwards the server waits for commands.
pub async fn sign_in(transport: &mut Transport, config: &Config) -> Result<(), ReplicationError> {
    let user = config.get_user().unwrap_or_default();
    // Without this word, the server takes no replication commands; with it, SQL still works.
    let mut parameters = vec![("user", user), ("replication", "database")];
    parameters.push(("database", config.get_dbname().unwrap_or(user)));
    parameters.push(("application_name", config.get_application_name().unwrap_or("plue-sync replication")));
    parameters.extend(config.get_options().map(|options| ("options", options)));
    // A role's time limit for statements would end the creation of a slot, which waits for others.
    parameters.push(("statement_timeout", "0"));
    parameters.extend(OUTPUT_SETTINGS);
    frontend::startup_message(parameters, &mut transport.output)?;
    transport.flush().await?;
    authenticate(transport, config, user).await?;
    loop {
        let frame = next(transport).await?;
        match frame.tag {
            b'Z' => return Ok(()),
            b'S' | b'K' | b'v' => {}
            other => return Err(protocol::unexpected(other)),
        }
    }
}

/// The next frame that is neither a notice nor an error.
async fn next(transport: &mut Transport) -> Result<RawFrame, ReplicationError> {
    loop {
        let frame = transport.receive().await?;
        match frame.tag {
            b'E' => return Err(ServerError::parse(frame.body)?.into()),
            b'N' => {}
            _ => return Ok(frame),
        }
    }
}

/// The next step of the sign-in: its kind, and its data.
async fn step(transport: &mut Transport) -> Result<(u32, Cursor), ReplicationError> {
    loop {
        let frame = next(transport).await?;
        match frame.tag {
            b'R' => {
                let mut cursor = Cursor::new(frame.body);
                return Ok((cursor.u32()?, cursor));
            }
            b'v' => {}
            other => return Err(protocol::unexpected(other)),
        }
    }
}

/// Source: PostgreSQL documentation, 55.7, `Authentication...` messages.
async fn authenticate(transport: &mut Transport, config: &Config, user: &str) -> Result<(), ReplicationError> {
    const OK: u32 = 0;
    let (method, mut data) = step(transport).await?;
    if config.get_channel_binding() == Wanted::Require && method != 10 {
        return Err(refused("channel_binding=require, but the server asks for no SCRAM sign-in"));
    }
    match method {
        OK => return Ok(()),
        3 => frontend::password_message(password(config)?, &mut transport.output)?,
        5 => {
            let salt = data.u32()?.to_be_bytes();
            let hash = md5_hash(user.as_bytes(), password(config)?, salt);
            frontend::password_message(hash.as_bytes(), &mut transport.output)?;
        }
        10 => scram(transport, config, data).await?,
        7 | 9 => return Err(refused("the server wants Kerberos or SSPI; let it use scram-sha-256 in pg_hba.conf")),
        other => return Err(refused(&format!("the server wants the unknown method {other}"))),
    }
    transport.flush().await?;
    match step(transport).await? {
        (OK, _) => Ok(()),
        (other, _) => Err(refused(&format!("the server wants another step ({other})"))),
    }
}

/// SCRAM-SHA-256, bound to the TLS connection wherever both sides can.
///
/// Where we cannot, the flag is `n`: `y` would claim that the server cannot, and a server that can must
/// take that for an attack.
///
/// Source: RFC 5802, 6 and RFC 7677.
async fn scram(transport: &mut Transport, config: &Config, mut offered: Cursor) -> Result<(), ReplicationError> {
    let mut mechanisms = Vec::new();
    while offered.remaining() > 1 {
        mechanisms.push(offered.name()?);
    }
    let offers = |mechanism: &str| mechanisms.iter().any(|offered| offered == mechanism);
    let wanted = config.get_channel_binding();
    let end_point = transport.end_point.clone().filter(|_| wanted != Wanted::Disable);
    let (mechanism, binding) = match end_point {
        Some(hash) if offers(sasl::SCRAM_SHA_256_PLUS) => {
            (sasl::SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash))
        }
        _ if wanted == Wanted::Require => return Err(refused("channel_binding=require, but the server offers none")),
        _ if offers(sasl::SCRAM_SHA_256) => (sasl::SCRAM_SHA_256, ChannelBinding::unsupported()),
        _ => return Err(refused("the server offers no SCRAM-SHA-256")),
    };
    let failed = |error: std::io::Error| refused(&error.to_string());
    let mut scram = ScramSha256::new(password(config)?, binding);
    frontend::sasl_initial_response(mechanism, scram.message(), &mut transport.output)?;
    transport.flush().await?;
    let (11, challenge) = step(transport).await? else {
        return Err(refused("SCRAM: the server sent no challenge"));
    };
    scram.update(&challenge.rest()).map_err(failed)?;
    frontend::sasl_response(scram.message(), &mut transport.output)?;
    transport.flush().await?;
    let (12, proof) = step(transport).await? else {
        return Err(refused("SCRAM: the server did not prove that it knows the password"));
    };
    scram.finish(&proof.rest()).map_err(failed)
}

fn password(config: &Config) -> Result<&[u8], ReplicationError> {
    config.get_password().ok_or_else(|| refused("the server wants a password, and the database URL has none"))
}

fn refused(why: &str) -> ReplicationError {
    ReplicationError::Authentication(why.to_owned())
}
