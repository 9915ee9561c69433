//! The name of one process.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;

const PREFIX: &str = "ins_";

/// Names one process from its start to its end: `ins_` and a UUID v7, so that older ones come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(Uuid);

impl InstanceId {
    /// The id of a process that starts now.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Reads an id as it is printed; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let is_simple = digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_simple { Uuid::try_parse(digits).ok().map(Self) } else { None }
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0.simple())
    }
}

impl Serialize for InstanceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_it_prints_and_nothing_else_does() {
        let id = InstanceId::generate();
        assert_eq!(InstanceId::parse(&id.to_string()), Some(id));
        assert!(InstanceId::generate() > id, "younger ones come later");
        let digits = "0190a0b0c0d07000800000000000000f";
        for wrong in [
            "",
            "ins_",
            digits,
            &format!("ins_{}", &digits[1..]),
            &format!("ins_{digits}0"),
            "ins_0190A0B0C0D07000800000000000000F",
        ] {
            assert_eq!(InstanceId::parse(wrong), None, "{wrong:?}");
        }
    }
}
