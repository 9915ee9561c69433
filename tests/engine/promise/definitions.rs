//! Random shapes, each with a row that must be in it: the one that its reader waits for.

use std::collections::BTreeMap;

use super::tables::{SHARED, TABLES, Table};
use crate::support::{Engine, Random, Row, Shape};

/// What a reader asks for.
#[derive(Clone)]
pub struct Definition {
    number: usize,
    pub table: &'static Table,
    condition: Option<Condition>,
    columns: Option<Vec<&'static str>>,
    full: bool,
}

/// A condition in two texts, ours with parameters, Postgres' with literals in their places; and values that satisfy it.
#[derive(Clone)]
struct Condition {
    ours: String,
    theirs: String,
    params: Vec<String>,
    satisfied_by: BTreeMap<&'static str, String>,
}

impl Definition {
    pub fn random(random: &mut Random, number: usize) -> Self {
        let table = &TABLES[random.below(TABLES.len())];
        let condition = (!random.one_in(6)).then(|| Condition::random(random, table));
        let some = table.has_key && random.one_in(3);
        let columns = some.then(|| SHARED.into_iter().filter(|_| random.one_in(2)).collect());
        Self { number, table, condition, columns, full: random.one_in(2) }
    }

    pub fn shape(&self, engine: &Engine) -> Shape {
        let mut shape = engine.shape(self.table.sql);
        if let Some(condition) = &self.condition {
            shape = shape.with("where", &condition.ours);
            for (at, value) in condition.params.iter().enumerate() {
                shape = shape.with(&format!("params[{}]", at + 1), value);
            }
        }
        if let Some(columns) = &self.columns {
            let all: Vec<_> = columns.iter().chain(self.table.key_columns).copied().collect();
            shape = shape.with("columns", &all.join(","));
        }
        if self.full { shape.with("replica", "full") } else { shape }
    }

    /// The column and the text by which a reader knows the last row.
    pub fn last_row(&self) -> (&'static str, String) {
        self.table.last_key(self.number).1
    }

    /// The same on Postgres, with every column.
    pub fn query(&self) -> String {
        let condition = self.condition.as_ref().map_or("true", |condition| &condition.theirs);
        let settings = "SET bytea_output = hex; SET timezone = UTC; SET intervalstyle = iso_8601";
        format!("{settings}; SELECT * FROM {} WHERE {condition}", self.table.sql)
    }

    /// What of a row readers see.
    pub fn select(&self, mut row: Row) -> Row {
        if let Some(columns) = &self.columns {
            row.retain(|name, _| !SHARED.contains(&name.as_str()) || columns.contains(&name.as_str()));
        }
        row
    }
}

/// One transaction with the last row of every shape of a table.
pub fn last_rows(table: &Table, definitions: &[Definition]) -> String {
    let own = definitions.iter().filter(|definition| definition.table.sql == table.sql);
    let inserts = own.map(|definition| {
        let none = BTreeMap::new();
        let given = definition.condition.as_ref().map_or(&none, |condition| &condition.satisfied_by);
        let columns = table.key_columns.iter().chain(given.keys()).copied().collect::<Vec<_>>().join(", ");
        let mut values = table.last_key(definition.number).0;
        values.extend(given.values().cloned());
        format!("INSERT INTO {} ({columns}) VALUES ({});", table.sql, values.join(", "))
    });
    format!("BEGIN; {} COMMIT", inserts.collect::<String>())
}

impl Condition {
    fn random(random: &mut Random, table: &Table) -> Self {
        let first = Self::term(random, table, 1);
        if random.one_in(2) {
            return first;
        }
        let second = Self::term(random, table, 1 + first.params.len());
        let apart = first.satisfied_by.keys().all(|column| !second.satisfied_by.contains_key(column));
        match random.below(3) {
            0 | 1 if apart => first.and(second),
            2 => first.unless(second),
            _ => first.or(second),
        }
    }

    fn term(random: &mut Random, table: &Table, param: usize) -> Self {
        let number = random.below(12);
        let status = random.pick(&["open", "closed", "it's"]);
        let plain = |text: String, column, value: &str| Self::new(&text, column, value.to_owned());
        match random.below(16) {
            0 => plain(format!("grp = {number}"), "grp", &number.to_string()),
            1 => plain(format!("grp <> {number}"), "grp", "77"),
            2 => plain(format!("grp IN ({number}, 3, 5)"), "grp", "5"),
            3 => plain(format!("{number} >= grp"), "grp", "0"),
            4 => plain("grp * 2 - 1 > score".to_owned(), "grp", "9").given("score", "1.5"),
            5 => plain("status LIKE 'o%'".to_owned(), "status", "'odd'"),
            6 => plain("status IS NULL".to_owned(), "status", "NULL"),
            7 => plain("status is not null".to_owned(), "status", "''"),
            8 => plain("score < 2.5".to_owned(), "score", "-100"),
            9 => plain("done".to_owned(), "done", "true"),
            10 => plain("NOT done".to_owned(), "done", "false"),
            11 => plain("note NOT LIKE '%a%'".to_owned(), "note", "'xyz'"),
            12 => plain("body IS NOT NULL".to_owned(), "body", "'b'"),
            13 => Self { satisfied_by: BTreeMap::new(), ..plain(table.key_condition.to_owned(), "", "") },
            14 => Self::with_param(format!("grp = ${param}"), "grp", &number.to_string()),
            _ => Self::with_param(format!("status = ${param}"), "status", status),
        }
    }

    fn new(text: &str, column: &'static str, value: String) -> Self {
        let satisfied_by = BTreeMap::from([(column, value)]);
        Self { ours: text.to_owned(), theirs: text.to_owned(), params: Vec::new(), satisfied_by }
    }

    /// A text that ends in its parameter.
    fn with_param(text: String, column: &'static str, value: &str) -> Self {
        let literal = format!("'{}'", value.replace('\'', "''"));
        let (before, _) = text.split_once('$').expect("a parameter");
        let theirs = format!("{before}{literal}");
        Self { theirs, params: vec![value.to_owned()], ..Self::new(&text, column, literal) }
    }

    fn given(mut self, column: &'static str, value: &str) -> Self {
        self.satisfied_by.insert(column, value.to_owned());
        self
    }

    fn and(mut self, other: Self) -> Self {
        self.satisfied_by.extend(other.satisfied_by.clone());
        self.joined("AND", other)
    }

    fn or(self, other: Self) -> Self {
        self.joined("or", other)
    }

    fn unless(mut self, other: Self) -> Self {
        self.ours = format!("NOT ({})", self.ours);
        self.theirs = format!("NOT ({})", self.theirs);
        self.satisfied_by = other.satisfied_by.clone();
        self.joined("OR", other)
    }

    fn joined(mut self, word: &str, other: Self) -> Self {
        self.ours = format!("({}) {word} {}", self.ours, other.ours);
        self.theirs = format!("({}) {word} {}", self.theirs, other.theirs);
        self.params.extend(other.params);
        self
    }
}
