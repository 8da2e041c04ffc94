//! What a syntax tree alone says of a query's partitioning: a first guess, before any plan. The
//! verdict that counts is that of the plan.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, GroupByExpr, OrderByKind, Query, SetExpr, visit_expressions,
};

use super::StrategyConfig;
use crate::syntax::{is_aggregate, normal};

/// The clauses of a query that decide where its records meet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryAnalysisForPartitioning {
    /// Whether there is a GROUP BY.
    pub has_group_by: bool,
    /// Its expressions, windows left out.
    pub group_by_columns: Vec<String>,
    /// Whether there is an ORDER BY.
    pub has_order_by: bool,
    /// Its expressions.
    pub order_by_columns: Vec<String>,
    /// Whether there is a window, of time or OVER.
    pub has_window: bool,
    /// Which: `TUMBLE`, `HOP`, `SESSION`, `CUMULATE`, `OVER`.
    pub window_type: Option<String>,
    /// Whether there is an aggregate.
    has_aggregate: bool,
}

impl QueryAnalysisForPartitioning {
    /// Reads a query's outermost SELECT.
    pub fn from_ast(query: &Query) -> Self {
        let mut found = Self::default();
        if let Some(order) = &query.order_by {
            found.has_order_by = true;
            if let OrderByKind::Expressions(list) = &order.kind {
                found.order_by_columns = list.iter().map(|by| by.expr.to_string()).collect();
            }
        }
        if let SetExpr::Select(select) = query.body.as_ref()
            && let GroupByExpr::Expressions(keys, _) = &select.group_by
        {
            found.has_group_by = !keys.is_empty();
            let plain = keys.iter().filter(|k| window(k).is_none());
            found.group_by_columns = plain.map(ToString::to_string).collect();
        }
        let _: ControlFlow<()> = visit_expressions(query, |expr| {
            if let Some(kind) = window(expr) {
                found.has_window = true;
                found.window_type.get_or_insert_with(|| kind.to_owned());
            }
            if let Expr::Function(f) = expr {
                found.has_aggregate |= f.over.is_none() && is_aggregate(&small_name(f));
            }
            ControlFlow::Continue(())
        });
        found
    }

    /// The router that the clauses alone ask for; nothing is known of what is aligned.
    pub fn suggest_strategy(&self) -> StrategyConfig {
        let over = self.window_type.as_deref() == Some("OVER");
        match self {
            _ if !self.group_by_columns.is_empty() || over => StrategyConfig::AlwaysHash,
            _ if self.has_window => StrategyConfig::StickyPartition,
            _ if self.has_aggregate || self.has_order_by => StrategyConfig::FanIn,
            _ => StrategyConfig::RoundRobin,
        }
    }
}

fn small_name(f: &Function) -> String {
    match f.name.0.as_slice() {
        [part] => part.as_ident().map(normal).unwrap_or_default(),
        _ => String::new(),
    }
}

fn window(expr: &Expr) -> Option<&'static str> {
    let Expr::Function(f) = expr else { return None };
    if f.over.is_some() {
        return Some("OVER");
    }
    match small_name(f).as_str() {
        "tumble" | "tumbling" => Some("TUMBLE"),
        "hop" | "sliding" => Some("HOP"),
        "session" => Some("SESSION"),
        "cumulate" => Some("CUMULATE"),
        _ => None,
    }
}
