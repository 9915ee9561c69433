//! Takes tables out of the publication that no shape has used for a while: Postgres need not send them.

use std::time::{Duration, Instant};

use hashbrown::HashSet;
use tokio_postgres::Client;
use tracing::{info, warn};

use super::{LOCK_TIMEOUT, Publication, alter};
use crate::engine::snapshot::{Failure, failure};
use crate::shape::quote_identifier;

impl Publication {
    /// Takes out what has not been used for `keep`. `in_use` gives the tables of all shapes there are at that moment,
    /// also of those that are being made.
    pub async fn take_out_unused(
        &self,
        client: &Client,
        keep: Duration,
        in_use: impl Fn() -> HashSet<u32>,
    ) -> Result<(), Failure> {
        if self.manual {
            return Ok(());
        }
        let sql = "SELECT r.prrelid, format('%I.%I', n.nspname, c.relname) FROM pg_publication_rel r
                   JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid
                   JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1";
        let rows = client.query(sql, &[&self.name]).await.map_err(|error| failure(&error))?;
        let published: Vec<u32> = rows.iter().map(|row| row.get(0)).collect();
        let due = self.due(&published, &in_use(), keep, Instant::now());
        if due.is_empty() {
            return Ok(());
        }
        // From here on nobody finds the table published who is not in the catalogue yet.
        let _nobody_looks = self.changing.write().await;
        let used = in_use();
        let is_due = |oid: u32| due.contains(&oid) && !used.contains(&oid);
        for row in rows.iter().filter(|row| is_due(row.get(0))) {
            let name: String = row.try_get(1).map_err(|error| Failure::Unexpected(error.to_string()))?;
            let sql = format!("ALTER PUBLICATION {} DROP TABLE ONLY {name}", quote_identifier(&self.name));
            match alter(client, LOCK_TIMEOUT, &sql).await {
                Ok(()) => info!("table {name} is no longer published: no shape uses it"),
                Err(error) => {
                    let cause = error.as_db_error().map_or("no connection", |error| error.message());
                    warn!(cause, "table {name}, which no shape uses, could not be taken out of the publication");
                }
            }
        }
        Ok(())
    }

    /// Of the published tables those that have been unused for `keep`.
    fn due(&self, published: &[u32], used: &HashSet<u32>, keep: Duration, now: Instant) -> HashSet<u32> {
        let mut unused = self.unused.lock();
        unused.retain(|oid, _| published.contains(oid) && !used.contains(oid));
        for oid in published.iter().filter(|oid| !used.contains(*oid)) {
            unused.entry(*oid).or_insert(now);
        }
        unused.iter().filter(|(_, since)| now.duration_since(**since) >= keep).map(|(oid, _)| *oid).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_taken_out_when_it_has_been_unused_for_long_enough() {
        let publication = Publication::new("p".to_owned(), false);
        let (start, keep) = (Instant::now(), Duration::from_secs(60));
        let at = |seconds, published: &[u32], used: &[u32]| {
            let used = used.iter().copied().collect();
            let due = publication.due(published, &used, keep, start + Duration::from_secs(seconds));
            let mut due: Vec<u32> = due.into_iter().collect();
            due.sort_unstable();
            due
        };
        assert_eq!(at(0, &[1, 2, 3], &[1]), Vec::<u32>::new());
        assert_eq!(at(30, &[1, 2, 3], &[3]), Vec::<u32>::new(), "3 is used again, 1 no longer");
        assert_eq!(at(60, &[1, 2, 3], &[]), [2]);
        assert_eq!(at(90, &[1, 2, 3], &[]), [1, 2]);
        assert_eq!(at(120, &[1, 3], &[]), [1, 3], "2 is out");
    }
}
