//! What readers are told about why a row is there: tags, active conditions, and events that change them (protocol, 5.8).

use std::fmt::Write;

use bytes::{BufMut, Bytes};
use sha2::{Digest, Sha256};

use crate::engine::filter::{Alternatives, Position, probe};
use crate::engine::snapshot::Mark;
use crate::shape::{Handle, control};

/// Bytes of a hash that a slot shows: two values of one shape shall never have the same.
const HASH_BYTES: usize = 16;

/// Writes the tags of one shape.
#[derive(Debug)]
pub struct Tagger {
    /// Goes into each hash, so that equal values of different shapes look different.
    salt: Sha256,
}

/// Values that moved, as readers find them in tags: position and slot.
pub type Pattern = (usize, String);

/// Which event an `event` message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    In,
    Out,
}

impl Tagger {
    /// The tags of the shape with this handle.
    pub fn new(handle: &Handle) -> Self {
        Self { salt: Sha256::new_with_prefix(handle.as_str()) }
    }

    /// What stands for a value in a tag.
    pub fn slot(&self, value: &[u8]) -> String {
        let hash = self.salt.clone().chain_update(value).finalize();
        hash.iter().take(HASH_BYTES).fold(String::with_capacity(2 * HASH_BYTES), |mut slot, byte| {
            write!(slot, "{byte:02x}").expect("a String takes all text");
            slot
        })
    }

    /// The tags of a row, one for each disjunct: a slot for each position, empty where the disjunct does not have it.
    pub fn tags(&self, alternatives: &Alternatives, row: &[Option<Bytes>]) -> Vec<String> {
        let slots: Vec<String> = alternatives
            .positions
            .iter()
            .map(|position| match position {
                Position::Row { .. } => "1".to_owned(),
                Position::In { membership, .. } => self.slot(&probe(row, &membership.left)),
            })
            .collect();
        let tag = |disjunct: &Vec<usize>| {
            let slot = |at: usize| if disjunct.contains(&at) { slots[at].as_str() } else { "" };
            (0..slots.len()).map(slot).collect::<Vec<_>>().join("/")
        };
        alternatives.disjuncts.iter().map(tag).collect()
    }
}

/// Whether a reader that forgets `removed` after it has learned `tags` loses a slot that is still there: readers keep slots, not tags.
pub fn share_slots(alternatives: &Alternatives, tags: &[String], removed: &[String]) -> bool {
    let slots = |list: &[String]| -> Vec<(usize, String)> {
        let of = |tag: &String| tag.split('/').map(str::to_owned).enumerate().collect::<Vec<_>>();
        list.iter().flat_map(of).filter(|(_, slot)| !slot.is_empty()).collect()
    };
    let kept = slots(tags);
    let moves = |at: usize| matches!(alternatives.positions.get(at), Some(Position::In { .. }));
    slots(removed).iter().any(|slot| moves(slot.0) && kept.contains(slot))
}

/// The headers that a row's message has for its tags.
pub fn write_headers(out: &mut Vec<u8>, tags: &[String], removed: &[String], active: &[bool]) {
    write_list(out, "tags", tags);
    if !removed.is_empty() {
        write_list(out, "removed_tags", removed);
    }
    out.put_slice(b",\"active_conditions\":[");
    for (at, active) in active.iter().enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        out.put_slice(if *active { b"true" } else { b"false" });
    }
    out.put_u8(b']');
}

fn write_list(out: &mut Vec<u8>, name: &str, tags: &[String]) {
    // Hexadecimal digits, slashes: nothing that JSON escapes.
    out.put_slice(format!(",\"{name}\":[\"{}\"]", tags.join("\",\"")).as_bytes());
}

/// An event, without the end that every entry of a log has.
pub fn event(kind: Move, patterns: &[Pattern], causes: &[u64]) -> Bytes {
    let name = if kind == Move::In { "move-in" } else { "move-out" };
    let patterns: Vec<String> =
        patterns.iter().map(|(at, slot)| format!(r#"{{"pos":{at},"value":"{slot}"}}"#)).collect();
    // Readers know transactions by 32 bits.
    let txids: Vec<String> = causes.iter().map(|xid| (*xid as u32).to_string()).collect();
    let (patterns, txids) = (patterns.join(","), txids.join(","));
    format!(r#"{{"headers":{{"event":"{name}","patterns":[{patterns}],"txids":[{txids}]"#).into()
}

/// What closes the rows of a move, without the end that every entry of a log has.
pub fn rows_end(mark: &Mark) -> Bytes {
    let message = control::snapshot_end(mark.xmin, mark.xmax, &mark.xip);
    message.slice(..message.len() - b"}}".len())
}
