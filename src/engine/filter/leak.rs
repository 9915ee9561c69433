//! Conditions that cannot fail, and a guard for those that can. Postgres may try the parts of a condition in any order, also on
//! rows that another part leaves out: an error would tell of those.

use super::print::print_to_run;
use super::tree::{Kind, Node};
use super::types::Type;
use crate::engine::tables::Table;

#[cfg(test)]
mod tests;

/// What a condition asks of a row, all of it at once, as SQL that is run.
#[derive(Debug, Clone, Default)]
pub struct Conjuncts {
    /// Those that never fail,
    safe: Vec<String>,
    /// and the others.
    risky: Vec<String>,
}

impl Conjuncts {
    /// The conjuncts of a condition over `table`, in ANDs in ANDs too.
    pub fn of(condition: &Node, table: &Table) -> Self {
        let (mut found, mut open) = (Self::default(), vec![condition]);
        while let Some(node) = open.pop() {
            match &node.kind {
                // In the order of the text: Postgres estimates and explains them so.
                Kind::And(list) => open.extend(list.iter().rev()),
                _ if never_fails(node) => found.safe.push(print_to_run(node, table)),
                _ => found.risky.push(print_to_run(node, table)),
            }
        }
        found
    }

    /// Asks for these as well.
    pub fn add(&mut self, others: &Conjuncts) {
        self.safe.extend_from_slice(&others.safe);
        self.risky.extend_from_slice(&others.risky);
    }

    /// Asks for less: for nothing that can fail.
    pub fn drop_risky(&mut self) {
        self.risky.clear();
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.safe.is_empty() && self.risky.is_empty()
    }

    /// Whether none can fail.
    pub fn never_fail(&self) -> bool {
        self.risky.is_empty()
    }

    /// Whether some must be kept from rows that others leave out.
    pub fn need_guard(&self) -> bool {
        !self.safe.is_empty() && !self.risky.is_empty()
    }

    /// TRUE for the rows for which all of them are. Those that can fail are only calculated for rows for which the others are TRUE:
    /// nothing moves out of a CASE. The others stand before it as well, where indexes serve them.
    pub fn sql(&self) -> String {
        let (safe, risky) = (self.safe.join(" AND "), self.risky.join(" AND "));
        match (self.safe.is_empty(), self.risky.is_empty()) {
            (true, true) => "true".into(),
            (false, true) => format!("({safe})"),
            (true, false) => format!("({risky})"),
            (false, false) => format!("({})", guarded(&safe, &risky)),
        }
    }
}

/// The SQL of two conditions of which the second is only calculated for rows for which the first, which never fails, is TRUE.
pub fn guarded(safe: &str, risky: &str) -> String {
    format!("{safe} AND CASE WHEN {safe} THEN {risky} ELSE FALSE END")
}

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
            | Kind::IsNullRow { .. }
            | Kind::IsBool { .. } => true,
            // What fails in a subquery fails where it is asked for first.
            Kind::InSubquery(membership) => {
                membership.subquery.filter.as_ref().is_none_or(|filter| never_fails(&filter.condition))
            }
            Kind::Cast { value, .. } => always_fits(value.ty, node.ty),
            Kind::Quantified { function, .. } => ["=", "<>", "<", "<=", ">", ">="].contains(&function.name),
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
