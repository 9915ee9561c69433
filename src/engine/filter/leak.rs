//! Conditions that cannot fail. Postgres may try the parts of a condition in any order, also on rows that another part leaves
//! out: an error would tell of those.

use super::tree::{Kind, Node};

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
            | Kind::And(_)
            | Kind::Or(_)
            | Kind::Not(_)
            | Kind::IsNull { .. }
            | Kind::IsBool { .. } => true,
            // Strings among each other, and integers that widen.
            Kind::Cast(value) => {
                (node.ty.is_string() && value.ty.is_string()) || value.ty.is_integer() && node.ty.is_number()
            }
            // Divisions, numbers that are too large, patterns that end in an escape.
            _ => false,
        };
        if !safe {
            return false;
        }
        open.extend(node.children());
    }
    true
}
