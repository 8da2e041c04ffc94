//! By which columns the rows of a result replace each other, and that their changes come in order:
//! what a sink in upsert mode has to know. A key is unique at every moment, and all changes of a
//! row with it leave one shard in the order in which they happened.
//!
//! Groups have the keys that they group by, a source its primary key. Where rows are ranked, that
//! key stays one if it says which partition a row is in, or else rows with it would go from shard
//! to shard; and a ROW_NUMBER makes one of its own: the partition's columns and the number.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Filter, GroupingSet, LogicalPlan, Operator, Projection,
    TableScan, Window,
};
use trefoil_ring0::operator::ranked::Rank;

use crate::catalog::SourceDef;
use crate::engine::keys;
use crate::lower::{at_most, ranks};
use crate::lower_expr::{is_constant, unaliased};
use crate::partitioning::text;
use crate::planner::Planned;
use crate::window::marker::SESSION_END;

/// The key of a result.
#[derive(Debug, Clone)]
pub(crate) struct Key<'p> {
    /// The plan's columns; without any there is one row.
    pub(crate) columns: BTreeSet<usize>,
    /// Whose row number it is, if it is one, and which of the functions that is.
    pub(crate) numbered: Option<(&'p Window, usize)>,
    /// Where that number stands.
    number: Option<usize>,
}

/// What is known of the rows of a node.
#[derive(Debug, Default)]
struct Rows<'p> {
    keys: Vec<Key<'p>>,
    /// Which column follows from which others.
    follows: Vec<(BTreeSet<usize>, usize)>,
}

/// Why a result has no key that a sink could be given.
#[derive(Debug)]
pub(crate) enum Missing {
    /// There is none.
    Key,
    /// These are a key, and are not all among the results.
    Columns(Vec<String>),
    /// Keys of several sets, NULL in one and left out in another.
    Sets,
}

/// The key of a query's results.
pub(crate) fn key(planned: &Planned) -> Result<Key<'_>, Missing> {
    let found = rows(&planned.plan, &planned.tables);
    let shown = |key: &&Key<'_>| keys::shows(&planned.results, &key.columns);
    if let Some(key) = found.keys.iter().find(shown) {
        return Ok(key.clone());
    }
    Err(hidden(&planned.plan, &planned.tables))
}

/// What is missing, below what leaves some columns out.
fn hidden(plan: &LogicalPlan, tables: &[SourceDef]) -> Missing {
    let by = match plan {
        LogicalPlan::Projection(p) => return hidden(&p.input, tables),
        LogicalPlan::Filter(f) => return hidden(&f.input, tables),
        LogicalPlan::SubqueryAlias(a) => return hidden(&a.input, tables),
        LogicalPlan::Sort(s) => return hidden(&s.input, tables),
        LogicalPlan::Limit(l) => return hidden(&l.input, tables),
        LogicalPlan::Aggregate(aggregate) => match aggregate.group_expr.as_slice() {
            [Expr::GroupingSet(sets)] if !are_told_apart(aggregate, sets) => return Missing::Sets,
            [Expr::GroupingSet(sets)] => sets.distinct_expr(),
            by => by.iter().collect(),
        },
        _ => Vec::new(),
    };
    let found = rows(plan, tables);
    let Some(key) = found.keys.first() else {
        return Missing::Key;
    };
    let name = |at: &usize| match by.get(*at) {
        _ if key.number == Some(*at) => "the ROW_NUMBER".to_owned(),
        Some(expr) => text(expr),
        None => plan.schema().field(*at).name().clone(),
    };
    Missing::Columns(key.columns.iter().map(name).collect())
}

fn rows<'p>(plan: &'p LogicalPlan, tables: &[SourceDef]) -> Rows<'p> {
    match plan {
        LogicalPlan::TableScan(scan) => scanned(scan, tables),
        LogicalPlan::Aggregate(aggregate) => grouped(aggregate),
        LogicalPlan::Window(window) => ranked(window, rows(&window.input, tables)),
        LogicalPlan::Filter(filter) => filtered(filter, rows(&filter.input, tables)),
        LogicalPlan::Projection(projection) => {
            projected(projection, &rows(&projection.input, tables))
        }
        LogicalPlan::SubqueryAlias(alias) => rows(&alias.input, tables),
        LogicalPlan::Sort(sort) => rows(&sort.input, tables),
        LogicalPlan::Limit(limit) => rows(&limit.input, tables),
        _ => Rows::default(),
    }
}

