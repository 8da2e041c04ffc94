//! The walk over a plan, inputs first. Every node gives an edge: the stage that makes its rows, and
//! where they are. What has to meet is a step, with its decision and the reason for it.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, TableScan, Unnest};

use super::distribution::{Spread, core};
use super::graph::{Exchange, ExchangeKind, Operator, Stage};
use super::names::{computed, text};
use super::sequence::{self, Together};
use super::step::{Kinds, Step};
use super::verdict::{self, Verdict};
use super::{Facts, StrategyConfig};
use crate::ResultColumn;
use crate::lower::{aggregate_function, without_versions};
use crate::lower_expr::{has_kernel, operator, unaliased};

/// What lowering does in front of an aggregation, in the order in which it meets them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// No exchange: rows of a group are on one shard already.
    Stay,
    /// By the hash of these of the grouping's expressions.
    Hash(Vec<usize>),
    /// Partial results to one shard.
    TwoPhase,
    /// All rows to one shard.
    One,
}

/// How the rows of one side of a join get to where they meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// They are there.
    Stay,
    /// By the hash of these of the join's keys.
    Keys(Vec<usize>),
    /// To one shard.
    One,
    /// To every shard.
    Broadcast,
}

/// A plan that cannot be run as a source's `partitioning` asks for.
#[derive(Debug)]
pub(crate) struct Unfit {
    /// Why.
    pub(crate) reason: String,
    /// The source.
    pub(crate) source: String,
}

/// What the walk found.
#[derive(Debug)]
pub(crate) struct Analysis {
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// Stages and exchanges.
    pub(crate) stages: Vec<Stage>,
    /// One for each aggregation of the plan, inputs first.
    pub(crate) routes: Vec<Route>,
    /// One for each join of the plan, inputs first: its sides, left and right.
    pub(crate) joins: Vec<[Way; 2]>,
    /// One for each OVER of the plan, inputs first: which of its PARTITION BY its rows go by, where
    /// these are not all.
    pub(crate) overs: Vec<Option<Vec<usize>>>,
    /// How a stateless query's rows leave; [`Route::Stay`] for all others.
    pub(crate) output: Route,
    /// Whether the source has to be read by one shard, in its order.
    pub(crate) in_order: bool,
    /// Whether results are a changelog.
    pub(crate) changes: bool,
}

/// What comes out of a node.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    /// The stage that makes it.
    pub(super) stage: usize,
    /// Where its rows are.
    pub(super) spread: Spread,
    /// Columns that are bounds of a window.
    pub(super) bounds: Vec<Expr>,
    /// Whether it has one row.
    pub(super) scalar: bool,
    /// The keys by which they were together last, also where no column shows it any more.
    pub(super) home: Option<Vec<String>>,
}

pub(super) struct Walk<'a> {
    pub(super) facts: &'a Facts<'a>,
    /// What a source asks for, and which.
    pub(super) forced: Option<(StrategyConfig, String)>,
    pub(super) scans: usize,
    pub(super) stages: Vec<Stage>,
    pub(super) steps: Vec<Step>,
    pub(super) routes: Vec<Route>,
    pub(super) joins: Vec<[Way; 2]>,
    pub(super) overs: Vec<Option<Vec<usize>>>,
    /// By what the rows of the node that is visited next should be together.
    pub(super) together: Together,
    pub(super) in_order: bool,
    pub(super) kinds: Kinds,
}

