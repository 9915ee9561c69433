//! The partitions of a table, and whether a shape can go on when there are others.
//!
//! The stream does not tell when a partition is attached or detached: rows appear or vanish without a change. Only a
//! partition that was made as one, and so came without rows, leaves a shape as it was.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

/// One partition of a table, at any level below it. Compact as JSON: each stored shape of the table has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(u32, u32, bool, bool)", from = "(u32, u32, bool, bool)")]
pub struct Partition {
    pub oid: u32,
    /// The transaction that attached it: another one each time.
    pub attached: u32,
    /// Made as a partition, so that it had no rows when it came.
    pub born: bool,
    /// Neither foreign nor unlogged: the stream tells of its changes.
    pub replicated: bool,
}

impl From<Partition> for (u32, u32, bool, bool) {
    fn from(partition: Partition) -> Self {
        (partition.oid, partition.attached, partition.born, partition.replicated)
    }
}

impl From<(u32, u32, bool, bool)> for Partition {
    fn from((oid, attached, born, replicated): (u32, u32, bool, bool)) -> Self {
        Self { oid, attached, born, replicated }
    }
}

/// `attached` is the transaction of the row of `pg_inherits`. The rows of a new table's columns have the transaction and
/// the command of the rows of its system columns, which never change; `ATTACH` changes each of them, and so does most of
/// what comes later: then `born` says less than it could, and a shape starts over that could have gone on.
const PARTITIONS: &str = "
WITH RECURSIVE tree AS (
  SELECT i.inhparent AS root, i.inhrelid AS oid, i.xmin AS attached FROM pg_inherits i
  WHERE i.inhparent = ANY($1) AND NOT i.inhdetachpending
  UNION ALL
  SELECT t.root, i.inhrelid, i.xmin FROM pg_inherits i JOIN tree t ON t.oid = i.inhparent
  WHERE NOT i.inhdetachpending
)
SELECT t.root, t.oid, t.attached::text::int8,
       s.xmin = t.attached AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0
                                       AND a.xmin = s.xmin AND a.cmin = s.cmin),
       c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_attribute s ON s.attrelid = t.oid AND s.attnum = -1
ORDER BY t.oid";

/// The partitions of these tables, by table, each list by oid.
pub async fn partitions(client: &Client, roots: &[u32]) -> Result<HashMap<u32, Vec<Partition>>, tokio_postgres::Error> {
    let mut found: HashMap<u32, Vec<Partition>> = HashMap::new();
    for row in client.query(PARTITIONS, &[&roots]).await? {
        let attached = u32::try_from(row.get::<_, i64>(2)).unwrap_or_default();
        let partition = Partition { oid: row.get(1), attached, born: row.get(3), replicated: row.get(4) };
        found.entry(row.get(0)).or_default().push(partition);
    }
    Ok(found)
}

/// Whether a shape that has followed the partitions `before` has missed nothing when they are `now`.
pub fn continues(before: &[Partition], now: &[Partition]) -> bool {
    let same = |one: &Partition, other: &Partition| (one.oid, one.attached) == (other.oid, other.attached);
    let find = |list: &[Partition], wanted: &Partition| {
        let at = list.binary_search_by_key(&wanted.oid, |partition| partition.oid);
        at.is_ok_and(|at| same(&list[at], wanted))
    };
    before.iter().all(|partition| find(now, partition))
        && now.iter().all(|partition| find(before, partition) || (partition.born && partition.replicated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_partition_that_came_empty_may_come() {
        let known = Partition { oid: 5, attached: 70, born: false, replicated: true };
        let born = Partition { oid: 7, attached: 80, born: true, replicated: true };
        let again = Partition { attached: 90, ..known };
        let attached = Partition { born: false, ..born };
        let foreign = Partition { replicated: false, ..born };
        let cases: [(&[Partition], &[Partition], bool); 8] = [
            (&[known], &[known], true),
            (&[known], &[known, born], true),
            (&[known, born], &[known, attached], true),
            (&[known], &[known, attached], false),
            (&[known], &[known, foreign], false),
            (&[known], &[again], false),
            (&[known, born], &[known], false),
            (&[], &[], true),
        ];
        for (before, now, goes_on) in cases {
            assert_eq!(continues(before, now), goes_on, "{before:?} to {now:?}");
        }
    }

    #[test]
    fn a_partition_is_short_in_the_catalogue() {
        let partition = Partition { oid: 5, attached: 70, born: true, replicated: false };
        let json = serde_json::to_string(&partition).expect("JSON");
        assert_eq!(json, "[5,70,true,false]");
        assert_eq!(serde_json::from_str::<Partition>(&json).expect("a partition"), partition);
    }
}
