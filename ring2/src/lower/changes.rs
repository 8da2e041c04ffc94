//! Results as a changelog: when, and what tells in its first column what a row does. A stateless
//! query's rows only ever come.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan};
use trefoil_ring0::changelog;
use trefoil_ring0::expr::{BinaryOp, Expr, Scalar};
use trefoil_ring0::program::OperatorSpec;
use trefoil_ring0::schema::{Field, Schema};

use super::Lowering;
use super::lookup::is_windowed;
use crate::ResultColumn;
use crate::error::SqlError;
use crate::lower_expr::unaliased;
use crate::partitioning::{Analysis, Route, takes_back};
use crate::planner::Planned;
use crate::planner::tree::INGESTED;
use crate::script::{Emit, Select};
use crate::sink;
use crate::upsert::{self, Missing};
use crate::window::marker;

/// The name of the column.
const NAME: &str = "op";

/// What has a key.
const NO_KEY: &str = "groups have a key, and sources with a PRIMARY KEY; so do ranks of these by \
                      PARTITION BY of columns of the key, and ROW_NUMBER of anything";

/// What has none, though it groups.
const SETS: &str = "a key of GROUPING SETS that may be NULL does not say which set a row is of: \
                    COALESCE(key, ..), or one INSERT INTO for each set";

/// What results say of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing: they only come.
    Nothing,
    /// What each row does to those that stand.
    Changes,
    /// By key what stands now: `+U` is it, `-D` stands no more.
    Upsert,
}

/// What the results of a query say, as it and the sink that takes them want it.
///
/// # Errors
/// Where the sink cannot take them so.
pub(crate) fn asked(
    select: &Select<'_>,
    planned: &Planned,
    analysis: &Analysis,
) -> Result<Told, SqlError> {
    let changes = analysis.changes;
    let target = select.target.as_ref();
    let sink = target.and_then(|t| select.catalog.sinks.get(&t.name));
    let mode = sink.and_then(|sink| Some((&sink.name, sink.mode.as_deref()?)));
    let refuse = |name: &str, code, what: &str, hint: &str| {
        let at = sink::named_at(select, name);
        Err(select.place.hinted(code, at, what, hint))
    };
    match mode {
        Some((_, "changelog")) => Ok(Told::Changes),
        Some((name, "upsert")) => {
            let what = "rows without a key in a sink with mode = 'upsert' are not supported yet";
            // Rows that leave by the hash of their values leave from several shards.
            let apart = changes && matches!(analysis.output, Route::Hash(_));
            let hint = match upsert::key(planned) {
                Ok(_) if !apart => return Ok(Told::Upsert),
                Ok(_) => {
                    "without partitioning = 'always_hash' a key's changes stay together".into()
                }
                Err(Missing::Key) => NO_KEY.to_owned(),
                Err(Missing::Sets) => SETS.to_owned(),
                Err(Missing::Columns(key)) => {
                    format!("SELECT all of their key: {}", key.join(", "))
                }
            };
            refuse(name, "E0301", what, &hint)
        }
        Some((name, _)) if changes => {
            let what = "these rows change, and a sink with mode = 'append' takes what only comes";
            let hint = "EMIT FINAL, or a sink with mode = 'changelog' or 'upsert'";
            refuse(name, "E0211", what, hint)
        }
        _ if changes => Ok(Told::Changes),
        _ => Ok(Told::Nothing),
    }
}

/// Whether a query's results are a changelog: where it says so, and where groups, or joined rows,
/// of input without an end are never complete. Windows close by a watermark.
pub(crate) fn wanted(select: &Select<'_>, planned: &Planned) -> bool {
    match select.emit {
        Emit::Changes(_) | Emit::Standing(_) | Emit::Every(..) => true,
        Emit::Final(_) => false,
        Emit::Default => {
            let timed = planned
                .tables
                .iter()
                .all(|t| t.bounded || t.lag_ns.is_some());
            if planned.tables.iter().any(|t| !t.bounded && t.has_changes()) {
                return true;
            }
            let endless = planned.tables.iter().any(|t| !t.bounded);
            match is_grouped(&planned.plan, |_| true) {
                true => {
                    let timed = timed || is_grouped(&planned.plan, is_by_clock);
                    endless && !(timed && is_windowed(planned))
                }
                false => endless && takes_back(&planned.plan, &planned.tables),
            }
        }
    }
}

