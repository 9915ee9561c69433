//! What Postgres says of a table: columns, types, keys, partitions.

mod partitions;

use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, Row};

use super::casing::{self, Casing};
use crate::shape::TableName;

pub use partitions::{Partition, partitions};

use partitions::continues;

/// Quotes a string for SQL, whatever `standard_conforming_strings` says.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// One table of the database, as of some moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub oid: u32,
    pub name: TableName,
    /// In attribute order, without dropped ones. Rows are kept in this order too.
    pub columns: Vec<Column>,
    /// Positions in `columns` of the primary key, in key order. Without a primary key: all columns.
    pub key: Vec<usize>,
    pub has_primary_key: bool,
    /// Of a partitioned table all partitions below it, at every level, by oid. Its rows are in them, and the stream tells
    /// of each by the partition's own name.
    #[serde(default)]
    pub partitions: Option<Vec<Partition>>,
}

impl Table {
    /// The position of a column by its exact name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The partitions of a partitioned table.
    pub fn partitions(&self) -> &[Partition] {
        self.partitions.as_deref().unwrap_or_default()
    }

    /// Whether a shape that has followed this table's partitions has missed no row of the table as it is `now`.
    pub fn keeps_partitions(&self, now: &Self) -> bool {
        self.partitions.is_some() == now.partitions.is_some() && continues(self.partitions(), now.partitions())
    }

    /// Its rows as `FROM` names them.
    ///
    /// ONLY: the stream tells of each child of an inheritance tree as a table of its own. Partitions are no such children.
    pub fn rows(&self) -> String {
        let only = if self.partitions.is_some() { "" } else { "ONLY " };
        format!("{only}{}", self.name.quoted())
    }

    /// Whether another layout has these columns by name, with the same types.
    pub fn has_same_columns<'a>(&self, other: &Self, positions: impl IntoIterator<Item = &'a usize>) -> bool {
        positions.into_iter().all(|at| {
            let column = &self.columns[*at];
            other.column(&column.name).is_some_and(|found| {
                let found = &other.columns[found];
                (found.type_oid, found.type_modifier) == (column.type_oid, column.type_modifier)
            })
        })
    }
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub type_oid: u32,
    /// `pg_type.typname`; of an array, its element type's name.
    pub type_name: String,
    /// `pg_type.typtype` of the type named by `type_name`: `b`ase, `e`num, `d`omain, `c`omposite, `r`ange, ...
    pub type_kind: char,
    /// `pg_attribute.atttypmod`; -1 for none.
    pub type_modifier: i32,
    /// Declared array dimensions; 0 where the type is no array.
    pub dims: u32,
    pub not_null: bool,
    /// Generated, and not in the stream: older servers leave out all generated columns, newer ones those that are
    /// not stored.
    pub generated: bool,
    /// Whether equal means identical bytes: false only for a nondeterministic collation.
    pub deterministic: bool,
    /// Of an enum, or of the enum that an array's elements are.
    #[serde(default)]
    pub labels: Labels,
    /// Which letters of its strings have two cases.
    #[serde(default)]
    pub casing: Casing,
}

/// The labels of an enum, in its order. They take no part in comparisons of tables: a new label changes no row.
#[derive(Debug, Clone, Default, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// The enum's own OID; 0 where the type is no enum.
    pub type_oid: u32,
    pub list: Vec<String>,
}

impl PartialEq for Labels {
    fn eq(&self, _: &Labels) -> bool {
        true
    }
}

/// A table could not be looked up, or is one that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("the database is out of reach")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Postgres does not replicate it; the sentence says why, and the cure.
    #[error("{0}")]
    NotReplicated(String),
}

/// One row a column; a table without columns has none, and so does not exist for us (protocol, 2.3). Nor do the tables of
/// Postgres itself, which no publication can have: their oids are below the first that is given to others.
fn query() -> String {
    let casing = casing::query();
    format!(
        "
SELECT c.oid, n.nspname, c.relname, c.relkind = 'p', c.relpersistence::text,
       a.attname, a.atttypid, coalesce(e.typname, t.typname), coalesce(e.typtype, t.typtype)::text, a.atttypmod,
       CASE WHEN e.oid IS NULL THEN 0 ELSE greatest(a.attndims, 1) END::int4,
       a.attnotnull, a.attgenerated <> '' AND (a.attgenerated = 'v' OR current_setting('server_version_num')::int < 180000),
       coalesce(l.collisdeterministic, true),
       array_position(i.indkey::int2[], a.attnum),
       CASE WHEN coalesce(e.typtype, t.typtype) = 'e' THEN coalesce(e.oid, t.oid) ELSE 0 END,
       ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = coalesce(e.oid, t.oid) ORDER BY enumsortorder),
       {casing}
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
LEFT JOIN pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 AND "
    )
}

