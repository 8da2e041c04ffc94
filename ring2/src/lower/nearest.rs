//! ASOF joins: of the right side's rows with equal keys each row of the left side takes the one
//! that is the nearest by the match condition. A right side that ends is kept wholly, whatever the
//! condition compares. Of one that does not, event times with watermarks say when the nearest row
//! is known, and what can be forgotten.
//!
//! Several rows at the nearest time stand in the order of their source; groups, joined rows and
//! those of several sources, which have none, by their values.

use datafusion::common::{DFSchema, JoinType};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr as PlanExpr, ExprSchemable, Join, Operator};
use trefoil_ring0::program::{Nearest, Order, Reading, Routing, Side, Ties, Toward};

use super::branch::Branch;
use super::interval::{HeldBy, unit_of};
use super::join::Coming;
use super::union::Part;
use super::{Lowering, Refusal};
use crate::lower_expr::unaliased;
use crate::window::marker::ASOF;

/// What an ASOF join asks for.
#[derive(Debug)]
pub(super) struct Closest {
    toward: Toward,
    /// What the match condition compares, of each side.
    times: [PlanExpr; 2],
    /// Where the right side does not end: by what rows are held, and how far that lags behind
    /// watermarks, in nanoseconds.
    held: Option<([HeldBy; 2], [i64; 2])>,
}

fn refuse<T>(what: &str) -> Result<T, Refusal> {
    Err(("E0301", format!("ASOF JOIN {what} is not supported yet")))
}

/// Whether an expression names columns of a side, and only such.
fn is_of(expr: &PlanExpr, schema: &DFSchema) -> bool {
    let columns = expr.column_refs();
    let mut names = columns.iter();
    !columns.is_empty() && names.all(|c| schema.maybe_index_of_column(c).is_some())
}

/// The match condition: what it compares of each side, and which rows may be the nearest.
fn matching(condition: &PlanExpr, join: &Join) -> Result<(Toward, [PlanExpr; 2]), Refusal> {
    let PlanExpr::BinaryExpr(compared) = unaliased(condition) else {
        return refuse("by a condition that compares nothing");
    };
    let [left, right] = [join.left.schema(), join.right.schema()];
    let (a, b) = (compared.left.as_ref(), compared.right.as_ref());
    let (op, times) = match (is_of(a, left) && is_of(b, right), compared.op.swap()) {
        (true, _) => (compared.op, [a.clone(), b.clone()]),
        (false, Some(op)) if is_of(a, right) && is_of(b, left) => (op, [b.clone(), a.clone()]),
        _ => {
            let message = "MATCH_CONDITION compares one time of each side";
            return Err(("E0403", message.to_owned()));
        }
    };
    let toward = match op {
        Operator::GtEq => Toward::AtOrBefore,
        Operator::Gt => Toward::Before,
        Operator::LtEq => Toward::AtOrAfter,
        Operator::Lt => Toward::After,
        _ => return refuse("by a condition other than >=, >, <= and <"),
    };
    Ok((toward, times))
}

/// The column that an expression is, also in a finer unit.
fn column_of(expr: &PlanExpr, schema: &DFSchema) -> Option<usize> {
    let unit = |e: &PlanExpr| unit_of(&e.get_type(schema).ok()?);
    match unaliased(expr) {
        PlanExpr::Column(column) => schema.maybe_index_of_column(column),
        PlanExpr::Cast(cast) if unit(expr)? <= unit(&cast.expr)? => column_of(&cast.expr, schema),
        _ => None,
    }
}

impl Closest {
    /// What has to be computed of a side.
    pub(super) fn computed(&self, side: Side) -> Option<&PlanExpr> {
        match self.held {
            None => Some(&self.times[side.port()]),
            Some(_) => None,
        }
    }

    /// By what rows of a side are held, where the right one does not end.
    pub(super) fn held(&self, side: Side) -> Option<HeldBy> {
        self.held.map(|(held, _)| held[side.port()])
    }

