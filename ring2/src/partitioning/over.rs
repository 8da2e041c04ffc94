//! OVER: rows of a partition meet.

use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, Window};

use super::StrategyConfig;
use super::analyze::{Edge, Route, Unfit, Walk, is_native};
use super::decide::Decision;
use super::distribution::Spread;
use super::graph::ExchangeKind;
use super::names::text;
use super::nodes::{Keys, keys};
use super::sequence::Together;
use super::step::{Need, Step};

impl Walk<'_> {
    pub(super) fn over(&mut self, window: &Window, together: &Together) -> Result<Edge, Unfit> {
        let (calls, common) = partitions(window);
        let schema = window.input.schema();
        let (wanted, below) = together.of_partitions(&common, &window.input);
        self.together = below;
        let edge = self.node(&window.input)?;
        self.kinds.window = true;
        let Keys {
            routing,
            window: within,
            ..
        } = keys(&common, |e| edge.bounds.contains(e));
        let what = format!("{} OVER", calls.join(", "));
        let windowed = within.is_some();
        let (mut decision, need) = self.ranking(&edge, schema, &routing, &calls, windowed)?;
        let by = self.narrowed(&what, &mut decision, &common, &wanted);
        let kept: Vec<Expr> = match &by {
            None => common.clone(),
            Some(by) => by.iter().map(|&i| common[i].clone()).collect(),
        };
        let partitions = Self::names(&routing);
        let routing = match by {
            None => routing,
            Some(_) => kept.clone(),
        };
        self.overs.push(by);
        let shown = Self::names(&routing);
        let reason = decision.reason.clone();
        let stays = !windowed || edge.spread == Spread::One || !routing.is_empty();
        let stage = match decision.route {
            Route::Stay if stays => edge.stage,
            Route::One | Route::TwoPhase if common.is_empty() => {
                self.exchange(edge.stage, ExchangeKind::All, reason)
            }
            Route::Hash(_) => self.exchange(edge.stage, ExchangeKind::Hash(shown), reason),
            // Without a key besides the window each window has a shard of its own.
            Route::Stay | Route::One | Route::TwoPhase => {
                let kind = ExchangeKind::Hash(Self::names(&kept));
                self.exchange(edge.stage, kind, reason)
            }
        };
        let bound = match &within {
            Some(_) => self.watermark(),
            None => "end of input".to_owned(),
        };
        let rows = match (&within, partitions.is_empty()) {
            (Some(_), true) => "the rows of open windows".to_owned(),
            (_, false) => format!("rows per ({})", partitions.join(", ")),
            (None, true) => "all rows".to_owned(),
        };
        let native = window.window_expr.iter().all(is_native);
        self.operator(stage, what, native, Some((rows, bound)));
        // Rows go by the hash of what they are partitioned by, bounds of windows among it.
        let spread = match common.is_empty() {
            true => Spread::One,
            false => Spread::by(&kept, schema),
        };
        let before = decision.before(&edge);
        let home = (!common.is_empty()).then(|| Self::names(&kept));
        self.steps.push(Step {
            need,
            keys: routing,
            router: decision.router,
            reason: decision.reason,
            before,
        });
        Ok(Edge {
            stage,
            spread,
            home,
            ..edge
        })
    }

    /// The decision for OVER.
    fn ranking(
        &mut self,
        edge: &Edge,
        schema: &DFSchema,
        routing: &[Expr],
        calls: &[String],
        windowed: bool,
    ) -> Result<(Decision, Need), Unfit> {
        let what = &format!("{} OVER", calls.join(", "));
        let decided = match (routing.is_empty(), windowed) {
            (false, _) => {
                let aligned = edge.spread.aligned(routing, schema);
                let decision = self.keyed(what, routing, edge, aligned.as_deref())?;
                (decision, Need::Over)
            }
            (true, true) => {
                let mut decision = self.windows(what, edge)?;
                if decision.route == Route::Stay
                    && decision.router != StrategyConfig::StickyPartition
                {
                    decision.router = StrategyConfig::FanIn;
                }
                let local = match self.steps.last() {
                    Some(step) if step.need == Need::Group => {
                        format!("groups by {}", Self::names(&step.keys).join(", "))
                    }
                    _ => "rows of the window".to_owned(),
                };
                let merged = format!("{} per window, over all shards", calls.join(", "));
                (decision, Need::Merge(local, merged))
            }
            (true, false) => {
                let reason = format!("{what} (): no PARTITION BY, so that one shard sees all rows");
                let decision = Decision {
                    route: Route::One,
                    router: StrategyConfig::FanIn,
                    reason,
                };
                (decision, Need::Single)
            }
        };
        Ok(decided)
    }
}

/// The functions of OVER, and by what all of them are partitioned.
fn partitions(window: &Window) -> (Vec<String>, Vec<Expr>) {
    let mut common: Option<Vec<Expr>> = None;
    let mut calls = Vec::new();
    for expr in &window.window_expr {
        let inner = match expr {
            Expr::Alias(alias) => alias.expr.as_ref(),
            other => other,
        };
        calls.push(text(inner));
        let Expr::WindowFunction(f) = inner else {
            continue;
        };
        let by = &f.params.partition_by;
        common = Some(match common {
            None => by.clone(),
            Some(before) => before.into_iter().filter(|e| by.contains(e)).collect(),
        });
    }
    (calls, common.unwrap_or_default())
}
