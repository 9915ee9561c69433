//! Plays a script: each step at its time, as the requests that an agent would send.

use std::ops::RangeInclusive;
use std::time::Duration;

use awc::http::Method;
use chrono::Utc;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::api::{Failed, WriteApi};
use super::script::{AGENT, MODEL, PROVIDER, Script, Step, Tool, Usage};
use crate::ids::{MessageId, PartId, SessionId};

/// Milliseconds between two words of a text that streams.
const WORD_MS: RangeInclusive<u64> = 30..=80;
/// How long the model thinks before a message begins to stream, and how long a call is pending.
const BEFORE: Duration = Duration::from_millis(350);

/// When things happen.
#[derive(Debug)]
pub enum Time {
    /// Now, `pace` times slower than the script says.
    Live { pace: f64 },
    /// Before now, at this Unix millisecond: all is written at once, with the times of then.
    Past { at: i64 },
}

impl Time {
    /// So long ago.
    pub fn past(ago: Duration) -> Self {
        Self::Past { at: Utc::now().timestamp_millis() - millis(ago) }
    }

    fn now(&self) -> i64 {
        match self {
            Self::Live { .. } => Utc::now().timestamp_millis(),
            Self::Past { at } => *at,
        }
    }

    async fn pass(&mut self, time: Duration) {
        match self {
            Self::Live { pace } => sleep(time.mul_f64(*pace)).await,
            Self::Past { at } => *at += millis(time),
        }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Plays one session.
pub struct Player {
    api: WriteApi,
    session: SessionId,
    time: Time,
    /// The assistant's message that is not over.
    message: Option<Message>,
    /// Tokens of all messages.
    tokens: i32,
}

struct Message {
    id: MessageId,
    parts: i32,
    /// A tool that runs, as it was written last.
    running: Option<(PartId, Value)>,
}

impl Player {
    pub fn new(api: WriteApi, session: SessionId, time: Time) -> Self {
        Self { api, session, time, message: None, tokens: 0 }
    }

    /// Makes the session.
    ///
    /// # Errors
    /// The API refuses it, or cannot be reached.
    pub async fn create(&self, script: &Script) -> Result<(), Failed> {
        let session = json!({
            "id": self.session.as_str(), "title": script.title, "directory": script.directory, "project_id": "demo",
            "model": MODEL, "reasoning_effort": "medium", "time_created": self.time.now(),
        });
        self.api.send(Method::POST, "", &session).await
    }

    /// Plays all steps in a session that is there.
    ///
    /// # Errors
    /// A write failed; what was played until then stays.
    pub async fn play(&mut self, script: &Script) -> Result<(), Failed> {
        for step in script.steps {
            match step {
                Step::Wait(ms) => self.time.pass(Duration::from_millis(*ms)).await,
                Step::User(text) => self.user_says(text).await?,
                Step::Assistant => self.begin(script).await?,
                Step::Reason(text) => self.stream("reasoning", text).await?,
                Step::Say(text) => self.stream("text", text).await?,
                Step::Use(tool) => self.call(tool).await?,
                Step::File { filename, mime, url } => {
                    let part = json!({"type": "file", "filename": filename, "mime": mime, "url": url});
                    self.put_new(part).await?;
                }
                Step::Subtask { key, result } => {
                    let result: Value = serde_json::from_str(result).expect("the script is JSON");
                    self.post("/subtasks", &json!({"key": key, "result": result})).await?;
                }
                Step::Snapshot(change_id) => self.post("/snapshots", &json!({"change_id": change_id})).await?,
                Step::Done(usage) => self.end("completed", usage, None).await?,
                Step::Failed(usage, error) => self.end("failed", usage, Some(error)).await?,
            }
        }
        Ok(())
    }

    /// Says in the session that it goes no further. That it cannot be said does not matter any more.
    pub async fn abort(&mut self, why: &str) {
        let Some(mut message) = self.message.take() else { return };
        let now = self.time.now();
        if let Some((part, mut tool)) = message.running.take() {
            tool["tool_state"]["status"] = "error".into();
            tool["tool_state"]["error"] = why.into();
            tool["time_end"] = now.into();
            let _ = self.put(&message.id, &part, &tool).await;
        }
        let end = json!({"status": "aborted", "time_completed": now, "error_message": why, "finish": "aborted"});
        let _ = self.patch(&message.id, &end).await;
    }

    async fn user_says(&mut self, text: &str) -> Result<(), Failed> {
        let now = self.time.now();
        let message = json!({
            "role": "user", "status": "completed", "time_created": now, "time_completed": now,
            "parts": [{"type": "text", "text": text}],
        });
        self.post("/messages", &message).await
    }

    async fn begin(&mut self, script: &Script) -> Result<(), Failed> {
        let id = MessageId::generate();
        let message = json!({
            "id": id.as_str(), "role": "assistant", "status": "pending", "time_created": self.time.now(), "agent": AGENT, "mode": AGENT,
            "model_provider_id": PROVIDER, "model_model_id": MODEL, "path_cwd": script.directory, "path_root": script.directory,
        });
        self.message = Some(Message { id: id.clone(), parts: 0, running: None });
        self.post("/messages", &message).await?;
        self.time.pass(BEFORE).await;
        self.patch(&id, &json!({"status": "streaming"})).await
    }

    /// A part whose text grows.
    async fn stream(&mut self, kind: &str, text: &str) -> Result<(), Failed> {
        let (message, part, order) = self.next_part();
        let start = self.time.now();
        let mut shown = String::with_capacity(text.len());
        for word in text.split_inclusive(char::is_whitespace) {
            shown.push_str(word);
            self.time.pass(Duration::from_millis(rand::random_range(WORD_MS))).await;
            let is_last = shown.len() == text.len();
            // Of what is over, only the end is worth a write.
            if is_last || matches!(self.time, Time::Live { .. }) {
                let end = is_last.then(|| self.time.now());
                let grown =
                    json!({"type": kind, "text": shown, "sort_order": order, "time_start": start, "time_end": end});
                self.put(&message, &part, &grown).await?;
            }
        }
        Ok(())
    }

    /// A tool that is called, runs, and comes back.
    async fn call(&mut self, tool: &Tool) -> Result<(), Failed> {
        let (message, part, order) = self.next_part();
        let input: Value = serde_json::from_str(tool.input).expect("the script is JSON");
        let mut call = json!({
            "type": "tool", "tool_name": tool.name, "sort_order": order,
            "tool_state": {"status": "pending", "title": tool.title, "input": input},
        });
        self.put(&message, &part, &call).await?;
        self.time.pass(BEFORE).await;
        call["tool_state"]["status"] = "running".into();
        call["time_start"] = self.time.now().into();
        if let Some(message) = &mut self.message {
            message.running = Some((part.clone(), call.clone()));
        }
        self.put(&message, &part, &call).await?;
        self.time.pass(Duration::from_millis(tool.takes_ms)).await;
        let (status, field, said) = match tool.result {
            Ok(output) => ("completed", "output", output),
            Err(error) => ("error", "error", error),
        };
        call["tool_state"]["status"] = status.into();
        call["tool_state"][field] = said.into();
        call["time_end"] = self.time.now().into();
        self.put(&message, &part, &call).await?;
        if let Some(message) = &mut self.message {
            message.running = None;
        }
        Ok(())
    }

    async fn put_new(&mut self, mut body: Value) -> Result<(), Failed> {
        let (message, part, order) = self.next_part();
        body["sort_order"] = order.into();
        self.put(&message, &part, &body).await
    }

    async fn end(&mut self, status: &str, usage: &Usage, error: Option<&str>) -> Result<(), Failed> {
        let Some(Message { id, .. }) = self.message.take() else { return Ok(()) };
        let cost: serde_json::Number = usage.dollars().parse().expect("a decimal is a number");
        let end = json!({
            "status": status, "time_completed": self.time.now(), "finish": usage.finish, "error_message": error, "cost": cost,
            "tokens_input": usage.input, "tokens_output": usage.output, "tokens_reasoning": usage.reasoning,
            "tokens_cache_read": usage.cached, "tokens_cache_write": 0,
        });
        self.patch(&id, &end).await?;
        self.tokens += usage.input + usage.output + usage.reasoning;
        let path = format!("/{}", self.session);
        self.api.send(Method::PATCH, &path, &json!({"token_count": self.tokens})).await
    }

    /// The message that is open, and what its next part is called.
    fn next_part(&mut self) -> (MessageId, PartId, i32) {
        let message = self.message.as_mut().expect("a script begins a message before its parts");
        let order = message.parts;
        message.parts += 1;
        (message.id.clone(), PartId::generate(), order)
    }

    async fn post(&self, below: &str, body: &Value) -> Result<(), Failed> {
        self.api.send(Method::POST, &format!("/{}{below}", self.session), body).await
    }

    async fn put(&self, message: &MessageId, part: &PartId, body: &Value) -> Result<(), Failed> {
        let path = format!("/{}/messages/{message}/parts/{part}", self.session);
        self.api.send(Method::PUT, &path, body).await
    }

    async fn patch(&self, message: &MessageId, body: &Value) -> Result<(), Failed> {
        self.api.send(Method::PATCH, &format!("/{}/messages/{message}", self.session), body).await
    }
}

impl Usage {
    /// The cost as a decimal number.
    pub fn dollars(&self) -> String {
        format!("{}.{:06}", self.cost / 1_000_000, self.cost % 1_000_000)
    }
}

impl Script {
    /// How long it takes, about.
    pub fn length(&self) -> Duration {
        let words = |text: &str| text.split_inclusive(char::is_whitespace).count() as u64;
        let streamed = |text: &str| words(text) * WORD_MS.start().midpoint(*WORD_MS.end());
        let before = BEFORE.as_millis() as u64;
        let length = |step: &Step| match step {
            Step::Wait(ms) => *ms,
            Step::Assistant => before,
            Step::Reason(text) | Step::Say(text) => streamed(text),
            Step::Use(tool) => before + tool.takes_ms,
            _ => 0,
        };
        Duration::from_millis(self.steps.iter().map(length).sum())
    }
}
