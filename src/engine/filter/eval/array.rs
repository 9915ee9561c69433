//! Evaluates what the grammar has for arrays.

use bytes::Bytes;

use super::{evaluate, unpadded};
use crate::engine::filter::array::Array;
use crate::engine::filter::array::edit::Bounds;
use crate::engine::filter::catalog::arguments::Arguments;
use crate::engine::filter::catalog::{Body, Function, Outcome};
use crate::engine::filter::functions::array::{element as as_element, read, wrapped};
use crate::engine::filter::tree::Node;
use crate::engine::filter::types::Type;
use crate::engine::filter::value::{Failure, Value};

type Row<'a> = &'a [Option<Bytes>];

/// The value of an index or bound; NULL is `None`.
fn index(node: &Node, row: Row<'_>) -> Result<Option<i32>, Failure> {
    match evaluate(node, row)? {
        Some(Value::Int(value)) => i32::try_from(value).map(Some).map_err(|_| Failure),
        Some(_) => Err(Failure),
        None => Ok(None),
    }
}

pub fn element<'a>(ty: Type, array: &'a Node, indexes: &'a [Node], row: Row<'a>) -> Outcome<'a> {
    let Some(value) = evaluate(array, row)? else { return Ok(None) };
    // All are evaluated before one is looked at: each may fail.
    let given: Result<Vec<Option<i32>>, Failure> = indexes.iter().map(|node| index(node, row)).collect();
    let Some(given) = given?.into_iter().collect::<Option<Vec<i32>>>() else { return Ok(None) };
    let value = Some(value);
    let array = read(value.as_ref())?;
    array.element(&given).map(|text| Value::read(ty, text).map(Value::into_owned)).transpose()
}

pub fn slice<'a>(array: &'a Node, bounds: &'a [(Option<Node>, Option<Node>)], row: Row<'a>) -> Outcome<'a> {
    let value = evaluate(array, row)?;
    let Some(Value::Array(ty, _)) = value else { return Ok(None) };
    let mut given = Vec::with_capacity(bounds.len());
    let mut null = false;
    for (low, high) in bounds {
        let mut bound = [None, None];
        for (node, bound) in [low, high].into_iter().zip(&mut bound) {
            if let Some(node) = node {
                *bound = index(node, row)?;
                null |= bound.is_none();
            }
        }
        let [low, high] = bound;
        given.push(Bounds { low, high });
    }
    if null {
        return Ok(None);
    }
    let array = read(value.as_ref())?;
    Ok(Some(wrapped(ty, &array.slice(&given))))
}

pub fn construct<'a>(ty: Type, list: &'a [Node], row: Row<'a>) -> Outcome<'a> {
    let ty = ty.element().ok_or(Failure)?;
    let nested = list.first().is_some_and(|part| part.ty.element().is_some());
    let mut values = Vec::with_capacity(list.len());
    for part in list {
        values.push(evaluate(part, row)?);
    }
    let array = if nested {
        let parts: Result<Vec<_>, Failure> =
            values.iter().map(|value| value.as_ref().map(|value| read(Some(value))).transpose()).collect();
        Array::nest(parts?)?
    } else {
        Array::of(values.into_iter().map(|value| as_element(ty, value)).collect())
    };
    Ok(Some(wrapped(ty, &array)))
}

/// Of several dimensions, every element counts. NULL elements make the result NULL unless another one decides.
pub fn quantified<'a>(all: bool, function: &Function, value: &'a Node, array: &'a Node, row: Row<'a>) -> Outcome<'a> {
    let (left, right) = (evaluate(value, row)?, evaluate(array, row)?);
    if right.is_none() {
        return Ok(None);
    }
    let ty = array.ty.element().ok_or(Failure)?;
    let read = read(right.as_ref())?;
    if read.elements.is_empty() {
        return Ok(Some(Value::Bool(all)));
    }
    let Some(left) = left else { return Ok(None) };
    let mut unknown = false;
    for element in &read.elements {
        let result = match element {
            Some(text) => holds(function, (value.ty, &left), (ty, Value::read(ty, text)?))?,
            None => None,
        };
        match result {
            Some(result) if result != all => return Ok(Some(Value::Bool(result))),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { None } else { Some(Value::Bool(all)) })
}

/// One operator on two values, which are not NULL.
fn holds(function: &Function, left: (Type, &Value<'_>), right: (Type, Value<'_>)) -> Result<Option<bool>, Failure> {
    let (left_value, right_value) = (left.1.borrow(), right.1);
    match function.body {
        Body::Compare(comparison) => {
            let order = unpadded(left.0, left_value).compare(&unpadded(right.0, right_value))?;
            Ok(Some(comparison.holds(order)))
        }
        Body::Run(run) => {
            let mut arguments = Arguments { values: Default::default(), types: Default::default(), result: Type::Bool };
            arguments.values.extend([Some(left_value), Some(right_value)]);
            arguments.types.extend([left.0, right.0]);
            match run(&mut arguments)? {
                Some(Value::Bool(result)) => Ok(Some(result)),
                Some(_) => Err(Failure),
                None => Ok(None),
            }
        }
        Body::Missing => Err(Failure),
    }
}
