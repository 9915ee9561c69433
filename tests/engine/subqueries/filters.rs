//! Random conditions over four levels of tables.

use crate::support::Random;

/// From the top: each refers to the one before it, and the last also to the second.
pub const TABLES: [&str; 4] = ["top", "mid", "low", "leaf"];

/// The tables. What refers may be NULL, and may refer to nothing.
pub fn create() -> String {
    let table = |name: &str| {
        format!(
            "CREATE TABLE {name} (id int PRIMARY KEY, ref int, other int, kind text, n int);
             CREATE INDEX ON {name} (ref); CREATE INDEX ON {name} (kind);"
        )
    };
    TABLES.map(table).concat()
}

/// A condition on the table at `level`, with subqueries down to the top.
pub fn condition(random: &mut Random, level: usize) -> String {
    let filter = either(random, level, 2);
    if filter.contains("SELECT") || level == 0 {
        filter
    } else {
        format!("({filter}) AND {}", membership(random, level, 2))
    }
}

fn either(random: &mut Random, level: usize, depth: usize) -> String {
    if depth == 0 {
        return atom(random, level, depth);
    }
    match random.below(6) {
        0 => format!("({}) OR ({})", either(random, level, depth - 1), either(random, level, depth - 1)),
        1 => format!("({}) AND ({})", either(random, level, depth - 1), either(random, level, depth - 1)),
        2 => format!("NOT ({})", either(random, level, depth - 1)),
        _ => atom(random, level, depth),
    }
}

fn atom(random: &mut Random, level: usize, depth: usize) -> String {
    if level > 0 && !random.one_in(3) {
        return membership(random, level, depth);
    }
    match random.below(4) {
        0 => format!("kind = '{}'", kind(random)),
        1 => format!("n < {}", random.below(8)),
        2 => "other IS NULL".to_owned(),
        _ => format!("kind IN ('{}', '{}')", kind(random), kind(random)),
    }
}

fn membership(random: &mut Random, level: usize, depth: usize) -> String {
    let inner = if level == 3 && random.one_in(3) { 1 } else { level - 1 };
    let condition = match random.below(4) {
        0 => String::new(),
        _ => format!(" WHERE {}", either(random, inner, depth.saturating_sub(1))),
    };
    let not = if random.one_in(4) { "NOT " } else { "" };
    let (left, right) = match random.below(6) {
        0 => ("(ref, kind)", "id, kind"),
        1 => ("kind", "kind"),
        2 => ("other", "id"),
        _ => ("ref", "id"),
    };
    format!("{left} {not}IN (SELECT {right} FROM {}{condition})", TABLES[inner])
}

/// One of few kinds, so that values come and go.
pub fn kind(random: &mut Random) -> &'static str {
    random.pick(&["a", "b", "c", "d"])
}
