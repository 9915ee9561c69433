//! Which changed rows a node has to see: those whose values are in the subqueries that every alternative asks for.
//!
//! Finding the nodes must not be trying the nodes. The values are kept in the index of the table's source; they are there before a node believes in them, and
//! go after it has ceased to.

use std::sync::Arc;

use super::members::Delta;
use super::node::{Moved, Node};
use super::view::Results;
use crate::engine::filter::{Filter, Key, Membership, Position};

/// A node with more values than this sees every change of its table: trying it costs less than its entries would.
const MOST_VALUES: usize = 4096;

/// A change of the rows that a node listens to.
#[derive(Debug)]
pub struct Route {
    pub node: u64,
    /// The table's oid.
    pub table: u32,
    pub change: Routing,
}

#[derive(Debug)]
pub enum Routing {
    /// Only to rows with values that it is given.
    ByValue,
    Add(Arc<Membership>, Key),
    Remove(Arc<Membership>, Key),
}

/// For each alternative a position that looks a value up and must be true; `None` if one has no such position, or if the filter has a key of its own.
pub fn positions(filter: &Filter) -> Option<Vec<usize>> {
    let alternatives = filter.alternatives().filter(|_| filter.key().is_none())?;
    let wanted = |at: &usize| matches!(alternatives.positions.get(*at), Some(Position::In { negated: false, .. }));
    let first = |disjunct: &Vec<usize>| disjunct.iter().copied().find(|at| wanted(at));
    let mut chosen = alternatives.disjuncts.iter().map(first).collect::<Option<Vec<usize>>>()?;
    chosen.sort_unstable();
    chosen.dedup();
    Some(chosen)
}

impl Node {
    /// The lookups that it is routed by, each with its subquery.
    fn lookups(&self) -> impl Iterator<Item = (u64, Arc<Membership>)> {
        let alternatives = self.filter.as_ref().and_then(|filter| filter.alternatives());
        let chosen = self.routed_by.iter().flatten().filter_map(move |at| match alternatives?.positions.get(*at)? {
            Position::In { membership, .. } => {
                Some((self.subqueries.get(*at).copied().flatten()?, Arc::clone(membership)))
            }
            Position::Row { .. } => None,
        });
        chosen.collect::<Vec<_>>().into_iter()
    }

    fn route(&self, change: Routing) -> Route {
        Route { node: self.number, table: self.table.oid, change }
    }

    /// The node begins to follow: from now on it listens to the values that are there, unless they are many.
    pub fn begin_routes(&mut self, results: &Results, routes: &mut Vec<Route>) {
        let lookups: Vec<_> = self.lookups().collect();
        let count = |(subquery, _): &(u64, _)| results.get(subquery).map_or(0, |members| members.len());
        if lookups.is_empty() || lookups.iter().map(count).sum::<usize>() > MOST_VALUES {
            self.routed_by = None;
            return;
        }
        routes.push(self.route(Routing::ByValue));
        // Values that have left, but are still to be followed, concern rows too.
        let moves = self.queue.iter().flat_map(|item| &item.moves);
        let waiting: Vec<(u64, Key)> = moves
            .flat_map(|moved| moved.deltas.iter().map(move |delta| (moved.subquery, delta)))
            .filter_map(|(subquery, delta)| match delta {
                Delta::Value(value, _) => Some((subquery, value.clone())),
                Delta::Null(..) => None,
            })
            .collect();
        for (subquery, membership) in lookups {
            let late = waiting.iter().filter(|(of, _)| *of == subquery).map(|(_, value)| value);
            routes.extend(late.map(|value| self.route(Routing::Add(Arc::clone(&membership), value.clone()))));
            let values = results.get(&subquery).into_iter().flat_map(|members| members.values());
            routes.extend(values.map(|value| self.route(Routing::Add(Arc::clone(&membership), value.clone()))));
        }
        self.leaving.extend(waiting);
    }

    /// Values have moved: those that have come are listened to at once.
    pub fn route_moves(&mut self, moved: &Moved, routes: &mut Vec<Route>) {
        let lookups: Vec<_> = self.lookups().filter(|(subquery, _)| *subquery == moved.subquery).collect();
        for (subquery, membership) in lookups {
            for delta in moved.deltas.iter() {
                match delta {
                    Delta::Value(value, true) => {
                        routes.push(self.route(Routing::Add(Arc::clone(&membership), value.clone())));
                    }
                    Delta::Value(value, false) => self.leaving.push((subquery, value.clone())),
                    Delta::Null(..) => {}
                }
            }
        }
    }

    /// Everything has been followed: values that have gone for good are not listened to any more.
    pub fn end_routes(&mut self, results: &Results, routes: &mut Vec<Route>) {
        let leaving = std::mem::take(&mut self.leaving);
        let lookups: Vec<_> = self.lookups().collect();
        for (left, value) in leaving {
            let stays = |subquery: &u64| {
                let is_there = results.get(subquery).is_some_and(|members| members.has_known(value.as_ref()));
                is_there || self.wanted.contains_key(&(*subquery, value.clone()))
            };
            for (_, membership) in lookups.iter().filter(|(subquery, _)| *subquery == left) {
                // The same columns may be looked up in several subqueries: one that has the value still listens to it.
                let mut same = lookups.iter().filter(|(_, other)| other.left == membership.left);
                if !same.any(|(subquery, _)| stays(subquery)) {
                    routes.push(self.route(Routing::Remove(Arc::clone(membership), value.clone())));
                }
            }
            if self.wanted.contains_key(&(left, value.clone())) {
                // Its rows are being read; it is looked at again when they have come.
                self.leaving.push((left, value));
            }
        }
    }
}
