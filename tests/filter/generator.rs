//! Random conditions over a table with two columns of each type.

use plue_sync::engine::tables::quote_literal;

/// Two columns of each type, `<name>a` and `<name>b`, and the values that they hold.
pub const TYPES: [(&str, &str, &[&str]); 17] = [
    ("b", "bool", &["true", "false"]),
    ("s", "int2", &["0", "1", "-1", "2", "5", "32767", "-32768"]),
    ("i", "int4", &["0", "1", "-1", "2", "3", "5", "7", "100", "2147483647", "-2147483648"]),
    ("l", "int8", &["0", "1", "-1", "5", "9007199254740993", "9223372036854775807", "-9223372036854775808"]),
    (
        "f",
        "float4",
        &["0", "-0", "1", "1.1", "1.5", "-2.5", "0.1", "16777217", "3e38", "1e-45", "NaN", "Infinity", "-Infinity"],
    ),
    (
        "g",
        "float8",
        &["0", "-0", "1", "1.1", "1.5", "0.1", "9007199254740993", "1e308", "5e-324", "NaN", "Infinity", "-Infinity"],
    ),
    (
        "n",
        "numeric",
        &[
            "0",
            "0.00",
            "1",
            "1.0",
            "1.10",
            "1.1",
            "-2.5",
            "0.1",
            "0.00001",
            "12345678901234567890123456789012345678901234567890.5",
            "12345678901234567890123456789012345678901234567890.50001",
            "NaN",
            "Infinity",
            "-Infinity",
            "9007199254740993",
        ],
    ),
    ("t", "text", TEXTS),
    ("v", "varchar(30)", TEXTS),
    ("c", "char(8)", &["", "a", "A", "ab", "ab c", "é", "a_b", "100%", "1", "a\\", "😀"]),
    ("k", "name", &["", "a", "A", "ab", "a ", "é", "a_b", "100%", "1"]),
    (
        "u",
        "uuid",
        &[
            "00000000-0000-0000-0000-000000000000",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
    ),
    (
        "d",
        "date",
        &[
            "2024-02-29",
            "2024-01-01",
            "2000-01-01",
            "1999-12-31",
            "0044-03-15 BC",
            "0001-01-01 BC",
            "4714-11-24 BC",
            "5874897-12-31",
            "12024-05-06",
            "infinity",
            "-infinity",
        ],
    ),
    ("h", "time", &["00:00:00", "24:00:00", "12:34:56", "12:34:56.789", "12:34:56.000001", "23:59:59.999999"]),
    ("p", "timestamp", MOMENTS),
    ("z", "timestamptz", MOMENTS),
    ("e", "mood", &["sad", "ok", "very happy", "it's"]),
];
const TEXTS: &[&str] = &[
    "",
    " ",
    "a",
    "A",
    "ab",
    "ab ",
    " ab",
    "abc",
    "b",
    "é",
    "e\u{301}",
    "😀",
    "a😀b",
    "it's",
    "\"q\"",
    "a\\b",
    "a\\",
    "\\",
    "%",
    "_",
    "100%",
    "a_b",
    "a%b",
    "line\nbreak",
    "1",
    "1.0",
    "true",
    "\u{ffff}",
    "\u{10000}",
    "z",
];
const MOMENTS: &[&str] = &[
    "2024-02-29 12:34:56",
    "2024-01-01 00:00:00",
    "2024-01-01 00:00:00.000001",
    "1999-12-31 23:59:59.999999",
    "0044-03-15 12:00:00 BC",
    "4714-11-24 00:00:00 BC",
    "294276-12-31 23:59:59.999999",
    "12024-05-06 07:08:09.1",
    "infinity",
    "-infinity",
];
const PATTERNS: &[&str] = &[
    "%", "_", "a%", "%b", "%a%", "_b", "a_b", "a\\_b", "a\\%b", "100\\%", "__", "%_", "_%", "%%", "", "a\\\\b", "\\\\",
    "%é%", "_😀_", "%ab", "ab%%_", "%\\\\", "a%b%", "\\a", "%_b", "%c%b",
];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "5",
    "7",
    "- 5",
    "32767",
    "32768",
    "2147483647",
    "2147483648",
    "-2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "1.5",
    "1.1",
    "0.1",
    "1.10",
    ".5",
    "2.",
    "1e3",
    "1e-5",
    "-2.5",
    "9007199254740993",
    "9007199254740992",
    "16777217",
    "12345678901234567890123456789012345678901234567890.5",
];

