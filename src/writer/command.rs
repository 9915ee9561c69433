//! What the Writer can be asked, and what it answers.

use serde::{Serialize, Serializer};

use crate::db::message::{Message, MessagePatch, MessageWithParts};
use crate::db::part::Part;
use crate::db::session::{Session, SessionPatch};
use crate::db::snapshot::Snapshot;
use crate::db::subtask::{NewSubtask, Subtask};
use crate::ids::{MessageId, PartId, SessionId};
use crate::shape::Lsn;

/// One write to agent state. Every text and number in it fits its column: that is checked before it gets here.
#[derive(Debug, Clone)]
pub enum Command {
    CreateSession(Box<NewSession>),
    PatchSession {
        session: SessionId,
        patch: Box<SessionPatch>,
    },
    /// With everything below it.
    DeleteSession {
        session: SessionId,
    },
    /// Messages, parts, snapshots and subtasks; the session stays.
    ClearState {
        session: SessionId,
    },
    /// With its parts.
    AppendMessage(Box<NewMessage>),
    /// The whole list, with all parts; only the difference is written.
    ReplaceMessages {
        session: SessionId,
        messages: Vec<NewMessage>,
    },
    PatchMessage {
        session: SessionId,
        message: MessageId,
        patch: Box<MessagePatch>,
    },
    /// With its parts.
    DeleteMessage {
        session: SessionId,
        message: MessageId,
    },
    /// Creates or replaces.
    PutPart(Box<NewPart>),
    AppendParts {
        session: SessionId,
        message: MessageId,
        parts: Vec<NewPart>,
    },
    DeletePart {
        session: SessionId,
        message: MessageId,
        part: PartId,
    },
    AppendSnapshot {
        session: SessionId,
        snapshot: SnapshotAt,
    },
    /// The whole history; only the difference is written.
    ReplaceSnapshots {
        session: SessionId,
        snapshots: Vec<SnapshotAt>,
    },
    AppendSubtask(Box<NewSubtask>),
    ClearSubtasks {
        session: SessionId,
    },
}

/// A session to create. `time_updated` is the Writer's to set.
#[derive(Debug, Clone)]
pub struct NewSession {
    pub row: Session,
    /// The caller chose the id, and may send the same again.
    pub named: bool,
    /// The caller gave `time_created`.
    pub timed: bool,
}

/// A message to create, with its parts in order.
#[derive(Debug, Clone)]
pub struct NewMessage {
    pub row: Message,
    /// The caller chose the id, and may send the same again.
    pub named: bool,
    /// The caller gave `time_created`.
    pub timed: bool,
    pub parts: Vec<NewPart>,
}

/// A part to create.
#[derive(Debug, Clone)]
pub struct NewPart {
    pub row: Part,
    /// The caller chose the id, and may send the same again.
    pub named: bool,
    /// The caller gave `sort_order`; otherwise the part comes after those before it.
    pub ordered: bool,
}

/// A snapshot to create.
#[derive(Debug, Clone)]
pub struct SnapshotAt {
    pub change_id: String,
    /// `None`: after all others.
    pub sort_order: Option<i32>,
}

impl Command {
    /// The session that the command writes to.
    pub fn session(&self) -> &SessionId {
        match self {
            Self::CreateSession(new) => &new.row.id,
            Self::AppendMessage(new) => &new.row.session_id,
            Self::PutPart(new) => &new.row.session_id,
            Self::AppendSubtask(new) => &new.session_id,
            Self::PatchSession { session, .. }
            | Self::DeleteSession { session }
            | Self::ClearState { session }
            | Self::ReplaceMessages { session, .. }
            | Self::PatchMessage { session, .. }
            | Self::DeleteMessage { session, .. }
            | Self::AppendParts { session, .. }
            | Self::DeletePart { session, .. }
            | Self::AppendSnapshot { session, .. }
            | Self::ReplaceSnapshots { session, .. }
            | Self::ClearSubtasks { session } => session,
        }
    }

    /// The session that the command makes the parent of its own.
    pub fn parent(&self) -> Option<&SessionId> {
        match self {
            Self::CreateSession(new) => new.row.parent_id.as_ref(),
            Self::PatchSession { patch, .. } => patch.parent_id.as_ref().and_then(Option::as_ref),
            _ => None,
        }
    }

    /// Whether doing it twice leaves what doing it once leaves, and answers the same: only then may we repeat it when
    /// the outcome of a commit is unknown. A repeated delete would find nothing and deny what the first one did.
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::CreateSession(new) => new.named,
            Self::AppendMessage(new) => new.named,
            Self::PutPart(new) => new.named,
            Self::AppendParts { parts, .. } => parts.iter().all(|part| part.named),
            Self::ReplaceMessages { messages, .. } => {
                messages.iter().all(|message| message.named && message.parts.iter().all(|part| part.named))
            }
            Self::AppendSnapshot { snapshot, .. } => snapshot.sort_order.is_some(),
            Self::AppendSubtask(new) => new.key.is_some(),
            Self::DeleteSession { .. } | Self::DeleteMessage { .. } | Self::DeletePart { .. } => false,
            Self::PatchSession { .. }
            | Self::PatchMessage { .. }
            | Self::ReplaceSnapshots { .. }
            | Self::ClearSubtasks { .. }
            | Self::ClearState { .. } => true,
        }
    }
}

/// The row or rows that a write leaves, or took away.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rows {
    Session(Box<Session>),
    Message(Box<MessageWithParts>),
    Messages(Vec<MessageWithParts>),
    Part(Box<Part>),
    Parts(Vec<Part>),
    Snapshot(Snapshot),
    Snapshots(Vec<Snapshot>),
    Subtask(Subtask),
    Subtasks(Vec<Subtask>),
}

/// What a committed write answers.
#[derive(Debug, Clone, Serialize)]
pub struct Written {
    #[serde(flatten)]
    pub rows: Rows,
    /// The transaction as the shape log names it in `txids`; `None` if the write changed nothing.
    pub txid: Option<u32>,
    /// No earlier than the commit.
    #[serde(serialize_with = "as_text")]
    pub lsn: Lsn,
}

/// A u64 is more than a JavaScript number holds.
fn as_text<S: Serializer>(lsn: &Lsn, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(lsn)
}

/// Why a write was not done, or is not known to be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// No such session, message or part, or none of this session.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The id is taken by something with other content.
    #[error("this {0} exists with other content")]
    AlreadyExists(&'static str),
    /// A field that does not fit with what is there.
    #[error("{field}: expected {expected}")]
    Invalid { field: &'static str, expected: &'static str },
    /// The queue is full.
    #[error("too many writes are waiting")]
    Busy,
    /// Postgres cannot be reached. Nothing was written.
    #[error("Postgres cannot be reached")]
    Unavailable,
    /// The connection was cut while Postgres committed.
    #[error("Postgres went away during the commit")]
    OutcomeUnknown,
    /// Postgres refused what should have been right. The cause is in the log.
    #[error("Postgres refused the write")]
    Internal,
}