    /// What Ring 0 runs.
    pub(super) fn nearest(&self, sides: [&Coming; 2]) -> Nearest {
        Nearest {
            times: sides.map(|side| side.time.expect("times are produced")),
            toward: self.toward,
            ties: sides[1].ties,
            lag_ns: self.held.map(|(_, lag_ns)| lag_ns),
        }
    }

    /// Which columns of joined rows watermarks follow, and how far they may lag behind and one
    /// nanosecond more: the left side's time, which is to these as the start of a window is.
    pub(super) fn windows(&self, sides: [&Coming; 2]) -> Vec<Option<i64>> {
        let Some((_, [lag_ns, _])) = self.held else {
            return Vec::new();
        };
        let columns: usize = sides.iter().map(|side| side.schema.fields.len()).sum();
        let mut windows = vec![None; columns];
        if let Some(time) = sides[0].time {
            windows[time] = lag_ns.checked_add(1);
        }
        windows
    }
}

impl Lowering<'_> {
    /// What an ASOF join asks for; `None` of another one.
    pub(super) fn closest(
        &self,
        join: &Join,
        parts: [&Part; 2],
    ) -> Result<Option<Closest>, Refusal> {
        let is_asof = |e: &&PlanExpr| matches!(e, PlanExpr::ScalarFunction(f) if f.name() == ASOF);
        let conditions = join.filter.iter().flat_map(split_conjunction);
        let (asof, others): (Vec<_>, Vec<_>) = conditions.partition(is_asof);
        let [PlanExpr::ScalarFunction(asof)] = asof.as_slice() else {
            return Ok(None);
        };
        if !others.is_empty() || !matches!(join.join_type, JoinType::Left | JoinType::Inner) {
            return refuse("ON more than equalities");
        }
        if parts.iter().any(|part| part.weighted) {
            return refuse("of rows that come and go");
        }
        let (toward, times) = matching(&asof.args[0], join)?;
        let held = match self.sides_end(join)[1] {
            true => None,
            false => Some(self.held_by(join, parts, &times)?),
        };
        Ok(Some(Closest {
            toward,
            times,
            held,
        }))
    }

    /// By what rows of both sides are held, and how far that lags behind their watermarks.
    fn held_by(
        &self,
        join: &Join,
        parts: [&Part; 2],
        times: &[PlanExpr; 2],
    ) -> Result<([HeldBy; 2], [i64; 2]), Refusal> {
        let schemas = [join.left.schema(), join.right.schema()];
        let held = |side: usize| {
            let column = column_of(&times[side], schemas[side])?;
            let at = parts[side].columns.iter().position(|c| *c == column)?;
            let known = parts[side].windows.get(at).copied().flatten();
            match self.is_timed(&parts[side].branches, at) {
                true => Some((HeldBy::Instant(column), 0)),
                false => known.map(|size_ns| (HeldBy::Window(column), size_ns - 1)),
            }
        };
        match [held(0), held(1)] {
            [Some((left, left_ns)), Some((right, right_ns))] => {
                Ok(([left, right], [left_ns, right_ns]))
            }
            [None, _] => refuse(
                "with an input without end, by a time of the left side that has \
                                 no watermark,",
            ),
            [_, None] => refuse(
                "with an input without end, by a time of it that has no \
                                 watermark,",
            ),
        }
    }

    /// How rows stand that are alike by key and time: where nothing else says it they come in the
    /// order of their source.
    pub(super) fn ties(&self) -> Ties {
        match self.mixed() {
            true => Ties::Values,
            false => Ties::Arrival,
        }
    }

    /// How the lanes of a branch are taken by who has to have its rows in the order of its source.
    pub(super) fn lanes(&self, branch: &Branch, routing: &Routing) -> Order {
        let by_chunks = |source: usize| self.program.sources[source].reading == Reading::Chunks;
        match (branch.source(), routing) {
            (Some(source), Routing::Hash(_) | Routing::Single) if by_chunks(source) => {
                Order::Chunks { bound: None }
            }
            _ => Order::Free,
        }
    }
}
