//! Why the stream cannot start: what the operator must do, or that trying again may be enough.

use super::slot::InvalidStreamId;
use super::{ReplicationError, ServerError};

/// Why a set-up failed, sorted by cure.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// It stays wrong until somebody acts.
    #[error(transparent)]
    Fatal(#[from] Refusal),
    /// Postgres restarts, the network is down, or somebody else was faster: try again after a while.
    #[error(transparent)]
    Retry(ReplicationError),
}

/// What is wrong, and its cure, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("Postgres runs with wal_level={wal_level}; set wal_level = logical in postgresql.conf and restart it")]
    WalLevel { wal_level: String },
    #[error("Postgres is version {version}; version 14 or newer is needed")]
    TooOld { version: u32 },
    #[error("Postgres is a standby, which takes no writes; point the database URL at the primary")]
    Standby,
    #[error(
        "the database role has no REPLICATION right; run ALTER ROLE ... REPLICATION as a superuser (on Amazon RDS: \
         GRANT rds_replication TO ...)"
    )]
    MayNotReplicate,
    #[error(
        "all replication slots of Postgres are in use; drop one that nobody needs (SELECT slot_name, active FROM \
         pg_replication_slots) or raise max_replication_slots and restart it"
    )]
    NoFreeSlot,
    #[error("all replication connections of Postgres are in use; raise max_wal_senders and restart it")]
    NoFreeWalSender,
    #[error("role {role:?} may not create a publication; run GRANT CREATE ON DATABASE {database:?} TO {role:?}")]
    MayNotCreatePublication { role: String, database: String },
    #[error(
        "publication {publication:?} belongs to {owner:?} and not to {role:?}; run ALTER PUBLICATION {publication:?} \
         OWNER TO {role:?}, or choose another stream id"
    )]
    PublicationOwner { publication: String, owner: String, role: String },
    #[error("publication {publication:?} is FOR ALL TABLES; drop it and it will be made as needed")]
    PublicationForAllTables { publication: String },
    #[error(
        "slot {slot:?} exists, but is not a pgoutput slot of this database; drop it with SELECT \
         pg_drop_replication_slot('{slot}'), or choose another stream id"
    )]
    ForeignSlot { slot: String },
    #[error(transparent)]
    StreamId(#[from] InvalidStreamId),
    #[error("Postgres refuses the sign-in ({0}); check user and password of the database URL, and pg_hba.conf")]
    SignIn(String),
    #[error("Postgres knows no such database ({0}); create it, or correct the database URL")]
    NoDatabase(String),
    #[error("{0}")]
    Connection(String),
    #[error("Postgres refuses to set up replication: {0}")]
    Other(ServerError),
}

impl From<ReplicationError> for SetUpError {
    /// Sorts by cure. What is not known to need an operator is tried again.
    fn from(error: ReplicationError) -> Self {
        match error {
            ReplicationError::Server(error) => sort(error),
            ReplicationError::Authentication(why) => Self::Fatal(Refusal::SignIn(why)),
            tls @ (ReplicationError::NoTls { .. } | ReplicationError::Tls { .. }) => {
                Self::Fatal(Refusal::Connection(tls.to_string()))
            }
            other => Self::Retry(other),
        }
    }
}

/// Source: PostgreSQL documentation, appendix A "PostgreSQL Error Codes".
fn sort(error: ServerError) -> SetUpError {
    let refusal = match error.code.as_str() {
        // insufficient_privilege: of the walsender at sign-in, in the words of version 14 and of later ones.
        "42501" => Refusal::MayNotReplicate,
        // configuration_limit_exceeded
        "53400" => Refusal::NoFreeSlot,
        // too_many_connections: names of settings are in every language the same.
        "53300" if error.message.contains("max_wal_senders") => Refusal::NoFreeWalSender,
        // invalid_catalog_name
        "3D000" => Refusal::NoDatabase(error.message),
        // invalid_authorization_specification, invalid_password
        code if code.starts_with("28") => Refusal::SignIn(error.message),
        // 0A feature_not_supported, 22 data_exception, 42 syntax or access, 55000 wrong state, 58P01 undefined_file
        code if ["0A", "22", "42", "55000", "58P01"].iter().any(|class| code.starts_with(class)) => {
            Refusal::Other(error)
        }
        _ => return SetUpError::Retry(error.into()),
    };
    SetUpError::Fatal(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_cure() {
        //  SQLSTATE, message, a part of the refusal; `None` to try again
        let cases = [
            ("57P03", "the database system is starting up", None),
            ("57P01", "terminating connection due to administrator command", None),
            ("53300", "sorry, too many clients already", None),
            ("53300", "number of requested standby connections exceeds max_wal_senders", Some("raise max_wal_senders")),
            ("55006", "replication slot is active", None),
            ("40P01", "deadlock detected", None),
            ("XX000", "internal error", None),
            ("53400", "all replication slots are in use", Some("raise max_replication_slots")),
            ("42501", "must be superuser or replication role to start walsender", Some("ALTER ROLE")),
            ("28P01", "password authentication failed", Some("pg_hba.conf")),
            ("28000", "no pg_hba.conf entry", Some("pg_hba.conf")),
            ("3D000", "database does not exist", Some("create it")),
            ("55000", "logical decoding requires wal_level >= logical", Some("refuses to set up")),
        ];
        for (code, message, cure) in cases {
            let error = ServerError { code: code.to_owned(), message: message.to_owned(), ..ServerError::default() };
            match (SetUpError::from(ReplicationError::from(error)), cure) {
                (SetUpError::Fatal(refusal), Some(cure)) => {
                    assert!(refusal.to_string().contains(cure), "{code}: {refusal}")
                }
                (SetUpError::Retry(_), None) => {}
                (sorted, _) => panic!("{code} {message}: {sorted:?}"),
            }
        }
        let lost = ReplicationError::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(matches!(SetUpError::from(lost), SetUpError::Retry(_)));
    }
}
