//! `LIKE` on UTF-8: `%` is any text, `_` one character, a backslash takes the next character as it is.

use super::value::Failure;

/// Whether the whole text matches. Fails where Postgres, walking in the same order, comes to a backslash at the pattern's end.
pub fn matches(text: &[u8], pattern: &[u8]) -> Result<bool, Failure> {
    let (mut at, mut want) = (0, 0);
    // Behind the last `%`: where its remainder was tried in the text, and where the remainder begins.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if want < pattern.len() && pattern[want] == b'%' {
            while want < pattern.len() && matches!(pattern[want], b'%' | b'_') {
                if pattern[want] == b'_' {
                    if at >= text.len() {
                        return Ok(false);
                    }
                    at = next_character(text, at);
                }
                want += 1;
            }
            if want == pattern.len() {
                return Ok(true);
            }
            if pattern[want] == b'\\' && want + 1 == pattern.len() {
                return Err(Failure);
            }
            retry = Some((at, want));
        }
        if at == text.len() {
            // The rest of the pattern is not empty-able: only `%` could be, and that was handled above.
            return Ok(want == pattern.len());
        }
        match step(text, at, pattern, want)? {
            Some((next_at, next_want)) => (at, want) = (next_at, next_want),
            None => match retry {
                Some((tried, rest)) => {
                    at = next_character(text, tried);
                    want = rest;
                    retry = Some((at, rest));
                }
                None => return Ok(false),
            },
        }
    }
}

/// Takes one pattern character against the text, which is not at its end.
fn step(text: &[u8], at: usize, pattern: &[u8], want: usize) -> Result<Option<(usize, usize)>, Failure> {
    let same = |want: usize| (pattern[want] == text[at]).then_some((at + 1, want + 1));
    match pattern.get(want) {
        None => Ok(None),
        Some(b'_') => Ok(Some((next_character(text, at), want + 1))),
        Some(b'\\') if want + 1 == pattern.len() => Err(Failure),
        Some(b'\\') => Ok(same(want + 1)),
        Some(_) => Ok(same(want)),
    }
}

fn next_character(text: &[u8], at: usize) -> usize {
    let mut next = at + 1;
    while text.get(next).is_some_and(|byte| byte & 0xC0 == 0x80) {
        next += 1;
    }
    next
}
