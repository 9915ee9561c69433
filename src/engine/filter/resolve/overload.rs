//! Which row of several with one name Postgres picks for the types of the arguments: its documentation's chapter "Type
//! Conversion", and `parse_func.c`, `parse_oper.c` and `parse_coerce.c` step by step.

use crate::engine::filter::catalog::casts::converts;
use crate::engine::filter::catalog::{self, Function};
use crate::engine::filter::types::{Category, Type};

/// A row and the types that it takes and returns here: its own, polymorphic ones replaced.
#[derive(Debug, Clone)]
pub struct Chosen {
    pub function: &'static Function,
    pub arguments: Vec<Type>,
    pub result: Type,
}

/// Why none was picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotChosen {
    /// No row of this name takes so many arguments.
    Unknown,
    NoneFits,
}

#[derive(Clone)]
struct Candidate {
    function: &'static Function,
    takes: Vec<Type>,
}

/// Picks an operator of one or two operands, or a function.
pub fn choose(name: &str, types: &[Type]) -> Result<Chosen, NotChosen> {
    let rows = catalog::named(name);
    let operator = rows.first().is_some_and(Function::is_operator);
    let exact = match types {
        // An operator with one literal is first tried as if the literal had the other operand's type.
        [left, Type::Unknown] if operator => [*left; 2].to_vec(),
        [Type::Unknown, right] if operator => [*right; 2].to_vec(),
        _ => types.to_vec(),
    };
    let found = match rows.iter().find(|row| row.arguments == exact) {
        Some(function) => Some(Candidate { function, takes: exact }),
        None => {
            let takes = |function: &'static Function| Some(Candidate { function, takes: function.takes(types.len())? });
            let mut candidates = rows.iter().filter_map(takes).peekable();
            if candidates.peek().is_none() {
                return Err(NotChosen::Unknown);
            }
            select(candidates.filter(|candidate| accepts(&candidate.takes, types)).collect(), types)
        }
    };
    // Types that we do not have take part in the choice for literals alone: only strings surely win it.
    let literals = operator && types.iter().all(|ty| *ty == Type::Unknown);
    let sure = |found: &Candidate| !literals || found.takes.iter().all(|ty| ty.is_string());
    let chosen = found.filter(sure).and_then(|found| instantiate(found, types));
    chosen.ok_or(NotChosen::NoneFits)
}

/// `func_select_candidate`.
fn select(candidates: Vec<Candidate>, types: &[Type]) -> Option<Candidate> {
    if candidates.len() <= 1 {
        return candidates.into_iter().next();
    }
    let known = || types.iter().enumerate().filter(|(_, ty)| **ty != Type::Unknown);
    let exact = |candidate: &Candidate| known().filter(|(index, ty)| candidate.takes[*index] == **ty).count();
    let candidates = best(candidates, exact);
    let preferred = |candidate: &Candidate| {
        let suits = |ty: Type, own: Type| ty == own || (own.is_preferred() && own.category() == ty.category());
        known().filter(|(index, ty)| suits(**ty, candidate.takes[*index])).count()
    };
    let candidates = if candidates.len() > 1 { best(candidates, preferred) } else { candidates };
    if candidates.len() <= 1 {
        return candidates.into_iter().next();
    }
    let unknown: Vec<usize> = (0..types.len()).filter(|index| types[*index] == Type::Unknown).collect();
    if unknown.is_empty() {
        return None;
    }
    let candidates = match by_category(&candidates, &unknown) {
        Some(left) if left.len() == 1 => return left.into_iter().next(),
        Some(left) if !left.is_empty() => left,
        _ => candidates,
    };
    // Perhaps the literals have the one type of all the others.
    let mut others = types.iter().filter(|ty| **ty != Type::Unknown);
    let first = *others.next()?;
    if others.any(|other| *other != first) {
        return None;
    }
    let mut left = candidates.into_iter().filter(|candidate| accepts(&candidate.takes, &vec![first; types.len()]));
    let only = left.next()?;
    left.next().is_none().then_some(only)
}

fn best(candidates: Vec<Candidate>, score: impl Fn(&Candidate) -> usize) -> Vec<Candidate> {
    let most = candidates.iter().map(&score).max().unwrap_or_default();
    candidates.into_iter().filter(|candidate| score(candidate) == most).collect()
}

