//! The comparison operators of all types. Their order is [`Value::compare`](crate::engine::filter::value::Value::compare).

use crate::engine::filter::catalog::Rows;
use crate::engine::filter::types::Type::{self, *};

pub fn add(rows: &mut Rows) {
    for left in [Int2, Int4, Int8] {
        for right in [Int2, Int4, Int8] {
            rows.order(left, right);
        }
    }
    for left in [Float4, Float8] {
        for right in [Float4, Float8] {
            rows.order(left, right);
        }
    }
    for left in [Date, Timestamp, Timestamptz] {
        for right in [Date, Timestamp, Timestamptz] {
            rows.order(left, right);
        }
    }
    let same: [Type; 9] = [Numeric, Text, Bpchar, Name, Bool, Uuid, Bytea, Time, Interval];
    for ty in same {
        rows.order(ty, ty);
    }
    rows.order(Name, Text);
    rows.order(Text, Name);
    rows.none(Timetz, Timetz);
    rows.equality(AnyEnum, AnyEnum);
    // The order of an enum's labels is in the catalogue only, where it may change.
    rows.no_order(AnyEnum, AnyEnum);
}
