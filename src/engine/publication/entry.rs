//! Whether a table is in the publication, by what, and what its rows lack.

use std::sync::atomic::Ordering;

use hashbrown::HashMap;
use tokio_postgres::Client;

use super::Publication;
use crate::engine::snapshot::{Failure, failure};
use crate::engine::tables::Table;
use crate::shape::quote_identifier;

/// Publications can have whole schemas since this version.
const SCHEMAS: u32 = 150_000;

/// What Postgres says of a table and its publication.
pub struct State {
    /// Its partitions that do not send whole old rows, or the table itself, quoted.
    pub without_identity: Vec<String>,
    /// What has put it into the publication: in a manual one also an ancestor, a schema, or the publication as a whole.
    pub published: Option<u32>,
    /// It is there with a row filter or a column list, which nobody asked for.
    pub in_part: bool,
    /// Commits wait for standbys, and until then nobody sees them, although the stream has shown them.
    pub synchronous: bool,
    /// The publication is there.
    exists: bool,
    /// The publication sends insert, update, delete and truncate, of partitions under their own names.
    whole: bool,
    /// Columns that the server could send, and that this publication leaves out.
    generated: Vec<String>,
}

impl State {
    /// What has put the table into the publication, if the stream then tells all of it.
    pub fn entry(&self) -> Option<u32> {
        self.published.filter(|_| self.whole && !self.in_part && self.without_identity.is_empty())
    }

    /// What an operator must do, who publishes by hand (protocol, 3.5).
    pub fn missing(&self, publication: &str, table: &Table) -> String {
        let (table_name, name, quoted) = (&table.name, table.name.quoted(), quote_identifier(publication));
        if !self.exists {
            return format!(
                "Publication {quoted} not found in the database; run CREATE PUBLICATION {quoted} FOR TABLE {name}"
            );
        }
        if !self.whole {
            return format!(
                "Publication {quoted} does not publish all required operations: INSERT, UPDATE, DELETE, TRUNCATE, or not \
                 under the names of partitions; run ALTER PUBLICATION {quoted} SET (publish = 'insert, update, delete, \
                 truncate', publish_via_partition_root = false)"
            );
        }
        if self.in_part {
            return format!(
                "Database table \"{table_name}\" is in the publication {quoted} with a row filter or a column list; add it \
                 without them"
            );
        }
        match (self.published, self.without_identity.first()) {
            (Some(_), Some(relation)) => format!(
                "Database table \"{}\" does not have its replica identity set to FULL; run ALTER TABLE {relation} REPLICA \
                 IDENTITY FULL",
                relation.replace('"', "")
            ),
            _ => format!(
                "Database table \"{table_name}\" is missing from the publication {quoted} and the \
                 ELECTRIC_MANUAL_TABLE_PUBLISHING setting prevents plue-sync from adding it; run ALTER PUBLICATION {quoted} \
                 ADD TABLE {name}"
            ),
        }
    }

    /// What is missing for a shape with generated columns.
    pub fn generated(&self, publication: &str, shown: impl Fn(&str) -> bool) -> Option<String> {
        let shown = self.generated.iter().any(|name| shown(name));
        shown.then(|| {
            let publication = quote_identifier(publication);
            format!(
                "Publication {publication} does not publish generated columns. Run ALTER PUBLICATION {publication} SET \
                 (publish_generated_columns = stored), or leave them out with the 'columns' query param"
            )
        })
    }
}