/// Whether the plan groups, by a key of some kind or, without keys, of any.
pub(crate) fn is_grouped(plan: &LogicalPlan, by: fn(&PlanExpr) -> bool) -> bool {
    let groups = |node: &LogicalPlan| match node {
        LogicalPlan::Aggregate(a) => {
            let none = PlanExpr::default();
            let mut keys = a.group_expr.iter();
            Ok(keys.any(by) || a.group_expr.is_empty() && by(&none))
        }
        _ => Ok(false),
    };
    plan.exists(groups).unwrap_or(false)
}

/// Whether a key is a window's bound.
pub(crate) fn is_window(key: &PlanExpr) -> bool {
    matches!(unaliased(key), PlanExpr::ScalarFunction(f) if marker::is_own(f.name()))
}

/// Whether a key is the bound of a window on processing time.
pub(crate) fn is_by_clock(key: &PlanExpr) -> bool {
    let clock = |c: &Column| c.name == INGESTED;
    is_window(key) && key.column_refs().into_iter().any(clock)
}

/// The printed columns of a changelog.
///
/// # Errors
/// Where one of them has the name already.
pub(crate) fn told(
    select: &Select<'_>,
    results: Vec<ResultColumn>,
) -> Result<Vec<ResultColumn>, SqlError> {
    if results.iter().any(|r| r.name() == NAME) {
        let at = select.chunk.start();
        let message = "a changelog has a column \"op\" of its own";
        let hint = "give the other one a name: .. AS operation";
        return Err(select.place.hinted("E0205", at, message, hint));
    }
    let first = ResultColumn::Plain {
        name: NAME.to_owned(),
        index: 0,
    };
    let behind = results.into_iter().map(|result| match result {
        ResultColumn::Plain { name, index } => ResultColumn::Plain {
            name,
            index: index + 1,
        },
        ResultColumn::Window { name, start, end } => ResultColumn::Window {
            name,
            start: start + 1,
            end: end + 1,
        },
    });
    Ok(std::iter::once(first).chain(behind).collect())
}

impl Lowering<'_> {
    /// Has the results' first column tell what a row does. Gives the columns then.
    pub(super) fn told(&mut self, schema: &Schema, told: Told) -> Arc<Schema> {
        if told == Told::Upsert && self.weighted {
            self.without_before();
        }
        let mut fields = schema.fields.clone();
        // What is projected anyway is not projected once more.
        let last = |operators: &mut Vec<OperatorSpec>| match operators.pop() {
            Some(OperatorSpec::Project { exprs, .. }) => Some(exprs),
            other => {
                operators.extend(other);
                None
            }
        };
        let mut alone = match self.branches.as_mut_slice() {
            [branch] => last(&mut branch.operators),
            _ => None,
        };
        let mut exprs =
            (alone.take()).unwrap_or_else(|| (0..fields.len()).map(Expr::Column).collect());
        let comes = if told == Told::Upsert { "+U" } else { "+I" };
        let mut op = Expr::Literal(Scalar::Utf8(comes.to_owned()));
        if std::mem::take(&mut self.weighted) {
            fields.pop();
            op = name(&exprs.pop().expect("a changelog has a last column"), comes);
        }
        exprs.insert(0, op);
        let op = Field::new(NAME, DataType::Utf8);
        fields.insert(
            0,
            Field {
                nullable: false,
                ..op
            },
        );
        let schema = Arc::new(Schema::new(fields));
        self.schema = Arc::clone(&schema);
        self.push(OperatorSpec::Project {
            exprs,
            schema: Arc::clone(&schema),
        });
        schema
    }

    /// Leaves the rows out in whose place others come.
    fn without_before(&mut self) {
        let op = Expr::Column(self.schema.fields.len() - 1);
        let before = Expr::Literal(Scalar::I8(changelog::UPDATE_BEFORE));
        let stays = Expr::Binary(BinaryOp::NotEq, Box::new(op), Box::new(before));
        self.push(OperatorSpec::FilterChanges(stays));
    }
}

/// What a changelog's column is called where it is printed; `comes`: where a row is new.
fn name(column: &Expr, comes: &str) -> Expr {
    let is = |op| {
        let op = Expr::Literal(Scalar::I8(op));
        Expr::Binary(BinaryOp::Eq, Box::new(column.clone()), Box::new(op))
    };
    let text = |name: &str| Expr::Literal(Scalar::Utf8(name.to_owned()));
    let names = changelog::NAMES.iter().map(|(op, name)| match *op {
        changelog::INSERT => (is(*op), text(comes)),
        _ => (is(*op), text(name)),
    });
    Expr::Case {
        branches: names.collect(),
        otherwise: None,
    }
}
