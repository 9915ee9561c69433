//! Reads big-endian fields off the front of a message. Running out is an error, never a panic.

use bytes::Bytes;

/// The message ended inside a field, or a field was not what the protocol says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("message is cut short")]
    CutShort,
    #[error("message has {0} bytes too many")]
    TooLong(usize),
    #[error("unknown message {:?}", char::from(*.0))]
    UnknownMessage(u8),
    #[error("unknown kind of tuple {:?}", char::from(*.0))]
    UnknownTuple(u8),
    #[error("unknown kind of value {:?}", char::from(*.0))]
    UnknownField(u8),
    #[error("a name is not UTF-8")]
    NotUtf8,
}

/// What is left of a message.
pub struct Cursor(Bytes);

impl Cursor {
    /// Starts at the front of `message`.
    pub fn new(message: Bytes) -> Self {
        Self(message)
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.0.len()
    }

    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// The next `length` bytes, shared and not copied.
    pub fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        if length > self.0.len() {
            return Err(DecodeError::CutShort);
        }
        Ok(self.0.split_to(length))
    }

    /// Bytes up to a zero, which is skipped.
    pub fn until_zero(&mut self) -> Result<Bytes, DecodeError> {
        let end = memchr::memchr(0, &self.0).ok_or(DecodeError::CutShort)?;
        let text = self.0.split_to(end);
        self.u8()?;
        Ok(text)
    }

    /// A zero-terminated name.
    pub fn name(&mut self) -> Result<String, DecodeError> {
        let bytes = self.until_zero()?;
        std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| DecodeError::NotUtf8)
    }

    /// All that is left.
    pub fn rest(self) -> Bytes {
        self.0
    }

    /// Checks that nothing is left.
    pub fn end(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::TooLong(self.0.len())) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (&bytes, _) = self.0.split_first_chunk().ok_or(DecodeError::CutShort)?;
        bytes::Buf::advance(&mut self.0, N);
        Ok(bytes)
    }
}
