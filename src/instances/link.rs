//! The connection as those use it who ask and answer.

use std::sync::Arc;

use tokio_postgres::{Client, Error};

use super::InstanceId;

/// Where all questions go.
const QUESTIONS: &str = "plue_sync_questions";
/// What the connection of an instance is called, before its id.
const NAME: &str = "plue-sync ";

/// A connection that listens. Clones are the same.
#[derive(Debug, Clone)]
pub struct Link {
    client: Arc<Client>,
}

impl Link {
    /// A connection that does not listen yet.
    pub fn new(client: Client) -> Self {
        Self { client: Arc::new(client) }
    }

    /// Listens, and only then takes the name by which others find this instance: whoever is found hears.
    pub async fn listen(&self, id: &InstanceId) -> Result<(), Error> {
        self.client.batch_execute(&format!("LISTEN {QUESTIONS}; LISTEN {}", replies(id))).await?;
        self.client.batch_execute(&format!("SET application_name = '{NAME}{id}'")).await
    }

    /// All other living instances, oldest first.
    pub async fn others(&self, id: &InstanceId) -> Result<Vec<InstanceId>, Error> {
        // All roles may see names and databases of all connections.
        let sql = "SELECT application_name FROM pg_stat_activity \
                   WHERE datname = current_database() AND starts_with(application_name, $1)";
        let rows = self.client.query(sql, &[&NAME]).await?;
        let names = rows.iter().filter_map(|row| InstanceId::parse(row.get::<_, &str>(0).strip_prefix(NAME)?));
        let mut others: Vec<InstanceId> = names.filter(|other| other != id).collect();
        others.sort_unstable();
        others.dedup();
        Ok(others)
    }

    /// Sends a question to all instances.
    pub async fn ask(&self, chunks: &[String]) -> Result<(), Error> {
        self.send(QUESTIONS, chunks).await
    }

    /// Sends a reply to the instance that asked.
    pub async fn reply(&self, to: &InstanceId, chunks: &[String]) -> Result<(), Error> {
        self.send(&replies(to), chunks).await
    }

    /// In one transaction: either all chunks come, or none.
    async fn send(&self, channel: &str, chunks: &[String]) -> Result<(), Error> {
        let sql = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload";
        self.client.execute(sql, &[&channel, &chunks]).await.map(drop)
    }
}

/// Where the replies to one instance go: nobody else is woken by them.
fn replies(id: &InstanceId) -> String {
    format!("plue_sync_replies_{id}")
}
