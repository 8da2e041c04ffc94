//! Where the columns are by which a chain's rows were routed to their shard.

use crate::expr::Expr;
use crate::operator::aggregate::sessions::key_columns;
use crate::program::{
    AggregateSpec, ChangesSpec, JoinKind, JoinSpec, OperatorSpec, Program, Routing, Side,
    StageInput, StageOutput,
};

/// The columns by whose hash rows are on their shard; `None` where nothing says why they are.
pub(crate) type Route = Option<Vec<usize>>;

/// By which columns the rows of each stage's inputs were routed: those that stay on their shard as
/// they were before.
pub(crate) fn routes(program: &Program) -> Vec<Vec<Route>> {
    let by = |routing: &Routing| match routing {
        Routing::Hash(by) => Some(by.clone()),
        Routing::Single | Routing::Broadcast | Routing::Local => None,
    };
    let mut exchanges: Vec<Route> = program.exchanges.iter().map(|e| by(&e.routing)).collect();
    let mut sent = vec![false; exchanges.len()];
    let mut all = Vec::with_capacity(program.stages.len());
    for stage in &program.stages {
        let route = |input| match input {
            StageInput::Source(_) => None,
            StageInput::Exchange(id) => exchanges[id.index()].clone(),
        };
        let ports: Vec<Route> = stage.inputs().map(route).collect();
        if let StageOutput::Exchange(id) = stage.output
            && program.exchanges[id.index()].routing == Routing::Local
        {
            let mut routed = Routed::of(&ports, &stage.operators);
            stage.operators.iter().for_each(|spec| routed.pass(spec));
            let before = std::mem::replace(&mut sent[id.index()], true);
            let same = !before || exchanges[id.index()] == routed.columns;
            exchanges[id.index()] = routed.columns.filter(|_| same);
        }
        all.push(ports);
    }
    all
}

/// The columns by which rows were routed, as far as they are still there.
#[derive(Debug, Clone)]
pub(super) struct Routed {
    columns: Route,
    /// Those of both sides of a join that comes first.
    sides: [Route; 2],
    /// They are where the exchange has them.
    same: bool,
}

/// Where all of `these` are among the columns.
pub(super) fn places(these: &[usize], columns: &[usize]) -> Route {
    let mut these = these.iter();
    these.try_fold(Vec::new(), |mut all, r| {
        all.push(columns.iter().position(|c| c == r)?);
        Some(all)
    })
}

impl Routed {
    /// Of rows whose ports have these routes.
    pub(super) fn of(ports: &[Route], operators: &[OperatorSpec]) -> Self {
        let sides = match (operators.first(), ports) {
            (Some(OperatorSpec::Join(spec)), [left, right]) => sides(spec, [left, right]),
            _ => [None, None],
        };
        let alike = ports.iter().all(|port| *port == ports[0]);
        Self {
            columns: ports[0].clone().filter(|_| alike),
            sides,
            same: true,
        }
    }

    /// Whether they are where the exchange has them.
    pub(super) fn is_same(&self) -> bool {
        self.same
    }

    /// Where all of them are among these columns.
    pub(super) fn among(&self, columns: &[usize]) -> Route {
        places(self.columns.as_ref()?, columns)
    }

    /// By which of its columns the rows of a side of the join were routed.
    pub(super) fn side(&self, side: Side) -> Route {
        self.sides[side.port()].clone()
    }

    /// Goes behind an operator.
    pub(super) fn pass(&mut self, spec: &OperatorSpec) {
        let by_keys = |spec: &AggregateSpec| self.among(&spec.keys);
        let (columns, same) = match spec {
            OperatorSpec::Filter(_)
            | OperatorSpec::FilterChanges(_)
            | OperatorSpec::DropLate(_)
            | OperatorSpec::Windows(_)
            | OperatorSpec::Applied
            | OperatorSpec::MarkFirst { .. }
            // What they add stands behind all columns of the rows' own.
            | OperatorSpec::Changing(
                ChangesSpec::MarkFirst { .. }
                | ChangesSpec::Apart(_)
                | ChangesSpec::Ranked(_)
                | ChangesSpec::Captured(_)
                | ChangesSpec::Paced(_),
            ) => return,
            OperatorSpec::Project { exprs, .. } => {
                let column = |expr: &Expr| match expr {
                    Expr::Column(column) => *column,
                    _ => usize::MAX,
                };
                let from: Vec<usize> = exprs.iter().map(column).collect();
                let to = self.among(&from);
                let stay = to == self.columns;
                (to, self.same && stay)
            }
            OperatorSpec::Aggregate(spec)
            | OperatorSpec::Changing(ChangesSpec::Aggregate(spec)) => (by_keys(spec), false),
            OperatorSpec::Sessions(spec) => {
                let to = key_columns(spec);
                let by = by_keys(&spec.aggregate);
                (by.map(|by| by.iter().map(|&key| to[key]).collect()), false)
            }
            OperatorSpec::Panes(spec) => (by_keys(&spec.aggregate), false),
            OperatorSpec::Join(spec) => (self.joined(spec), false),
            OperatorSpec::Over(_)
            | OperatorSpec::Latest(_)
            | OperatorSpec::Sort(_)
            | OperatorSpec::Unnest { .. }
            | OperatorSpec::Repeat(_)
            | OperatorSpec::Standing(_) => (None, false),
        };
        (self.columns, self.same) = (columns, same);
    }

    /// By which columns joined rows are where they are: of a side that is never missing.
    fn joined(&self, spec: &JoinSpec) -> Route {
        let left = spec.inputs[0].fields.len();
        let [of_left, of_right] = &self.sides;
        let shift = |by: &Vec<usize>| by.iter().map(|c| c + left).collect();
        match spec.kind {
            JoinKind::Pairs { left: l, right: r } => {
                let of_left = of_left.clone().filter(|_| !r);
                of_left.or_else(|| of_right.as_ref().filter(|_| !l).map(shift))
            }
            JoinKind::Semi(side) | JoinKind::Anti(side) | JoinKind::Mark(side) => self.side(side),
        }
    }
}

/// By which columns the rows of each side of a join were routed. Where they meet by keys, either
/// side says it of both.
fn sides(spec: &JoinSpec, ports: [&Route; 2]) -> [Route; 2] {
    let by_keys = |port: usize| places(ports[port].as_ref()?, &spec.keys[port]);
    match by_keys(0).or_else(|| by_keys(1)) {
        Some(by) => {
            [0, 1].map(|side: usize| Some(by.iter().map(|&k| spec.keys[side][k]).collect()))
        }
        // One of them may be on every shard.
        None => ports.map(Clone::clone),
    }
}
