//! Which tables a change of a relation belongs to: the relation itself, and those that it is a partition of.
//!
//! The stream names the partition, and not what it is a partition of.

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::routes::Source;

/// Tables that a change goes to; more than one where a table and its partition both have shapes.
pub type Tables = SmallVec<[u32; 2]>;

/// The partitions of the tables that have shapes.
#[derive(Debug, Default)]
pub struct Partitions {
    /// By partitioned table, those that any of its shapes follows.
    by_root: HashMap<u32, Vec<u32>>,
    roots: HashMap<u32, Tables>,
}

impl Partitions {
    /// The tables whose shapes a change of `relation` may concern.
    pub fn tables_of(&self, relation: u32) -> Tables {
        let mut tables = Tables::from_elem(relation, 1);
        if let Some(roots) = self.roots.get(&relation) {
            tables.extend_from_slice(roots);
        }
        tables
    }

    /// The partitioned tables that have shapes.
    pub fn roots(&self) -> Vec<u32> {
        self.by_root.keys().copied().collect()
    }

    /// Whether no partitioned table has shapes.
    pub fn is_empty(&self) -> bool {
        self.by_root.is_empty()
    }

    /// Takes note of what the sources of `table` follow now.
    pub fn set<'a>(&mut self, table: u32, sources: impl Iterator<Item = &'a Source>) {
        let mut partitioned = false;
        let mut now: Vec<u32> = Vec::new();
        for source in sources {
            partitioned |= source.now().partitions.is_some();
            now.extend(source.now().partitions().iter().map(|partition| partition.oid));
        }
        now.sort_unstable();
        now.dedup();
        if self.by_root.get(&table).is_none_or(|before| *before == now)
            && partitioned == self.by_root.contains_key(&table)
        {
            return;
        }
        for partition in self.by_root.remove(&table).into_iter().flatten() {
            if let Some(roots) = self.roots.get_mut(&partition) {
                roots.retain(|root| *root != table);
                if roots.is_empty() {
                    self.roots.remove(&partition);
                }
            }
        }
        if partitioned {
            for partition in &now {
                self.roots.entry(*partition).or_default().push(table);
            }
            self.by_root.insert(table, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::tables::{Partition, Table};
    use crate::shape::TableName;

    fn source(oid: u32, partitions: Option<&[u32]>) -> Source {
        let name = TableName { schema: "s".to_owned(), name: "t".to_owned() };
        let partition = |oid: &u32| Partition { oid: *oid, attached: 1, born: true, replicated: true };
        let partitions = partitions.map(|oids| oids.iter().map(partition).collect());
        Source::new(Arc::new(Table { oid, name, columns: vec![], key: vec![], has_primary_key: false, partitions }))
    }

    #[test]
    fn a_change_of_a_partition_goes_to_every_table_above_it() {
        let mut partitions = Partitions::default();
        partitions.set(9, [source(9, None)].iter());
        assert!(partitions.is_empty(), "a table without partitions");
        partitions.set(1, [source(1, Some(&[2, 3, 4])), source(1, Some(&[2, 3]))].iter());
        partitions.set(2, [source(2, Some(&[3]))].iter());
        assert_eq!(partitions.tables_of(3).as_slice(), [3, 1, 2]);
        assert_eq!(partitions.tables_of(4).as_slice(), [4, 1]);
        assert_eq!(partitions.tables_of(9).as_slice(), [9]);
        partitions.set(1, [source(1, Some(&[3]))].iter());
        assert_eq!(partitions.tables_of(4).as_slice(), [4], "detached");
        partitions.set(1, [].iter());
        assert_eq!(partitions.tables_of(3).as_slice(), [3, 2]);
        partitions.set(2, [].iter());
        partitions.set(5, [source(5, Some(&[]))].iter());
        assert!(!partitions.is_empty(), "one that has no partitions yet");
    }
}
