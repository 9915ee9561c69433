//! Random conditions from the grammar.

use std::collections::HashMap;

use plue_sync::engine::tables::quote_literal;

use super::grammar::{RULES, Rule, VARIABLES, WORDS};
use super::tree::{Part, Tree};
use super::values::{KINDS, NUMBERS, PATTERNS, REGEXES, SPELLINGS};
use crate::support::Random;

/// Columns whose names need quotes, or look as if: class and name.
pub const ODD_NAMES: &[(&str, &str, &str)] = &[
    ("int4", "int4", "\"Odd \"\"Col\""),
    ("text", "text", "\"select\""),
    ("int4", "int4", "käse"),
    ("bool", "bool", "\"A\""),
];

/// A class and the narrower ones whose rules also make it.
const WITHIN: &[(&str, &[&str])] = &[
    ("num", &["int"]),
    ("str", &["text"]),
    ("int4", &["int"]),
    ("int8", &["int"]),
    ("moment", &["date", "timestamp", "timestamptz"]),
];

pub struct Generator {
    pub random: Random,
    /// The values of each kind that this server takes, in the order of `KINDS`.
    values: Vec<Vec<&'static str>>,
}

/// What the variables of one form stand for.
type Bound = HashMap<String, String>;

impl Generator {
    pub fn new(random: Random, values: Vec<Vec<&'static str>>) -> Self {
        Self { random, values }
    }

    /// A condition: half of them around a rule that is chosen evenly, so that none is rare.
    pub fn condition(&mut self) -> Tree {
        let depth = [0, 0, 1, 1, 1, 2, 2, 3][self.random.below(8)];
        if self.random.one_in(2) {
            return self.by_rule("bool", depth).unwrap_or_else(|| self.leaf("bool"));
        }
        let rule = &RULES[self.random.below(RULES.len())];
        let class = match rule.result {
            "T" => self.variable("T"),
            "E[]" => format!("{}[]", self.variable("E")),
            class => class.to_owned(),
        };
        let tree = self.from(rule, &class, depth);
        if class == "bool" { tree } else { self.tested(tree, &class) }
    }

    /// A test of an expression that is no condition yet.
    fn tested(&mut self, mut tree: Tree, class: &str) -> Tree {
        tree.wrapped = self.random.one_in(2);
        let comparison = self.pick_word("cmp");
        let mut parts = match class {
            "json" => vec![Part::Tree(tree), Part::Text("::text = ".into())],
            _ => vec![Part::Tree(tree), Part::Text(format!(" {comparison} "))],
        };
        let other = if class == "json" { "text" } else { class };
        parts.push(Part::Tree(self.leaf(other)));
        Tree { class: "bool".into(), form: "tested", feature: None, parts, wrapped: false }
    }

    fn by_rule(&mut self, class: &str, depth: usize) -> Option<Tree> {
        let within = WITHIN.iter().find(|(wide, _)| *wide == class).map_or(&[][..], |(_, narrow)| narrow);
        let fits = |rule: &&Rule| {
            let array = rule.result == "E[]" && class.ends_with("[]");
            rule.result == class || rule.result == "T" || array || within.contains(&rule.result)
        };
        let rules: Vec<&Rule> = RULES.iter().filter(fits).collect();
        if rules.is_empty() || matches!(class, "composite" | "domain" | "other" | "any" | "array") {
            return None;
        }
        let rule = rules[self.random.below(rules.len())];
        Some(self.from(rule, class, depth))
    }

    /// An expression of a class, at most `depth` rules deep.
    fn expression(&mut self, class: &str, depth: usize) -> Tree {
        if class == "any" && self.random.one_in(4) {
            let class = self.variable("S");
            return self.expression(&class, depth);
        }
        if class == "array" && depth > 0 && self.random.one_in(3) {
            let class = format!("{}[]", self.variable("E"));
            return self.expression(&class, depth);
        }
        if depth > 0
            && !self.random.one_in(3)
            && let Some(mut tree) = self.by_rule(class, depth - 1)
        {
            tree.wrapped = !self.random.one_in(5);
            return tree;
        }
        self.leaf(class)
    }

    fn from(&mut self, rule: &Rule, class: &str, depth: usize) -> Tree {
        let mut bound = Bound::new();
        match rule.result {
            "T" => drop(bound.insert("T".into(), class.to_owned())),
            "E[]" => drop(bound.insert("E".into(), class.trim_end_matches("[]").to_owned())),
            _ => {}
        }
        let mut parts = Vec::new();
        let mut pieces = rule.form.split('{');
        let style = self.random.below(12);
        parts.push(Part::Text(self.styled(pieces.next().unwrap_or_default(), style)));
        for piece in pieces {
            let (name, text) = piece.split_once('}').expect("a closed brace in a form");
            parts.push(self.filled(name, depth, &mut bound));
            parts.push(Part::Text(self.styled(text, style)));
        }
        Tree { class: class.to_owned(), form: rule.form, feature: Some(rule.feature), parts, wrapped: false }
    }

    fn filled(&mut self, name: &str, depth: usize, bound: &mut Bound) -> Part {
        if let Some(list) = name.strip_prefix('@') {
            return Part::Text(self.pick_word(list).to_owned());
        }
        let (name, no_parameter) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
        let (name, array) = name.strip_suffix("[]").map_or((name, ""), |name| (name, "[]"));
        let class = match bound.get(name) {
            Some(class) => class.clone(),
            None if VARIABLES.iter().any(|(variable, _)| *variable == name) => {
                let class = self.variable(name);
                bound.insert(name.to_owned(), class.clone());
                class
            }
            None => name.to_owned(),
        };
        let mut tree = self.expression(&format!("{class}{array}"), depth);
        if let ([Part::Parameter(value)], true) = (tree.parts.as_slice(), no_parameter) {
            tree.parts = vec![Part::Text(quote_literal(value))];
        }
        Part::Tree(tree)
    }

