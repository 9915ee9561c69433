//! `column IN (SELECT column FROM table WHERE ..)`, and the same with a list of columns.

use std::sync::Arc;

use sqlparser::ast::{Expr, Ident, ObjectNamePart, Query, SelectItem, SetExpr, Spanned, TableFactor};

use super::{Operand, Resolved, Resolver};
use crate::engine::filter::parse::error_at;
use crate::engine::filter::subquery::{Canonical, Compared, Membership, Subquery};
use crate::engine::filter::tree::{Kind, Node};
use crate::engine::filter::types::Type;
use crate::engine::filter::{Filter, FilterError};
use crate::engine::tables::Table;
use crate::shape::{Invalid, TableName, quote_identifier};

/// Columns that may be compared at once: `NOT IN` keeps, for each value, one entry for every choice of them to be NULL.
const MAX_COLUMNS: usize = 4;

impl<'a> Resolver<'a> {
    pub(super) fn subquery(&mut self, whole: &Expr, left: &Expr, query: &Query, negated: bool) -> Resolved {
        let at = self.tokens.start(whole);
        let parts = Parts::of(query).map_err(|text| error_at(at, text))?;
        for item in parts.projection {
            if !matches!(item, SelectItem::UnnamedExpr(Expr::Identifier(_))) {
                let at =
                    self.tokens.offset(usize::try_from(item.span().start.column).unwrap_or_default().saturating_sub(1));
                return Err(error_at(at, "Expected a plain column reference"));
            }
        }
        let left = self.left_columns(left).ok_or_else(|| {
            error_at(
                at,
                "currently, left side of `IN (SELECT ...)` can only be a column reference or a list of column references",
            )
        })?;
        let left: Vec<usize> = left.into_iter().map(|name| self.column(name)).collect::<Resolved<_>>()?;
        let outer = self.table;
        let inner = self.inner_table(&parts)?;
        self.table = &**inner;
        let found = self.select(&parts);
        self.table = outer;
        let (right, condition) = found?;
        let (left, right) = compared(outer, &left, inner, &right).map_err(|text| error_at(at, text))?;
        let subquery = Arc::new(self.subquery_of(inner, right, condition)?);
        let names = left.iter().map(|left| quote_identifier(&outer.columns[left.position].name));
        let names = names.collect::<Vec<_>>().join(", ");
        let sql = format!("(({names}) IN ({}))", subquery.sql);
        let sql_to_run = format!("(({names}) IN ({}))", subquery.sql_to_run);
        let membership = Membership { left, subquery, sql, sql_to_run };
        let node = Node::new(Type::Bool, Kind::InSubquery(Arc::new(membership)));
        Ok(Operand::from(match negated {
            true => Node::new(Type::Bool, Kind::Not(Box::new(node))),
            false => node,
        }))
    }

    fn left_columns<'e>(&self, left: &'e Expr) -> Option<Vec<&'e Ident>> {
        match left {
            Expr::Nested(inner) => self.left_columns(inner),
            Expr::Identifier(name) => Some(vec![name]),
            Expr::Tuple(list) => list
                .iter()
                .map(|entry| match entry {
                    Expr::Identifier(name) => Some(name),
                    _ => None,
                })
                .collect(),
            _ => None,
        }
    }

    fn inner_table(&self, parts: &Parts<'_>) -> Resolved<&'a Arc<Table>> {
        let found = self.tables.iter().find(|table| table.name == parts.table);
        found.ok_or_else(|| FilterError {
            field: "table",
            message: Invalid::no_such_table(&parts.table),
            needs: Some(parts.table.clone()),
        })
    }

    /// The columns of the inner table that are selected, and its condition.
    fn select(&mut self, parts: &Parts<'_>) -> Resolved<(Vec<usize>, Option<Node>)> {
        let mut columns = Vec::new();
        for item in parts.projection {
            if let SelectItem::UnnamedExpr(Expr::Identifier(name)) = item {
                columns.push(self.column(name)?);
            }
        }
        let condition = match parts.condition {
            None => None,
            Some(expr) => Some(self.condition(expr)?),
        };
        Ok((columns, condition))
    }

    fn subquery_of(&self, table: &Arc<Table>, columns: Vec<Compared>, condition: Option<Node>) -> Resolved<Subquery> {
        let names = columns.iter().map(|column| quote_identifier(&table.columns[column.position].name));
        let names = names.collect::<Vec<_>>().join(", ");
        let filter = condition.map(|condition| Filter::of(condition, table)).transpose()?.map(Arc::new);
        let mut used = filter.iter().flat_map(|filter| filter.columns());
        if let Some(at) = used.find(|at| table.columns[**at].generated) {
            let name = &table.columns[*at].name;
            let text = format!("column {name} is generated, and cannot be used in the condition of a subquery");
            return Err(FilterError::in_where(text));
        }
        let select = |condition: Option<&str>| {
            let condition = condition.map(|sql| format!(" WHERE {sql}")).unwrap_or_default();
            format!("SELECT {names} FROM {}{condition}", table.rows())
        };
        let sql = select(filter.as_deref().map(Filter::sql));
        let sql_to_run = select(filter.as_deref().map(Filter::sql_to_run));
        Ok(Subquery { table: Arc::clone(table), columns, filter, sql, sql_to_run })
    }
}

