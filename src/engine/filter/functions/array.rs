//! Operators and functions on arrays.

use std::borrow::Cow;

use crate::engine::filter::array::{Array, Element, compare};
use crate::engine::filter::catalog::arguments::Arguments;
use crate::engine::filter::catalog::casts::{Context, Pathway, pathway};
use crate::engine::filter::catalog::{Collation, Outcome, Rows};
use crate::engine::filter::types::Type::{self, *};
use crate::engine::filter::value::{Failure, Value};

pub fn add(rows: &mut Rows) {
    rows.order(AnyArray, AnyArray);
    rows.strict("@>", [AnyArray, AnyArray], Bool, |a| test(a, compare::contains)).collation = Collation::Known;
    rows.strict("<@", [AnyArray, AnyArray], Bool, |a| test(a, |ty, left, right| compare::contains(ty, right, left)))
        .collation = Collation::Known;
    rows.strict("&&", [AnyArray, AnyArray], Bool, |a| test(a, compare::overlap)).collation = Collation::Known;
    for name in ["||", "array_cat"] {
        rows.nullable(name, [AnyCompatibleArray, AnyCompatibleArray], AnyCompatibleArray, concatenate);
    }
    for name in ["||", "array_append"] {
        rows.nullable(name, [AnyCompatibleArray, AnyCompatible], AnyCompatibleArray, append);
    }
    for name in ["||", "array_prepend"] {
        rows.nullable(name, [AnyCompatible, AnyCompatibleArray], AnyCompatibleArray, prepend);
    }
    rows.strict("cardinality", [AnyArray], Int4, |a| number(a, |array, _| Some(array.elements.len() as i64)));
    rows.strict("array_ndims", [AnyArray], Int4, |a| {
        number(a, |array, _| Some(array.dimensions.len() as i64).filter(|dimensions| *dimensions > 0))
    });
    rows.strict("array_length", [AnyArray, Int4], Int4, |a| {
        number(a, |array, dimension| array.dimensions.get(dimension?).map(|dimension| dimension.length as i64))
    });
    rows.strict("array_lower", [AnyArray, Int4], Int4, |a| {
        number(a, |array, dimension| array.dimensions.get(dimension?).map(|dimension| dimension.first.into()))
    });
    rows.strict("array_upper", [AnyArray, Int4], Int4, |a| {
        number(a, |array, dimension| array.dimensions.get(dimension?).map(|dimension| dimension.last()))
    });
    rows.nullable("array_position", [AnyCompatibleArray, AnyCompatible], Int4, position).collation = Collation::Known;
    rows.nullable("array_position", [AnyCompatibleArray, AnyCompatible, Int4], Int4, position).collation =
        Collation::Known;
}

/// The array that an argument is.
pub fn read<'b>(value: Option<&'b Value<'_>>) -> Result<Array<'b>, Failure> {
    match value {
        Some(Value::Array(_, text)) => Array::read(text).ok_or(Failure),
        _ => Err(Failure),
    }
}

/// An array as a value.
pub fn wrapped<'a>(ty: Type, array: &Array<'_>) -> Value<'a> {
    Value::Array(ty, Cow::Owned(array.print()))
}

/// A value as an element.
pub fn element(ty: Type, value: Option<Value<'_>>) -> Element<'static> {
    value.map(|value| Cow::Owned(value.print(ty).into_bytes()))
}

type Test = fn(Type, &Array<'_>, &Array<'_>) -> Result<bool, Failure>;

fn test<'a>(arguments: &Arguments<'a>, test: Test) -> Outcome<'a> {
    let ty = arguments.ty(0).element().ok_or(Failure)?;
    let (left, right) = (read(arguments.get(0))?, read(arguments.get(1))?);
    test(ty, &left, &right).map(|value| Some(Value::Bool(value)))
}

/// `get` has the index of a dimension, from the second argument, which counts from 1.
fn number<'a>(arguments: &Arguments<'a>, get: fn(&Array<'_>, Option<usize>) -> Option<i64>) -> Outcome<'a> {
    let array = read(arguments.get(0))?;
    let dimension = arguments.int(1).ok().and_then(|dimension| usize::try_from(dimension - 1).ok());
    Ok(get(&array, dimension).map(Value::Int))
}

fn concatenate<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let ty = arguments.result.element().ok_or(Failure)?;
    if arguments.is_null(0) {
        return Ok(arguments.take(1));
    }
    if arguments.is_null(1) {
        return Ok(arguments.take(0));
    }
    let (left, right) = (read(arguments.get(0))?, read(arguments.get(1))?);
    Ok(Some(wrapped(ty, &left.concatenate(right)?)))
}

fn append<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let ty = arguments.result.element().ok_or(Failure)?;
    let new = element(ty, arguments.take(1));
    let array = if arguments.is_null(0) { Array::default() } else { read(arguments.get(0))? };
    Ok(Some(wrapped(ty, &array.append(new)?)))
}

fn prepend<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    let ty = arguments.result.element().ok_or(Failure)?;
    let new = element(ty, arguments.take(0));
    let array = if arguments.is_null(1) { Array::default() } else { read(arguments.get(1))? };
    Ok(Some(wrapped(ty, &array.prepend(new)?)))
}

fn position<'a>(arguments: &mut Arguments<'a>) -> Outcome<'a> {
    if arguments.is_null(0) {
        return Ok(None);
    }
    let ty = arguments.ty(0).element().ok_or(Failure)?;
    let wanted = element(ty, arguments.take(1));
    let from = match arguments.types.len() {
        3 => Some(i32::try_from(arguments.int(2)?).map_err(|_| Failure)?),
        _ => None,
    };
    let array = read(arguments.get(0))?;
    Ok(array.position(ty, &wanted, from)?.map(Value::Int))
}

/// Whether arrays of one element type convert to those of another, each element by its own cast.
pub fn converts(from: Type, to: Type, context: Context) -> Option<Pathway> {
    match pathway(from, to, context)? {
        Pathway::Run(_) => Some(Pathway::Run(cast)),
        Pathway::Missing => Some(Pathway::Missing),
    }
}

fn cast<'a>(value: Value<'a>, from: Type, to: Type) -> Result<Value<'a>, Failure> {
    let (Some(from), Some(to)) = (from.element(), to.element()) else { return Err(Failure) };
    let Some(Pathway::Run(convert)) = pathway(from, to, Context::Explicit) else { return Err(Failure) };
    let array = read(Some(&value))?;
    let array = array.map(|element| {
        let converted = convert(Value::read(from, &element)?, from, to)?;
        Ok::<_, Failure>(Cow::Owned(converted.print(to).into_bytes()))
    })?;
    Ok(wrapped(to, &array))
}

/// A client's literal.
pub fn parse(element: Type, text: &str) -> Option<Value<'static>> {
    let array = Array::read(text.as_bytes())?;
    let array = array.map(|written| {
        let written = std::str::from_utf8(&written).map_err(|_| Failure)?;
        let value = Value::parse(element, written).ok_or(Failure)?;
        Ok::<_, Failure>(Cow::Owned(value.print(element).into_bytes()))
    });
    array.ok().map(|array| wrapped(element, &array))
}
