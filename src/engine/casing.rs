//! Capitals and small letters: what the database makes of those beyond ASCII, and how we do the same.
//!
//! A collation decides. Those of the C library (and Postgres' own since 17) map each character for itself by Unicode's simple
//! mappings, whatever the language, but for a few languages; ICU's map whole texts. So the server is asked, with every table, whether
//! its default collation maps a sample of letters as we do. Where it does not, only letters of ASCII have two cases here, and the
//! SQL says `COLLATE "C"`, which is the same.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// Which letters of a column's strings have two cases; of a type without a collation, which letters of its text have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Casing {
    /// Those of ASCII: the collation is C.
    #[default]
    Ascii,
    /// The collation is the database's own, and maps characters as [`lower`] and [`upper`] do.
    Unicode,
    /// Nobody knows.
    Other,
}

impl Casing {
    /// By its name in the result of [`query`].
    pub fn named(name: &str) -> Casing {
        match name {
            "ascii" => Casing::Ascii,
            "unicode" => Casing::Unicode,
            _ => Casing::Other,
        }
    }
}

/// Scripts of which Unicode has not changed a case for long: Latin, Greek, Cyrillic, Armenian, Coptic, Glagolitic, full width.
/// Letters of others, and the newest of these, are not mapped.
const KNOWN: [(char, char); 13] = [
    ('\0', '\u{19a}'),
    ('\u{19c}', '\u{24f}'),
    ('\u{250}', '\u{252}'),
    ('\u{370}', '\u{52f}'),
    ('\u{531}', '\u{587}'),
    ('\u{1e00}', '\u{1fff}'),
    ('\u{2126}', '\u{2184}'),
    ('\u{24b6}', '\u{24e9}'),
    ('\u{2c00}', '\u{2c2e}'),
    ('\u{2c30}', '\u{2c5e}'),
    ('\u{2c80}', '\u{2cf3}'),
    ('\u{fb00}', '\u{fb17}'),
    ('\u{ff21}', '\u{ff5a}'),
];

/// Whether some language takes another character for the same letter.
pub fn has_other_case(character: char) -> bool {
    let same = |cases: Vec<char>| cases == [character];
    !(same(character.to_lowercase().collect()) && same(character.to_uppercase().collect()))
}

/// Whether [`lower`] and [`upper`] know it: it has no cases, or is a letter of a script that we map.
pub fn is_known(character: char) -> bool {
    KNOWN.iter().any(|(first, last)| (*first..=*last).contains(&character)) || !has_other_case(character)
}

/// The small letter, by Unicode's simple mapping; `None` if it is not known.
pub fn lower(character: char) -> Option<char> {
    match character {
        'İ' => Some('i'),
        _ if is_known(character) => Some(simple(character, character.to_lowercase())),
        _ => None,
    }
}

/// The capital, by Unicode's simple mapping; `None` if it is not known.
pub fn upper(character: char) -> Option<char> {
    let beside = |distance: u32| char::from_u32(u32::from(character) + distance);
    match character {
        // Greek letters with an iota have one with an iota as a title, which is their capital here.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => beside(8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => beside(9),
        _ if is_known(character) => Some(simple(character, character.to_uppercase())),
        _ => None,
    }
}

/// A mapping to several characters is not simple, and leaves the character as it is.
fn simple(character: char, mut mapped: impl ExactSizeIterator<Item = char>) -> char {
    if mapped.len() == 1 { mapped.next().unwrap_or(character) } else { character }
}

/// SQL that gives the name of a column's casing, where `a` is its row in `pg_attribute` and `l` that in `pg_collation`.
pub fn query() -> String {
    let mut sample = String::new();
    for character in sample_letters() {
        let (lower, upper) = (lower(character).unwrap_or(character), upper(character).unwrap_or(character));
        let separator = if sample.is_empty() { "" } else { "," };
        let codes = (u32::from(character), u32::from(lower), u32::from(upper));
        write!(sample, "{separator}({},{},{})", codes.0, codes.1, codes.2).expect("a string takes it");
    }
    // The characters are made one by one behind the test of the encoding: others cannot hold them.
    format!(
        "CASE WHEN l.collprovider = 'c' AND l.collctype IN ('C', 'POSIX') THEN 'ascii'
              WHEN a.attcollation NOT IN (0, 'pg_catalog.\"default\"'::regcollation) OR getdatabaseencoding() <> 'UTF8' THEN 'other'
              ELSE (SELECT CASE WHEN bool_and(lower(chr(c)) = chr(lo) AND upper(chr(c)) = chr(up)) THEN 'unicode'
                                WHEN bool_and(c < 128 OR lower(chr(c)) = chr(c) AND upper(chr(c)) = chr(c)) THEN 'ascii'
                                ELSE 'other' END
                    FROM (VALUES {sample}) AS sample (c, lo, up)) END"
    )
}

/// Letters on which languages and libraries differ, and one of every few of the others.
fn sample_letters() -> impl Iterator<Item = char> {
    let special = "iIİıßŉǰΐΣσςǅǆΰևẞẖﬀﬁᾳᾼᾀᾈΩKÅſⅷⓐ".chars();
    let all = KNOWN.iter().flat_map(|(first, last)| *first..=*last).filter(|character| has_other_case(*character));
    special.chain(all.step_by(13))
}

#[cfg(test)]
mod tests {
    use super::{is_known, lower, upper};

    #[test]
    fn each_character_is_mapped_for_itself() {
        //   character, small, capital
        let cases = [
            ('a', Some('a'), Some('A')),
            ('É', Some('é'), Some('É')),
            ('ß', Some('ß'), Some('ß')),
            ('Σ', Some('σ'), Some('Σ')),
            ('ς', Some('ς'), Some('Σ')),
            ('İ', Some('i'), Some('İ')),
            ('ı', Some('ı'), Some('I')),
            ('ǅ', Some('ǆ'), Some('Ǆ')),
            ('ᾳ', Some('ᾳ'), Some('ᾼ')),
            ('K', Some('k'), Some('K')),
            ('日', Some('日'), Some('日')),
            ('😀', Some('😀'), Some('😀')),
            // Deseret.
            ('𐐀', None, None),
        ];
        for (character, small, capital) in cases {
            assert_eq!((lower(character), upper(character)), (small, capital), "{character}");
            assert_eq!(is_known(character), small.is_some(), "{character}");
        }
    }
}
