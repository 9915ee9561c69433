//! Rows in the text format of COPY.
//!
//! Source: Postgres, `COPY`, "Text Format". Only the escapes that `COPY TO` writes are read.

/// Splits a line into fields, NULL as `None`. `scratch` holds their text.
///
/// Returns `None` if the line does not have `count` fields or ends within an escape.
pub fn fields<'a>(line: &[u8], count: usize, scratch: &'a mut Vec<u8>) -> Option<Vec<Option<&'a [u8]>>> {
    scratch.clear();
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut ends = Vec::with_capacity(count);
    for field in line.split(|byte| *byte == b'\t') {
        let null = field == b"\\N";
        if !null {
            unescape(field, scratch)?;
        }
        ends.push((scratch.len(), null));
    }
    if ends.len() != count {
        return None;
    }
    let mut start = 0;
    let text = |(end, null): (usize, bool)| {
        let field = &scratch[std::mem::replace(&mut start, end)..end];
        (!null).then_some(field)
    };
    Some(ends.into_iter().map(text).collect())
}

fn unescape(field: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = field;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        out.push(match rest.get(at + 1)? {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => *other,
        });
        rest = &rest[at + 2..];
    }
    out.extend_from_slice(rest);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_copy_become_fields() {
        type Fields<'a> = Option<Vec<Option<&'a [u8]>>>;
        let cases: [(&[u8], usize, Fields); 8] = [
            (b"1\tone\n", 2, Some(vec![Some(b"1"), Some(b"one")])),
            (b"\\N\t\n", 2, Some(vec![None, Some(b"")])),
            (b"\n", 1, Some(vec![Some(b"")])),
            (b"a\\tb\\nc\\\\d\\be\\ff\\rg\\v\n", 1, Some(vec![Some(b"a\tb\nc\\d\x08e\x0cf\rg\x0b")])),
            (b"\\\\N\n", 1, Some(vec![Some(b"\\N")])),
            (b"1\t2\n", 3, None),
            (b"1\t2\n", 1, None),
            (b"cut\\", 1, None),
        ];
        for (line, count, expected) in cases {
            let mut scratch = Vec::new();
            assert_eq!(fields(line, count, &mut scratch), expected, "{line:?}");
        }
    }
}
