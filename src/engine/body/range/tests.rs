//! A body is the same wherever its entries lie, and whatever becomes of them while it is sent.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::*;
use crate::engine::catalog::{Catalog, Found};
use crate::engine::collector::Collector;
use crate::engine::definition::{Chosen, Selection};
use crate::engine::log::body;
use crate::engine::shape::Definition;
use crate::engine::tables::Table;
use crate::postgres::Postgres;
use crate::shape::{LogMode, Replica, TableName};

/// A shape with a log, and where its file is.
struct Scene {
    state: Arc<State>,
    shape: Arc<Shape>,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// A shape with these entries, of which the first `filed` are in the file, and of those the first `forgotten` nowhere else.
    fn with(entries: &[Entry], filed: usize, forgotten: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = crate::config::Config::load(None, &Default::default()).expect("the defaults").engine;
        config.storage_dir = folder.path().to_owned();
        let nowhere = Postgres::from_url("postgresql://nobody@127.0.0.1:1/none").expect("a valid address");
        let state = State::new(&config, nowhere.clone(), nowhere, Collector::new().0).expect("settings");
        let name = TableName { schema: "public".to_owned(), name: "items".to_owned() };
        let table = Table { oid: 7, name, columns: vec![], key: vec![], has_primary_key: false, partitions: None };
        let selection = Selection { columns: vec![], chosen: Chosen::All };
        let definition = Definition::new(Arc::new(table), None, selection, Replica::Default, LogMode::Full);
        let catalog = Catalog::new(Vec::new(), 1, 1 << 30, 0);
        let found = catalog.find_or_create(&definition.expect("no columns are always there"));
        let Found::New(shape) = found else { panic!("a new shape") };
        let path = state.files.log(&shape.handle);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        shape.log.append(entries[..filed].to_vec());
        shape.log.write_behind(&path).expect("written");
        shape.log.append(entries[filed..].to_vec());
        if let Some(last) = forgotten.checked_sub(1) {
            shape.log.forget(entries[last].offset);
        }
        Self { state: Arc::new(state), shape, path, _folder: folder }
    }

    fn body(&self, after: Offset, end: Offset, framing: Framing, position: Option<Lsn>) -> RangeBody {
        RangeBody::new(&self.state, &self.shape, (after, end), framing, position)
    }
}

fn entry(tx: u64, size: usize) -> Entry {
    let pad: String = (0..size).map(|at| char::from(b'a' + ((at as u64 + tx) % 26) as u8)).collect();
    let json = format!("{{\"key\":\"{tx}\",\"pad\":\"{pad}\"");
    Entry { offset: Offset { tx, op: 0 }, json: json.into(), ends: Ends::transaction(tx.is_multiple_of(2)) }
}

/// Small ones, and some larger than a step, than a window of the file, and as large as either.
fn entries() -> Vec<Entry> {
    let size = |tx: u64| match tx {
        10 => 3 * STEP_BYTES,
        20 => STEP_BYTES,
        30 => 64 << 10,
        31 => (64 << 10) - 25,
        _ => 37 * tx as usize,
    };
    (1..=60).map(|tx| entry(tx, size(tx))).collect()
}

/// All steps, with something done between them.
async fn all(mut body: RangeBody, mut between: impl FnMut()) -> io::Result<Bytes> {
    let mut all = BytesMut::new();
    while let Some(step) = body.next().await? {
        assert!(step.len() <= STEP_BYTES + (64 << 10) + 128, "{} bytes at once", step.len());
        all.extend_from_slice(&step);
        between();
    }
    Ok(all.freeze())
}

#[tokio::test]
async fn a_body_is_the_same_wherever_its_entries_lie() {
    let entries = entries();
    for (filed, forgotten) in [(0, 0), (25, 0), (25, 10), (25, 25), (60, 0), (60, 12), (60, 60)] {
        let scene = Scene::with(&entries, filed, forgotten);
        for (after, end) in [(0, 60), (0, 3), (5, 5), (8, 11), (10, 60), (19, 31), (25, 60), (59, 60)] {
            for (framing, position) in [(Framing::Json, Some(Lsn(77))), (Framing::Json, None), (Framing::Events, None)]
            {
                let offset = |at: usize| at.checked_sub(1).map_or(Offset::SNAPSHOT_END, |at| entries[at].offset);
                let range = scene.body(offset(after), offset(end), framing, position);
                let made = all(range, || {}).await.expect("the log");
                let expected = body(&entries[after..end], framing, position);
                assert!(made == expected, "{after}..{end} of {filed} filed, {forgotten} forgotten, {framing:?}");
            }
        }
    }
}

