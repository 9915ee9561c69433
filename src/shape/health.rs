//! What a shape server says of itself (protocol, 1.5).

/// The state of whoever answers shape requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Not ready yet.
    Starting,
    /// Another process holds the replication slot.
    Waiting,
    /// Serving and replicating.
    Active,
    /// An upstream service is to answer, and does not.
    Unreachable,
}

impl Health {
    /// The word of the health answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Unreachable => "unreachable",
        }
    }
}
