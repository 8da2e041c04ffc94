//! Joins: both sides are lowered, brought to where the analysis wants their rows to meet, and
//! joined there. A side that ends is kept wholly before the other is looked at; of two that need
//! not end an interval of event time, or their windows, say what is kept. So a row that leaves is
//! never taken back, whatever the kind of join. Where nothing says what is kept, or rows of a side
//! come and go, all rows that stand are kept, and what leaves are changes. ASOF joins are in
//! [`super::nearest`].

use std::sync::Arc;

use datafusion::common::NullEquality;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr as PlanExpr, Join, JoinType, LogicalPlan};
use trefoil_ring0::changelog;
use trefoil_ring0::expr::Expr;
use trefoil_ring0::program::{
    JoinKind, JoinSpec, Keep, OperatorSpec, Order, Routing, Side, StageInput, Ties,
};
use trefoil_ring0::schema::{Field, Schema};

use super::branch::Branch;
use super::interval::{HeldBy, Within};
use super::nearest::Closest;
use super::union::Part;
use super::window_join::{equal_windows, meets_windows, windows_behind, windows_of};
use super::{Lowering, Refusal};
use crate::lower_expr::{Scope, expression};
use crate::partitioning::{Way, changes_come, ends};
use crate::window::marker::AS_OF_TIME;

/// Stands for a column that the plan does not know.
const HIDDEN: usize = usize::MAX;

/// One side, on its way to the other.
#[derive(Debug)]
pub(super) struct Coming {
    input: StageInput,
    /// All columns, with what says what a row does.
    sent: Arc<Schema>,
    /// The rows' own.
    pub(super) schema: Arc<Schema>,
    /// Which of the side's columns by the plan each is.
    columns: Vec<usize>,
    keys: Vec<usize>,
    /// The event time by which rows are held or near, where they are.
    pub(super) time: Option<usize>,
    /// How rows stand that are alike by key and time.
    pub(super) ties: Ties,
    single: bool,
}

/// What a join keeps.
#[derive(Debug)]
pub(super) enum Kept {
    /// A side wholly, and how far times of both are apart, where the condition says it.
    Side(Side, Option<Within>),
    /// Rows of both as long as they may match.
    Within(Within),
    /// Versions of the right side as long as they may be the nearest.
    Nearest(Closest),
    /// All rows that stand; where it is known how far times of both are apart, those that something
    /// can still happen to.
    Changes(Option<Within>),
}

impl Kept {
    /// By which column of the plan the rows of a side are held, if they are.
    fn held(&self, side: Side) -> Option<HeldBy> {
        match self {
            Self::Within(within) => Some(within.held(side)),
            Self::Nearest(closest) => closest.held(side),
            Self::Changes(within) => within.as_ref().map(|within| within.held(side)),
            Self::Side(..) => None,
        }
    }

    /// The column of the plan by whose time rows of a side are held or found, if it is one.
    fn time(&self, side: Side) -> Option<usize> {
        match self {
            Self::Side(_, near) => near.as_ref().map(|near| near.times[side.port()]),
            _ => self.held(side).map(HeldBy::column),
        }
    }
}

fn kind(join: &Join) -> JoinKind {
    let pairs = |left, right| JoinKind::Pairs { left, right };
    match join.join_type {
        JoinType::Inner => pairs(false, false),
        JoinType::Left => pairs(true, false),
        JoinType::Right => pairs(false, true),
        JoinType::Full => pairs(true, true),
        JoinType::LeftSemi => JoinKind::Semi(Side::Left),
        JoinType::RightSemi => JoinKind::Semi(Side::Right),
        JoinType::LeftAnti => JoinKind::Anti(Side::Left),
        JoinType::RightAnti => JoinKind::Anti(Side::Right),
        JoinType::LeftMark => JoinKind::Mark(Side::Left),
        JoinType::RightMark => JoinKind::Mark(Side::Right),
    }
}

pub(super) fn refuse<T>(what: &str) -> Result<T, Refusal> {
    Err(("E0301", format!("JOIN {what} is not supported yet")))
}

