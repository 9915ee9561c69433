//! Log lines: where they go, what they look like, and which are shown.
//!
//! They go to stderr. `PLUE_LOG` (or `RUST_LOG`) chooses levels, such as `debug` or `info,plue_sync::engine=trace`; `PLUE_LOG_FORMAT=json`
//! prints one JSON object a line. A message reads well alone, without its fields; a field's name is dotted and carries its unit.

use std::fmt::Debug;
use std::io::IsTerminal;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::Environment;

/// What is shown unless told otherwise: actix' own lines of its start and stop say nothing that ours do not.
const DEFAULT_LEVELS: &str = "info,actix_server=warn";

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("{name} must be a list of levels such as `info` or `info,plue_sync=debug`")]
    Levels { name: &'static str },
    #[error("PLUE_LOG_FORMAT must be `human` or `json`")]
    Format,
    #[error("logging was started twice")]
    Twice,
}

/// Starts logging for the whole process.
///
/// # Errors
///
/// A variable that cannot be understood.
pub fn start(environment: &Environment) -> Result<(), TelemetryError> {
    let shown = filter(environment)?.and(NotOfActix);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match environment.get("PLUE_LOG_FORMAT") {
        None | Some("human") => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed(),
        Some("json") => lines.json().flatten_event(true).boxed(),
        Some(_) => return Err(TelemetryError::Format),
    };
    tracing_subscriber::registry().with(lines.with_filter(shown)).try_init().map_err(|_| TelemetryError::Twice)
}

/// Leaves out lines of actix that nobody has to act on, and that an error would have somebody act on.
struct NotOfActix;

/// * A connection that the system had accepted before the listener paused finds no thread any more that would serve it. It
///   is closed, and its client goes elsewhere.
/// * A body was cut because it could not be finished. Whatever has cut it said why, where there is something to mend.
///   A middleware that wraps bodies wraps their errors too.
const LEFT_OUT: [&str; 3] = [
    "No workers",
    "Response payload stream error: BrokenStream",
    "Response payload stream error: actix_http::Error { kind: Body, cause: Some(BrokenStream) }",
];

impl<S: Subscriber> Filter<S> for NotOfActix {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let mut message = Message(String::new());
        event.record(&mut message);
        !LEFT_OUT.contains(&message.0.as_str())
    }
}

/// The message of an event.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

fn filter(environment: &Environment) -> Result<EnvFilter, TelemetryError> {
    let chosen = ["PLUE_LOG", "RUST_LOG"].into_iter().find_map(|name| Some((name, environment.get(name)?)));
    let (name, levels) = chosen.unwrap_or(("PLUE_LOG", DEFAULT_LEVELS));
    EnvFilter::try_new(levels).map_err(|_| TelemetryError::Levels { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_variable_wins_and_a_bad_one_is_named() {
        let cases = [
            (vec![], Ok("info,actix_server=warn")),
            (vec![("RUST_LOG", "debug")], Ok("debug")),
            (vec![("RUST_LOG", "debug"), ("PLUE_LOG", "trace")], Ok("trace")),
            (vec![("PLUE_LOG", "plue_sync=loud")], Err("PLUE_LOG")),
            (vec![("RUST_LOG", "a=b=c")], Err("RUST_LOG")),
        ];
        for (variables, expected) in cases {
            let found = filter(&variables.iter().copied().collect());
            let found = found.map(|filter| {
                let mut levels: Vec<_> = filter.to_string().split(',').map(str::to_owned).collect();
                levels.sort_by_key(|level| level.contains('='));
                levels.join(",")
            });
            match expected {
                Ok(levels) => assert_eq!(found.expect("levels"), levels, "{variables:?}"),
                Err(name) => assert!(found.expect_err("no levels").to_string().starts_with(name), "{variables:?}"),
            }
        }
    }
}
