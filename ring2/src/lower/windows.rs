//! Windows among the keys of an aggregation: what a key says of its window, and the operators that
//! rows pass because of it.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field as ArrowField, Schema as ArrowSchema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, DataFusionError, ScalarValue};
use datafusion::logical_expr::Expr as PlanExpr;
use trefoil_ring0::expr::Expr;
use trefoil_ring0::operator::unnest::flagged;
use trefoil_ring0::program::{LateRule, OperatorSpec, Reach, WindowKey, WindowShape, WindowsSpec};
use trefoil_ring0::schema::{Schema, unit_nanos};

use super::{Lowering, Refusal};
use crate::lower_expr::{Scope, expression, unaliased};
use crate::window::START;
use crate::window::marker::{self, CUMULATE, CUMULATE_END, HOP, SESSION, SESSION_END};

/// What the columns of windows' bounds are called beside those of the plan.
const BOUND: &str = "__trefoil_bound_";

/// What a key says of its window.
#[derive(Debug, Clone)]
pub(super) struct KeyWindow {
    /// The time, which stands in the key's place before the exchange; of a tumbling window its
    /// start does.
    pub(super) key: Expr,
    /// The time's column, where it is one.
    pub(super) column: Option<usize>,
    bound: Bound,
    kind: Kind,
    unit_ns: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Start,
    End,
}

/// Lengths in the time's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tumbling {
        size: i64,
        offset: i64,
    },
    /// Rows are put into each.
    Overlapping(WindowShape),
    /// Rows are put into panes, from which windows are made.
    Panes(WindowShape),
    Session {
        gap: i64,
    },
}

/// The windows of an aggregation.
#[derive(Debug, Clone)]
pub(super) struct Windows {
    kind: Kind,
    unit_ns: i64,
    /// Positions of the keys that are the window's bounds.
    pub(super) start: Option<usize>,
    pub(super) end: Option<usize>,
}

/// Reads a key as a window's bound.
pub(super) fn read(key: &PlanExpr, scope: &Scope<'_>) -> Result<Option<KeyWindow>, Refusal> {
    let PlanExpr::ScalarFunction(call) = unaliased(key) else {
        return Ok(None);
    };
    let name = call.func.name();
    let bound = match name {
        START | HOP | CUMULATE | SESSION => Bound::Start,
        CUMULATE_END | SESSION_END => Bound::End,
        _ => return Ok(None),
    };
    let Some((time, lengths)) = call.args.split_first() else {
        return Ok(None);
    };
    let time = expression(time, scope)?;
    let DataType::Timestamp(unit, None) = time.data_type(&scope.schema) else {
        return Err((
            "E0302",
            "the time of a window is not a TIMESTAMP".to_owned(),
        ));
    };
    let unit_ns = unit_nanos(unit);
    let column = match &time {
        Expr::Column(column) => Some(*column),
        _ => None,
    };
    let units = |argument: &PlanExpr| match argument {
        PlanExpr::Literal(ScalarValue::Int64(Some(ns)), _) if ns % unit_ns == 0 => Ok(ns / unit_ns),
        PlanExpr::Literal(ScalarValue::Int64(Some(_)), _) => {
            let message = "a length of the window is not whole in its column's precision";
            Err(("E0401", message.to_owned()))
        }
        _ => Err(("E0302", "a window's lengths are no constants".to_owned())),
    };
    let lengths = lengths.iter().map(units).collect::<Result<Vec<_>, _>>()?;
    // Decided before the exchange, where the record is known.
    let within = |windows: Reach| Expr::InWindows {
        time: Box::new(time.clone()),
        windows,
    };
    let overlapping =
        |shape: WindowShape| (Kind::Overlapping(shape), within(Reach::Windows(shape)));
    let (kind, key) = match (name, lengths.as_slice()) {
        (START, &[size, offset]) => (Kind::Tumbling { size, offset }, expression(key, scope)?),
        (HOP, &[slide, size, offset]) => overlapping(WindowShape::Hopping {
            size,
            slide,
            offset,
        }),
        (CUMULATE | CUMULATE_END, &[step, size, offset]) => {
            overlapping(WindowShape::Cumulating { size, step, offset })
        }
        (SESSION | SESSION_END, &[gap]) => (Kind::Session { gap }, within(Reach::Session(gap))),
        _ => return Err(("E0302", format!("{name} of other lengths"))),
    };
    Ok(Some(KeyWindow {
        key,
        column,
        bound,
        kind,
        unit_ns,
    }))
}

impl KeyWindow {
    /// The shortest length of time behind which one of its windows ends, in nanoseconds.
    pub(super) fn shortest_ns(&self) -> i64 {
        let units = match self.kind {
            Kind::Tumbling { size, .. } => size,
            Kind::Overlapping(shape) | Kind::Panes(shape) => match shape {
                WindowShape::Hopping { slide, .. } => slide,
                WindowShape::Cumulating { step, .. } => step,
            },
            Kind::Session { gap } => gap,
        };
        units.saturating_mul(self.unit_ns)
    }

