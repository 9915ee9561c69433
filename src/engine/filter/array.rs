//! Arrays: their text to elements and back. A value of an array type is kept as the text that Postgres prints; every operation
//! reads it, so a row that is not asked about its array does not pay for it.
//!
//! Source: `array_in`, `array_out` and the other functions of Postgres' `arrayfuncs.c`.

pub mod compare;
pub mod edit;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use smallvec::SmallVec;

/// The most dimensions that Postgres allows.
pub const MAX_DIMENSIONS: usize = 6;

/// One array. All sub-arrays of a dimension have the same length.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Array<'a> {
    /// Outermost first; none for the empty array.
    pub dimensions: SmallVec<[Dimension; 2]>,
    /// Row by row, each as its type prints it; `None` is NULL.
    pub elements: Vec<Element<'a>>,
}

/// The text of an element, as its type prints it.
pub type Element<'a> = Option<Cow<'a, [u8]>>;

/// How many parts a dimension has, and the index of the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimension {
    pub length: usize,
    pub first: i32,
}

impl Dimension {
    /// The index of the last part.
    pub fn last(self) -> i64 {
        i64::from(self.first) + self.length as i64 - 1
    }
}

impl<'a> Array<'a> {
    /// An array of one dimension that begins at 1.
    pub fn of(elements: Vec<Element<'a>>) -> Array<'a> {
        let mut dimensions = SmallVec::new();
        if !elements.is_empty() {
            dimensions.push(Dimension { length: elements.len(), first: 1 });
        }
        Array { dimensions, elements }
    }

    /// Reads what Postgres prints, and what a client may write: blanks around braces and elements are skipped. Elements are
    /// taken as they are written. `None` for what is no array, and for forms on which versions of Postgres differ: nested empty
    /// braces.
    pub fn read(text: &'a [u8]) -> Option<Array<'a>> {
        let mut reader = Reader { text, at: 0 };
        reader.blanks();
        let declared = reader.declared()?;
        let (lengths, elements) = reader.braces()?;
        reader.blanks();
        (reader.at == text.len()).then_some(())?;
        if declared.is_empty() {
            let dimensions = lengths.iter().map(|length| Dimension { length: *length, first: 1 }).collect();
            return Some(Array { dimensions, elements });
        }
        let same = declared.len() == lengths.len()
            && declared.iter().zip(&lengths).all(|(dimension, length)| dimension.length == *length);
        same.then_some(Array { dimensions: declared, elements })
    }

    /// Postgres' output form.
    pub fn print(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if self.dimensions.iter().any(|dimension| dimension.first != 1) {
            for dimension in &self.dimensions {
                text.extend_from_slice(format!("[{}:{}]", dimension.first, dimension.last()).as_bytes());
            }
            text.push(b'=');
        }
        let Some((inner, _)) = self.dimensions.split_last() else {
            return b"{}".to_vec();
        };
        // How many elements each brace of a dimension holds.
        let mut sizes: SmallVec<[usize; MAX_DIMENSIONS]> = SmallVec::new();
        let mut size = inner.length;
        sizes.push(size);
        for dimension in self.dimensions.iter().rev().skip(1) {
            size = size.saturating_mul(dimension.length);
            sizes.push(size);
        }
        for (index, element) in self.elements.iter().enumerate() {
            let opened = sizes.iter().filter(|size| index % **size == 0).count();
            text.extend((index > 0).then_some(b','));
            text.extend(std::iter::repeat_n(b'{', opened));
            print_element(&mut text, element.as_deref());
            let closed = sizes.iter().filter(|size| (index + 1) % **size == 0).count();
            text.extend(std::iter::repeat_n(b'}', closed));
        }
        text
    }

    /// The same array with every element converted.
    pub fn map<E>(self, mut convert: impl FnMut(Cow<'a, [u8]>) -> Result<Cow<'a, [u8]>, E>) -> Result<Array<'a>, E> {
        let elements: Result<Vec<Element<'a>>, E> =
            self.elements.into_iter().map(|element| element.map(&mut convert).transpose()).collect();
        Ok(Array { dimensions: self.dimensions, elements: elements? })
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn print_element(text: &mut Vec<u8>, element: Option<&[u8]>) {
    let Some(element) = element else {
        return text.extend_from_slice(b"NULL");
    };
    let special = |byte: &u8| is_blank(*byte) || matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',');
    if !element.is_empty() && !element.eq_ignore_ascii_case(b"null") && !element.iter().any(special) {
        return text.extend_from_slice(element);
    }
    text.push(b'"');
    for byte in element {
        text.extend(matches!(byte, b'"' | b'\\').then_some(b'\\'));
        text.push(*byte);
    }
    text.push(b'"');
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn next(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let taken = self.next() == Some(wanted);
        self.at += usize::from(taken);
        taken
    }

    fn blanks(&mut self) {
        while self.next().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    /// `[0:2][1:3]=`, or nothing.
    fn declared(&mut self) -> Option<SmallVec<[Dimension; 2]>> {
        let mut dimensions = SmallVec::new();
        while self.take(b'[') {
            let first = self.integer()?;
            self.take(b':').then_some(())?;
            let last = self.integer()?;
            self.take(b']').then_some(())?;
            let length = i64::from(last) - i64::from(first) + 1;
            // The index behind the last must be one, too.
            (length > 0 && last < i32::MAX && dimensions.len() < MAX_DIMENSIONS).then_some(())?;
            dimensions.push(Dimension { length: usize::try_from(length).ok()?, first });
        }
        (dimensions.is_empty() || self.take(b'=')).then_some(dimensions)
    }

    fn integer(&mut self) -> Option<i32> {
        let start = self.at;
        self.at += usize::from(matches!(self.next(), Some(b'-' | b'+')));
        while self.next().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        std::str::from_utf8(self.text.get(start..self.at)?).ok()?.parse().ok()
    }

    /// Everything from the first brace to the last: the length of each dimension, and the elements.
    fn braces(&mut self) -> Option<(SmallVec<[usize; 2]>, Vec<Element<'a>>)> {
        let mut elements = Vec::new();
        // Of the braces that are open: how many parts they had so far.
        let mut open: SmallVec<[usize; MAX_DIMENSIONS]> = SmallVec::new();
        let mut lengths = [None; MAX_DIMENSIONS];
        let mut depth_of_elements = None;
        loop {
            self.blanks();
            if self.take(b'{') {
                (open.len() < depth_of_elements.unwrap_or(MAX_DIMENSIONS)).then_some(())?;
                open.push(0);
                self.blanks();
                if self.next() == Some(b'}') {
                    self.at += 1;
                    return (open.len() == 1 && elements.is_empty()).then(|| (SmallVec::new(), elements));
                }
                continue;
            }
            (open.len() == *depth_of_elements.get_or_insert(open.len()) && !open.is_empty()).then_some(())?;
            elements.push(self.element()?);
            // Behind a part: another one, or the end of the brace around it, which is a part itself.
            loop {
                self.blanks();
                *open.last_mut()? += 1;
                if self.take(b',') {
                    break;
                }
                self.take(b'}').then_some(())?;
                let length = open.pop()?;
                let known = lengths.get_mut(open.len())?.get_or_insert(length);
                (*known == length).then_some(())?;
                if open.is_empty() {
                    let lengths = lengths.iter().copied().flatten().collect();
                    return Some((lengths, elements));
                }
            }
        }
    }

    fn element(&mut self) -> Option<Element<'a>> {
        if self.take(b'"') {
            return self.quoted().map(Some);
        }
        let rest = self.text.get(self.at..)?;
        let end = rest.iter().position(|byte| matches!(byte, b',' | b'{' | b'}' | b'"' | b'\\'))?;
        if rest.get(end) == Some(&b'\\') {
            return self.escaped().map(Some);
        }
        let written = rest.get(..end)?;
        self.at += end;
        let kept = written.iter().rposition(|byte| !is_blank(*byte))? + 1;
        let written = written.get(..kept)?;
        Some((!written.eq_ignore_ascii_case(b"null")).then_some(Cow::Borrowed(written)))
    }

    /// An element without quotes that has a backslash: it takes the next character as it is, also a blank at the end, and makes
    /// `null` a text.
    fn escaped(&mut self) -> Option<Cow<'a, [u8]>> {
        let (mut element, mut kept) = (Vec::new(), 0);
        loop {
            match self.next()? {
                b',' | b'{' | b'}' | b'"' => break,
                b'\\' => {
                    self.at += 1;
                    element.push(self.next()?);
                    kept = element.len();
                }
                byte => {
                    element.push(byte);
                    kept = if is_blank(byte) { kept } else { element.len() };
                }
            }
            self.at += 1;
        }
        element.truncate(kept);
        Some(Cow::Owned(element))
    }

    fn quoted(&mut self) -> Option<Cow<'a, [u8]>> {
        let rest = self.text.get(self.at..)?;
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        if rest.get(end) == Some(&b'"') {
            self.at += end + 1;
            return rest.get(..end).map(Cow::Borrowed);
        }
        let mut unquoted = Vec::new();
        loop {
            let byte = self.next()?;
            self.at += 1;
            match byte {
                b'"' => return Some(Cow::Owned(unquoted)),
                b'\\' => {
                    unquoted.push(self.next()?);
                    self.at += 1;
                }
                byte => unquoted.push(byte),
            }
        }
    }
}
