use std::fs;

use super::*;
use crate::shape::Lsn;

fn entry(tx: u64, op: u64, size: usize) -> Entry {
    let json = format!("{{\"key\":\"{tx}_{op}\",\"pad\":\"{}\"", "x".repeat(size));
    Entry { offset: Offset { tx, op }, json: json.into(), ends: Ends::transaction(op == 2) }
}

/// Twenty transactions of two changes, of very different sizes.
fn entries() -> Vec<Entry> {
    let sizes = |tx: u64| if tx.is_multiple_of(7) { 70_000 } else { 100 * tx as usize };
    (1..=20).flat_map(|tx| [entry(tx * 10, 0, sizes(tx)), entry(tx * 10, 2, 5)]).collect()
}

fn ids(entries: &[Entry]) -> Vec<(Offset, bool, usize)> {
    entries.iter().map(|entry| (entry.offset, entry.ends == Ends::Transaction, entry.json.len())).collect()
}

/// Everything after `after`, read answer by answer; and where the answers ended.
fn read_all(log: &Log, path: &Path, mut after: Offset) -> (Vec<Entry>, Vec<Offset>) {
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    loop {
        let (end, at_end) = match log.read_after(after) {
            Read::Entries { end, at_end } => (end, at_end),
            Read::Nothing => return (all, ends),
            other => panic!("{other:?} after {after}"),
        };
        while after < end {
            let found = match log.part(after, end, 1_000) {
                Part::Memory(entries) => entries,
                Part::File(place) => place.read(path).expect("the file is there"),
                Part::Ended => panic!("ended after {after}"),
            };
            after = found.last().expect("never none").offset;
            all.extend(found);
        }
        assert_eq!(after, end, "an answer ends with its last entry");
        ends.push(end);
        if at_end {
            return (all, ends);
        }
    }
}

/// Everything after an offset that is in memory, up to the end of its chunk.
fn in_memory(log: &Log, after: Offset) -> (Vec<Entry>, Offset, bool) {
    let Read::Entries { end, at_end } = log.read_after(after) else { panic!("no entries after {after}") };
    let Part::Memory(entries) = log.part(after, end, usize::MAX) else { panic!("not in memory") };
    (entries, end, at_end)
}

fn every_offset() -> Vec<Offset> {
    let mut offsets = vec![Offset::chunk(0), Offset::SNAPSHOT_END];
    offsets.extend(entries().iter().map(|entry| entry.offset));
    // Positions between entries are asked for too: followers of events build them.
    offsets.extend(entries().iter().map(|entry| Offset { tx: entry.offset.tx + 1, op: 0 }));
    offsets.retain(|offset| *offset < entries()[39].offset);
    offsets
}

#[test]
fn entries_are_read_once_and_in_order_wherever_they_lie() {
    // In memory alone; in the file, too; in the file alone; and each boundary between.
    for (filed, forgotten) in [(0, 0), (15, 0), (15, 7), (15, 15), (40, 0), (40, 39), (40, 40)] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let log = Log::new(50_000);
        let all = entries();
        log.append(all[..filed].to_vec());
        log.write_behind(&path).expect("written");
        log.append(all[filed..].to_vec());
        if forgotten > 0 {
            log.forget(all[forgotten - 1].offset);
        }
        for after in every_offset() {
            let (read, _) = read_all(&log, &path, after);
            let expected: Vec<Entry> = all.iter().filter(|entry| entry.offset > after).cloned().collect();
            assert_eq!(ids(&read), ids(&expected), "after {after}, {filed} filed, {forgotten} forgotten");
        }
    }
}

#[test]
fn a_closed_chunk_ends_at_the_same_place_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let log = Log::new(50_000);
    log.append(entries());
    log.write_behind(&path).expect("written");
    let (file, sizes) = scan(&path).expect("a good file");
    let found = Log::recover(50_000, file, sizes);
    assert_eq!(found.last(), log.last());
    for after in every_offset() {
        let (before, after_restart) = (read_all(&log, &path, after), read_all(&found, &path, after));
        assert_eq!(before.1, after_restart.1, "after {after}");
        assert_eq!(ids(&before.0), ids(&after_restart.0), "after {after}");
    }
    assert!(read_all(&log, &path, Offset::SNAPSHOT_END).1.len() > 2, "several chunks");
}