    /// Whether it is a session's bound.
    pub(super) fn is_session(&self) -> bool {
        matches!(self.kind, Kind::Session { .. })
    }
}

/// The windows that the keys speak of: one kind, over one time.
pub(super) fn of_keys(keys: &[Option<KeyWindow>]) -> Result<Option<Windows>, Refusal> {
    let mut windows: Option<(Windows, &KeyWindow)> = None;
    for (position, key) in keys.iter().enumerate() {
        let Some(key) = key else { continue };
        let (windows, first) = windows.get_or_insert_with(|| {
            let (kind, unit_ns) = (key.kind, key.unit_ns);
            (
                Windows {
                    kind,
                    unit_ns,
                    start: None,
                    end: None,
                },
                key,
            )
        });
        let bound = match key.bound {
            Bound::Start => &mut windows.start,
            Bound::End => &mut windows.end,
        };
        if (first.kind, &first.key) != (key.kind, &key.key) || bound.is_some() {
            let message = "windows of several kinds or times in one GROUP BY are not supported yet";
            return Err(("E0301", message.to_owned()));
        }
        *bound = Some(position);
    }
    Ok(windows.map(|(windows, _)| windows))
}

impl Windows {
    /// The key that closes groups, where watermarks come.
    pub(super) fn key(&self) -> Option<WindowKey> {
        let key = |key: Option<usize>, size: i64| {
            key.map(|key| WindowKey {
                key,
                size_ns: size * self.unit_ns,
            })
        };
        match self.kind {
            Kind::Tumbling { size, .. }
            | Kind::Overlapping(WindowShape::Hopping { size, .. })
            | Kind::Panes(WindowShape::Hopping { size, .. }) => key(self.start, size),
            // Those of one start are all closed with the last of them.
            Kind::Overlapping(WindowShape::Cumulating { size, .. })
            | Kind::Panes(WindowShape::Cumulating { size, .. }) => {
                key(self.end, 0).or_else(|| key(self.start, size))
            }
            Kind::Session { .. } => None,
        }
    }

    /// Whether a row has just one window, which its time alone tells.
    pub(super) fn is_tumbling(&self) -> bool {
        matches!(self.kind, Kind::Tumbling { .. })
    }

    /// The pause that ends a session.
    pub(super) fn gap(&self) -> Option<i64> {
        match self.kind {
            Kind::Session { gap } => Some(gap),
            Kind::Tumbling { .. } | Kind::Overlapping(_) | Kind::Panes(_) => None,
        }
    }

    /// Has rows put into panes, where windows hop by less than their size.
    pub(super) fn divide(&mut self) {
        if let Kind::Overlapping(shape @ WindowShape::Hopping { size, slide, .. }) = self.kind
            && slide < size
            && self.start.is_some()
        {
            self.kind = Kind::Panes(shape);
        }
    }

    /// Whether a row is put into each of several windows.
    pub(super) fn multiply(&self) -> bool {
        matches!(self.kind, Kind::Overlapping(_))
    }

    /// How windows lie that are made from panes.
    pub(super) fn panes(&self) -> Option<WindowShape> {
        match self.kind {
            Kind::Panes(shape) => Some(shape),
            Kind::Tumbling { .. } | Kind::Overlapping(_) | Kind::Session { .. } => None,
        }
    }

    /// Which rows have no open window any more. `bound` is the column of the rows' watermarks.
    pub(super) fn late(&self, bound: usize) -> Option<LateRule> {
        let (size, slide, offset) = match self.kind {
            Kind::Tumbling { size, offset } => (size, size, offset),
            Kind::Overlapping(shape) | Kind::Panes(shape) => match shape {
                WindowShape::Hopping {
                    size,
                    slide,
                    offset,
                } => (size, slide, offset),
                // The longest of those that hold a row begins and ends where all of them do.
                WindowShape::Cumulating { size, offset, .. } => (size, size, offset),
            },
            Kind::Session { .. } => (0, 0, 0),
        };
        Some(LateRule {
            time: self.start.or(self.end)?,
            unit_ns: self.unit_ns,
            bound,
            size,
            slide,
            offset,
        })
    }

    /// What stands before the aggregation: rows that are late go, and those of several windows
    /// are multiplied. `bound` is the column of the rows' watermarks.
    fn operator(&self, bound: Option<usize>, schema: &Arc<Schema>) -> Option<OperatorSpec> {
        match self.kind {
            Kind::Tumbling { .. }
            | Kind::Panes(WindowShape::Hopping { .. })
            | Kind::Session { .. } => Some(OperatorSpec::DropLate(self.late(bound?)?)),
            Kind::Overlapping(shape) | Kind::Panes(shape) => {
                Some(OperatorSpec::Windows(Arc::new(WindowsSpec {
                    time: self.start.or(self.end)?,
                    start: self.start,
                    end: self.end,
                    unit_ns: self.unit_ns,
                    bound,
                    shape,
                    schema: Arc::clone(schema),
                })))
            }
        }
    }
}