/// A condition without what asks for a version: of a table that is a file there is one.
pub(crate) fn without_versions(condition: &PlanExpr) -> Option<PlanExpr> {
    let version =
        |e: &&PlanExpr| matches!(e, PlanExpr::ScalarFunction(f) if f.name() == AS_OF_TIME);
    let parts = split_conjunction(condition);
    match parts.iter().any(version) {
        true => conjunction(parts.into_iter().filter(|e| !version(e)).cloned()),
        false => Some(condition.clone()),
    }
}

/// What is refused where a NULL among rows that come and go, or that do not end, would matter.
const NOT_IN: &str = "NOT IN over columns that may be NULL, of a subquery that does not end or \
                      changes, is not supported yet";

/// What leaves a join, and which of its columns by the plan each is.
fn leaving(join: &Join, kind: JoinKind, left: &Coming, right: &Coming) -> (Vec<Field>, Vec<usize>) {
    let padded = |side: Side, schema: &Schema| -> Vec<Field> {
        let pads = matches!(kind, JoinKind::Pairs { .. }) && kind.tells(side.other());
        let fields = schema.fields.iter().cloned();
        let field = |f: Field| Field {
            nullable: f.nullable || pads,
            ..f
        };
        fields.map(field).collect()
    };
    let of = |side: Side| match side {
        Side::Left => (padded(side, &left.schema), left.columns.clone()),
        Side::Right => (padded(side, &right.schema), right.columns.clone()),
    };
    match kind {
        JoinKind::Pairs { .. } => {
            let ((mut fields, mut columns), (more, behind)) = (of(Side::Left), of(Side::Right));
            let before = join.left.schema().fields().len();
            fields.extend(more);
            let shift = |c: usize| if c == HIDDEN { c } else { c + before };
            columns.extend(behind.into_iter().map(shift));
            (fields, columns)
        }
        JoinKind::Semi(side) | JoinKind::Anti(side) => of(side),
        JoinKind::Mark(side) => {
            let (mut fields, mut columns) = of(side);
            fields.push(Field {
                nullable: false,
                ..Field::new("mark", datafusion::arrow::datatypes::DataType::Boolean)
            });
            columns.push(join.schema.fields().len() - 1);
            (fields, columns)
        }
    }
}