/// What is left if each literal takes the category of its candidates, with strings first. `None` if that is not decided.
fn by_category(candidates: &[Candidate], unknown: &[usize]) -> Option<Vec<Candidate>> {
    let mut wanted = Vec::with_capacity(unknown.len());
    for index in unknown {
        let mut own = candidates.iter().map(|candidate| candidate.takes[*index]);
        let mut category = own.next()?.category();
        if own.any(|ty| ty.category() != category) {
            let string = candidates.iter().any(|candidate| candidate.takes[*index].category() == Category::String);
            category = if string { Category::String } else { return None };
        }
        let of_category = candidates.iter().map(|candidate| candidate.takes[*index]);
        let preferred = of_category.filter(|ty| ty.category() == category).any(Type::is_preferred);
        wanted.push((*index, category, preferred));
    }
    let keeps = |candidate: &&Candidate| {
        wanted.iter().all(|(index, category, preferred)| {
            let ty = candidate.takes[*index];
            ty.category() == *category && (!preferred || ty.is_preferred())
        })
    };
    Some(candidates.iter().filter(keeps).cloned().collect())
}

/// Whether arguments of these types reach what a row takes without being asked.
fn accepts(takes: &[Type], types: &[Type]) -> bool {
    let each = takes.iter().zip(types).all(|(own, ty)| own.is_polymorphic() || converts(*ty, *own));
    each && !(takes.iter().any(|own| own.is_polymorphic()) && Bound::of(takes, types).is_none())
}

/// The types that polymorphic ones stand for.
struct Bound {
    /// `anyelement` and its kin; unknown if no argument tells.
    element: Type,
    /// `anycompatible`.
    compatible: Type,
}

impl Bound {
    /// `check_generic_type_consistency`: `None` if the arguments do not agree.
    fn of(takes: &[Type], types: &[Type]) -> Option<Bound> {
        let mut bound = Bound { element: Type::Unknown, compatible: Type::Unknown };
        let mut compatible = Vec::new();
        for (own, ty) in takes.iter().zip(types).filter(|(_, ty)| **ty != Type::Unknown) {
            if matches!(ty, Type::Other(_)) && own.is_polymorphic() {
                return None;
            }
            let element = match own {
                Type::AnyArray | Type::AnyCompatibleArray => ty.element()?,
                _ => *ty,
            };
            match own {
                Type::AnyCompatible | Type::AnyCompatibleArray => compatible.push(element),
                _ if own.is_simple_polymorphic() => {
                    if bound.element != Type::Unknown && bound.element != element {
                        return None;
                    }
                    bound.element = element;
                }
                _ => {}
            }
        }
        let has = |wanted: Type| takes.contains(&wanted);
        let known = bound.element != Type::Unknown;
        if known && has(Type::AnyNonArray) && matches!(bound.element, Type::Array(_)) {
            return None;
        }
        if known && has(Type::AnyEnum) && !matches!(bound.element, Type::Enum(_)) {
            return None;
        }
        if !compatible.is_empty() {
            bound.compatible = common(compatible.iter().copied())?;
            compatible.iter().all(|ty| converts(*ty, bound.compatible)).then_some(())?;
            // An array is no element of another: `anycompatiblearray` has none of it.
            if has(Type::AnyCompatibleArray) && matches!(bound.compatible, Type::Array(_)) {
                return None;
            }
        }
        Some(bound)
    }

    fn replace(&self, ty: Type) -> Option<Type> {
        let known = |ty: Type| (ty != Type::Unknown).then_some(ty);
        match ty {
            Type::AnyNonArray | Type::AnyEnum => known(self.element),
            Type::AnyArray => known(self.element)?.array(),
            Type::AnyCompatible => Some(known(self.compatible).unwrap_or(Type::Text)),
            Type::AnyCompatibleArray => known(self.compatible).unwrap_or(Type::Text).array(),
            other => Some(other),
        }
    }
}

/// `enforce_generic_type_consistency`, and literals for `any` as text.
fn instantiate(found: Candidate, types: &[Type]) -> Option<Chosen> {
    let bound = Bound::of(&found.takes, types)?;
    let mut arguments = Vec::with_capacity(types.len());
    for (own, ty) in found.takes.iter().zip(types) {
        arguments.push(match (own, ty) {
            (Type::Any, Type::Unknown) => Type::Text,
            (Type::Any, ty) => *ty,
            _ => bound.replace(*own)?,
        });
    }
    let result = bound.replace(found.function.result)?;
    Some(Chosen { function: found.function, arguments, result })
}

/// `select_common_type`, for lists, CASE and their like: the first type wins unless a later one is reached from it and not the
/// other way round. `None`: no common type.
pub fn common(types: impl IntoIterator<Item = Type>) -> Option<Type> {
    let mut common = Type::Unknown;
    for ty in types {
        if ty == Type::Unknown || ty == common {
            continue;
        }
        if common == Type::Unknown {
            common = ty;
        } else if common.category() != ty.category() {
            return None;
        } else if !common.is_preferred() && converts(common, ty) && !converts(ty, common) {
            common = ty;
        }
    }
    Some(if common == Type::Unknown { Type::Text } else { common })
}
