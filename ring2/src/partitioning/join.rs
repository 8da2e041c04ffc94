//! Joins: which side moves. Both sides have to be together by the same keys, in the same type; a
//! side that is proven to be so stays, and the other is routed to it. A small table is brought to
//! every shard instead, and a scalar subquery's value, too.

mod shape;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, JoinType};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable, Join, LogicalPlan};

use self::shape::Shape;
pub(crate) use self::shape::{changes_come, takes_back};
use super::StrategyConfig;
use super::analyze::{Edge, Route, Unfit, Walk, Way, is_native};
use super::distribution::{Key, Spread, class, core};
use super::graph::ExchangeKind;
use super::names::{duration, text};
use super::step::{Need, Step};
use crate::catalog::SourceDef;
use crate::planner::state_ttl::{self, forgets};
use crate::window::marker::ASOF;

/// The declared table that a side is, if it is one and nothing more.
fn table_name(plan: &LogicalPlan) -> Option<&str> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(scan.table_name.table()),
        LogicalPlan::SubqueryAlias(alias) => table_name(&alias.input),
        LogicalPlan::Filter(filter) => table_name(&filter.input),
        LogicalPlan::Projection(projection) => table_name(&projection.input),
        _ => None,
    }
}

/// Whether all sources of a plan end.
pub(crate) fn ends(plan: &LogicalPlan, tables: &[SourceDef]) -> bool {
    let mut ends = true;
    let walked = plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let name = scan.table_name.table();
            ends &= tables.iter().any(|t| t.name == name && t.bounded);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok(), "looking does not fail");
    ends
}

