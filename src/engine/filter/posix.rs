//! Regular expressions: Postgres' "advanced" ones translated to those of the `regex` crate, where both mean the same.
//!
//! A condition only asks whether a text matches, so that greediness and the order of alternatives do not count. Characters are
//! classed and folded as in the collation `C`: letters, digits and blanks are those of ASCII, and so the SQL says `COLLATE "C"`.
//! What only Postgres has is refused: back references, lookaround, collating elements, other flavours.
//!
//! Source: `lex` and `lexescape` of Postgres' `regc_lex.c`, `parseqatom` and `brackpart` of `regcomp.c`.

mod set;
#[cfg(test)]
mod tests;
use regex::{Regex, RegexBuilder};

use self::set::Set;
use crate::engine::casing::has_other_case;

/// A compiled pattern takes no more than this, so that shapes cannot eat the memory; a larger one is refused.
const MAX_COMPILED_BYTES: usize = 256 << 10;
/// Its cache while it runs, for each thread that runs it at the same time.
const MAX_CACHE_BYTES: usize = 256 << 10;
/// Postgres' own limit for `{m,n}`.
const MAX_REPEATS: u32 = 255;
const MAX_GROUPS: usize = 100;

/// Compiles a pattern of `~`, or with `fold` of `~*`. The error says what of it is not supported.
pub fn compile(pattern: &str, fold: bool) -> Result<Regex, String> {
    let translated = translate(pattern, fold)?;
    let mut builder = RegexBuilder::new(&translated);
    builder.dot_matches_new_line(true).size_limit(MAX_COMPILED_BYTES).dfa_size_limit(MAX_CACHE_BYTES);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too complex".into(),
        _ => "the regular expression is not supported".into(),
    })
}

fn translate(pattern: &str, fold: bool) -> Result<String, String> {
    let mut translator = Translator { rest: pattern, fold, out: String::new(), open: 0, last: Last::Nothing };
    translator.options()?;
    while translator.token()? {}
    if translator.open > 0 {
        return Err("parentheses of the regular expression are not balanced".into());
    }
    Ok(translator.out)
}

/// What stands before a quantifier.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// The beginning of a branch.
    Nothing,
    Atom,
    /// `^`, `\y`: matches no characters.
    Constraint,
    Quantifier,
}

struct Translator<'a> {
    rest: &'a str,
    fold: bool,
    out: String,
    open: usize,
    last: Last,
}