#[tokio::test]
async fn many_small_entries_are_laid_out_across_the_ends_of_steps() {
    let entries: Vec<Entry> = (1..=30_000).map(|tx| entry(tx, tx as usize % 7)).collect();
    for (filed, forgotten) in [(0, 0), (30_000, 30_000), (20_000, 10_000)] {
        let scene = Scene::with(&entries, filed, forgotten);
        for framing in [Framing::Json, Framing::Events] {
            let range = scene.body(Offset::SNAPSHOT_END, entries[29_999].offset, framing, Some(Lsn(1)));
            let made = all(range, || {}).await.expect("the log");
            assert!(made == body(&entries, framing, Some(Lsn(1))), "{filed} filed, {forgotten} forgotten, {framing:?}");
        }
    }
}

#[tokio::test]
async fn what_the_log_forgets_and_gets_meanwhile_does_not_matter() {
    let entries = entries();
    let expected = body(&entries, Framing::Json, Some(Lsn(60)));
    for every in 1..=4 {
        let scene = Scene::with(&entries, 0, 0);
        let range = scene.body(Offset::SNAPSHOT_END, entries[59].offset, Framing::Json, Some(Lsn(60)));
        let (mut steps, mut tx) = (0, 100);
        let made = all(range, || {
            steps += 1;
            tx += 1;
            scene.shape.log.append([entry(tx, 5)]);
            if steps % every == 0 {
                let (last, _) = scene.shape.log.write_behind(&scene.path).expect("written");
                scene.shape.log.forget(last);
            }
        });
        assert!(made.await.expect("the log") == expected, "forgotten after every {every} steps");
        assert!(steps > 3, "several steps");
    }
}

#[tokio::test]
async fn a_small_body_has_a_length_and_a_large_one_comes_in_small_pieces() {
    let entries = entries();
    let scene = Scene::with(&entries, 30, 12);
    let small = scene.body(Offset::SNAPSHOT_END, entries[4].offset, Framing::Json, None).into_body().await;
    let Ok(Body::Full(bytes)) = small else { panic!("{small:?}") };
    assert_eq!(bytes, body(&entries[..5], Framing::Json, None));
    let large = scene.body(Offset::SNAPSHOT_END, entries[59].offset, Framing::Json, None).into_body().await;
    let Ok(Body::Stream(mut pieces)) = large else { panic!("{large:?}") };
    let mut made = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.expect("the log");
        assert!(piece.len() <= 32 << 10, "{} bytes at once", piece.len());
        made.extend_from_slice(&piece);
    }
    assert!(made == body(&entries, Framing::Json, None));
}

#[tokio::test]
async fn a_body_whose_log_ends_or_whose_file_is_damaged_is_cut() {
    let entries = entries();
    let end = entries[59].offset;
    for in_file in [true, false] {
        let scene = Scene::with(&entries, 60, if in_file { 60 } else { 0 });
        let mut range = scene.body(Offset::SNAPSHOT_END, end, Framing::Json, None);
        assert!(matches!(range.next().await, Ok(Some(_))));
        scene.shape.log.end();
        let mut left = 0;
        while let Ok(Some(_)) = range.next().await {
            left += 1;
        }
        // A place of the file that was open is read to its end, as any open file.
        assert!(in_file || left == 0, "{left} steps after the end");
    }
    let scene = Scene::with(&entries, 60, 60);
    let file = OpenOptions::new().write(true).open(&scene.path).expect("the log file");
    let length = file.metadata().expect("the log file").len();
    file.write_all_at(b"?", length - 10).expect("damaged");
    let whole = scene.body(Offset::SNAPSHOT_END, end, Framing::Json, None).into_body().await.expect("a first step");
    let Body::Stream(mut pieces) = whole else { panic!("a small body") };
    let mut last = None;
    while let Some(piece) = pieces.next().await {
        last = Some(piece.map(|_| ()));
        if last == Some(Err(BrokenStream)) {
            break;
        }
    }
    assert_eq!(last, Some(Err(BrokenStream)));
    let damaged = scene.body(entries[50].offset, end, Framing::Json, None).into_body().await;
    assert_eq!(damaged.expect_err("damaged").kind(), io::ErrorKind::InvalidData);
    std::fs::remove_file(&scene.path).expect("deleted");
    let gone = scene.body(Offset::SNAPSHOT_END, end, Framing::Json, None).into_body().await;
    assert_eq!(gone.expect_err("deleted").kind(), io::ErrorKind::NotFound);
}
