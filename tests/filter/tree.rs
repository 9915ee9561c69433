//! An expression as a tree, so that one which fails can be made smaller.

use plue_sync::engine::tables::quote_literal;

/// An expression: pieces of text, parameters, and the expressions between them.
#[derive(Debug, Clone)]
pub struct Tree {
    /// What the grammar calls its type.
    pub class: String,
    /// The rule's form; `column` or `literal`.
    pub form: &'static str,
    /// What it counts for, if it is a rule.
    pub feature: Option<&'static str>,
    pub parts: Vec<Part>,
    /// Whether it stands in parentheses.
    pub wrapped: bool,
}

#[derive(Debug, Clone)]
pub enum Part {
    Text(String),
    /// The value of a parameter: `$n` for us, a literal for Postgres.
    Parameter(String),
    Tree(Tree),
}

/// An expression in the two texts that must mean the same.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Condition {
    pub ours: String,
    pub params: Vec<String>,
    pub theirs: String,
}

impl Tree {
    pub fn leaf(class: &str, form: &'static str, part: Part) -> Tree {
        Tree { class: class.to_owned(), form, feature: None, parts: vec![part], wrapped: false }
    }

    pub fn condition(&self) -> Condition {
        let mut condition = Condition::default();
        // The parentheses of a whole condition say nothing.
        self.print_parts(&mut condition);
        condition
    }

    fn print(&self, to: &mut Condition) {
        if self.wrapped {
            to.push("(");
        }
        self.print_parts(to);
        if self.wrapped {
            to.push(")");
        }
    }

    fn print_parts(&self, to: &mut Condition) {
        for part in &self.parts {
            match part {
                Part::Text(text) => to.push(text),
                Part::Parameter(value) => {
                    to.params.push(value.clone());
                    to.ours.push_str(&format!("${}", to.params.len()));
                    to.theirs.push_str(&quote_literal(value));
                }
                Part::Tree(tree) => tree.print(to),
            }
        }
    }

    /// Every feature in it, with repetitions.
    pub fn features(&self) -> Vec<&'static str> {
        let mut found = Vec::new();
        self.visit(&mut |tree| found.extend(tree.feature));
        found
    }

    /// Every rule in it, sorted: what two failures of one cause have in common.
    pub fn forms(&self) -> Vec<&'static str> {
        let mut found = Vec::new();
        self.visit(&mut |tree| found.push(tree.form));
        found.retain(|form| *form != "literal");
        found.sort_unstable();
        found.dedup();
        found
    }

    pub fn size(&self) -> usize {
        let mut size = 0;
        self.visit(&mut |_| size += 1);
        size
    }

    fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Tree)) {
        see(self);
        for child in self.children() {
            child.visit(see);
        }
    }

    fn children(&self) -> impl Iterator<Item = &Tree> {
        self.parts.iter().filter_map(|part| match part {
            Part::Tree(tree) => Some(tree),
            _ => None,
        })
    }

    /// Smaller trees: each subtree replaced by one of its own class within it, or by a literal.
    pub fn smaller(&self) -> Vec<Tree> {
        let mut found = Vec::new();
        for within in self.children() {
            within.visit(&mut |tree| {
                if tree.class == self.class {
                    found.push(tree.clone());
                }
            });
        }
        if !matches!(self.form, "literal" | "column") {
            for text in simplest(&self.class) {
                found.push(Tree::leaf(&self.class, "literal", Part::Text((*text).to_owned())));
            }
        }
        for (place, part) in self.parts.iter().enumerate() {
            let Part::Tree(child) = part else { continue };
            for mut smaller in child.smaller() {
                smaller.wrapped |= child.wrapped && !matches!(smaller.form, "literal" | "column");
                let mut whole = self.clone();
                whole.parts[place] = Part::Tree(smaller);
                found.push(whole);
            }
        }
        found
    }
}

impl Condition {
    fn push(&mut self, text: &str) {
        self.ours.push_str(text);
        self.theirs.push_str(text);
    }
}

/// What stands for an expression of a class in a smaller tree.
fn simplest(class: &str) -> &'static [&'static str] {
    match class {
        "bool" => &["true", "NULL", "ba"],
        "num" | "int" | "int4" | "int8" | "int2" => &["1", "NULL", "ia"],
        "float8" | "float" => &["ga"],
        "numeric" => &["1.5", "na"],
        "str" | "text" | "pattern" => &["'a'", "NULL", "ta"],
        "date" | "moment" => &["da"],
        "timestamp" => &["pa"],
        "timestamptz" => &["za"],
        "time" => &["ha"],
        "interval" => &["ya"],
        "uuid" => &["ua"],
        "mood" => &["ea"],
        "json" => &["ja"],
        "jsonb" => &["oa"],
        _ => &["NULL"],
    }
}
