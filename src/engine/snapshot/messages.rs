//! Rows of a query as the messages of a shape.

use bytes::Bytes;
use hashbrown::HashSet;

use super::copy;
use crate::engine::entry::{Encoder, Operation};
use crate::engine::filter::{Alternatives, Position};
use crate::engine::shape::Shape;
use crate::engine::subquery::tags::{Tagger, write_headers};
use crate::shape::quote_identifier;

/// Asks for the rows of one shape, and writes them.
#[derive(Debug)]
pub struct Messages<'a> {
    shape: &'a Shape,
    encoder: Encoder,
    /// Of a shape with subqueries.
    tags: Option<(Tagger, &'a Alternatives)>,
    /// The columns that are read, as positions in the table: those that are shown, and others that tags are made of.
    columns: Vec<usize>,
    scratch: Vec<u8>,
}

impl<'a> Messages<'a> {
    /// The messages of a shape's rows.
    pub fn new(shape: &'a Shape) -> Self {
        let definition = &shape.definition;
        let alternatives = definition.condition.as_ref().and_then(|condition| condition.filter.alternatives());
        let mut columns = definition.columns.clone();
        // Tags are made of values that a shape need not show.
        for position in alternatives.iter().flat_map(|alternatives| &alternatives.positions) {
            if let Position::In { membership, .. } = position {
                columns.extend(membership.left.iter().map(|left| left.position));
            }
        }
        let mut seen = HashSet::new();
        columns.retain(|at| seen.insert(*at));
        Self {
            shape,
            encoder: Encoder::new(&definition.table, definition.projection()),
            tags: alternatives.map(|alternatives| (Tagger::new(&shape.handle), alternatives)),
            columns,
            scratch: Vec::new(),
        }
    }

    /// The names of the columns that a query of rows selects first,
    pub fn columns(&self) -> Vec<&'a str> {
        let table = &self.shape.definition.table;
        self.columns.iter().map(|at| table.columns[*at].name.as_str()).collect()
    }

    /// and the conditions that it selects after them.
    pub fn conditions(&self) -> Vec<String> {
        let positions = self.tags.iter().flat_map(|(_, alternatives)| &alternatives.positions);
        positions.map(|position| format!("({}) IS TRUE", position.sql_to_run())).collect()
    }

    /// The query of the shape's rows, for COPY.
    pub fn query(&self) -> String {
        let definition = &self.shape.definition;
        let table = &definition.table;
        let columns = self.columns().into_iter().map(quote_identifier);
        let list = columns.chain(self.conditions()).collect::<Vec<_>>().join(", ");
        let condition =
            definition.condition.as_ref().map(|condition| format!(" WHERE {}", condition.filter.sql_to_run()));
        format!("COPY (SELECT {list} FROM {}{}) TO STDOUT", table.rows(), condition.unwrap_or_default())
    }

    /// Writes the message of one line of that query, up to where more headers may follow; `None` if the line is not one.
    pub fn write(&mut self, out: &mut Vec<u8>, line: &[u8], more: &[u8]) -> Option<()> {
        let positions = self.tags.as_ref().map_or(0, |(_, alternatives)| alternatives.positions.len());
        let fields = copy::fields(line, self.columns.len() + positions, &mut self.scratch)?;
        let (values, conditions) = fields.split_at_checked(self.columns.len())?;
        let mut row: Vec<Option<&[u8]>> = vec![None; self.shape.definition.table.columns.len()];
        for (at, value) in self.columns.iter().zip(values) {
            row[*at] = *value;
        }
        self.encoder.row(out, Operation::Insert, &row);
        out.extend_from_slice(more);
        if let Some((tagger, alternatives)) = &self.tags {
            let row: Vec<Option<Bytes>> = row.iter().map(|value| value.map(Bytes::copy_from_slice)).collect();
            let active: Vec<bool> = conditions.iter().map(|condition| *condition == Some(b"t")).collect();
            write_headers(out, &tagger.tags(alternatives, &row), &[], &active);
        }
        Some(())
    }
}