/// SplitMix64: small, and the same on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    pub fn one_in(&mut self, limit: usize) -> bool {
        self.below(limit) == 0
    }

    pub fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

/// One condition in two texts: ours with parameters, Postgres' with literals in their places.
#[derive(Clone, Default)]
pub struct Text {
    pub ours: String,
    pub theirs: String,
}

impl From<&str> for Text {
    fn from(both: &str) -> Text {
        Text { ours: both.into(), theirs: both.into() }
    }
}

/// `text!("{} = {}", a, b)`, on both sides.
macro_rules! text {
    ($form:literal $(, $part:expr)*) => {
        joined($form, &[$($part),*])
    };
}

fn joined(form: &str, parts: &[Text]) -> Text {
    let fill = |side: fn(&Text) -> &str| {
        let mut pieces = form.split("{}");
        let mut whole = String::from(pieces.next().unwrap_or_default());
        for (part, piece) in parts.iter().zip(pieces) {
            whole.push_str(side(part));
            whole.push_str(piece);
        }
        whole
    };
    Text { ours: fill(|text| &text.ours), theirs: fill(|text| &text.theirs) }
}

#[derive(Clone, Copy, PartialEq)]
enum Family {
    Number,
    String,
    Moment,
    Of(usize),
}

pub struct Generator {
    pub random: Random,
    pub params: Vec<String>,
}

impl Generator {
    /// A condition of at most `2^depth` tests.
    pub fn condition(&mut self, depth: usize) -> Text {
        if depth == 0 || self.random.one_in(3) {
            return self.test();
        }
        let (left, right) = (self.condition(depth - 1), self.condition(depth - 1));
        match self.random.below(9) {
            0 | 1 => text!("{} AND {}", left, right),
            2 | 3 => text!("{} OR {}", left, right),
            4 => text!("NOT {}", left),
            5 => text!("({}) AND ({})", left, right),
            6 => text!("(({}) or {})", left, right),
            7 => text!("NOT ({}) AND {}", left, right),
            _ => {
                let test = self.random.pick(&[
                    "IS TRUE",
                    "is not true",
                    "IS FALSE",
                    "IS NOT FALSE",
                    "IS UNKNOWN",
                    "IS NOT UNKNOWN",
                    "IS NULL",
                ]);
                text!("({}) {}", left, Text::from(test))
            }
        }
    }

    fn test(&mut self) -> Text {
        let family = match self.random.below(8) {
            0..3 => Family::Number,
            3 | 4 => Family::String,
            5 => Family::Moment,
            _ => Family::Of([0, 11, 13, 16][self.random.below(4)]),
        };
        let mut left = self.expression(family, 2);
        if left.ours.starts_with('$') {
            // IN and BETWEEN use it more than once. A parameter keeps the type of its first use there, a literal does not.
            left.ours = left.theirs.clone();
        }
        match self.random.below(14) {
            0 => text!("{} {}", left, Text::from(self.random.pick(&["IS NULL", "IS NOT NULL"]))),
            1 | 2 => {
                let mut list = self.item(family);
                for _ in 0..self.random.below(4) {
                    list = text!("{}, {}", list, self.item(family));
                }
                text!("{} {} ({})", left, Text::from(self.random.pick(&["IN", "NOT IN"])), list)
            }
            3 => {
                let (low, high) = (self.expression(family, 1), self.expression(family, 1));
                text!("{} {} {} AND {}", left, Text::from(self.random.pick(&["BETWEEN", "NOT BETWEEN"])), low, high)
            }
            4 => {
                let right = self.expression(family, 1);
                let sign = self.random.pick(&["IS DISTINCT FROM", "IS NOT DISTINCT FROM"]);
                text!("{} {} {}", left, Text::from(sign), right)
            }
            5 | 6 if family == Family::String => {
                let pattern = match self.random.below(4) {
                    0 => self.expression(family, 1),
                    1 => {
                        let pattern = self.random.pick(PATTERNS);
                        self.parameter(pattern)
                    }
                    _ => quoted(self.random.pick(PATTERNS)),
                };
                text!("{} {} {}", left, Text::from(self.random.pick(&["LIKE", "NOT LIKE"])), pattern)
            }
            _ => {
                let right = self.expression(family, 2);
                let sign = self.random.pick(&["=", "=", "<>", "!=", "<", "<=", ">", ">="]);
                text!("{} {} {}", left, Text::from(sign), right)
            }
        }
    }

