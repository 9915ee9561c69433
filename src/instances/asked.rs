//! Questions of this process whose replies have not all come.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::chunk::{Assembly, Chunk};
use super::{InstanceId, Reply};

/// The open questions. Replies to any other are not kept.
#[derive(Debug, Default)]
pub struct Asks(Arc<Mutex<HashMap<Uuid, Open>>>);

/// One of them.
#[derive(Debug)]
struct Open {
    /// Who has not replied, with what has come of the reply.
    waiting: HashMap<InstanceId, Assembly>,
    replies: mpsc::Sender<(InstanceId, Reply)>,
}

/// The side of whoever asks: dropping it closes the question.
#[derive(Debug)]
pub struct Asked {
    id: Uuid,
    asks: Arc<Mutex<HashMap<Uuid, Open>>>,
    replies: mpsc::Receiver<(InstanceId, Reply)>,
}

impl Asks {
    /// Opens a question to these instances.
    pub fn begin(&self, others: &[InstanceId]) -> Asked {
        // One reply from each: there is always room.
        let (sender, replies) = mpsc::channel(others.len().max(1));
        let id = Uuid::new_v4();
        let waiting = others.iter().map(|other| (*other, Assembly::default())).collect();
        self.0.lock().insert(id, Open { waiting, replies: sender });
        Asked { id, asks: Arc::clone(&self.0), replies }
    }

    /// Takes a chunk of a reply.
    pub fn add(&self, chunk: &Chunk<'_>) {
        let mut asks = self.0.lock();
        let Some(open) = asks.get_mut(&chunk.question) else { return };
        let Some(reply) = open.waiting.get_mut(&chunk.from).and_then(|half| half.add(chunk)) else { return };
        open.waiting.remove(&chunk.from);
        // Whoever asked may have gone.
        let _ = open.replies.try_send((chunk.from, reply));
    }

    /// No more replies come: all who wait are told.
    pub fn end(&self) {
        self.0.lock().clear();
    }
}

impl Asked {
    /// The question's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The next reply; `None` if no more can come.
    pub async fn reply(&mut self) -> Option<(InstanceId, Reply)> {
        self.replies.recv().await
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.asks.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk::Kind;
    use super::*;

    #[tokio::test]
    async fn only_those_who_were_asked_reply_and_each_once() {
        let asks = Asks::default();
        let (one, other, stranger) = (InstanceId::generate(), InstanceId::generate(), InstanceId::generate());
        let mut asked = asks.begin(&[one, other]);
        let reply = |question: Uuid, from: InstanceId, text: &str| {
            for payload in Chunk::split(Kind::Reply, question, &from, text).expect("short") {
                asks.add(&Chunk::parse(&payload).expect("ours"));
            }
        };
        reply(asked.id(), stranger, "mine");
        reply(Uuid::new_v4(), one, "to another question");
        for text in ["first", "second"] {
            reply(asked.id(), one, text);
        }
        assert_eq!(asked.reply().await, Some((one, "first".to_owned())));
        reply(asked.id(), other, &"long ".repeat(10_000));
        assert_eq!(asked.reply().await.map(|(from, text)| (from, text.len())), Some((other, 50_000)));
        asks.end();
        assert_eq!(asked.reply().await, None);
        drop(asks.begin(&[one]));
        assert!(asks.0.lock().is_empty(), "nothing is kept of a question that nobody waits for");
    }
}
