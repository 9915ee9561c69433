//! Which arrays are equal, come first, contain or overlap others.
//!
//! Source: `array_eq`, `array_cmp`, `array_contain_compare`, `array_overlap`.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Array;
use crate::engine::filter::json;
use crate::engine::filter::types::Type;
use crate::engine::filter::value::{Failure, Value};

/// Postgres' order of two values of a type, given by their output forms. Strings are ordered by their bytes.
///
/// # Errors
///
/// If a text is not what Postgres prints for the type, or the type has no order here.
pub fn order(ty: Type, left: &[u8], right: &[u8]) -> Result<Ordering, Failure> {
    match ty {
        Type::Text | Type::Varchar | Type::Name | Type::Uuid | Type::Bytea => Ok(left.cmp(right)),
        Type::Bpchar => Ok(unpadded(left).cmp(unpadded(right))),
        _ => Value::read(ty, left)?.compare(&Value::read(ty, right)?),
    }
}

/// Whether Postgres' `=` holds for two values of a type, given by their output forms.
///
/// # Errors
///
/// As [`order`].
pub fn same(ty: Type, left: &[u8], right: &[u8]) -> Result<bool, Failure> {
    if left == right {
        return Ok(true);
    }
    match ty {
        Type::Jsonb => json::compare::equal(left, right),
        _ if ty.equal_by_text() => Ok(false),
        _ => Ok(order(ty, left, right)?.is_eq()),
    }
}

/// Blanks at the end of a blank-padded string do not count.
fn unpadded(text: &[u8]) -> &[u8] {
    let kept = text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    text.get(..kept).unwrap_or(text)
}

/// The order of two arrays: the first elements that differ decide, then the number of elements, of dimensions, and the bounds.
/// NULL comes last.
pub fn compare(ty: Type, left: &Array<'_>, right: &Array<'_>) -> Result<Ordering, Failure> {
    for pair in left.elements.iter().zip(&right.elements) {
        let order = match pair {
            (Some(left), Some(right)) => order(ty, left, right)?,
            (left, right) => left.is_none().cmp(&right.is_none()),
        };
        if order.is_ne() {
            return Ok(order);
        }
    }
    let lengths = |array: &Array<'_>| array.dimensions.iter().map(|one| one.length).collect::<Vec<_>>();
    let bounds = |array: &Array<'_>| array.dimensions.iter().map(|one| one.first).collect::<Vec<_>>();
    let order = left.elements.len().cmp(&right.elements.len());
    let order = order.then(left.dimensions.len().cmp(&right.dimensions.len()));
    Ok(order.then_with(|| lengths(left).cmp(&lengths(right))).then_with(|| bounds(left).cmp(&bounds(right))))
}

/// `left @> right`: every element of `right` equals one of `left`; a NULL in `right` never does.
pub fn contains(ty: Type, left: &Array<'_>, right: &Array<'_>) -> Result<bool, Failure> {
    for wanted in &right.elements {
        if !has(ty, left, wanted.as_deref())? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `left && right`: they have an element in common.
pub fn overlap(ty: Type, left: &Array<'_>, right: &Array<'_>) -> Result<bool, Failure> {
    for wanted in &right.elements {
        if has(ty, left, wanted.as_deref())? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has(ty: Type, array: &Array<'_>, wanted: Option<&[u8]>) -> Result<bool, Failure> {
    let Some(wanted) = wanted else { return Ok(false) };
    let mut elements = array.elements.iter().filter_map(Option::as_ref);
    if ty.equal_by_text() {
        return Ok(elements.any(|element| element.as_ref() == wanted));
    }
    for element in elements {
        if same(ty, element, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether `=` holds, or both are NULL.
pub fn not_distinct(ty: Type, left: &Option<Cow<'_, [u8]>>, right: &Option<Cow<'_, [u8]>>) -> Result<bool, Failure> {
    match (left, right) {
        (Some(left), Some(right)) => same(ty, left, right),
        (left, right) => Ok(left.is_none() && right.is_none()),
    }
}