impl Publication {
    pub(super) async fn state(&self, client: &Client, table: &Table) -> Result<State, Failure> {
        // Columns that only some versions have are read from the row as JSON.
        let sql = format!(
            "WITH RECURSIVE parts AS (
               SELECT $1::oid AS oid
               UNION SELECT i.inhrelid FROM pg_inherits i JOIN parts ON parts.oid = i.inhparent WHERE $3
             )
             SELECT ARRAY(SELECT format('%I.%I', n.nspname, l.relname) FROM parts JOIN pg_class l ON l.oid = parts.oid
                          JOIN pg_namespace n ON n.oid = l.relnamespace
                          WHERE l.relkind = 'r' AND l.relreplident <> 'f' ORDER BY l.oid),
                    {entry}, {in_part}, current_setting('synchronous_standby_names') <> '', p.oid IS NOT NULL,
                    coalesce(p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AND NOT p.pubviaroot, false),
                    ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated = 's'
                          AND to_jsonb(p)->>'pubgencols' = 'n')
             FROM pg_class c LEFT JOIN pg_publication p ON p.pubname = $2 WHERE c.oid = $1",
            entry = self.entry(),
            in_part = in_part("r.prrelid IN (SELECT oid FROM parts)"),
        );
        let partitioned = table.partitions.is_some();
        let row = client.query_opt(&sql, &[&table.oid, &self.name, &partitioned]).await;
        let row = row.map_err(|error| failure(&error))?.ok_or(Failure::Changed)?;
        let unreadable = |error: tokio_postgres::Error| Failure::Unexpected(error.to_string());
        Ok(State {
            without_identity: row.try_get(0).map_err(unreadable)?,
            published: row.get(1),
            in_part: row.get(2),
            synchronous: row.get(3),
            exists: row.get(4),
            whole: row.get(5),
            generated: row.try_get(6).map_err(unreadable)?,
        })
    }

    /// Which of these tables the stream tells of, with whole rows, and what has put each into the publication. Of a
    /// partitioned table, the rows of its partitions are not looked at.
    pub async fn published(&self, client: &Client, oids: &[u32]) -> Result<HashMap<u32, u32>, Failure> {
        let sql = format!(
            "SELECT c.oid, {} FROM pg_class c JOIN pg_publication p ON p.pubname = $2
             WHERE c.oid = ANY($1) AND (c.relreplident = 'f' OR c.relkind = 'p') AND NOT {in_part}
             AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AND NOT p.pubviaroot",
            self.entry(),
            in_part = in_part("r.prrelid = c.oid"),
        );
        let rows = client.query(&sql, &[&oids, &self.name]).await.map_err(|error| failure(&error))?;
        Ok(rows.iter().filter_map(|row| Some((row.get(0), row.get::<_, Option<u32>>(1)?))).collect())
    }

    /// SQL for the oid of what has put table `c` into publication `p`.
    fn entry(&self) -> String {
        if !self.manual {
            return "(SELECT r.oid FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid)".to_owned();
        }
        let schemas = match self.server_version.load(Ordering::Acquire) {
            SCHEMAS.. => {
                "(SELECT s.oid FROM pg_publication_namespace s WHERE s.pnpubid = p.oid AND s.pnnspid = c.relnamespace)"
            }
            _ => "NULL",
        };
        format!(
            "coalesce((WITH RECURSIVE up AS (SELECT c.oid AS oid
                         UNION SELECT i.inhparent FROM pg_inherits i JOIN up ON i.inhrelid = up.oid
                         JOIN pg_class l ON l.oid = i.inhrelid AND l.relispartition)
                       SELECT min(r.oid) FROM pg_publication_rel r JOIN up ON r.prrelid = up.oid WHERE r.prpubid = p.oid),
                      CASE WHEN p.puballtables THEN p.oid END, {schemas})"
        )
    }
}

/// SQL for whether one of these tables is in publication `p` with a row filter or a column list.
fn in_part(tables: &str) -> String {
    format!(
        "EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND {tables}
                 AND (to_jsonb(r)->>'prqual' IS NOT NULL OR to_jsonb(r)->>'prattrs' IS NOT NULL))"
    )
}

/// The partitions of these tables that do not send whole old rows, quoted.
pub async fn partitions_without_identity(client: &Client, tables: &[u32]) -> Result<Vec<String>, Failure> {
    let sql = "WITH RECURSIVE parts AS (
                 SELECT i.inhrelid AS oid FROM pg_inherits i JOIN pg_class t ON t.oid = i.inhparent AND t.relkind = 'p'
                 WHERE t.oid = ANY($1) AND NOT i.inhdetachpending
                 UNION SELECT i.inhrelid FROM pg_inherits i JOIN parts ON parts.oid = i.inhparent
               )
               SELECT format('%I.%I', n.nspname, c.relname) FROM parts JOIN pg_class c ON c.oid = parts.oid
               JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relreplident <> 'f' ORDER BY c.oid";
    let rows = client.query(sql, &[&tables]).await.map_err(|error| failure(&error))?;
    rows.iter().map(|row| row.try_get(0).map_err(|error| Failure::Unexpected(error.to_string()))).collect()
}