/// What an escape stands for.
enum Escape {
    Character(char),
    Class(Set),
    Constraint(&'static str),
}

impl Translator<'_> {
    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    fn take(&mut self, wanted: &str) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// `(?i)` and its like, only at the very beginning.
    fn options(&mut self) -> Result<(), String> {
        if self.rest.starts_with("***") {
            return Err("the prefix *** is not supported in regular expressions".into());
        }
        let letters = self.rest.strip_prefix("(?").and_then(|rest| rest.split_once(')'));
        let Some((letters, rest)) = letters else { return Ok(()) };
        if letters.is_empty() || !letters.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Ok(());
        }
        for letter in letters.chars() {
            match letter {
                'i' => self.fold = true,
                'c' => self.fold = false,
                // Both say how it is anyway.
                's' | 't' => {}
                _ => return Err(format!("the option \"{letter}\" is not supported in regular expressions")),
            }
        }
        self.rest = rest;
        Ok(())
    }

    fn token(&mut self) -> Result<bool, String> {
        let Some(character) = self.next() else { return Ok(false) };
        match character {
            '|' => {
                self.out.push('|');
                self.last = Last::Nothing;
            }
            '(' => self.group()?,
            ')' if self.open == 0 => return Err("parentheses of the regular expression are not balanced".into()),
            ')' => {
                self.open -= 1;
                self.out.push(')');
                self.last = Last::Atom;
            }
            '*' | '+' | '?' => self.quantifier(character.to_string())?,
            '{' if self.rest.starts_with(|next: char| next.is_ascii_digit()) => {
                let bounds = self.bounds()?;
                self.quantifier(bounds)?;
            }
            '^' => self.constraint("\\A"),
            '$' => self.constraint("\\z"),
            '.' => self.atom("."),
            '[' => {
                let set = self.bracket()?;
                self.set(&set);
            }
            '\\' => match self.escape()? {
                Escape::Character(character) => self.character(character)?,
                Escape::Class(set) => self.set(&set),
                Escape::Constraint(constraint) => self.constraint(constraint),
            },
            character => self.character(character)?,
        }
        Ok(true)
    }

    fn group(&mut self) -> Result<(), String> {
        let plain = !self.rest.starts_with('?') || self.take("?:");
        if !plain {
            return Err("of the groups that begin with (? only (?: is supported in regular expressions".into());
        }
        self.open += 1;
        if self.open > MAX_GROUPS {
            return Err("the regular expression is nested too deeply".into());
        }
        self.out.push_str("(?:");
        self.last = Last::Nothing;
        Ok(())
    }

    fn quantifier(&mut self, quantifier: String) -> Result<(), String> {
        if self.last != Last::Atom {
            return Err("a quantifier of the regular expression has nothing to repeat".into());
        }
        // Prefers the shortest match: the same matches.
        self.take("?");
        self.out.push_str(&quantifier);
        self.last = Last::Quantifier;
        Ok(())
    }

    /// `m}`, `m,}` or `m,n}`.
    fn bounds(&mut self) -> Result<String, String> {
        let wrong = || "a bound of the regular expression is not {m}, {m,} or {m,n} with numbers up to 255".to_owned();
        let (written, rest) = self.rest.split_once('}').ok_or_else(wrong)?;
        self.rest = rest;
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = if plain { digits.parse::<u32>().ok() } else { None };
            number.filter(|number| *number <= MAX_REPEATS).ok_or_else(wrong)
        };
        match written.split_once(',') {
            None => Ok(format!("{{{}}}", number(written)?)),
            Some((low, "")) => Ok(format!("{{{},}}", number(low)?)),
            Some((low, high)) => {
                let (low, high) = (number(low)?, number(high)?);
                if low <= high { Ok(format!("{{{low},{high}}}")) } else { Err(wrong()) }
            }
        }
    }

    fn constraint(&mut self, constraint: &str) {
        self.out.push_str(constraint);
        self.last = Last::Constraint;
    }

    fn atom(&mut self, atom: &str) {
        self.out.push_str(atom);
        self.last = Last::Atom;
    }

    fn character(&mut self, character: char) -> Result<(), String> {
        self.check_case(character)?;
        if self.fold && character.is_ascii_alphabetic() {
            let (lower, upper) = (character.to_ascii_lowercase(), character.to_ascii_uppercase());
            self.atom(&format!("[{upper}{lower}]"));
        } else {
            self.atom(&regex::escape(character.encode_utf8(&mut [0; 4])));
        }
        Ok(())
    }

    /// Beyond ASCII the database's locale decides what is a capital of what.
    fn check_case(&self, character: char) -> Result<(), String> {
        if self.fold && !character.is_ascii() && has_other_case(character) {
            return Err(format!("only ASCII letters match regardless of case, not \"{character}\""));
        }
        Ok(())
    }

    fn set(&mut self, set: &Set) {
        let set = if self.fold { set.clone().folded() } else { set.clone() };
        self.atom(&set.print());
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<Escape, String> {
        let Some(character) = self.next() else {
            return Err("the regular expression ends with a backslash".into());
        };
        let wrong = || Err(format!("the escape \\{character} is not supported in regular expressions"));
        Ok(match character {
            'a' => Escape::Character('\u{7}'),
            'b' => Escape::Character('\u{8}'),
            'B' => Escape::Character('\\'),
            'e' => Escape::Character('\u{1b}'),
            'f' => Escape::Character('\u{c}'),
            'n' => Escape::Character('\n'),
            'r' => Escape::Character('\r'),
            't' => Escape::Character('\t'),
            'v' => Escape::Character('\u{b}'),
            'u' => Escape::Character(self.hexadecimal(4)?),
            'U' => Escape::Character(self.hexadecimal(8)?),
            'd' => Escape::Class(Set::class("digit").unwrap_or_default()),
            's' => Escape::Class(Set::class("space").unwrap_or_default()),
            'w' => Escape::Class(Set::word()),
            'D' => Escape::Class(Set::class("digit").unwrap_or_default().negated()),
            'S' => Escape::Class(Set::class("space").unwrap_or_default().negated()),
            'W' => Escape::Class(Set::word().negated()),
            'A' => Escape::Constraint("\\A"),
            'Z' => Escape::Constraint("\\z"),
            'm' => Escape::Constraint("(?-u:\\b{start})"),
            'M' => Escape::Constraint("(?-u:\\b{end})"),
            'y' => Escape::Constraint("(?-u:\\b)"),
            _ if character.is_ascii_alphanumeric() || !character.is_ascii() => return wrong(),
            _ => Escape::Character(character),
        })
    }

    fn hexadecimal(&mut self, digits: usize) -> Result<char, String> {
        let wrong = || format!("an escape with {digits} hexadecimal digits has others in the regular expression");
        let (written, rest) = self.rest.split_at_checked(digits).ok_or_else(wrong)?;
        if !written.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        self.rest = rest;
        let code = u32::from_str_radix(written, 16).ok().filter(|code| *code != 0);
        code.and_then(char::from_u32).ok_or_else(wrong)
    }

    /// A bracket expression behind its `[`.
    fn bracket(&mut self) -> Result<Set, String> {
        let negated = self.take("^");
        let mut set = Set::default();
        let mut first = true;
        loop {
            if !first && self.take("]") {
                break;
            }
            self.part(&mut set, first)?;
            first = false;
        }
        let set = if self.fold { set.folded() } else { set };
        Ok(if negated { set.negated() } else { set })
    }

    /// A character, range or class in brackets.
    fn part(&mut self, set: &mut Set, first: bool) -> Result<(), String> {
        let low = match self.next() {
            None => return Err("the brackets of the regular expression are not balanced".into()),
            Some('[') if self.rest.starts_with([':', '.', '=']) => {
                set.add(&self.class()?);
                return self.no_range();
            }
            Some('-') if !first && !self.rest.starts_with(']') => return Err(unclear_hyphen()),
            Some('\\') => match self.escape()? {
                Escape::Character(character) => character,
                // Complements are an error here before Postgres 14.
                Escape::Class(class) if !class.is_negated() => {
                    set.add(&class);
                    return self.no_range();
                }
                _ => return Err("this escape is not supported in brackets of regular expressions".into()),
            },
            Some(character) => character,
        };
        let range = self.rest.starts_with('-') && !self.rest.starts_with("-]");
        if !range {
            self.check_case(low)?;
            set.add_range(low, low);
            return Ok(());
        }
        self.next();
        let high = match self.next() {
            Some('\\') => match self.escape()? {
                Escape::Character(character) => character,
                _ => return Err(unclear_hyphen()),
            },
            Some('[') if self.rest.starts_with([':', '.', '=']) => return Err(unclear_hyphen()),
            Some(']' | '-') | None => return Err(unclear_hyphen()),
            Some(character) => character,
        };
        if low > high {
            return Err("a range of the regular expression ends before it begins".into());
        }
        if self.fold && !high.is_ascii() {
            return Err(format!("only ASCII letters match regardless of case, not the range up to \"{high}\""));
        }
        set.add_range(low, high);
        self.no_range()
    }

    /// A range cannot begin with what was read.
    fn no_range(&self) -> Result<(), String> {
        let range = self.rest.starts_with('-') && !self.rest.starts_with("-]");
        if range { Err(unclear_hyphen()) } else { Ok(()) }
    }

    fn class(&mut self) -> Result<Set, String> {
        let named = self.rest.strip_prefix(':').and_then(|rest| rest.split_once(":]"));
        let found = named.and_then(|(name, rest)| Some((Set::class(name)?, rest)));
        let Some((set, rest)) = found else {
            return Err("this class is not supported in brackets of regular expressions".into());
        };
        self.rest = rest;
        Ok(set)
    }
}

fn unclear_hyphen() -> String {
    "a hyphen in brackets of a regular expression must stand first, last, or between two characters".into()
}
