//! Messages as payloads of NOTIFY, which are shorter than 8000 bytes: split into numbered chunks, and put together again.
//!
//! A chunk reads `1 <q or r> <id of the question> <sender> <index> <count> <text>`. Whatever does not is somebody else's.

use std::fmt::Write;

use uuid::Uuid;

use super::InstanceId;

#[cfg(test)]
mod tests;

/// The longest question. Whoever hears one has no say in it.
pub const MAX_QUESTION_BYTES: usize = 64 << 10;
/// The longest reply.
pub const MAX_REPLY_BYTES: usize = 4 << 20;
/// Of the text in one chunk: what comes before it is shorter than 100 bytes.
const TEXT_BYTES: usize = 7_800;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Question,
    Reply,
}

/// Part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    pub kind: Kind,
    /// Of the question, also in its replies.
    pub question: Uuid,
    pub from: InstanceId,
    /// From 0.
    pub index: usize,
    pub count: usize,
    pub text: &'a str,
}

impl Kind {
    fn letter(self) -> &'static str {
        match self {
            Self::Question => "q",
            Self::Reply => "r",
        }
    }

    fn max_bytes(self) -> usize {
        match self {
            Self::Question => MAX_QUESTION_BYTES,
            Self::Reply => MAX_REPLY_BYTES,
        }
    }

    /// Of the longest message: each chunk but the last lacks at most 3 bytes, which a letter would not fit into.
    fn max_chunks(self) -> usize {
        self.max_bytes() / (TEXT_BYTES - 3) + 1
    }
}

impl<'a> Chunk<'a> {
    /// A message as payloads; `None` if it is too long.
    pub fn split(kind: Kind, question: Uuid, from: &InstanceId, text: &str) -> Option<Vec<String>> {
        if text.len() > kind.max_bytes() {
            return None;
        }
        let (mut texts, mut rest) = (Vec::new(), text);
        while texts.is_empty() || !rest.is_empty() {
            let mut end = rest.len().min(TEXT_BYTES);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (text, left) = rest.split_at(end);
            texts.push(text);
            rest = left;
        }
        let count = texts.len();
        let chunks = texts.into_iter().enumerate();
        Some(chunks.map(|(index, text)| Chunk { kind, question, from: *from, index, count, text }.payload()).collect())
    }

    fn payload(&self) -> String {
        let mut payload = String::with_capacity(100 + self.text.len());
        let Self { kind, question, from, index, count, text } = self;
        write!(payload, "1 {} {} {from} {index} {count} {text}", kind.letter(), question.simple())
            .expect("a string takes whatever is written");
        payload
    }

    /// Reads a payload; `None` if it is none of ours.
    pub fn parse(payload: &'a str) -> Option<Self> {
        let mut fields = payload.splitn(7, ' ');
        let mut field = || fields.next();
        if field()? != "1" {
            return None;
        }
        let kind = match field()? {
            "q" => Kind::Question,
            "r" => Kind::Reply,
            _ => return None,
        };
        let question = Uuid::try_parse(field()?).ok()?;
        let from = InstanceId::parse(field()?)?;
        let (index, count) = (field()?.parse().ok()?, field()?.parse().ok()?);
        let text = field()?;
        let is_sound = index < count && count <= kind.max_chunks();
        is_sound.then_some(Self { kind, question, from, index, count, text })
    }
}

/// A message of which some chunks have come, in whatever order.
#[derive(Debug, Default)]
pub struct Assembly {
    /// By index.
    texts: Vec<Option<String>>,
    come: usize,
}

impl Assembly {
    /// Adds a chunk; returns the message when it is whole. A chunk that has come before, or that contradicts the first, is left out.
    pub fn add(&mut self, chunk: &Chunk<'_>) -> Option<String> {
        if self.texts.is_empty() {
            self.texts = vec![None; chunk.count];
        }
        if self.texts.len() != chunk.count {
            return None;
        }
        let place = self.texts.get_mut(chunk.index).filter(|place| place.is_none())?;
        *place = Some(chunk.text.to_owned());
        self.come += 1;
        (self.come == self.texts.len()).then(|| self.texts.iter().flatten().map(String::as_str).collect())
    }
}
