//! What exists: operators and functions as rows of `pg_operator` and `pg_proc`, casts as rows of `pg_cast`.
//!
//! ```text
//! functions/*.rs --rows--> operators and functions by name --resolve/overload--> the row that Postgres picks --eval--> value
//! casts.rs       --rows--> casts by pair of types          --resolve/overload--> which rows can be reached
//! ```
//! A row that we do not evaluate is still here (`missing`) where it takes part in the choice: Postgres may pick it, and then
//! the condition is refused.

pub mod arguments;
pub mod casts;

use std::sync::LazyLock;

use hashbrown::HashMap;

use self::arguments::Arguments;
use super::functions;
use super::tree::Comparison;
use super::types::Type;
use super::value::{Failure, Value};

/// What an expression comes to: `None` is NULL.
pub type Outcome<'a> = Result<Option<Value<'a>>, Failure>;

/// Calculates the result from arguments that have exactly the types of the row (polymorphic ones replaced).
pub type Evaluate = for<'a> fn(&mut Arguments<'a>) -> Outcome<'a>;

/// An operator or function. An operator's name has no letters; one with one argument is a prefix operator.
#[derive(Debug, Clone)]
pub struct Function {
    pub name: &'static str,
    pub arguments: Vec<Type>,
    pub result: Type,
    /// Whether a NULL argument makes the result NULL, without a call.
    pub strict: bool,
    /// Whether the last argument may be repeated.
    pub variadic: bool,
    pub collation: Collation,
    pub body: Body,
}

/// What a function wants of the collation of its strings: decides where `COLLATE "C"` is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collation {
    /// Nothing: its result is the same with any.
    Free,
    /// One that is known: two columns may have different ones.
    Known,
    /// Bytes: the evaluator orders or folds strings as the collation `C` does.
    Bytes,
}

#[derive(Debug, Clone, Copy)]
pub enum Body {
    /// Evaluated without a call, for speed.
    Compare(Comparison),
    Run(Evaluate),
    /// Exists in Postgres, and not here.
    Missing,
}

impl Function {
    pub fn is_operator(&self) -> bool {
        !self.name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
    }

    /// Whether we have what Postgres picks.
    pub fn is_evaluated(&self) -> bool {
        !matches!(self.body, Body::Missing)
    }

    /// The types of `count` arguments, if it takes so many.
    pub fn takes(&self, count: usize) -> Option<Vec<Type>> {
        match self.arguments.split_last() {
            Some((last, _)) if self.variadic && count >= self.arguments.len() => {
                let mut types = self.arguments.clone();
                types.resize(count, *last);
                Some(types)
            }
            _ => (self.arguments.len() == count).then(|| self.arguments.clone()),
        }
    }
}

/// The table while the files of `functions/` fill it.
#[derive(Default)]
pub struct Rows(HashMap<&'static str, Vec<Function>>);

impl Rows {
    fn add<const N: usize>(
        &mut self,
        name: &'static str,
        arguments: [Type; N],
        result: Type,
        body: Body,
    ) -> &mut Function {
        let rows = self.0.entry(name).or_default();
        let arguments = arguments.to_vec();
        let collation = Collation::Free;
        rows.push(Function { name, arguments, result, strict: true, variadic: false, collation, body });
        rows.last_mut().expect("one was pushed")
    }

    /// A function that is NULL where an argument is.
    pub fn strict<const N: usize>(
        &mut self,
        name: &'static str,
        arguments: [Type; N],
        result: Type,
        run: Evaluate,
    ) -> &mut Function {
        self.add(name, arguments, result, Body::Run(run))
    }

    /// A function that is called with NULLs.
    pub fn nullable<const N: usize>(
        &mut self,
        name: &'static str,
        arguments: [Type; N],
        result: Type,
        run: Evaluate,
    ) -> &mut Function {
        let row = self.add(name, arguments, result, Body::Run(run));
        row.strict = false;
        row
    }

    /// A row that only takes part in the choice.
    pub fn missing<const N: usize>(&mut self, name: &'static str, arguments: [Type; N], result: Type) {
        self.add(name, arguments, result, Body::Missing);
    }

    /// `=` and `<>` by [`Value::compare`].
    pub fn equality(&mut self, left: Type, right: Type) {
        for comparison in [Comparison::Equal, Comparison::NotEqual] {
            let row = self.add(comparison.sign(), [left, right], Type::Bool, Body::Compare(comparison));
            row.collation = Collation::Known;
        }
    }

    /// All six comparisons by [`Value::compare`].
    pub fn order(&mut self, left: Type, right: Type) {
        self.equality(left, right);
        for comparison in Comparison::ORDERS {
            let row = self.add(comparison.sign(), [left, right], Type::Bool, Body::Compare(comparison));
            row.collation = Collation::Bytes;
        }
    }

    /// All six comparisons exist in Postgres, and not here.
    pub fn none(&mut self, left: Type, right: Type) {
        self.missing(Comparison::Equal.sign(), [left, right], Type::Bool);
        self.missing(Comparison::NotEqual.sign(), [left, right], Type::Bool);
        self.no_order(left, right);
    }

    /// The order exists in Postgres, and not here.
    pub fn no_order(&mut self, left: Type, right: Type) {
        for comparison in Comparison::ORDERS {
            self.missing(comparison.sign(), [left, right], Type::Bool);
        }
    }
}

static ROWS: LazyLock<Rows> = LazyLock::new(|| {
    let mut rows = Rows::default();
    functions::add(&mut rows);
    rows
});

/// All operators or functions of a name; none if it is unknown here.
pub fn named(name: &str) -> &'static [Function] {
    ROWS.0.get(name).map_or(&[], Vec::as_slice)
}