impl Walk<'_> {
    pub(super) fn join(&mut self, join: &Join) -> Result<Edge, Unfit> {
        let left = self.node(&join.left)?;
        let right = self.node(&join.right)?;
        // Changes of both sides have to meet, whatever their number.
        let changing = self.changes_come(&join.left) || self.changes_come(&join.right);
        let nearest = Shape::of(join, &[]) == Shape::Asof;
        if join.on.is_empty() && (right.scalar || left.scalar) && !changing && !nearest {
            return Ok(self.scalar(join, left, right));
        }
        self.kinds.join = true;
        if join.null_aware && !changing {
            return Ok(self.known_everywhere(join, left, &right));
        }
        let mut bounds = left.bounds.clone();
        bounds.extend(right.bounds.clone());
        let shape = match changing {
            true => Shape::Regular,
            false => Shape::of(join, &bounds),
        };
        let replicated = match changing {
            true => None,
            false => self.replicated(join, &left, &right, shape),
        };
        if let Some(edge) = replicated {
            return Ok(edge);
        }
        let pairs: Vec<(Expr, Expr)> = (join.on.iter())
            .filter(|(l, r)| !bounds.contains(l) && !bounds.contains(r))
            .filter(|(l, r)| same_class(join, l, r))
            .cloned()
            .collect();
        if pairs.is_empty() {
            return Ok(self.gathered(join, left, right, shape));
        }
        self.by_keys(join, left, right, shape, &pairs)
    }

    /// A value that every shard needs.
    fn scalar(&mut self, join: &Join, left: Edge, right: Edge) -> Edge {
        self.joins.push(match right.scalar {
            true => [Way::Stay, Way::Broadcast],
            false => [Way::Broadcast, Way::Stay],
        });
        let (kept, value) = match right.scalar {
            true => (left, right),
            false => (right, left),
        };
        let reason = "scalar subquery: its value goes to every shard".to_owned();
        self.link(
            value.stage,
            kept.stage,
            ExchangeKind::Broadcast,
            reason.clone(),
        );
        let filter = join.filter.as_ref().map(text).unwrap_or_default();
        let state = (
            "the value, and what depends on it".into(),
            "end of input".into(),
        );
        let name = format!("compare with the value: {filter}");
        self.operator(kept.stage, name, true, Some(state));
        self.steps.push(Step {
            need: Need::Scalar,
            keys: Vec::new(),
            router: StrategyConfig::FanIn,
            reason,
            before: None,
        });
        let bounds = [kept.bounds, value.bounds].concat();
        Edge { bounds, ..kept }
    }

    /// NOT IN: that a NULL is among the right side's rows, or no row, every shard has to know.
    fn known_everywhere(&mut self, join: &Join, left: Edge, right: &Edge) -> Edge {
        self.joins.push([Way::Stay, Way::Broadcast]);
        let reason = "NOT IN: every shard has to know of a NULL in the subquery".to_owned();
        let kind = ExchangeKind::Broadcast;
        self.link(right.stage, left.stage, kind, reason.clone());
        let name = format!("null-aware anti join on {}", conditions(join));
        let state = (
            "all rows of the right side, on every shard".to_owned(),
            "the end of the right side".to_owned(),
        );
        self.operator(left.stage, name, native(join), Some(state));
        self.steps.push(Step {
            need: Need::Broadcast("the subquery".to_owned()),
            keys: join.on.iter().map(|(l, _)| l.clone()).collect(),
            router: StrategyConfig::RoundRobin,
            reason,
            before: None,
        });
        left
    }

    /// A table that is small enough to be on every shard; the stream's rows all have to stay
    /// unpadded, since no shard knows what the others matched.
    fn replicated(&mut self, join: &Join, left: &Edge, right: &Edge, shape: Shape) -> Option<Edge> {
        if self.forced.is_some() {
            return None;
        }
        use JoinType as J;
        let on_right = matches!(
            join.join_type,
            J::Inner | J::Left | J::LeftSemi | J::LeftAnti | J::LeftMark
        );
        let on_left = matches!(
            join.join_type,
            J::Inner | J::Right | J::RightSemi | J::RightAnti | J::RightMark
        );
        let fits = |plan: &LogicalPlan, possible: bool| -> Option<(String, u64)> {
            let name = table_name(plan).filter(|_| possible)?;
            let table = self.facts.tables.iter().find(|t| t.name == name)?;
            // A self-join of a table would need its stream side, too.
            let size = match table.read_upto {
                Some(bytes) => bytes,
                None => std::fs::metadata(&table.path).ok()?.len(),
            };
            let small = size <= self.facts.settings.broadcast_max_bytes;
            (!table.primary_key.is_empty() && small).then(|| (name.to_owned(), size))
        };
        let (kept, table, (name, size)) = match fits(&join.right, on_right) {
            Some(found) => (left, right, found),
            None => (right, left, fits(&join.left, on_left)?),
        };
        self.joins.push(match std::ptr::eq(kept, left) {
            true => [Way::Stay, Way::Broadcast],
            false => [Way::Broadcast, Way::Stay],
        });
        let limit = self.facts.settings.broadcast_max_bytes;
        let reason = format!(
            "table {name} of {size} bytes is on every shard (limit {limit}); the stream stays \
             where it is"
        );
        self.link(
            table.stage,
            kept.stage,
            ExchangeKind::Broadcast,
            reason.clone(),
        );
        let lookup = match shape {
            Shape::Temporal => format!("temporal lookup in {name}"),
            Shape::Asof => format!("asof lookup in {name}"),
            Shape::Window | Shape::Interval | Shape::Regular => format!("lookup in {name}"),
        };
        let on = conditions(join);
        let name_of_join = match on.is_empty() {
            true => lookup,
            false => format!("{lookup} ({on})"),
        };
        let state = (format!("table {name}"), format!("its size: {size} bytes"));
        self.operator(kept.stage, name_of_join, native(join), Some(state));
        self.steps.push(Step {
            need: Need::Broadcast(name),
            keys: join.on.iter().map(|(l, _)| l.clone()).collect(),
            router: StrategyConfig::RoundRobin,
            reason,
            before: None,
        });
        let bounds = [left.bounds.clone(), right.bounds.clone()].concat();
        Some(Edge {
            bounds,
            ..kept.clone()
        })
    }

    /// No key to route by: all of both sides on one shard.
    fn gathered(&mut self, join: &Join, left: Edge, right: Edge, shape: Shape) -> Edge {
        let on = conditions(join);
        let reason = match on.is_empty() {
            true => "join of all pairs: one shard sees them".to_owned(),
            false => format!("join on {on}: no equality to route by, one shard sees all pairs"),
        };
        self.joins.push([Way::One, Way::One]);
        let kind = ExchangeKind::All;
        let stage = self.exchange(left.stage, kind.clone(), reason.clone());
        self.link(right.stage, stage, kind, reason.clone());
        self.joined(join, stage, shape);
        self.steps.push(Step {
            need: Need::Single,
            keys: Vec::new(),
            router: StrategyConfig::FanIn,
            reason,
            before: None,
        });
        Edge {
            stage,
            spread: Spread::One,
            bounds: [left.bounds, right.bounds].concat(),
            scalar: false,
            home: None,
        }
    }

    fn by_keys(
        &mut self,
        join: &Join,
        left: Edge,
        right: Edge,
        shape: Shape,
        pairs: &[(Expr, Expr)],
    ) -> Result<Edge, Unfit> {
        let (l, r): (Vec<Expr>, Vec<Expr>) = pairs.iter().cloned().unzip();
        let on_left = left.spread.aligned(&l, join.left.schema());
        let on_right = right.spread.aligned(&r, join.right.schema());
        // Everything on one shard is together with the other side only if that is so, too.
        let proven = |a: Option<Vec<usize>>| a.filter(|by| !by.is_empty());
        let both_one = left.spread == Spread::One && right.spread == Spread::One;
        let (on_left, on_right) = (proven(on_left), proven(on_right));
        let all: Vec<usize> = (0..pairs.len()).collect();
        let asked = self.forced.as_ref().map(|(asked, _)| *asked);
        let hash_asked = asked == Some(StrategyConfig::AlwaysHash);
        let (by, left_stays, right_stays) = match (on_left, on_right) {
            _ if hash_asked => (all, false, false),
            (Some(a), Some(b)) if a == b => (a, true, true),
            (Some(a), _) => (a, true, false),
            (None, Some(b)) => (b, false, true),
            (None, None) => (all, false, false),
        };
        let aligned = (left_stays && right_stays || both_one).then_some(by.as_slice());
        let edge = match (&left.spread, &right.spread) {
            _ if both_one => left.clone(),
            (Spread::Keyed(_), _) if !left_stays => left.clone(),
            (_, Spread::Keyed(_)) if !right_stays => right.clone(),
            _ => left.clone(),
        };
        let mut decision = self.keyed("JOIN", &l, &edge, aligned)?;
        if matches!(decision.route, Route::Hash(_)) && (left_stays || right_stays) {
            let stays = if left_stays { "left" } else { "right" };
            let names = Self::names(&by.iter().map(|&i| l[i].clone()).collect::<Vec<_>>());
            decision.reason = format!(
                "JOIN by {}: the {stays} side is already together by {}, the other is routed to it",
                Self::names(&l).join(", "),
                names.join(", ")
            );
        }
        let reason = decision.reason.clone();
        let chosen = |side: &[Expr]| by.iter().map(|&i| side[i].clone()).collect::<Vec<_>>();
        let keys = |side: &[Expr]| Self::names(&chosen(side));
        let stay = decision.route == Route::Stay;
        let kind = |stays: bool, side: &[Expr]| match (&decision.route, stays || stay) {
            (_, true) => ExchangeKind::Local,
            (Route::One | Route::TwoPhase, false) => ExchangeKind::All,
            (Route::Hash(_) | Route::Stay, false) => ExchangeKind::Hash(keys(side)),
        };
        let place = |i: usize| join.on.iter().position(|on| *on == pairs[i]);
        let on: Vec<usize> = by.iter().filter_map(|&i| place(i)).collect();
        let ways = [left_stays, right_stays].map(|stays| way(&decision.route, stays || stay, &on));
        self.joins.push(ways);
        let stage = self.exchange(left.stage, kind(left_stays, &l), reason.clone());
        self.link(right.stage, stage, kind(right_stays, &r), reason);
        self.joined(join, stage, shape);
        let rehashed = |edge: &Edge, stays: bool| edge.home.clone().filter(|_| !stays && !stay);
        let before = rehashed(&left, left_stays).or_else(|| rehashed(&right, right_stays));
        self.steps.push(Step {
            need: Need::Join,
            keys: l.clone(),
            router: decision.router,
            reason: decision.reason,
            before,
        });
        let spread = match decision.route {
            _ if both_one => Spread::One,
            Route::One | Route::TwoPhase => Spread::One,
            Route::Stay | Route::Hash(_) => joined_spread(join, &by, &l, &r),
        };
        Ok(Edge {
            stage,
            spread,
            bounds: [left.bounds, right.bounds].concat(),
            scalar: false,
            home: Some(keys(&l)),
        })
    }

    fn joined(&mut self, join: &Join, stage: usize, shape: Shape) {
        let on = conditions(join);
        let kind = kind(join.join_type);
        let tables = self.facts.tables;
        let changing = self.changes_come(&join.left) || self.changes_come(&join.right);
        let endless = !ends(&join.left, tables) && !ends(&join.right, tables);
        let kept = match (ends(&join.right, tables), ends(&join.left, tables)) {
            _ if changing => None,
            (true, _) => Some("the right side"),
            (false, true) => Some("the left side"),
            (false, false) => None,
        };
        let (name, state, bound) = match shape {
            Shape::Asof => (
                "asof",
                "one version a key, those that are ahead, and rows that wait for theirs",
                self.watermark(),
            ),
            Shape::Temporal => ("temporal", "versions of the table", self.watermark()),
            Shape::Window => (
                "window",
                "rows and windows that can still match",
                self.watermark(),
            ),
            Shape::Interval => {
                let bound = format!("{} and {}", self.watermark(), self.distance(join));
                ("interval", "rows of both sides that can still match", bound)
            }
            Shape::Regular if endless && changing && forgets(join, tables) => {
                let bound = format!("{} and {}", self.watermark(), self.distance(join));
                ("regular", "rows of both sides that can still change", bound)
            }
            Shape::Regular => {
                let bound = "nothing but the end of input: it grows".to_owned();
                ("regular", "all rows of both sides", bound)
            }
        };
        let name = match (on.is_empty(), join.join_type) {
            (true, JoinType::Inner) => "cross join".to_owned(),
            (true, _) => format!("{kind} join of all pairs"),
            (false, _) => format!("{name} {kind} join on {on}"),
        };
        // Of an ASOF join only the right side can be kept.
        let kept = kept.filter(|_| shape != Shape::Asof || ends(&join.right, tables));
        let state = match kept {
            Some(side) => (format!("all rows of {side}"), format!("the end of {side}")),
            None => (state.to_owned(), bound),
        };
        let asks = !matches!(kind, "inner" | "left" | "right" | "full");
        let state = match asks && join.filter.is_some() {
            true => (
                format!("{}, and tries those of a key until one matches", state.0),
                state.1,
            ),
            false => state,
        };
        self.operator(stage, name, native(join), Some(state));
    }
}