fn of_columns<'p>(columns: BTreeSet<usize>) -> Key<'p> {
    Key {
        columns,
        numbered: None,
        number: None,
    }
}

/// Rows that replace each other by a primary key: one shard reads them in their order.
fn scanned<'p>(scan: &TableScan, tables: &[SourceDef]) -> Rows<'p> {
    let table = tables
        .iter()
        .find(|t| t.name == scan.table_name.table() && !t.primary_key.is_empty());
    let columns = table.and_then(|table| {
        let at = |key: &usize| {
            let name = &table.columns[*key].name;
            let fields = scan.projected_schema.fields();
            fields.iter().position(|f| f.name() == name)
        };
        table.primary_key.iter().map(at).collect()
    });
    Rows {
        keys: columns.map(of_columns).into_iter().collect(),
        follows: Vec::new(),
    }
}

fn grouped<'p>(aggregate: &Aggregate) -> Rows<'p> {
    let by = &aggregate.group_expr;
    // A session's end comes and goes with its rows; it is its start that tells it.
    let ends = |key: &Expr| match unaliased(key) {
        Expr::ScalarFunction(call) => call.name() == SESSION_END,
        _ => false,
    };
    let key = match by.as_slice() {
        [Expr::GroupingSet(sets)] => are_told_apart(aggregate, sets)
            .then(|| of_columns((0..sets.distinct_expr().len()).collect())),
        by => {
            let columns = (0..by.len()).filter(|&at| !ends(&by[at]));
            Some(of_columns(columns.collect()))
        }
    };
    Rows {
        keys: key.into_iter().collect(),
        follows: Vec::new(),
    }
}

/// Whether the keys of groups of several sets say which set it is: none is NULL but for being left
/// out, and no set is there twice.
fn are_told_apart(aggregate: &Aggregate, sets: &GroupingSet) -> bool {
    let all = sets.distinct_expr();
    let input = aggregate.input.schema();
    let alone = match sets {
        GroupingSet::Rollup(_) | GroupingSet::Cube(_) => true,
        GroupingSet::GroupingSets(sets) => {
            let has = |set: &Vec<Expr>| all.iter().map(|k| set.contains(k)).collect::<Vec<_>>();
            let different: BTreeSet<Vec<bool>> = sets.iter().map(has).collect();
            different.len() == sets.len()
        }
    };
    alone && all.iter().all(|key| is_never_null(key, input))
}

fn is_never_null(key: &Expr, input: &DFSchema) -> bool {
    key.nullable(input).is_ok_and(|nullable| !nullable)
}

/// All columns that follow from these.
fn closure(follows: &[(BTreeSet<usize>, usize)], columns: &BTreeSet<usize>) -> BTreeSet<usize> {
    let mut all = columns.clone();
    let mut before = usize::MAX;
    while before != all.len() {
        before = all.len();
        let known = |(from, _): &&(BTreeSet<usize>, usize)| from.is_subset(&all);
        let more: Vec<usize> = follows.iter().filter(known).map(|(_, to)| *to).collect();
        all.extend(more);
    }
    all
}

/// The columns that an expression is computed from, where equal ones make it equal.
fn computed_from(expr: &Expr, schema: &DFSchema) -> Option<BTreeSet<usize>> {
    let exact = |at: &usize| !has_zeros(schema.field(*at).data_type());
    let columns = columns_of(expr, schema)?;
    (!expr.is_volatile() && columns.iter().all(exact)).then_some(columns)
}

fn columns_of(expr: &Expr, schema: &DFSchema) -> Option<BTreeSet<usize>> {
    let refs = expr.column_refs().into_iter();
    refs.map(|c: &Column| schema.maybe_index_of_column(c))
        .collect()
}

/// Whether values may be equal and yet differ: 0.0 is -0.0.
fn has_zeros(data_type: &DataType) -> bool {
    data_type.is_floating() || data_type.is_nested()
}

/// Whether an expression is the same where these columns are.
fn follows(expr: &Expr, schema: &DFSchema, known: &BTreeSet<usize>) -> bool {
    match column(expr, schema) {
        Some(at) => known.contains(&at),
        None => computed_from(expr, schema).is_some_and(|from| from.is_subset(known)),
    }
}

fn column(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match unaliased(expr) {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        _ => None,
    }
}

