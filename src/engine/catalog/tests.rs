//! Which shapes are taken out above the limit.

use super::*;
use crate::engine::definition::{Chosen, Selection};
use crate::engine::tables::Table;
use crate::engine::usage::Waiting;
use crate::shape::{LogMode, Replica, TableName};

fn definition(oid: u32) -> Definition {
    let name = TableName { schema: "public".to_owned(), name: format!("t{oid}") };
    let table = Table { oid, name, columns: vec![], key: vec![], has_primary_key: false, partitions: None };
    let selection = Selection { columns: vec![], chosen: Chosen::All };
    Definition::new(Arc::new(table), None, selection, Replica::Default, LogMode::Full)
        .expect("no columns are always there")
}

fn made(catalog: &Catalog, oid: u32) -> Arc<Shape> {
    match catalog.find_or_create(&definition(oid)) {
        Found::New(shape) => shape,
        Found::Known(shape) => panic!("{} is there already", shape.handle),
    }
}

/// The tables of the shapes that are taken out.
fn above(catalog: &Catalog, also_waited_for: bool) -> Vec<u32> {
    catalog.above_limit(also_waited_for).iter().map(|shape| shape.definition.table.oid).collect()
}

#[test]
fn the_shapes_that_were_left_alone_for_longest_go_first() {
    let catalog = Catalog::new(Vec::new(), 1, 1000, 3);
    let shapes: Vec<_> = (1..=5).map(|oid| made(&catalog, oid)).collect();
    shapes[0].usage.touch();
    shapes[2].usage.touch();
    assert_eq!(above(&catalog, false), [2, 4]);
    assert_eq!(above(&catalog, false), Vec::<u32>::new());
    assert!(catalog.find(&definition(2)).is_none() && catalog.find(&definition(1)).is_some());
    // One that ended by itself makes room.
    catalog.remove(&shapes[0]);
    made(&catalog, 6);
    assert_eq!(above(&catalog, false), Vec::<u32>::new());
    made(&catalog, 7);
    assert_eq!(above(&catalog, false), [5]);
}

#[test]
fn a_shape_that_is_waited_for_goes_only_when_nothing_else_can() {
    let catalog = Catalog::new(Vec::new(), 1, 1000, 1);
    let first = made(&catalog, 1);
    let waiting = Waiting::on(&first);
    made(&catalog, 2);
    assert_eq!(above(&catalog, false), [2], "nobody waits for it");
    let second = made(&catalog, 3);
    let other = Waiting::on(&second);
    assert_eq!(above(&catalog, false), Vec::<u32>::new());
    assert_eq!(above(&catalog, true), [1]);
    drop((waiting, other));
    made(&catalog, 4);
    assert_eq!(above(&catalog, true), [3]);
}

#[test]
fn without_a_limit_nothing_goes_and_what_has_ended_is_forgotten() {
    let catalog = Catalog::new(Vec::new(), 1, 1000, 0);
    for oid in 0..1000 {
        let shape = made(&catalog, oid);
        assert!(catalog.above_limit(true).is_empty());
        catalog.remove(&shape);
    }
    assert!(catalog.state.lock().by_use.len() <= 128, "the list of ended shapes does not grow");
}