#[test]
fn a_chunk_closes_with_the_entry_that_reaches_its_size() {
    let log = Log::new(1_000);
    let (first, second, third) = (entry(1, 0, 600), entry(2, 0, 700), entry(3, 0, 400));
    log.append([first, second, third]);
    let (entries, end, at_end) = in_memory(&log, Offset::SNAPSHOT_END);
    assert_eq!((entries.len(), end, at_end), (2, Offset { tx: 2, op: 0 }, false));
    let (entries, _, at_end) = in_memory(&log, end);
    assert_eq!((entries.len(), at_end), (1, true));
}

#[test]
fn what_a_replay_repeats_is_left_out() {
    let log = Log::new(1 << 20);
    log.append([entry(10, 0, 1), entry(10, 2, 1)]);
    let grown = log.append([entry(10, 0, 1), entry(10, 2, 1), entry(20, 0, 1)]);
    assert_eq!(grown, entry(20, 0, 1).len() as u64);
    let (entries, ..) = in_memory(&log, Offset::SNAPSHOT_END);
    assert_eq!(entries.len(), 3);
}

#[test]
fn readers_at_the_same_place_share_one_body() {
    let log = Log::new(1 << 20);
    assert!(log.live_body(Offset::SNAPSHOT_END, Framing::Json).is_none(), "nothing to say yet");
    log.append([entry(10, 0, 1)]);
    let [(one, end), (other, _)] =
        [(); 2].map(|()| log.live_body(Offset::SNAPSHOT_END, Framing::Json).expect("an entry"));
    assert_eq!(end, Offset { tx: 10, op: 0 });
    assert_eq!(one.as_ptr(), other.as_ptr(), "the bytes are the same, not just equal");
    log.append([entry(20, 0, 1)]);
    let (newer, end) = log.live_body(Offset::SNAPSHOT_END, Framing::Json).expect("two entries");
    assert_eq!(end, Offset { tx: 20, op: 0 });
    assert!(newer.len() > one.len());
    let text = String::from_utf8(newer.to_vec()).expect("JSON");
    assert!(text.ends_with(r#"{"headers":{"control":"up-to-date","global_last_seen_lsn":"20"}}]"#), "{text}");
}

#[test]
fn events_are_lines_with_an_empty_line_after_each() {
    let log = Log::new(1 << 20);
    log.append([entry(10, 2, 0)]);
    let (body, _) = log.live_body(Offset::SNAPSHOT_END, Framing::Events).expect("an entry");
    let expected = "data: {\"key\":\"10_2\",\"pad\":\"\",\"last\":true}}\n\n\
                    data: {\"headers\":{\"control\":\"up-to-date\",\"global_last_seen_lsn\":\"11\"}}\n\n";
    assert_eq!(String::from_utf8(body.to_vec()).expect("text"), expected);
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_an_entry_and_by_the_end() {
    let log = Log::new(1 << 20);
    let woken = log.changed();
    log.append([entry(10, 0, 1)]);
    woken.await;
    let woken = log.changed();
    log.end();
    woken.await;
    assert!(matches!(log.read_after(Offset::SNAPSHOT_END), Read::Ended));
    assert_eq!(log.append([entry(20, 0, 1)]), 0, "nothing comes after the end");
}

#[test]
fn a_file_is_good_up_to_its_first_bad_frame() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let all: Vec<Entry> = (1..=4).map(|tx| entry(tx, 2, 20)).collect();
    let log = Log::new(1 << 20);
    log.append(all.clone());
    log.write_behind(&path).expect("written");
    let good = fs::read(&path).expect("the file");
    let frame = good.len() / 4;
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).expect("cut");
        let (file, sizes) = scan(&path).expect("readable");
        assert_eq!((sizes.len(), file.last().map_or(0, |last| last.tx as usize)), (length / frame, length / frame));
        let left = fs::metadata(&path).expect("the file").len();
        assert_eq!(left, (length / frame * frame) as u64, "what is bad is cut off");
    }
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 0x40;
        fs::write(&path, &bad).expect("damaged");
        let (_, sizes) = scan(&path).expect("readable");
        assert_eq!(sizes.len(), position / frame, "byte {position}");
    }
}

