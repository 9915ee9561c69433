//! Sets of characters: what brackets and classes stand for.

/// Some characters, or with `negated` all others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Set {
    /// The class of this name, as the collation `C` has it.
    pub fn class(name: &str) -> Option<Set> {
        let ranges: &[(char, char)] = match name {
            "alpha" => &[('A', 'Z'), ('a', 'z')],
            "digit" => &[('0', '9')],
            "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
            "upper" => &[('A', 'Z')],
            "lower" => &[('a', 'z')],
            "space" => &[('\t', '\r'), (' ', ' ')],
            "blank" => &[('\t', '\t'), (' ', ' ')],
            "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
            "print" => &[(' ', '~')],
            "graph" => &[('!', '~')],
            "cntrl" => &[('\0', '\u{1f}'), ('\u{7f}', '\u{9f}')],
            "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
            _ => return None,
        };
        Some(Set { negated: false, ranges: ranges.to_vec() })
    }

    /// `\w`.
    pub fn word() -> Set {
        let mut set = Set::class("alnum").unwrap_or_default();
        set.add_range('_', '_');
        set
    }

    pub fn is_negated(&self) -> bool {
        self.negated
    }

    pub fn negated(mut self) -> Set {
        self.negated = !self.negated;
        self
    }

    pub fn add_range(&mut self, low: char, high: char) {
        self.ranges.push((low, high));
    }

    pub fn add(&mut self, other: &Set) {
        self.ranges.extend_from_slice(&other.ranges);
    }

    /// With both cases of every ASCII letter in it.
    pub fn folded(mut self) -> Set {
        let other = |letter: char| {
            if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
        };
        for (low, high) in self.ranges.clone() {
            for (first, last) in [('A', 'Z'), ('a', 'z')] {
                let (low, high) = (low.max(first), high.min(last));
                if low <= high {
                    self.ranges.push((other(low), other(high)));
                }
            }
        }
        self
    }

    /// In the syntax of the `regex` crate.
    pub fn print(&self) -> String {
        let mut text = String::from(if self.negated { "[^" } else { "[" });
        for (low, high) in &self.ranges {
            text.push_str(&format!("\\u{{{:x}}}-\\u{{{:x}}}", u32::from(*low), u32::from(*high)));
        }
        text.push(']');
        text
    }
}
