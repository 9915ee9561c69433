//! The Electric shape protocol as plain types, without I/O: used by the HTTP edge, the engine and the proxy alike.

mod cast;
pub mod control;
mod cursor;
mod handle;
mod health;
mod identifier;
mod invalid;
mod lsn;
mod offset;
mod post;
mod print;
mod query;
mod request;
mod response;
mod subset;

pub use handle::Handle;
pub use health::Health;
pub use identifier::{TableName, parse_columns, parse_relation, quote_identifier};
pub use invalid::{Invalid, Reason};
pub use lsn::{InvalidLsn, Lsn};
pub use offset::{Offset, Requested};
pub use post::{BadBody, MAX_BODY_BYTES, PostBody};
pub use print::encode_text;
pub use query::{Given, Malformed, Query};
pub use request::{Deletion, Dialect, Live, LogMode, Replica, ShapeRequest};
pub use response::{Admission, Answer, Body, BrokenStream, CachePolicy, DEFAULT_CACHE_CONTROL, LogHead, Pieces};
pub use subset::Subset;
