//! Names of sessions, messages and parts. A caller may choose them; otherwise the server makes one that sorts by time.

use std::fmt;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Deserializer, Serialize, de};
use uuid::Uuid;

/// The columns are `varchar(64)`; Postgres counts characters, not bytes.
const MAX_CHARS: usize = 64;

/// The text is empty, longer than 64 characters, or holds U+0000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}: expected 1 to 64 characters without U+0000")]
pub struct InvalidId(pub &'static str);

macro_rules! id {
    ($(#[$doc:meta])* $Id:ident, $what:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, AsExpression, FromSqlRow)]
        #[diesel(sql_type = Text)]
        pub struct $Id(String);

        impl $Id {
            /// A new id: the prefix and a UUID v7, so that ids made later by this process sort later.
            pub fn generate() -> Self {
                Self(format!(concat!($prefix, "{}"), Uuid::now_v7().simple()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $Id {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                let fits = !text.is_empty() && text.chars().nth(MAX_CHARS).is_none() && !text.contains('\0');
                if fits { Ok(Self(text)) } else { Err(InvalidId($what)) }
            }
        }

        impl<'de> Deserialize<'de> for $Id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::try_from(String::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }

        impl fmt::Display for $Id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl ToSql<Text, Pg> for $Id {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                <String as ToSql<Text, Pg>>::to_sql(&self.0, out)
            }
        }

        impl FromSql<Text, Pg> for $Id {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                <String as FromSql<Text, Pg>>::from_sql(value).map(Self)
            }
        }
    };
}

id!(
    /// Names one session.
    SessionId, "session", "ses_"
);
id!(
    /// Names one message, of whatever session.
    MessageId, "message", "msg_"
);
id!(
    /// Names one part, of whatever message.
    PartId, "part", "prt_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_1_to_64_characters_without_nul() {
        for good in ["a", "é".repeat(64).as_str(), "with space/and%slash"] {
            assert!(SessionId::try_from(good.to_owned()).is_ok(), "{good:?}");
        }
        for bad in ["", "é".repeat(65).as_str(), "a\0b"] {
            assert_eq!(PartId::try_from(bad.to_owned()), Err(InvalidId("part")), "{bad:?}");
        }
    }

    #[test]
    fn generated_ids_sort_in_the_order_of_their_making() {
        let ids: Vec<_> = (0..1000).map(|_| MessageId::generate()).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.as_str().len() <= MAX_CHARS), "{:?}", ids[0]);
    }
}