#[test]
fn half_a_transaction_in_a_file_is_cut_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let log = Log::new(1 << 20);
    log.append([entry(10, 0, 1), entry(10, 2, 1), entry(20, 0, 1)]);
    log.write_behind(&path).expect("written");
    let (file, sizes) = scan(&path).expect("readable");
    assert_eq!((file.last(), sizes.len()), (Some(Offset { tx: 10, op: 2 }), 2));
    let found = Log::recover(1 << 20, file, sizes);
    found.append([entry(20, 0, 1), entry(20, 2, 1)]);
    found.write_behind(&path).expect("written");
    assert_eq!(scan(&path).expect("readable").1.len(), 4, "the rest goes where the cut was");
}

#[test]
fn a_file_written_in_small_pieces_is_read_from_near_the_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let log = Log::new(1 << 30);
    for tx in 1..=300 {
        log.append([entry(tx, 2, 2_000)]);
        log.write_behind(&path).expect("written");
    }
    let place = log.state.lock().file.place(Offset { tx: 299, op: 2 }, Offset { tx: 300, op: 2 });
    let text = format!("{place:?}");
    assert_eq!(place.read(&path).expect("read").len(), 1);
    assert!(place.bytes() < 200_000, "600 KB were written, and the last entry is at {text}");
}

#[test]
fn a_log_that_is_ending_is_never_up_to_date() {
    let log = Log::new(1 << 20);
    log.append([entry(10, 2, 1)]);
    assert!(log.live_body(Offset::SNAPSHOT_END, Framing::Json).is_some());
    log.begin_end();
    assert!(log.live_body(Offset::SNAPSHOT_END, Framing::Json).is_none());
    assert!(matches!(log.read_after(Offset::SNAPSHOT_END), Read::Entries { at_end: false, .. }));
    assert!(matches!(log.read_after(Offset { tx: 10, op: 2 }), Read::Ending));
    log.end();
    assert!(matches!(log.read_after(Offset { tx: 10, op: 2 }), Read::Ended));
}

#[test]
fn a_journal_gives_back_complete_transactions_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut journal = Journal::create(folder.path(), 1, Lsn(5)).expect("created");
    let both = [Reference { shape: 1, ends: Ends::Nothing }, Reference { shape: 2, ends: Ends::Transaction }];
    for tx in [10, 20, 30] {
        journal.entry(Offset { tx, op: 0 }, b"one", &both);
        journal.entry(Offset { tx, op: 2 }, b"two", &both[..1]);
        journal.position(Lsn(tx + 1));
    }
    assert_eq!(journal.sync().expect("synced"), Lsn(31));
    let path = fs::read_dir(folder.path()).expect("a folder").next().expect("a segment").expect("a file").path();
    let good = fs::read(&path).expect("the segment");
    let mut positions = Vec::new();
    for length in 0..=good.len() {
        fs::write(&path, &good[..length]).expect("cut");
        let mut given = Vec::new();
        let replayed =
            replay(folder.path(), |shape, entry| given.push((shape, entry.offset.tx, entry.ends == Ends::Transaction)))
                .expect("readable");
        let complete = given.iter().map(|(_, tx, _)| *tx).max().unwrap_or(4);
        assert_eq!(given.len() as u64, replayed.position.0.saturating_sub(5).div_ceil(10) * 3, "cut at {length}");
        assert!(replayed.position.0 <= complete + 1, "cut at {length}: {} claims too much", replayed.position);
        positions.push(replayed.position.0);
    }
    positions.dedup();
    assert_eq!(positions, [0, 5, 11, 21, 31], "each cut gives what was complete before it");
}

#[test]
fn damage_in_an_older_segment_ends_the_replay_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut journal = Journal::create(folder.path(), 1, Lsn(5)).expect("created");
    journal.entry(Offset { tx: 10, op: 0 }, b"one", &[Reference { shape: 1, ends: Ends::Transaction }]);
    journal.position(Lsn(11));
    journal.sync().expect("synced");
    let ended = journal.roll().expect("rolled");
    journal.position(Lsn(21));
    journal.sync().expect("synced");
    let whole = replay(folder.path(), |_, _| {}).expect("readable");
    assert_eq!((whole.position, whole.segments.len(), whole.next_number), (Lsn(21), 2, 3));
    let mut bytes = fs::read(&ended).expect("the segment");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(&ended, bytes).expect("damaged");
    let damaged = replay(folder.path(), |_, _| {}).expect("readable");
    assert_eq!(damaged.position, Lsn(5), "later positions would claim what is missing");
}