/// Whether a call makes several rows of one.
fn is_multiplying(expr: &PlanExpr) -> bool {
    matches!(expr, PlanExpr::ScalarFunction(f) if marker::is_several(f.name()))
}

/// The calls that make several rows of one, each once.
fn multiplying<'e>(exprs: impl Iterator<Item = &'e PlanExpr>) -> Vec<PlanExpr> {
    let mut calls: Vec<PlanExpr> = Vec::new();
    for expr in exprs {
        // Nothing in here fails.
        let _ = expr.apply(|e| {
            if is_multiplying(e) && !calls.contains(e) {
                calls.push(e.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        });
    }
    calls
}

impl Lowering<'_> {
    /// Has rows put into the windows that these expressions over `input` speak of, if they are such
    /// that a row has several. Gives the expressions over the rows that come of it, and the columns
    /// that those have by the plan. `for_lookup`: rows are grouped by them above a join with a
    /// table.
    pub(super) fn spread(
        &mut self,
        exprs: Vec<PlanExpr>,
        input: &DFSchemaRef,
        for_lookup: bool,
    ) -> Result<(Vec<PlanExpr>, DFSchemaRef), Refusal> {
        let calls = multiplying(exprs.iter());
        if calls.is_empty() {
            return Ok((exprs, Arc::clone(input)));
        }
        if self.weighted {
            let message = "windows over results that change are not supported yet";
            return Err(("E0301", message.to_owned()));
        }
        self.merge();
        let wrong = |e: DataFusionError| ("E0302", e.strip_backtrace());
        let scope = self.scope_of(input);
        let visible = self.schema.fields.len() - usize::from(self.apart);
        let mut keys = vec![None; visible];
        let mut fields = self.schema.fields[..visible].to_vec();
        let mut named = Vec::new();
        for (number, call) in calls.iter().enumerate() {
            let key = read(call, &scope)?.expect("it is a window's bound");
            fields.push(self.field(&format!("window{number}"), &key.key, false)?);
            let data_type = key.key.data_type(&self.schema);
            named.push(ArrowField::new(
                format!("{BOUND}{number}"),
                data_type,
                false,
            ));
            keys.push(Some(key));
        }
        let windows = of_keys(&keys)?.expect("there are bounds");
        let times = keys[visible..].iter().flatten().map(|key| key.key.clone());
        let mut all: Vec<Expr> = (0..visible).map(Expr::Column).chain(times).collect();
        let known = self.columns.clone();
        let time = keys.iter().flatten().find_map(|key| key.column);
        let closes = self.held_by_window || for_lookup;
        let bound = match time.filter(|time| closes && self.is_timed(&self.branches, *time)) {
            Some(time) => self.bound_in_order(time)?,
            None => None,
        };
        let bound = bound.map(|bound| {
            fields.push(self.schema.fields[bound].clone());
            all.push(Expr::Column(bound));
            all.len() - 1
        });
        let nested = self.nested(&keys);
        self.project(all, Schema::new(fields));
        if let Some(rule) = bound.and_then(|bound| windows.late(bound)) {
            self.drop_at_source(rule);
        }
        self.pass_windows(&windows, bound);
        if let (true, Some(window)) = (bound.is_some() || nested.is_some(), windows.key()) {
            let window = nested.map_or(window, |nested| nested.around(window));
            self.windows[window.key] = Some(window.size_ns);
        }
        let planned = input.fields().len();
        let columns = known.unwrap_or_else(|| (0..planned).collect());
        self.columns = Some(
            columns
                .into_iter()
                .chain(planned..planned + calls.len())
                .collect(),
        );
        let bounds = DFSchema::try_from(ArrowSchema::new(named)).map_err(wrong)?;
        let schema = Arc::new(input.join(&bounds).map_err(wrong)?);
        let replace = |expr: PlanExpr| {
            let replaced = expr.transform(|e| match calls.iter().position(|call| *call == e) {
                Some(number) => {
                    let column = Column::new_unqualified(format!("{BOUND}{number}"));
                    Ok(Transformed::yes(PlanExpr::Column(column)))
                }
                None => Ok(Transformed::no(e)),
            });
            replaced.map(|r| r.data).map_err(wrong)
        };
        let exprs = exprs.into_iter().map(replace).collect::<Result<_, _>>()?;
        Ok((exprs, schema))
    }

    /// Has rows pass what stands before an aggregation by these windows.
    pub(super) fn pass_windows(&mut self, windows: &Windows, bound: Option<usize>) {
        // Groups are no rows of a source, and nobody counts them.
        if windows.multiply() && !self.apart && !self.grouped {
            self.schema = flagged(Schema::clone(&self.schema));
            self.apart = true;
        }
        if let Some(operator) = windows.operator(bound, &self.schema) {
            self.push(operator);
        }
    }
}