    fn variable(&mut self, name: &str) -> String {
        let (_, classes) = VARIABLES.iter().find(|(variable, _)| *variable == name).expect("a variable of the grammar");
        self.random.pick(classes).to_owned()
    }

    fn pick_word(&mut self, list: &str) -> &'static str {
        let (_, words) = WORDS.iter().find(|(name, _)| *name == list).unwrap_or_else(|| panic!("no words {list}"));
        self.random.pick(words)
    }

    /// The same words written in another way.
    fn styled(&mut self, text: &str, style: usize) -> String {
        match style {
            0 | 1 => text.to_lowercase(),
            2 => text.replace(' ', "\n "),
            3 => text.replace(' ', " /* a 'comment */ "),
            4 => text.replace(' ', "\t -- and (another\n"),
            _ => text.to_owned(),
        }
    }

    pub fn leaf(&mut self, class: &str) -> Tree {
        match class {
            "pattern" if !self.random.one_in(5) => self.one_of("pattern", PATTERNS),
            "pattern" => self.column("str"),
            "regex" if !self.random.one_in(8) => self.one_of("regex", REGEXES),
            "regex" => self.column("text"),
            "any" | "composite" | "domain" | "array" => self.column(class),
            _ if self.random.one_in(24) => Tree::leaf(class, "literal", Part::Text("NULL".into())),
            _ if self.random.below(5) < 3 => self.column(class),
            _ => self.literal(class),
        }
    }

    fn column(&mut self, class: &str) -> Tree {
        let fits = |classes: &[&str]| class == "any" || classes.contains(&class);
        let odd: Vec<_> = ODD_NAMES.iter().filter(|(own, _, _)| fits(&[own])).collect();
        if !odd.is_empty() && self.random.one_in(24) {
            let (_, _, name) = odd[self.random.below(odd.len())];
            return Tree::leaf(class, "column", Part::Text((*name).to_owned()));
        }
        let kinds: Vec<_> = KINDS.iter().filter(|kind| fits(kind.classes)).collect();
        let kind = kinds[self.random.below(kinds.len())];
        let name = format!("{}{}", kind.name, self.random.pick(&["a", "b"]));
        let name = match self.random.below(24) {
            0 => format!("\"{name}\""),
            1 => name.to_uppercase(),
            _ => name,
        };
        Tree::leaf(class, "column", Part::Text(name))
    }

    fn one_of(&mut self, class: &str, texts: &[&'static str]) -> Tree {
        let text = self.random.pick(texts);
        let part = if self.random.one_in(4) { Part::Parameter(text.into()) } else { Part::Text(quote_literal(text)) };
        Tree::leaf(class, "literal", part)
    }

    fn literal(&mut self, class: &str) -> Tree {
        if matches!(class, "num" | "int" | "int4" | "int8" | "numeric" | "float8") && !self.random.one_in(3) {
            return Tree::leaf(class, "literal", Part::Text(self.random.pick(NUMBERS).to_owned()));
        }
        if class == "bool" && !self.random.one_in(3) {
            return Tree::leaf(class, "literal", Part::Text(self.random.pick(&["true", "FALSE", "True"]).to_owned()));
        }
        let fitting: Vec<usize> = (0..KINDS.len()).filter(|at| KINDS[*at].classes.contains(&class)).collect();
        let at = fitting[self.random.below(fitting.len())];
        let spellings = SPELLINGS.iter().find(|(name, _)| KINDS[at].classes[0] == *name);
        let value = match spellings {
            Some((_, spellings)) if self.random.one_in(4) => self.random.pick(spellings),
            _ => self.values[at][self.random.below(self.values[at].len())],
        };
        self.written(class, value, KINDS[at].sql)
    }

    /// A value in one of the many ways to write it.
    fn written(&mut self, class: &str, value: &str, sql: &str) -> Tree {
        let quoted = quote_literal(value);
        let named = !sql.contains('[') && !matches!(sql, "mood" | "positive" | "pair");
        let (feature, text) = match self.random.below(12) {
            0 => (None, format!("{quoted}::{sql}")),
            1 if named => (Some("typed literal"), format!("{sql} {quoted}")),
            2 => (None, format!("CAST({quoted} AS {sql})")),
            3 | 4 => (Some("parameter"), String::new()),
            5 => (Some("parameter"), format!("::{sql}")),
            6 => (None, format!("'{}'", value.replace('\'', "''"))),
            7 if !value.contains('$') => (Some("dollar string"), format!("$tag${value}$tag$")),
            8 => (Some("unicode string"), format!("U&'{}'", unicode_escaped(value))),
            9 => (Some("escape string"), format!("E'{}'", escaped(value))),
            _ => (None, quoted),
        };
        let mut tree = Tree::leaf(class, "literal", Part::Text(text));
        tree.feature = feature;
        if feature == Some("parameter") {
            tree.parts.insert(0, Part::Parameter(value.to_owned()));
            // Without its cast it is one that some places do not take.
            tree.parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        }
        tree
    }
}

fn unicode_escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "''").replace('é', "\\00e9").replace('😀', "\\+01F600")
}

fn escaped(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n").replace('\t', "\\x09");
    escaped.replace('é', "\\u00e9").replace('😀', "\\U0001F600").replace('1', "\\061")
}
