//! Dates, times, timestamps and intervals.

use crate::engine::filter::catalog::Rows;
use crate::engine::filter::types::Type::*;

pub fn add(rows: &mut Rows) {
    rows.missing("+", [Date, Int4], Date);
    rows.missing("+", [Int4, Date], Date);
    rows.missing("-", [Date, Int4], Date);
    rows.missing("-", [Date, Date], Int4);
    for (ty, result) in [(Date, Timestamp), (Timestamp, Timestamp), (Timestamptz, Timestamptz), (Time, Time)] {
        rows.missing("+", [ty, Interval], result);
        rows.missing("+", [Interval, ty], result);
        rows.missing("-", [ty, Interval], result);
    }
    for (ty, result) in [(Time, Timestamp), (Timetz, Timestamptz)] {
        rows.missing("+", [Date, ty], result);
        rows.missing("+", [ty, Date], result);
    }
    rows.missing("+", [Timetz, Interval], Timetz);
    rows.missing("+", [Interval, Timetz], Timetz);
    rows.missing("-", [Timetz, Interval], Timetz);
    for ty in [Time, Timestamp, Timestamptz, Interval] {
        rows.missing("-", [ty, ty], Interval);
    }
    rows.missing("+", [Interval, Interval], Interval);
    rows.missing("-", [Interval], Interval);
    rows.missing("*", [Interval, Float8], Interval);
    rows.missing("*", [Float8, Interval], Interval);
    rows.missing("/", [Interval, Float8], Interval);
}