/// How a side comes to a join that is decided so.
fn way(route: &Route, stays: bool, on: &[usize]) -> Way {
    match (route, stays) {
        (_, true) => Way::Stay,
        (Route::One | Route::TwoPhase, false) => Way::One,
        (Route::Hash(_) | Route::Stay, false) => Way::Keys(on.to_vec()),
    }
}

fn same_class(join: &Join, left: &Expr, right: &Expr) -> bool {
    let of = |e: &Expr, schema: &DFSchema| core(e, schema).get_type(schema).ok().map(|t| class(&t));
    let (a, b) = (of(left, join.left.schema()), of(right, join.right.schema()));
    a.is_some() && a == b
}

fn native(join: &Join) -> bool {
    let is_native = |e: &Expr| match e {
        Expr::ScalarFunction(f) if f.name() == ASOF => f.args.iter().all(is_native),
        other => is_native(other),
    };
    let conditions = join.filter.iter().flat_map(split_conjunction);
    let keys = || join.on.iter().flat_map(|(l, r)| [l, r]);
    conditions.into_iter().all(is_native) && keys().all(is_native)
}

fn conditions(join: &Join) -> String {
    let mut all: Vec<String> = (join.on.iter())
        .map(|(l, r)| match (text(l), text(r)) {
            (a, b) if a == b => a,
            (a, b) => format!("{a} = {b}"),
        })
        .collect();
    let filter = join.filter.as_ref().and_then(|f| state_ttl::parted(f).0);
    all.extend(filter.map(|f| match interval(f) {
        Some(within) => within,
        None => text(f),
    }));
    all.join(" AND ")
}

