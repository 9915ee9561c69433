//! The tables of the property test: the same columns under four kinds of key.

use crate::support::{Random, Row};

/// A table of the property test.
pub struct Table {
    /// As in SQL, and as the parameter `table`.
    pub sql: &'static str,
    /// As in a key.
    quoted: &'static str,
    /// What its columns begin with, up to those that all tables have.
    columns: &'static str,
    constraint: &'static str,
    /// Columns of the key as in SQL, in key order; of the table without a key the one that makes rows differ.
    pub key_columns: &'static [&'static str],
    /// Names of the columns that its readers' keys consist of.
    key: &'static [&'static str],
    pub has_key: bool,
    /// A condition on the key that the last rows satisfy.
    pub key_condition: &'static str,
}

/// What every table has beside its key; `body` is stored out of line where it is long.
pub const SHARED: [&str; 6] = ["grp", "status", "score", "note", "done", "body"];
const SHARED_TYPES: &str = "grp int, status text, score numeric(8,2), note varchar(60), done bool, body text";

pub const TABLES: [Table; 4] = [
    Table {
        sql: "items",
        quoted: r#""public"."items""#,
        columns: "id int",
        constraint: ", PRIMARY KEY (id)",
        key_columns: &["id"],
        key: &["id"],
        has_key: true,
        key_condition: "id > 30",
    },
    Table {
        sql: r#""Odd.""Na me/""#,
        quoted: r#""public"."Odd.""Na me/""#,
        columns: r#""Key, Id" text"#,
        constraint: r#", PRIMARY KEY ("Key, Id")"#,
        key_columns: &[r#""Key, Id""#],
        key: &["Key, Id"],
        has_key: true,
        key_condition: r#""Key, Id" LIKE '%1%'"#,
    },
    Table {
        sql: "public.pairs",
        quoted: r#""public"."pairs""#,
        columns: "b text, a int",
        constraint: ", PRIMARY KEY (a, b)",
        key_columns: &["a", "b"],
        key: &["a", "b"],
        has_key: true,
        key_condition: "a < 3",
    },
    Table {
        sql: "loose",
        quoted: r#""public"."loose""#,
        columns: "n bigint",
        constraint: "",
        key_columns: &["n"],
        key: &["n", "grp", "status", "score", "note", "done", "body"],
        has_key: false,
        key_condition: "n > 20",
    },
];

/// The statements that make all tables.
pub fn create() -> String {
    let tables = TABLES.iter().map(|table| {
        let Table { sql, columns, constraint, .. } = table;
        format!("CREATE TABLE {sql} ({columns}, {SHARED_TYPES}{constraint}); ALTER TABLE {sql} ALTER body SET STORAGE EXTERNAL;")
    });
    tables.collect::<String>() + "CREATE SEQUENCE loose_n;"
}

impl Table {
    /// The key with a number, as SQL for each of [`Table::key_columns`].
    pub fn key_values(&self, number: usize) -> Vec<String> {
        match self.sql {
            "items" => vec![number.to_string()],
            "public.pairs" => vec![(number % 7).to_string(), format!("'b/{}'", number / 7)],
            "loose" => vec!["nextval('loose_n')".to_owned()],
            _ => vec![format!("'k/{number}\"\\'")],
        }
    }

    /// A condition for one row, that may be there.
    pub fn one_row(&self, random: &mut Random, keys: usize) -> String {
        if !self.has_key {
            return format!("n = (SELECT max(n) FROM loose) - {}", random.below(20));
        }
        let values = self.key_values(random.below(keys));
        let terms = self.key_columns.iter().zip(values).map(|(column, value)| format!("{column} = {value}"));
        terms.collect::<Vec<_>>().join(" AND ")
    }

    /// The key of the last row of the shape with this number: as SQL, and the column and text by which a reader knows it.
    pub fn last_key(&self, shape: usize) -> (Vec<String>, (&'static str, String)) {
        let number = (1_000_000 + shape).to_string();
        match self.sql {
            "items" => (vec![number.clone()], ("id", number)),
            "public.pairs" => (vec!["0".to_owned(), format!("'last {number}'")], ("b", format!("last {number}"))),
            "loose" => (vec![number.clone()], ("n", number)),
            _ => (vec![format!("'last {number}'")], ("Key, Id", format!("last {number}"))),
        }
    }

    /// A row's key, as the protocol spells it.
    pub fn key(&self, row: &Row) -> String {
        let part = |name: &&str| match &row[*name] {
            Some(value) => format!("/\"{}\"", value.replace('/', "//")),
            None => "/_".to_owned(),
        };
        self.quoted.to_owned() + &self.key.iter().map(part).collect::<String>()
    }
}