/// What an inner SELECT is made of.
struct Parts<'q> {
    projection: &'q [SelectItem],
    table: TableName,
    condition: Option<&'q Expr>,
}

impl<'q> Parts<'q> {
    /// Takes a query apart; the error says what it may not have.
    fn of(query: &'q Query) -> Result<Self, &'static str> {
        const CLAUSES: &str = "SELECT statement must not contain any clauses";
        const ONE_TABLE: &str = "Expected a single table reference";
        let SetExpr::Select(select) = &*query.body else { return Err(CLAUSES) };
        let [from] = select.from.as_slice() else { return Err(ONE_TABLE) };
        let TableFactor::Table { name, alias, .. } = &from.relation else { return Err(ONE_TABLE) };
        if !from.joins.is_empty() {
            return Err(ONE_TABLE);
        }
        let table = table_name(&name.0).ok_or(ONE_TABLE)?;
        let list = select.projection.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let alias = alias.as_ref().map(|alias| format!(" {alias}")).unwrap_or_default();
        let condition = select.selection.as_ref();
        let selection = condition.map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
        // Whatever else there is, in whichever of the many places where SQL allows it, shows when it is printed.
        if query.to_string() != format!("SELECT {list} FROM {name}{alias}{selection}") {
            return Err(CLAUSES);
        }
        Ok(Self { projection: &select.projection, table, condition })
    }
}

fn table_name(parts: &[ObjectNamePart]) -> Option<TableName> {
    let exact = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(Ident { value, quote_style: Some(_), .. }) => Some(value.clone()),
        ObjectNamePart::Identifier(name) => Some(name.value.to_ascii_lowercase()),
        _ => None,
    };
    match parts {
        [name] => Some(TableName { schema: "public".to_owned(), name: exact(name)? }),
        [schema, name] => Some(TableName { schema: exact(schema)?, name: exact(name)? }),
        _ => None,
    }
}

/// Both sides as columns whose texts can be compared.
fn compared(
    outer: &Table,
    left: &[usize],
    inner: &Table,
    right: &[usize],
) -> Result<(Vec<Compared>, Vec<Compared>), String> {
    let types = |table: &Table, columns: &[usize]| -> Vec<Type> {
        columns.iter().map(|at| table.columns.get(*at).map_or(Type::Unknown, Type::of)).collect()
    };
    let (left_types, right_types) = (types(outer, left), types(inner, right));
    let list = |types: &[Type]| {
        let names: Vec<String> = types.iter().map(ToString::to_string).collect();
        if let [one] = names.as_slice() { one.clone() } else { format!("({})", names.join(", ")) }
    };
    let alike = |(one, other): (&Type, &Type)| {
        let plain = |ty: &Type| matches!(ty, Type::Text | Type::Varchar);
        one == other || (one.is_integer() && other.is_integer()) || (plain(one) && plain(other))
    };
    if left.len() != right.len() || !left_types.iter().zip(&right_types).all(alike) {
        let returns = list(&right_types);
        let left = list(&left_types);
        return Err(format!("left side of `IN (SELECT ...)` has type {left} but subquery returns {returns}[]"));
    }
    if left.len() > MAX_COLUMNS {
        return Err(format!("`IN (SELECT ...)` compares at most {MAX_COLUMNS} columns"));
    }
    let side = |table: &Table, columns: &[usize], types: &[Type]| -> Result<Vec<Compared>, String> {
        let column = |(at, ty): (&usize, &Type)| {
            let column = &table.columns[*at];
            let canonical = Canonical::of_type(*ty).filter(|_| column.deterministic && !column.generated);
            let refusal = || {
                format!(
                    "values of {} cannot be looked up in a subquery: equal ones may have different texts, or the stream does not tell them",
                    column.name
                )
            };
            Ok(Compared { position: *at, canonical: canonical.ok_or_else(refusal)? })
        };
        columns.iter().zip(types).map(column).collect()
    };
    Ok((side(outer, left, &left_types)?, side(inner, right, &right_types)?))
}
