//! What Postgres says of a table: columns, types, keys.

use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, Row};

use super::casing::{self, Casing};
use crate::shape::TableName;

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
}

impl Table {
    /// The position of a column by its exact name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
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

/// A table could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("the database is out of reach")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Ordinary tables only, in this version.
    #[error("partitioned tables are not supported yet")]
    Partitioned,
}

/// One row a column; a table without columns has none, and so does not exist for us (protocol, 2.3).
fn query() -> String {
    let casing = casing::query();
    format!(
        "
SELECT c.oid, n.nspname, c.relname, c.relkind::text,
       a.attname, a.atttypid, coalesce(e.typname, t.typname), coalesce(e.typtype, t.typtype)::text, a.atttypmod,
       CASE WHEN e.oid IS NULL THEN 0 ELSE greatest(a.attndims, 1) END::int4,
       a.attnotnull, a.attgenerated <> '', coalesce(l.collisdeterministic, true),
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
WHERE c.relkind IN ('r', 'p') AND "
    )
}

/// Finds a table by its name.
pub async fn find(client: &Client, name: &TableName) -> Result<Option<Table>, TableError> {
    let sql = format!("{} n.nspname = $1 AND c.relname = $2 ORDER BY c.oid, a.attnum", query());
    let rows = client.query(&sql, &[&name.schema, &name.name]).await.map_err(unreachable)?;
    if rows.first().is_some_and(|row| row.get::<_, &str>(3) == "p") {
        return Err(TableError::Partitioned);
    }
    Ok(tables(&rows).pop())
}

/// Finds tables by their oids. What no longer exists is left out.
pub async fn find_by_oid(client: &Client, oids: &[u32]) -> Result<Vec<Table>, TableError> {
    let sql = format!("{} c.oid = ANY($1) ORDER BY c.oid, a.attnum", query());
    let rows = client.query(&sql, &[&oids]).await.map_err(unreachable)?;
    Ok(tables(&rows))
}

fn unreachable(error: tokio_postgres::Error) -> TableError {
    TableError::Unreachable(error.into())
}

fn tables(rows: &[Row]) -> Vec<Table> {
    rows.chunk_by(|one, other| one.get::<_, u32>(0) == other.get::<_, u32>(0)).map(table).collect()
}

/// A table from the rows of its columns, of which there is at least one.
fn table(rows: &[Row]) -> Table {
    let columns = rows.iter().map(|row| Column {
        name: row.get(4),
        type_oid: row.get(5),
        type_name: row.get(6),
        type_kind: row.get::<_, &str>(7).chars().next().unwrap_or('b'),
        type_modifier: row.get(8),
        dims: row.get::<_, i32>(9).unsigned_abs(),
        not_null: row.get(10),
        generated: row.get(11),
        deterministic: row.get(12),
        labels: Labels { type_oid: row.get(14), list: row.get(15) },
        casing: Casing::named(row.get(16)),
    });
    let place_in_key = |position: usize| rows[position].get::<_, Option<i32>>(13);
    let mut key: Vec<usize> = (0..rows.len()).filter(|position| place_in_key(*position).is_some()).collect();
    key.sort_by_key(|position| place_in_key(*position));
    let has_primary_key = !key.is_empty();
    if !has_primary_key {
        key = (0..rows.len()).collect();
    }
    let name = TableName { schema: rows[0].get(1), name: rows[0].get(2) };
    Table { oid: rows[0].get(0), name, columns: columns.collect(), key, has_primary_key }
}