/// Walks a plan.
pub(crate) fn analyze(plan: &LogicalPlan, facts: &Facts<'_>) -> Result<Analysis, Unfit> {
    let mut forced: Option<(StrategyConfig, String)> = None;
    for table in facts.tables {
        let Some(asked) = table.partitioning else {
            continue;
        };
        if forced.as_ref().is_some_and(|(f, _)| *f != asked) {
            return Err(Unfit {
                reason: "two sources of one query ask for different partitionings".to_owned(),
                source: table.name.clone(),
            });
        }
        forced = Some((asked, table.name.clone()));
    }
    if forced.is_none() && !facts.settings.auto_select_strategy {
        forced = Some((StrategyConfig::AlwaysHash, String::new()));
    }
    let mut walk = Walk {
        facts,
        forced,
        scans: scans(plan),
        stages: Vec::new(),
        steps: Vec::new(),
        routes: Vec::new(),
        joins: Vec::new(),
        overs: Vec::new(),
        together: Together::default(),
        in_order: false,
        kinds: Kinds::default(),
    };
    let edge = walk.node(plan)?;
    let output = walk.output(&edge);
    let verdict = verdict::verdict(&walk, plan, &output);
    Ok(Analysis {
        verdict,
        stages: walk.stages,
        routes: walk.routes,
        joins: walk.joins,
        overs: walk.overs,
        output,
        in_order: walk.in_order,
        changes: facts.changes,
    })
}

