//! Shapes that the operator gives names to: `[shapes.NAME]` in a file.

use std::collections::BTreeMap;

use serde::Deserialize;

/// By name.
pub type ShapesConfig = BTreeMap<String, ShapeConfig>;

/// One shape with a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapeConfig {
    /// The table: `items`, `public.items`, `"My Table"`.
    pub table: String,
    /// The columns that may be seen; none for all.
    #[serde(default)]
    pub columns: Vec<String>,
    /// The condition, with `{claims.NAME}` and `{params.NAME}` where a value belongs.
    #[serde(default, rename = "where")]
    pub filter: Option<String>,
    /// Whether everybody may follow it, without a token, and caches may keep it.
    #[serde(default)]
    pub public: bool,
}