/// Finds a table by its name.
///
/// # Errors
/// Also for a table whose changes Postgres does not replicate, and for one with such a partition.
pub async fn find(client: &Client, name: &TableName) -> Result<Option<Table>, TableError> {
    let sql = format!("{} n.nspname = $1 AND c.relname = $2 ORDER BY c.oid, a.attnum", query());
    let rows = client.query(&sql, &[&name.schema, &name.name]).await.map_err(unreachable)?;
    let unfollowed = match rows.first().map(|row| row.get::<_, &str>(4)) {
        Some("u") => Some(format!("Table {} is unlogged", name.quoted())),
        Some("t") => Some(format!("Table {} is temporary", name.quoted())),
        _ => None,
    };
    let found = tables(client, &rows).await?.pop();
    if found.is_none() && !rows.is_empty() {
        let name = name.quoted();
        return Err(TableError::NotReplicated(format!(
            "Table {name} has names that are no UTF-8, and cannot be followed"
        )));
    }
    let partition = found.iter().flat_map(Table::partitions).any(|partition| !partition.replicated);
    let partition = partition.then(|| format!("Table {} has a partition that is foreign or unlogged", name.quoted()));
    match unfollowed.or(partition) {
        Some(what) => Err(TableError::NotReplicated(format!("{what}, and Postgres does not replicate its changes"))),
        None => Ok(found),
    }
}

/// Finds tables by their oids. What no longer exists is left out, and what has names that are no UTF-8.
pub async fn find_by_oid(client: &Client, oids: &[u32]) -> Result<Vec<Table>, TableError> {
    let sql = format!("{} c.oid = ANY($1) ORDER BY c.oid, a.attnum", query());
    let rows = client.query(&sql, &[&oids]).await.map_err(unreachable)?;
    tables(client, &rows).await
}

fn unreachable(error: tokio_postgres::Error) -> TableError {
    TableError::Unreachable(error.into())
}

async fn tables(client: &Client, rows: &[Row]) -> Result<Vec<Table>, TableError> {
    let own_rows = rows.chunk_by(|one, other| one.get::<_, u32>(0) == other.get::<_, u32>(0));
    let mut tables: Vec<Table> = own_rows.filter_map(|rows| table(rows).ok()).collect();
    let roots: Vec<u32> = tables.iter().filter(|table| table.partitions.is_some()).map(|table| table.oid).collect();
    if !roots.is_empty() {
        let mut found = partitions(client, &roots).await.map_err(unreachable)?;
        for table in &mut tables {
            table.partitions = table.partitions.take().map(|none| found.remove(&table.oid).unwrap_or(none));
        }
    }
    Ok(tables)
}

/// A table from the rows of its columns, of which there is at least one.
///
/// Names of a database whose encoding is `SQL_ASCII` may be no text for us: an error, of this table alone.
fn table(rows: &[Row]) -> Result<Table, tokio_postgres::Error> {
    let mut columns = Vec::with_capacity(rows.len());
    let mut places = Vec::with_capacity(rows.len());
    for row in rows {
        columns.push(Column {
            name: row.try_get(5)?,
            type_oid: row.get(6),
            type_name: row.try_get(7)?,
            type_kind: row.get::<_, &str>(8).chars().next().unwrap_or('b'),
            type_modifier: row.get(9),
            dims: row.get::<_, i32>(10).unsigned_abs(),
            not_null: row.get(11),
            generated: row.get(12),
            deterministic: row.get(13),
            labels: Labels { type_oid: row.get(15), list: row.try_get(16)? },
            casing: Casing::named(row.get(17)),
        });
        places.push(row.get::<_, Option<i32>>(14));
    }
    let mut key: Vec<usize> = (0..rows.len()).filter(|position| places[*position].is_some()).collect();
    key.sort_by_key(|position| places[*position]);
    let has_primary_key = !key.is_empty();
    if !has_primary_key {
        key = (0..rows.len()).collect();
    }
    let name = TableName { schema: rows[0].try_get(1)?, name: rows[0].try_get(2)? };
    let partitions = rows[0].get::<_, bool>(3).then(Vec::new);
    Ok(Table { oid: rows[0].get(0), name, columns, key, has_primary_key, partitions })
}
