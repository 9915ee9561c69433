//! Which session a request follows, as far as its condition says.

use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::engine::filter;
use crate::shape::ShapeRequest;

/// Conditions whose session is remembered. A reader asks with the same one again and again.
const REMEMBERED: usize = 8192;
/// Longer conditions are read each time.
const MAX_REMEMBERED_BYTES: usize = 1024;

/// Finds the sessions of requests.
#[derive(Debug)]
pub struct Sessions {
    known: Cache<(String, String, Vec<String>), Option<Arc<str>>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { known: Cache::new(REMEMBERED) }
    }
}

impl Sessions {
    /// The session that every row of the request's shape belongs to, if its condition pins it down.
    ///
    /// `table` is the table's plain name: rows of `sessions` belong to the session that they are.
    pub fn of(&self, table: &str, request: &ShapeRequest) -> Option<Arc<str>> {
        let text = request.filter.as_deref()?;
        let column = if table == "sessions" { "id" } else { "session_id" };
        let find = || filter::pinned(text, &request.params, column).map(Arc::from);
        if text.len() + request.params.iter().map(String::len).sum::<usize>() > MAX_REMEMBERED_BYTES {
            return find();
        }
        let key = (column.to_owned(), text.to_owned(), request.params.clone());
        if let Some(known) = self.known.get(&key) {
            return known;
        }
        let found = find();
        self.known.insert(key, found.clone());
        found
    }
}
