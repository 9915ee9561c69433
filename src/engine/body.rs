//! Bodies that are taken from their file or log as their reader takes them, and never held as a whole.
//!
//! ```text
//! file, log ──► step: 256 KiB in memory ──► pieces of 32 KiB ──► the connection's buffer
//! ```
//!
//! A reader that stops reading holds one step and one buffer, however long its body is. What fits into one step is
//! made at once, and sent with its length.

mod file;
mod range;

use std::io;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use crate::shape::{BrokenStream, Pieces};

pub use file::FileBody;
pub use range::RangeBody;

/// What is read or laid out at once.
pub const STEP_BYTES: usize = 256 << 10;
/// A connection copies whatever it is given into its buffer: what a reader that takes nothing holds there.
const PIECE_BYTES: usize = 32 << 10;

/// Hands out steps piece by piece. A step is asked for when all of the one before it has been taken.
pub fn in_pieces(steps: impl Stream<Item = Result<Bytes, BrokenStream>> + Send + 'static) -> Pieces {
    Box::pin(steps.flat_map(|step| {
        let mut left = Some(step);
        stream::iter(std::iter::from_fn(move || match left.take()? {
            Ok(mut step) => {
                let piece = take_piece(&mut step)?;
                left = Some(Ok(step));
                Some(Ok(piece))
            }
            Err(broken) => Some(Err(broken)),
        }))
    }))
}

/// The first piece of a step; `None` if nothing is left.
pub fn take_piece(step: &mut Bytes) -> Option<Bytes> {
    let size = step.len().min(PIECE_BYTES);
    (size > 0).then(|| step.split_to(size))
}

/// Runs file access away from the thread that serves other requests.
pub async fn blocking<T: Send + 'static>(read: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}
