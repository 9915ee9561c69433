//! The key of a condition: a column that must have one of a few texts in every row that matches.

use bytes::Bytes;

use super::tree::{Comparison, Kind, Node};
use super::types::Type;
use super::value::Value;

/// Longer lists are not worth an entry for each value in the index.
const MAX_TEXTS: usize = 10_000;

/// From `column = constant` or `column IN (constants)`, alone, in a conjunction (the shortest list of several), or in each part of a
/// disjunction on one column.
pub fn key(condition: &Node) -> Option<(usize, Vec<Bytes>)> {
    match &condition.kind {
        Kind::And(list) => list.iter().filter_map(key).min_by_key(|(_, texts)| texts.len()),
        Kind::Or(list) => either(list),
        Kind::Compare(Comparison::Equal, left, right) => match (constant(left), constant(right)) {
            (None, Some(value)) => of(left, right.ty, std::slice::from_ref(value)),
            (Some(value), None) => of(right, left.ty, std::slice::from_ref(value)),
            _ => None,
        },
        Kind::In { negated: false, value, list } => of(value, list.ty, &list.values),
        // A bare column of type bool has to be true.
        Kind::Column(_) if condition.ty == Type::Bool => of(condition, Type::Bool, &[Value::Bool(true)]),
        _ => None,
    }
}

/// All alternatives have a key on the same column.
fn either(list: &[Node]) -> Option<(usize, Vec<Bytes>)> {
    let (first, rest) = list.split_first()?;
    let (column, mut texts) = key(first)?;
    for node in rest {
        let (other, more) = key(node)?;
        if other != column || texts.len() + more.len() > MAX_TEXTS {
            return None;
        }
        texts.extend(more);
    }
    texts.sort_unstable();
    texts.dedup();
    Some((column, texts))
}

fn constant(node: &Node) -> Option<&Value<'static>> {
    match &node.kind {
        Kind::Constant(value) => value.as_ref(),
        _ => None,
    }
}

fn of(column: &Node, ty: Type, values: &[Value<'_>]) -> Option<(usize, Vec<Bytes>)> {
    let alike =
        column.ty == ty || (column.ty.is_integer() && ty.is_integer()) || (column.ty.is_string() && ty.is_string());
    let by_text = column.ty.equal_by_text() && ty.equal_by_text();
    if !alike || !by_text || values.len() > MAX_TEXTS {
        return None;
    }
    let mut texts: Vec<Bytes> = values.iter().map(|value| value.print(ty).into()).collect();
    texts.sort_unstable();
    texts.dedup();
    Some((column.text_column()?, texts))
}