fn scans(plan: &LogicalPlan) -> usize {
    let mut count = 0;
    let walked = plan.apply(|node| {
        count += usize::from(matches!(node, LogicalPlan::TableScan(_)));
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok(), "counting does not fail");
    count
}

impl Walk<'_> {
    pub(super) fn node(&mut self, plan: &LogicalPlan) -> Result<Edge, Unfit> {
        let together = std::mem::take(&mut self.together);
        match plan {
            LogicalPlan::TableScan(scan) => Ok(self.scanned(scan)),
            LogicalPlan::SubqueryAlias(alias) => {
                let (from, to) = (alias.input.schema(), &alias.schema);
                self.together = together.below(to, |i| sequence::column(from, i));
                let edge = self.node(&alias.input)?;
                Ok(edge.renamed(|e| match e {
                    Expr::Column(c) => (from.maybe_index_of_column(c))
                        .map(|i| Expr::Column(Column::from(to.qualified_field(i))))
                        .into_iter()
                        .collect(),
                    _ => Vec::new(),
                }))
            }
            LogicalPlan::Filter(filter) => {
                self.together = together;
                let edge = self.node(&filter.input)?;
                let asked = without_versions(&filter.predicate);
                if let Some(predicate) = asked.filter(|p| !matches!(p, Expr::Literal(..))) {
                    let name = format!("filter {}", text(&predicate));
                    let native = is_native(&predicate);
                    self.operator(edge.stage, name, native, None);
                }
                Ok(edge)
            }
            LogicalPlan::Projection(projection) => {
                let to = &projection.schema;
                self.together = together.below(to, |i| unaliased(&projection.expr[i]).clone());
                self.projected(projection)
            }
            LogicalPlan::Unnest(unnest) => self.unnested(unnest),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate, &together),
            LogicalPlan::Window(window) => self.over(window, &together),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Sort(sort) => {
                let keys: Vec<String> = sort.expr.iter().map(|s| text(&s.expr)).collect();
                self.ordered(&sort.input, &format!("sort by {}", keys.join(", ")))
            }
            LogicalPlan::Limit(limit) => {
                let count = limit.fetch.as_deref().map_or("all".to_owned(), text);
                self.ordered(&limit.input, &format!("limit {count}"))
            }
            LogicalPlan::Union(union) => {
                let mut edges = Vec::new();
                for input in &union.inputs {
                    let from = input.schema();
                    self.together = together.below(&union.schema, |i| sequence::column(from, i));
                    edges.push(self.node(input)?);
                }
                Ok(self.union(&edges, union))
            }
            // Whatever else can be planned: nothing is known of it.
            other => {
                let inputs: Result<Vec<Edge>, Unfit> =
                    other.inputs().into_iter().map(|i| self.node(i)).collect();
                let inputs = inputs?;
                let stage = match inputs.first() {
                    Some(first) => first.stage,
                    None => self.stage(),
                };
                self.operator(stage, node(other), false, None);
                Ok(Edge {
                    stage,
                    spread: Spread::Splits,
                    bounds: Vec::new(),
                    scalar: false,
                    home: None,
                })
            }
        }
    }

    fn scanned(&mut self, scan: &TableScan) -> Edge {
        let name = scan.table_name.table();
        let table = self.facts.tables.iter().find(|t| t.name == name);
        let stage = self.stage();
        let scanned = match table {
            Some(t) if !t.primary_key.is_empty() => format!("scan table {name}"),
            _ => format!("scan {name}"),
        };
        self.operator(stage, scanned, true, None);
        Edge {
            stage,
            spread: Spread::Splits,
            bounds: Vec::new(),
            scalar: false,
            home: None,
        }
    }

    fn projected(&mut self, projection: &Projection) -> Result<Edge, Unfit> {
        let edge = self.node(&projection.input)?;
        let (from, to) = (projection.input.schema(), &projection.schema);
        let exprs = &projection.expr;
        let plain = exprs.iter().all(|e| matches!(e, Expr::Column(_)));
        // What stands around UNNEST is DataFusion's own.
        let unnests = |p: &LogicalPlan| matches!(p, LogicalPlan::Unnest(_));
        let hidden = unnests(&projection.input)
            || exprs
                .iter()
                .any(|e| e.schema_name().to_string().starts_with("__unnest"));
        if !plain && !hidden {
            let names = self.result_names(to);
            let native = exprs.iter().all(is_native);
            let name = format!("project {}", computed(exprs, &names));
            self.operator(edge.stage, name, native, None);
        }
        Ok(edge.renamed(|e| {
            (exprs.iter().enumerate())
                .filter(|(_, p)| core(p, from) == e)
                .map(|(i, _)| Expr::Column(Column::from(to.qualified_field(i))))
                .collect()
        }))
    }

    fn unnested(&mut self, unnest: &Unnest) -> Result<Edge, Unfit> {
        let edge = self.node(&unnest.input)?;
        let exploded = &unnest.exec_columns;
        let columns: Vec<String> = exploded.iter().map(|c| unplaced(&c.name)).collect();
        let name = format!("unnest {}", columns.join(", "));
        self.operator(edge.stage, name, true, None);
        Ok(edge.renamed(|e| match e {
            Expr::Column(c) if !exploded.contains(c) => vec![e.clone()],
            _ => Vec::new(),
        }))
    }

    /// How the rows of a query without a step leave.
    fn output(&mut self, edge: &Edge) -> Route {
        if !self.steps.is_empty() {
            return Route::Stay;
        }
        let asked = self.forced.as_ref().map(|(asked, _)| *asked);
        let (kind, route, reason) = match asked {
            Some(StrategyConfig::AlwaysHash) => (
                ExchangeKind::Hash(vec!["all columns".to_owned()]),
                Route::Hash(Vec::new()),
                "always_hash: rows go to the owner of their values",
            ),
            Some(StrategyConfig::FanIn) => {
                let reason = "fan_in: one shard gives all results";
                (ExchangeKind::All, Route::One, reason)
            }
            Some(StrategyConfig::StickyPartition) => {
                self.in_order = true;
                return Route::Stay;
            }
            None if self.facts.changes => {
                self.in_order = true;
                return Route::Stay;
            }
            Some(StrategyConfig::SmartRepartition | StrategyConfig::RoundRobin) | None => {
                return Route::Stay;
            }
        };
        self.exchange(edge.stage, kind, reason.to_owned());
        route
    }

    pub(super) fn stage(&mut self) -> usize {
        self.stages.push(Stage::default());
        self.stages.len() - 1
    }

    pub(super) fn operator(
        &mut self,
        stage: usize,
        name: String,
        native: bool,
        state: Option<(String, String)>,
    ) {
        let (state, bounded_by) = state.unzip();
        self.stages[stage].operators.push(Operator {
            name,
            native,
            state,
            bounded_by,
        });
    }

    /// Ends a stage with an exchange into a new one.
    pub(super) fn exchange(&mut self, from: usize, kind: ExchangeKind, reason: String) -> usize {
        let to = self.stage();
        self.link(from, to, kind, reason);
        to
    }

    pub(super) fn link(&mut self, from: usize, to: usize, kind: ExchangeKind, reason: String) {
        self.stages[from].exchange = Some(Exchange { to, kind, reason });
    }

    /// The names of a projection's columns; the results' own where it gives the results.
    fn result_names(&self, schema: &DFSchema) -> Vec<String> {
        let numbered = |name: &String| name.starts_with("__c");
        let mut names: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        for result in self.facts.results {
            let found: &[(usize, String)] = &match result {
                ResultColumn::Plain { name, index } => vec![(*index, name.clone())],
                ResultColumn::Window { name, start, end } => vec![
                    (*start, format!("{name}.start")),
                    (*end, format!("{name}.end")),
                ],
            };
            for (index, name) in found {
                if let Some(shown) = names.get_mut(*index).filter(|n| numbered(n)) {
                    shown.clone_from(name);
                }
            }
        }
        names
    }

    /// What keeps windows from staying.
    pub(super) fn watermark(&self) -> String {
        let marks = self.facts.tables.iter().filter_map(|t| {
            let column = &t.columns[t.event_time?].name;
            Some(match t.lag_ns? {
                0 => format!("{}.{column}", t.name),
                lag => format!("{}.{column} - {}", t.name, super::names::duration(lag)),
            })
        });
        let marks: Vec<_> = marks.collect();
        match marks.is_empty() {
            true => "end of input".to_owned(),
            false => format!("watermark {}", marks.join(" and ")),
        }
    }

    /// Names of keys, each once.
    pub(super) fn names(keys: &[Expr]) -> Vec<String> {
        let names: Vec<String> = keys.iter().map(text).collect();
        let distinct: BTreeSet<&String> = names.iter().collect();
        if distinct.len() == names.len() {
            return names;
        }
        keys.iter()
            .map(|k| match k {
                Expr::Column(c) if is_named(c) => c.flat_name(),
                other => text(other),
            })
            .collect()
    }
}

