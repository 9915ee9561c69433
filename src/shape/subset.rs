//! Which of a shape's rows a subset request wants (protocol, 9).

/// A subset as its client asked for it: its texts are parsed by whoever answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subset {
    /// The text of `subset__where`; the shape's own filter holds besides.
    pub filter: Option<String>,
    /// The values of `$1`, `$2`, ... of this filter, in order; they are not those of the shape's filter.
    pub params: Vec<String>,
    /// The text of `subset__order_by`. There is one whenever there is a limit or an offset.
    pub order_by: Option<String>,
    /// Rows at most; above 0.
    pub limit: Option<u64>,
    /// Rows to leave out at the beginning.
    pub offset: Option<u64>,
}
