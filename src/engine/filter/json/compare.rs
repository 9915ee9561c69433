//! Which `jsonb` values are equal, contain others, or have a key.
//!
//! Source: `compareJsonbContainers`, `JsonbDeepContains`, `jsonb_exists` of Postgres' `jsonb_util.c` and `jsonb_op.c`.

use super::scan::{Scanner, Shape, shape, unescape};
use super::tree::Tree;
use crate::engine::filter::value::Failure;

/// `=` of two texts of `jsonb`: numbers by value, `1.0` is `1`.
pub fn equal(left: &[u8], right: &[u8]) -> Result<bool, Failure> {
    if left == right {
        return Ok(true);
    }
    Ok(same(&Tree::read(left)?, &Tree::read(right)?))
}

fn same(left: &Tree<'_>, right: &Tree<'_>) -> bool {
    match (left, right) {
        (Tree::Number(left), Tree::Number(right)) => left.compare(right).is_eq(),
        (Tree::Array(left), Tree::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Tree::Object(left), Tree::Object(right)) => {
            let pairs = || left.iter().zip(right);
            left.len() == right.len() && pairs().all(|(left, right)| left.0 == right.0 && same(&left.1, &right.1))
        }
        (left, right) => left == right,
    }
}

/// `left @> right`.
pub fn contains(left: &[u8], right: &[u8]) -> Result<bool, Failure> {
    let (left, right) = (Tree::read(left)?, Tree::read(right)?);
    Ok(match (&left, &right) {
        // An array contains a scalar that is one of its items, but only at the top.
        (Tree::Array(items), right) if right.is_scalar() => items.iter().any(|item| same(item, right)),
        _ => within(&left, &right),
    })
}

fn within(left: &Tree<'_>, right: &Tree<'_>) -> bool {
    match (left, right) {
        (Tree::Object(_), Tree::Object(members)) => {
            members.iter().all(|(name, wanted)| left.member(name).is_some_and(|own| within(own, wanted)))
        }
        (Tree::Array(items), Tree::Array(wanted)) => wanted.iter().all(|wanted| {
            items.iter().any(|own| if wanted.is_scalar() { same(own, wanted) } else { within(own, wanted) })
        }),
        (left, right) => left.is_scalar() && same(left, right),
    }
}

/// `json ? key`: a name of the object, a string of the array, or the string itself.
pub fn exists(json: &[u8], key: &[u8]) -> Result<bool, Failure> {
    match shape(json) {
        Some(Shape::Object) => {
            let mut scanner = Scanner::inside(json)?;
            while let Some((name, _)) = scanner.member()? {
                if unescape(name)?.as_ref() == key {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Some(Shape::Array) => {
            let mut scanner = Scanner::inside(json)?;
            while let Some(item) = scanner.item()? {
                if shape(item) == Some(Shape::String) && unescape(item)?.as_ref() == key {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Some(Shape::String) => Ok(unescape(json)?.as_ref() == key),
        _ => Ok(false),
    }
}