/// The columns that say which partition a row is in, as few as there may be; `None` where it takes
/// what is no column.
fn partition(
    by: &[&Expr],
    schema: &DFSchema,
    known: &[(BTreeSet<usize>, usize)],
) -> Option<BTreeSet<usize>> {
    let mut columns: BTreeSet<usize> = by.iter().filter_map(|e| column(e, schema)).collect();
    let all = closure(known, &columns);
    if !by.iter().all(|expr| follows(expr, schema, &all)) {
        return None;
    }
    // From the last on: an end follows from its start.
    for at in columns.clone().into_iter().rev() {
        columns.remove(&at);
        if !closure(known, &columns).contains(&at) {
            columns.insert(at);
        }
    }
    Some(columns)
}

fn ranked<'p>(window: &'p Window, mut input: Rows<'p>) -> Rows<'p> {
    let calls: Option<Vec<_>> = (window.window_expr.iter())
        .map(|expr| match unaliased(expr) {
            Expr::WindowFunction(call) => Some(call.as_ref().clone()),
            _ => None,
        })
        .collect();
    let Some(calls) = calls.filter(|calls| !calls.is_empty()) else {
        return Rows::default();
    };
    let schema = window.input.schema();
    let by: Vec<&Expr> = (calls[0].params.partition_by.iter())
        .filter(|e| !is_constant(e))
        .collect();
    // Rows with a key stay in one partition.
    input.keys.retain(|key| {
        let known = closure(&input.follows, &key.columns);
        by.iter().all(|expr| follows(expr, schema, &known))
    });
    if let Some(partition) = partition(&by, schema, &input.follows)
        && let Some(ranks) = ranks(&calls)
    {
        let first = schema.fields().len();
        let numbers = ranks.iter().enumerate();
        let numbers = numbers.filter(|(_, rank)| **rank == Rank::RowNumber);
        let keys = numbers.map(|(call, _)| {
            let number = first + call;
            let mut columns = partition.clone();
            columns.insert(number);
            Key {
                columns,
                numbered: Some((window, call)),
                number: Some(number),
            }
        });
        let keys: Vec<Key<'p>> = keys.collect();
        input.keys.splice(0..0, keys);
    }
    input
}

/// Where only one number passes, the rest of its key is one, too.
fn filtered<'p>(filter: &Filter, mut input: Rows<'p>) -> Rows<'p> {
    let schema = filter.input.schema();
    let pinned: Vec<usize> = (split_conjunction(&filter.predicate).into_iter())
        .filter_map(|condition| pinned(condition, schema))
        .collect();
    let without = |key: &Key<'p>| {
        let number = key.number.filter(|number| pinned.contains(number))?;
        let mut key = key.clone();
        key.columns.remove(&number);
        Some(Key {
            number: None,
            ..key
        })
    };
    let shorter: Vec<Key<'p>> = input.keys.iter().filter_map(without).collect();
    input.keys.splice(0..0, shorter);
    input
}

/// The column that is one number wherever a condition holds, if it is a rank.
fn pinned(condition: &Expr, schema: &DFSchema) -> Option<usize> {
    let Expr::BinaryExpr(both) = condition else {
        return None;
    };
    let (column, most) = at_most(&both.left, both.op, &both.right)?;
    let is_one = both.op == Operator::Eq || most == 1;
    is_one.then(|| schema.maybe_index_of_column(column))?
}

fn projected<'p>(projection: &Projection, input: &Rows<'p>) -> Rows<'p> {
    let schema = projection.input.schema();
    let from: Vec<Option<usize>> = (projection.expr.iter())
        .map(|expr| column(expr, schema))
        .collect();
    let at = |column: usize| from.iter().position(|f| *f == Some(column));
    let all = |columns: &BTreeSet<usize>| -> Option<BTreeSet<usize>> {
        columns.iter().map(|&c| at(c)).collect()
    };
    let keys = input.keys.iter().filter_map(|key| {
        Some(Key {
            columns: all(&key.columns)?,
            number: key.number.and_then(at),
            numbered: key.numbered,
        })
    });
    let known = input.follows.iter();
    let known = known.filter_map(|(from, to)| Some((all(from)?, at(*to)?)));
    let computed = projection.expr.iter().enumerate();
    let computed = computed.filter_map(|(to, expr)| {
        let columns = match from[to] {
            // The same column twice.
            Some(column) => BTreeSet::from([column]),
            None => computed_from(expr, schema)?,
        };
        let columns: BTreeSet<usize> = all(&columns)?;
        (!columns.is_empty() && !columns.contains(&to)).then_some((columns, to))
    });
    Rows {
        keys: keys.collect(),
        follows: known.chain(computed).collect(),
    }
}
