//! Requests seen before, with what they mean: a reader asks the same again and again, with another offset.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::shape::Definition;
use super::tables::Table;
use crate::shape::{LogMode, Replica, ShapeRequest};

/// Definitions kept; one costs about 1 KB.
const MOST: usize = 10_000;

/// The parts of a request that define its shape, as its client wrote them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    table: String,
    columns: Option<String>,
    queryable_columns: Option<String>,
    filter: Option<String>,
    params: Vec<String>,
    replica: Replica,
    log: LogMode,
}

/// A bounded cache from requests to definitions.
#[derive(Debug)]
pub struct Definitions {
    known: Cache<Asked, Arc<Definition>>,
}

impl Default for Definitions {
    fn default() -> Self {
        Self { known: Cache::new(MOST) }
    }
}

impl Definitions {
    /// What a request meant when `table` was as it is now.
    pub fn find(&self, request: &ShapeRequest, table: &Arc<Table>) -> Option<Arc<Definition>> {
        self.known.get(&asked(request)).filter(|definition| Arc::ptr_eq(&definition.table, table))
    }

    /// Notes what a request means.
    pub fn note(&self, request: &ShapeRequest, definition: &Arc<Definition>) {
        self.known.insert(asked(request), Arc::clone(definition));
    }
}

fn asked(request: &ShapeRequest) -> Asked {
    Asked {
        table: request.table.clone(),
        columns: request.columns.clone(),
        queryable_columns: request.queryable_columns.clone(),
        filter: request.filter.clone(),
        params: request.params.clone(),
        replica: request.replica,
        log: request.log,
    }
}