fn kind(join: JoinType) -> &'static str {
    match join {
        JoinType::Inner => "inner",
        JoinType::Left => "left",
        JoinType::Right => "right",
        JoinType::Full => "full",
        JoinType::LeftSemi | JoinType::RightSemi => "semi",
        JoinType::LeftAnti | JoinType::RightAnti => "anti",
        // Whether there is a match is one more column.
        JoinType::LeftMark | JoinType::RightMark => "mark",
    }
}

/// `a BETWEEN b - i AND b + i`, shortly.
fn interval(filter: &Expr) -> Option<String> {
    use datafusion::common::ScalarValue;
    let Expr::Between(between) = filter else {
        return None;
    };
    let length = |e: &Expr| match e {
        Expr::BinaryExpr(b) => match b.right.as_ref() {
            Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(i)), _)
                if (i.months, i.days) == (0, 0) =>
            {
                Some((text(&b.left), i.nanoseconds))
            }
            _ => None,
        },
        _ => None,
    };
    let ((low, a), (high, b)) = (length(&between.low)?, length(&between.high)?);
    (low == high && a == b).then(|| {
        let Expr::Column(column) = between.expr.as_ref() else {
            return format!("{} within {} of {low}", text(&between.expr), duration(a));
        };
        format!("{} within {} of the other's", column.name, duration(a))
    })
}

/// Where the rows of a join are: by the keys of the sides that are not padded.
fn joined_spread(join: &Join, by: &[usize], left: &[Expr], right: &[Expr]) -> Spread {
    use JoinType as J;
    let (l, r) = match join.join_type {
        J::Inner => (true, true),
        J::Left | J::LeftSemi | J::LeftAnti | J::LeftMark => (true, false),
        J::Right | J::RightSemi | J::RightAnti | J::RightMark => (false, true),
        J::Full => (false, false),
    };
    let keys: Option<Vec<Key>> = by
        .iter()
        .map(|&i| {
            let a = Key::of(&left[i], join.left.schema()).filter(|_| l);
            let b = Key::of(&right[i], join.right.schema()).filter(|_| r);
            match (a, b) {
                (Some(mut a), Some(b)) => {
                    a.same.extend(b.same);
                    Some(a)
                }
                (Some(one), None) | (None, Some(one)) => Some(one),
                (None, None) => None,
            }
        })
        .collect();
    match keys {
        Some(keys) if !keys.is_empty() => Spread::Keyed(keys),
        _ => Spread::Splits,
    }
}