impl Lowering<'_> {
    pub(super) fn join(&mut self, join: &Join) -> Result<(), Refusal> {
        let [left, right] = self.parts(join)?;
        let Some([left_way, right_way]) = self.analysis.joins.get(self.joins).cloned() else {
            return refuse("of this kind");
        };
        self.joins += 1;
        let kind = kind(join);
        let kept = self.kept(join, kind, [&left, &right], [&left_way, &right_way])?;
        let [left, right] = self.on_time_above(join, &kept, [left, right])?;
        let before = self.windows_before(join, [&left, &right]);
        let condition = match &kept {
            Kept::Within(within) => within.rest.clone(),
            Kept::Nearest(_) => None,
            Kept::Side(..) | Kept::Changes(_) => join.filter.as_ref().and_then(without_versions),
        };
        let (on_left, on_right) = join.on.iter().cloned().unzip();
        let left = self.come((left, &join.left), on_left, &left_way, (Side::Left, &kept))?;
        let right = self.come(
            (right, &join.right),
            on_right,
            &right_way,
            (Side::Right, &kept),
        )?;
        let condition = match condition {
            Some(condition) => Some(self.condition(join, &condition, &left, &right)?),
            None => None,
        };
        let (fields, columns) = leaving(join, kind, &left, &right);
        let sides = [&left, &right];
        let (keep, windows) = match &kept {
            Kept::Within(within) => (
                Keep::Interval(within.interval(sides)),
                windows_behind(kind, sides, windows_of(kind, sides, within)),
            ),
            Kept::Nearest(closest) => (
                Keep::Nearest(closest.nearest(sides)),
                closest.windows(sides),
            ),
            Kept::Side(side, _) => (Keep::Side(*side), windows_behind(kind, sides, before)),
            Kept::Changes(_) => (Keep::Changes, Vec::new()),
        };
        let near = match &kept {
            Kept::Side(_, Some(near)) | Kept::Changes(Some(near)) => near.near(sides),
            _ => None,
        };
        let output = match keep {
            Keep::Changes => changelog::weighted(Schema::new(fields)),
            Keep::Side(_) | Keep::Interval(_) | Keep::Nearest(_) => Arc::new(Schema::new(fields)),
        };
        let single = match keep {
            Keep::Side(Side::Left) => right.single,
            _ => left.single,
        };
        let spec = JoinSpec {
            inputs: [left.sent, right.sent],
            keys: [left.keys, right.keys],
            nulls_equal: join.null_equality == NullEquality::NullEqualsNull,
            not_in: join.null_aware,
            condition,
            near,
            kind,
            keep,
            output: Arc::clone(&output),
        };
        let inputs = vec![left.input, right.input];
        self.branches = vec![Branch::behind(inputs, output.fields.len(), single)];
        (self.schema, self.windows) = (output, windows);
        (self.grouped, self.sorted) = (true, false);
        self.push(OperatorSpec::Join(Arc::new(spec)));
        self.weighted = keep == Keep::Changes;
        self.hide(columns);
        if keep == Keep::Changes && !self.changes {
            self.only_come();
        }
        Ok(())
    }

    /// Lowers both sides of a join that can run.
    fn parts(&mut self, join: &Join) -> Result<[Part; 2], Refusal> {
        let tables = &self.query.tables;
        let changing = |plan: &LogicalPlan| self.changes && changes_come(plan, tables);
        let endless = self.sides_end(join) == [false, false];
        let held =
            endless && meets_windows(join) && !changing(&join.left) && !changing(&join.right);
        let counts = (self.aggregates, self.joins, self.overs);
        let before = held.then(|| (self.program.clone(), counts));
        let parts = self.both_parts(join, held)?;
        match before {
            // What is late is late for windows by which rows are held, and for no others.
            Some(before) if equal_windows(join, [&parts[0], &parts[1]]).is_none() => {
                let counts;
                (self.program, counts) = before;
                (self.aggregates, self.joins, self.overs) = counts;
                self.both_parts(join, false)
            }
            _ => Ok(parts),
        }
    }

    fn both_parts(&mut self, join: &Join, held: bool) -> Result<[Part; 2], Refusal> {
        let around = std::mem::replace(&mut self.held_by_window, held);
        let left = self.part(&join.left)?;
        let right = self.part(&join.right)?;
        self.held_by_window = around;
        Ok([left, right])
    }

    /// What a join keeps: all that stands where rows of a side come and go, or where neither side
    /// ends and nothing says when rows match no more.
    fn kept(
        &self,
        join: &Join,
        kind: JoinKind,
        parts: [&Part; 2],
        ways: [&Way; 2],
    ) -> Result<Kept, Refusal> {
        if let Some(closest) = self.closest(join, parts)? {
            return Ok(Kept::Nearest(closest));
        }
        let changing = parts.iter().any(|part| part.weighted);
        let open = changing || !self.sides_end(join)[1] || join.on.len() != 1;
        if join.null_aware && (open || join.filter.is_some()) {
            return Err(("E0301", NOT_IN.to_owned()));
        }
        let endless = self.sides_end(join) == [false, false];
        if !changing && (!endless || ways.contains(&&Way::Broadcast)) {
            let side = self.build(join, kind, ways)?;
            return Ok(Kept::Side(side, Self::near(join)));
        }
        let within = match endless {
            true => self.within(join, parts)?,
            false => None,
        };
        match within {
            Some(within) if !changing => Ok(Kept::Within(within)),
            within => (self.check_regular(kind, ways)).map(|()| Kept::Changes(within)),
        }
    }

    /// Leaves out the columns that the plan does not know.
    fn hide(&mut self, columns: Vec<usize>) {
        let known = columns.iter().enumerate().filter(|(_, c)| **c != HIDDEN);
        let (at, known): (Vec<usize>, Vec<usize>) = known.map(|(at, c)| (at, *c)).unzip();
        if known.len() < columns.len() {
            let fields = at.iter().map(|&c| self.schema.fields[c].clone()).collect();
            self.project(
                at.into_iter().map(Expr::Column).collect(),
                Schema::new(fields),
            );
        }
        self.columns = Some(known);
    }

    /// Whether the inputs end.
    pub(super) fn sides_end(&self, join: &Join) -> [bool; 2] {
        let tables = &self.query.tables;
        [ends(&join.left, tables), ends(&join.right, tables)]
    }

    /// The side that is kept: it ends, and where it is on every shard nothing is told of its rows.
    fn build(&self, join: &Join, kind: JoinKind, ways: [&Way; 2]) -> Result<Side, Refusal> {
        let ends = self.sides_end(join);
        let build = match (ways, ends) {
            ([Way::Broadcast, _], _) => Side::Left,
            ([_, Way::Broadcast], _) | (_, [_, true]) => Side::Right,
            (_, [true, false]) => Side::Left,
            (_, [false, false]) => return refuse("of two inputs without end"),
        };
        if !ends[build.port()] {
            return refuse("with a value that changes without end");
        }
        if kind.tells(build) && !ends[build.other().port()] {
            return refuse("that waits for the end of an input without one");
        }
        Ok(build)
    }

    /// Has the rows of a side come to the join; those that are not late by the column of the plan
    /// by which they are held, where there is one.
    fn come(
        &mut self,
        (part, plan): (Part, &LogicalPlan),
        keys: Vec<PlanExpr>,
        way: &Way,
        (side, kept): (Side, &Kept),
    ) -> Result<Coming, Refusal> {
        let held = kept.held(side);
        let near = match kept {
            Kept::Nearest(closest) => closest.computed(side),
            _ => None,
        };
        let Part {
            branches,
            schema,
            mut columns,
            grouped,
            weighted,
            ..
        } = part;
        (self.branches, self.schema, self.grouped) = (branches, schema, grouped);
        (self.columns, self.weighted) = (Some(columns.clone()), weighted);
        let mut at = Vec::new();
        let mut computed = Vec::new();
        for key in keys.iter().chain(near) {
            at.push(match expression(key, &self.scope(plan))? {
                Expr::Column(column) => column,
                expr => {
                    computed.push(expr);
                    self.visible() + computed.len() - 1
                }
            });
        }
        columns.resize(columns.len() + computed.len(), HIDDEN);
        if !computed.is_empty() {
            self.add_columns(computed)?;
        }
        let mut to = match way {
            Way::Stay => None,
            Way::Keys(by) => Some(Routing::Hash(by.iter().map(|&k| at[k]).collect())),
            Way::One => Some(Routing::Single),
            Way::Broadcast => Some(Routing::Broadcast),
        };
        let found = |time: usize| columns.iter().position(|c| *c == time);
        let time = match near {
            Some(_) => at.pop(),
            None => kept.time(side).and_then(found),
        };
        let ties = self.ties();
        if let (Some(HeldBy::Instant(_)), Some(time)) = (held, time) {
            to = self.on_time(time, to)?;
        }
        match (kept, self.weighted) {
            (Kept::Changes(_), true) => self.part_updates(&at),
            (Kept::Changes(_), false) => self.weigh(),
            (Kept::Within(_) | Kept::Nearest(_) | Kept::Side(..), _) => {}
        }
        let own = self.schema.fields[..self.visible()].to_vec();
        self.merge();
        let branch = self.branches.pop().expect("merged branches are one");
        let routing = to.unwrap_or_else(|| branch.staying());
        let sent = Arc::clone(&self.schema);
        let single = routing == Routing::Single;
        let order = match (kept, side) {
            (Kept::Nearest(_), Side::Right) => self.lanes(&branch, &routing),
            _ => Order::Free,
        };
        let input = self.send(branch, Arc::clone(&sent), routing, order);
        (self.grouped, self.columns, self.weighted) = (false, None, false);
        Ok(Coming {
            input,
            sent,
            schema: Arc::new(Schema::new(own)),
            columns,
            keys: at,
            time,
            ties,
            single,
        })
    }

    fn condition(
        &self,
        join: &Join,
        condition: &PlanExpr,
        left: &Coming,
        right: &Coming,
    ) -> Result<Expr, Refusal> {
        let plan = join.left.schema().join(join.right.schema());
        let plan = Arc::new(plan.map_err(|e| ("E0302", e.strip_backtrace()))?);
        let before = join.left.schema().fields().len();
        let shift = |c: &usize| if *c == HIDDEN { HIDDEN } else { *c + before };
        let columns = left.columns.iter().copied();
        let columns = columns.chain(right.columns.iter().map(shift)).collect();
        let fields = [&left.schema.fields[..], &right.schema.fields].concat();
        let scope = Scope {
            plan: &plan,
            schema: Arc::new(Schema::new(fields)),
            columns: Some(columns),
            kernels: self.kernels,
        };
        expression(condition, &scope)
    }
}