impl Edge {
    /// The same rows, their columns called otherwise.
    pub(super) fn renamed(self, name: impl Fn(&Expr) -> Vec<Expr>) -> Self {
        Self {
            spread: self.spread.renamed(&name),
            bounds: self.bounds.iter().flat_map(&name).collect(),
            ..self
        }
    }
}

/// The column that DataFusion's placeholder stands for.
fn unplaced(name: &str) -> String {
    let inner = name.strip_prefix("__unnest_placeholder(");
    let inner = inner.and_then(|n| n.strip_suffix(')')).unwrap_or(name);
    match inner.contains(['(', ' ']) {
        true => super::names::readable(inner),
        false => inner.rsplit('.').next().unwrap_or(inner).to_owned(),
    }
}

/// Whether a person named the relation of a column.
fn is_named(column: &Column) -> bool {
    let name = column.relation.as_ref().map(|r| r.table());
    name.is_some_and(|name| !name.starts_with("__"))
}

/// What a node does that nothing is known of.
pub(crate) fn node(plan: &LogicalPlan) -> String {
    match plan {
        LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => "SELECT without FROM".into(),
        LogicalPlan::EmptyRelation(_) => "an input without rows".into(),
        LogicalPlan::Values(_) => "VALUES".into(),
        other => {
            let text = other.display().to_string();
            let name = text.split([':', ' ', '(']).next().unwrap_or_default();
            name.to_uppercase()
        }
    }
}

/// Whether Ring 0 has kernels for all of an expression.
pub(super) fn is_native(expr: &Expr) -> bool {
    let other = |e: &Expr| match e {
        Expr::ScalarFunction(f) => !has_kernel(f.name()),
        Expr::BinaryExpr(b) => operator(b.op).is_none(),
        Expr::SimilarTo(_) => true,
        Expr::AggregateFunction(f) => aggregate_function(f.func.name()).is_none(),
        _ => false,
    };
    !expr.exists(|e| Ok(other(e))).unwrap_or(true)
}
