//! Conditions that cannot fail. Postgres may try the parts of a condition in any order, also on rows that another part leaves
//! out: an error would tell of those.

use super::tree::{Kind, Node};
use super::types::Type;

/// Whether no row makes the condition fail. What is not known here may.
pub fn never_fails(condition: &Node) -> bool {
    let mut open = vec![condition];
    while let Some(node) = open.pop() {
        let safe = match &node.kind {
            Kind::Column(_)
            | Kind::Constant(_)
            | Kind::Compare(..)
            | Kind::Distinct { .. }
            | Kind::In { .. }
            | Kind::Rows(..)
            | Kind::Case { .. }
            | Kind::Coalesce(_)
            | Kind::NullIf(..)
            | Kind::And(_)
            | Kind::Or(_)
            | Kind::Not(_)
            | Kind::IsNull { .. }
            | Kind::IsBool { .. } => true,
            Kind::Cast { value, .. } => always_fits(value.ty, node.ty),
            // Divisions, numbers that are too large, patterns that end in an escape, ...
            _ => false,
        };
        if !safe {
            return false;
        }
        open.extend(node.children());
    }
    true
}

/// Strings among each other, and integers where they are not cut.
fn always_fits(from: Type, to: Type) -> bool {
    match (from, to) {
        (Type::Int2 | Type::Int4 | Type::Int8, Type::Int8 | Type::Numeric | Type::Float4 | Type::Float8) => true,
        (Type::Int2, Type::Int4) => true,
        _ => from.is_string() && to.is_string(),
    }
}
