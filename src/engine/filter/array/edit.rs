//! Parts of arrays, and arrays of parts.
//!
//! Source: `array_get_element`, `array_get_slice`, `array_cat`, `array_append`, `array_prepend`, `array_position_common`,
//! `ExecEvalArrayExpr`.

use smallvec::SmallVec;

use super::compare::not_distinct;
use super::{Array, Dimension, Element, MAX_DIMENSIONS};
use crate::engine::filter::types::Type;
use crate::engine::filter::value::Failure;

/// The bounds of one subscript of a slice, `[low:high]`. `None` is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    pub low: Option<i32>,
    pub high: Option<i32>,
}

impl<'a> Array<'a> {
    /// `array[i][j]`: NULL outside of the array, and with too few or too many indexes.
    pub fn element(&self, indexes: &[i32]) -> Option<&[u8]> {
        if indexes.len() != self.dimensions.len() {
            return None;
        }
        let mut position = 0usize;
        for (index, dimension) in indexes.iter().zip(&self.dimensions) {
            let offset = usize::try_from(i64::from(*index) - i64::from(dimension.first)).ok()?;
            (offset < dimension.length).then_some(())?;
            position = position.checked_mul(dimension.length)?.checked_add(offset)?;
        }
        self.elements.get(position)?.as_deref()
    }

    /// `array[a:b][c:d]`: what lies within the bounds, counted from 1; the whole of dimensions without bounds. Empty if nothing
    /// does, or if there are more bounds than dimensions.
    pub fn slice(&self, bounds: &[Bounds]) -> Array<'a> {
        if bounds.len() > self.dimensions.len() {
            return Array::default();
        }
        let mut ranges: SmallVec<[(usize, usize); MAX_DIMENSIONS]> = SmallVec::new();
        for (index, dimension) in self.dimensions.iter().enumerate() {
            let Bounds { low, high } = bounds.get(index).copied().unwrap_or_default();
            let low = low.map_or(i64::from(dimension.first), |low| i64::from(low).max(dimension.first.into()));
            let high = high.map_or(dimension.last(), |high| i64::from(high).min(dimension.last()));
            let offset = |index: i64| usize::try_from(index - i64::from(dimension.first)).unwrap_or_default();
            if low > high {
                return Array::default();
            }
            ranges.push((offset(low), offset(high)));
        }
        let inside = |position: usize| {
            let mut rest = position;
            self.dimensions.iter().zip(&ranges).rev().all(|(dimension, (low, high))| {
                let offset = rest % dimension.length;
                rest /= dimension.length;
                (*low..=*high).contains(&offset)
            })
        };
        let elements = self.elements.iter().enumerate().filter(|(position, _)| inside(*position));
        Array {
            dimensions: ranges.iter().map(|(low, high)| Dimension { length: high - low + 1, first: 1 }).collect(),
            elements: elements.map(|(_, element)| element.clone()).collect(),
        }
    }

    /// `array || array`. A sub-array may be added to an array of them at either end.
    ///
    /// # Errors
    ///
    /// If the dimensions do not fit together.
    pub fn concatenate(self, other: Array<'a>) -> Result<Array<'a>, Failure> {
        if other.dimensions.is_empty() {
            return Ok(self);
        }
        if self.dimensions.is_empty() {
            return Ok(other);
        }
        let (left, right) = (self.dimensions.len(), other.dimensions.len());
        let mut dimensions = if left >= right { self.dimensions.clone() } else { other.dimensions.clone() };
        let (outer, inner) = dimensions.split_first_mut().ok_or(Failure)?;
        let fits = match left.abs_diff(right) {
            0 => {
                outer.length = self.dimensions[0].length + other.dimensions[0].length;
                other.dimensions[1..] == *inner
            }
            1 => {
                outer.length += 1;
                let part = if left < right { &self.dimensions } else { &other.dimensions };
                part[..] == *inner
            }
            _ => false,
        };
        if !fits || outer.last() >= i64::from(i32::MAX) {
            return Err(Failure);
        }
        let mut elements = self.elements;
        elements.extend(other.elements);
        Ok(Array { dimensions, elements })
    }

    /// `array || element`, at the end.
    ///
    /// # Errors
    ///
    /// If the array has several dimensions.
    pub fn append(mut self, element: Element<'a>) -> Result<Array<'a>, Failure> {
        self.grow()?;
        self.elements.push(element);
        Ok(self)
    }

    /// `element || array`; the first index stays the same.
    ///
    /// # Errors
    ///
    /// As [`Array::append`].
    pub fn prepend(mut self, element: Element<'a>) -> Result<Array<'a>, Failure> {
        self.grow()?;
        self.elements.insert(0, element);
        Ok(self)
    }

    fn grow(&mut self) -> Result<(), Failure> {
        match self.dimensions.as_mut_slice() {
            [] => self.dimensions.push(Dimension { length: 1, first: 1 }),
            [only] if only.last() + 1 < i64::from(i32::MAX) => only.length += 1,
            _ => return Err(Failure),
        }
        Ok(())
    }

    /// The index of the first element that equals `wanted`, where NULL equals NULL, from the index `from` on.
    ///
    /// # Errors
    ///
    /// If the array has several dimensions.
    pub fn position(&self, ty: Type, wanted: &Element<'_>, from: Option<i32>) -> Result<Option<i64>, Failure> {
        let first = match self.dimensions.as_slice() {
            [] => return Ok(None),
            [only] => i64::from(only.first),
            _ => return Err(Failure),
        };
        for (index, element) in (first..).zip(&self.elements) {
            if from.is_none_or(|from| index >= i64::from(from)) && not_distinct(ty, element, wanted)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// `ARRAY[a, b, ..]` where the parts are arrays themselves. `None` is NULL, which counts as an empty array.
    ///
    /// # Errors
    ///
    /// If the parts have different dimensions, or too many.
    pub fn nest(parts: Vec<Option<Array<'a>>>) -> Result<Array<'a>, Failure> {
        let length = parts.len();
        let parts: Vec<Array<'a>> = parts.into_iter().map(Option::unwrap_or_default).collect();
        let inner = parts.first().map(|part| part.dimensions.clone()).unwrap_or_default();
        if parts.iter().any(|part| part.dimensions != inner) || inner.len() == MAX_DIMENSIONS {
            return Err(Failure);
        }
        if inner.is_empty() {
            return Ok(Array::default());
        }
        let mut dimensions: SmallVec<[Dimension; 2]> = SmallVec::new();
        dimensions.push(Dimension { length, first: 1 });
        dimensions.extend(inner);
        Ok(Array { dimensions, elements: parts.into_iter().flat_map(|part| part.elements).collect() })
    }
}
