//! What a message that cannot be read does.

use std::time::Duration;

use super::*;
use crate::engine::catalog::Found;
use crate::engine::collector::Collector;
use crate::engine::definition::{Chosen, Selection};
use crate::engine::log::Part;
use crate::engine::pool::connections;
use crate::engine::publication::Publication;
use crate::engine::reconcile::Inspector;
use crate::engine::shape::{Definition, Files, Shape};
use crate::engine::snapshot::Mark;
use crate::engine::store::recover;
use crate::engine::tables::{Column, Table};
use crate::postgres::Postgres;
use crate::shape::{LogMode, Replica, TableName};

/// A table of one text column.
fn definition(oid: u32) -> Definition {
    let column = Column {
        name: "id".to_owned(),
        type_oid: 25,
        type_name: "text".to_owned(),
        type_kind: 'b',
        type_modifier: -1,
        dims: 0,
        not_null: true,
        generated: false,
        deterministic: true,
        labels: Default::default(),
        casing: Default::default(),
    };
    let name = TableName { schema: "public".to_owned(), name: format!("t{oid}") };
    let table = Table { oid, name, columns: vec![column], key: vec![0], has_primary_key: true, partitions: None };
    let selection = Selection { columns: vec!["id".to_owned()], chosen: Chosen::All };
    Definition::new(Arc::new(table), None, selection, Replica::Default, LogMode::Full).expect("a column that is there")
}

fn begin(xid: u32) -> Bytes {
    let mut message = vec![b'B'];
    message.extend(u64::from(xid * 100).to_be_bytes());
    message.extend([0; 8]);
    message.extend(xid.to_be_bytes());
    message.into()
}

fn commit(xid: u32) -> Bytes {
    let mut message = vec![b'C', 0];
    message.extend(u64::from(xid * 100).to_be_bytes());
    message.extend(u64::from(xid * 100 + 8).to_be_bytes());
    message.extend([0; 8]);
    message.into()
}

/// An insert of one field of this kind.
fn insert(relation: u32, kind: u8) -> Bytes {
    let mut message = vec![b'I'];
    message.extend(relation.to_be_bytes());
    message.extend([b'N', 0, 1, kind, 0, 0, 0, 1, b'x']);
    message.into()
}

#[tokio::test]
async fn an_unreadable_message_ends_the_shapes_of_its_table_and_no_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let recovered = recover(&Files::new(folder.path()), 1000, 1 << 20).expect("a new store");
    let catalog = Arc::new(Catalog::new(Vec::new(), 1, 1000, 0));
    // It looks at nothing: no relation is named here.
    let nowhere = Postgres::from_url("postgresql://nobody@127.0.0.1:1/none").expect("an address");
    let inspector = Inspector::new(nowhere.clone(), Arc::new(Publication::new("p".to_owned(), false)));
    let (collector, _commands) = Collector::new();
    let reads = Reads { connections: connections(nowhere, 1), collector, timeout: Duration::from_secs(1) };
    let mut worker = Worker::new(Arc::clone(&catalog), recovered.store.clone(), Arc::default(), inspector, reads);
    let mut open = |oid: u32| -> Arc<Shape> {
        let Found::New(shape) = catalog.find_or_create(&definition(oid)) else { panic!("a new shape") };
        worker.add(Tap::recovered(Arc::clone(&shape), Mark { xmin: 1, xmax: 1, xip: Vec::new() }));
        shape
    };
    let (bad, good) = (open(7), open(8));
    let messages = [begin(5), insert(7, b't'), insert(8, b't'), insert(7, b'?'), insert(7, b't'), commit(5)];
    for message in messages {
        worker.apply(message).await.expect("the stream goes on");
    }
    assert!(bad.log.has_ended() && catalog.find(&bad.definition).is_none());
    let Part::Memory(entries) = good.log.part(Offset::SNAPSHOT_END, good.log.last(), 1 << 20) else {
        panic!("in memory")
    };
    assert_eq!(entries.len(), 1);
    // What names no single relation stops the stream, and is sent again.
    for message in [&b"T"[..], b"I\0", b"X\0\0\0\x07", b""] {
        assert!(matches!(worker.apply(Bytes::from_static(message)).await, Err(ApplyError::Decode(_))), "{message:?}");
    }
    // Nobody can be asked how a table looks now: the stream has to begin anew, and the shape goes on.
    worker.start_stream(5);
    worker.apply(begin(6)).await.expect("a transaction");
    let relation = b"R\0\0\0\x08public\0t8\0f\0\x01\x01id\0\0\0\0\x19\xff\xff\xff\xff";
    let blind = worker.apply(Bytes::from_static(relation)).await;
    assert!(matches!(blind, Err(ApplyError::Blind(8))), "{blind:?}");
    assert!(!good.log.has_ended());
    recovered.store.stop();
    recovered.thread.join().expect("the end of the store");
}
