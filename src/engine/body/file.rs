//! A range of a file, and what follows it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::{STEP_BYTES, blocking};

/// A body that lies in a file, up to its last bytes.
///
/// The file stays open: it is read to the end of the range also when it has been deleted meanwhile.
#[derive(Debug)]
pub struct FileBody {
    file: Arc<File>,
    left: Range<u64>,
    last: Bytes,
}

impl FileBody {
    /// `range` of an open file, and then `last`.
    pub fn new(file: Arc<File>, range: Range<u64>, last: Bytes) -> Self {
        Self { file, left: range, last }
    }

    /// Opens the file and reads the first step, so that what is wrong with it is known before the head of an answer is sent.
    ///
    /// # Errors
    /// The file cannot be opened, or ends before the first step does.
    pub async fn open(path: PathBuf, range: Range<u64>, last: Bytes) -> io::Result<(Bytes, Self)> {
        blocking(move || {
            let mut body = Self::new(Arc::new(File::open(path)?), range, last);
            let step = body.step();
            Ok((read(&body.file, step)?, body))
        })
        .await
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read, or is shorter than the range.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let (file, step) = (Arc::clone(&self.file), self.step());
        if step.is_empty() {
            let last = std::mem::take(&mut self.last);
            return Ok((!last.is_empty()).then_some(last));
        }
        blocking(move || read(&file, step)).await.map(Some)
    }

    /// Takes the first step off the range.
    fn step(&mut self) -> Range<u64> {
        let start = self.left.start;
        self.left.start = self.left.end.min(start + STEP_BYTES as u64);
        start..self.left.start
    }
}

fn read(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_range_comes_whole_and_in_steps() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows");
        let bytes: Vec<u8> = (0..3 * STEP_BYTES + 7).map(|at| (at % 251) as u8).collect();
        std::fs::write(&path, &bytes).expect("written");
        for range in [0..0, 0..1, 5..STEP_BYTES, 0..STEP_BYTES, 9..STEP_BYTES + 10, 0..bytes.len()] {
            let wide = range.start as u64..range.end as u64;
            let (first, mut body) = FileBody::open(path.clone(), wide, "]".into()).await.expect("the file");
            let mut all = first.to_vec();
            while let Some(step) = body.next().await.expect("the file") {
                assert!(step.len() <= STEP_BYTES);
                all.extend_from_slice(&step);
            }
            let expected = [&bytes[range.clone()], b"]"].concat();
            assert!(all == expected, "{range:?}: {} bytes", all.len());
        }
    }

    #[tokio::test]
    async fn a_file_that_has_gone_is_read_on_and_one_that_was_cut_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows");
        let length = 3 * STEP_BYTES as u64;
        let open = || FileBody::open(path.clone(), 0..length, Bytes::new());
        assert_eq!(open().await.expect_err("no file").kind(), io::ErrorKind::NotFound);
        let file = File::create(&path).expect("a file");
        assert_eq!(open().await.expect_err("too short").kind(), io::ErrorKind::UnexpectedEof);
        file.set_len(length).expect("zeroes");
        let (_, mut body) = open().await.expect("the file");
        std::fs::remove_file(&path).expect("deleted");
        assert!(body.next().await.expect("still open").is_some());
        file.set_len(length - 1).expect("cut");
        assert_eq!(body.next().await.expect_err("too short").kind(), io::ErrorKind::UnexpectedEof);
    }
}