    fn item(&mut self, family: Family) -> Text {
        match self.random.below(8) {
            0 => "NULL".into(),
            1 => self.column(family),
            _ => self.literal(family),
        }
    }

    fn expression(&mut self, family: Family, depth: usize) -> Text {
        match self.random.below(12) {
            0..6 => self.column(family),
            6..9 => self.literal(family),
            9 if family == Family::String => text!("{}::text", self.any_column()),
            9 => "NULL".into(),
            10 if self.random.one_in(3) => {
                let to =
                    self.random.pick(&["int4", "int8", "float8", "bool", "text", "numeric", "timestamp", "varchar"]);
                text!("CAST({} AS {})", self.column(family), Text::from(to))
            }
            _ if family == Family::Number && depth > 0 => {
                let (left, right) = (self.expression(family, depth - 1), self.expression(family, depth - 1));
                match self.random.below(10) {
                    0 => text!("- {}", left),
                    1 => text!("+{}", left),
                    2 => text!("-({})", left),
                    3 => text!("({} - {})", left, right),
                    4 => text!("{} / {}", left, right),
                    5 | 6 => text!("{} * {}", left, right),
                    7 => text!("{} - {}", left, right),
                    _ => text!("{} + {}", left, right),
                }
            }
            _ => self.column(family),
        }
    }

    fn type_of(&mut self, family: Family) -> usize {
        match family {
            Family::Number => 1 + self.random.below(6),
            Family::String => 7 + self.random.below(4),
            Family::Moment => [12, 14, 15][self.random.below(3)],
            Family::Of(index) => index,
        }
    }

    fn column(&mut self, family: Family) -> Text {
        let index = self.type_of(family);
        let name = format!("{}{}", TYPES[index].0, self.random.pick(&["a", "b"]));
        name.as_str().into()
    }

    fn any_column(&mut self) -> Text {
        let family = Family::Of(self.random.below(TYPES.len()));
        self.column(family)
    }

    fn literal(&mut self, family: Family) -> Text {
        if family == Family::Number && !self.random.one_in(3) {
            return self.random.pick(NUMBERS).into();
        }
        if family == Family::Of(0) && !self.random.one_in(3) {
            return self.random.pick(&["true", "FALSE", "'yes'", "' of'", "'1'"]).into();
        }
        let (_, type_name, values) = TYPES[self.type_of(family)];
        let value = self.random.pick(values);
        match self.random.below(5) {
            0 if !type_name.contains('(') && !matches!(type_name, "name" | "mood") => {
                text!("{}::{}", quoted(value), Text::from(type_name))
            }
            1 if matches!(type_name, "date" | "time" | "timestamp" | "timestamptz") => {
                text!("{} {}", Text::from(type_name), quoted(value))
            }
            2 => self.parameter(value),
            3 if self.random.one_in(2) => format!("'{}'", value.replace('\'', "''")).as_str().into(),
            3 if !value.contains('$') => text!("$tag${}$tag$", Text::from(value)),
            _ => quoted(value),
        }
    }

    fn parameter(&mut self, value: &str) -> Text {
        self.params.push(value.into());
        Text { ours: format!("${}", self.params.len()), theirs: quote_literal(value) }
    }
}

/// With `E'..'` where there are backslashes.
fn quoted(value: &str) -> Text {
    quote_literal(value).as_str().into()
}
