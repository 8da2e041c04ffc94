//! What of a query this version does not run, by place. Whether a query runs is decided by lowering
//! alone; where it does not, the first of these constructs says why.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Join, JoinOperator, ObjectName, Query, Select as Plain, SetExpr, Spanned, TableFactor,
    Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::catalog::Catalog;
use crate::error::SqlError;
use crate::functions::CLOCKS;
use crate::place::{find_word, word};
use crate::script::Select;
use crate::syntax::{normal, processing_time};
use crate::window::marker::PROCTIME;

/// The words that stand before JOIN.
const JOINS: [&str; 11] = [
    "INNER", "LEFT", "RIGHT", "FULL", "OUTER", "CROSS", "NATURAL", "ASOF", "SEMI", "ANTI", "GLOBAL",
];

/// The first construct of the query that does not run yet.
pub(crate) fn first(select: &Select<'_>) -> Option<SqlError> {
    let mut walk = Walk {
        select,
        found: Vec::new(),
        clocks: Vec::new(),
        bounded: true,
        of_windows: Vec::new(),
    };
    let _: ControlFlow<()> = select.query.visit(&mut walk);
    if !walk.bounded {
        walk.found.append(&mut walk.clocks);
    }
    walk.found.into_iter().min_by_key(|e| (e.line, e.column))
}

/// The first construct that does not run yet, where that is why a query was refused.
pub(crate) fn instead(select: &Select<'_>, error: SqlError) -> SqlError {
    match error.code {
        "E0301" => first(select).unwrap_or(error),
        _ => error,
    }
}

struct Walk<'a> {
    select: &'a Select<'a>,
    found: Vec<SqlError>,
    /// What reads a clock, which runs over input that ends.
    clocks: Vec<SqlError>,
    bounded: bool,
    /// Where PROCTIME() is the time of a window.
    of_windows: Vec<Location>,
}

impl Visitor for Walk<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.body(&query.body);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args, .. } = factor {
            let at = name.span().start;
            match args {
                None => self.relation(name, at),
                Some(_) if matches!(name.to_string().as_str(), "tumble" | "hop" | "cumulate") => {}
                Some(_) => {
                    let what = format!("window {}", name.to_string().to_uppercase());
                    self.hinted(at, &what, "TUMBLE, HOP and CUMULATE stand in FROM");
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let at = self.start(expr);
        if let Expr::Function(f) = expr {
            let name = f.name.to_string();
            if let Some(time) = processing_time(expr) {
                self.of_windows.push(self.start(time));
            }
            if name == PROCTIME && self.of_windows.contains(&at) {
                return ControlFlow::Continue(());
            }
            if CLOCKS.contains(&name.as_str()) {
                let what = format!("function {}", name.to_uppercase());
                match name == PROCTIME {
                    true => self.hinted(at, &what, "the event time of the source"),
                    false => {
                        let message = format!("{what} over input without an end");
                        let error = self.refusal(at, &message, "the event time of the source");
                        self.clocks.push(error);
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }
}

impl Walk<'_> {
    fn refusal(&self, at: Location, what: &str, hint: &str) -> SqlError {
        let message = format!("{what} is not supported yet");
        self.select.place.hinted("E0301", at, message, hint)
    }

    fn hinted(&mut self, at: Location, what: &str, hint: &str) {
        self.found.push(self.refusal(at, what, hint));
    }

    fn start<T: Spanned>(&self, tree: &T) -> Location {
        match tree.span().start {
            at if at.line > 0 => at,
            _ => self.select.chunk.start(),
        }
    }

    fn word(&self, words: &[&str], from: Location) -> Location {
        find_word(&self.select.chunk.tokens, words, from)
    }

    fn body(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Select(select) => self.plain(select),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left);
                self.body(right);
            }
            _ => {}
        }
    }

    fn plain(&mut self, select: &Plain) {
        let at = select.select_token.0.span.start;
        let mut unnests = Vec::new();
        for (number, table) in select.from.iter().enumerate() {
            if is_unnest(&table.relation) && number == 0 {
                let at = self.word(&["UNNEST"], at);
                let hint = "FROM t CROSS JOIN UNNEST(list) AS item";
                self.hinted(at, "UNNEST without a relation before it", hint);
            }
            if is_unnest(&table.relation) {
                unnests.push(self.start(&table.relation));
            }
            for join in &table.joins {
                if is_unnest(&join.relation) {
                    unnests.push(self.join_at(join));
                }
                self.join(join);
            }
        }
        if let Some(second) = unnests.get(1) {
            let hint =
                "one list in a query: write what it gives to a file, and take the other there";
            self.hinted(*second, "a second UNNEST", hint);
        }
    }

    fn join(&mut self, join: &Join) {
        use JoinOperator as J;
        let is_unnest = is_unnest(&join.relation);
        match &join.join_operator {
            J::Left(_) | J::LeftOuter(_) if is_unnest => {
                let hint = "CROSS JOIN UNNEST leaves out rows whose list is NULL or empty";
                self.hinted(self.join_at(join), "LEFT JOIN UNNEST", hint);
            }
            _ => {}
        }
    }

    /// Where the words before a joined relation begin.
    fn join_at(&self, join: &Join) -> Location {
        let relation = self.start(&join.relation);
        let tokens = &self.select.chunk.tokens;
        let before = tokens.partition_point(|t| t.span.start < relation);
        let is = |i: &usize, words: &[&str]| {
            word(&tokens[*i]).is_some_and(|w| words.contains(&w.as_str()))
        };
        let Some(mut at) = (0..before).rev().find(|i| is(i, &["JOIN"])) else {
            return relation;
        };
        while at > 0 && is(&(at - 1), &JOINS) {
            at -= 1;
        }
        tokens[at].span.start
    }

    fn relation(&mut self, name: &ObjectName, at: Location) {
        let ident = name.0.first().and_then(|p| p.as_ident());
        let text = ident.map_or_else(|| name.to_string(), normal);
        let catalog: &Catalog = &self.select.catalog;
        self.bounded &= catalog.sources.get(&text).is_none_or(|s| s.bounded);
        if let Some(why) = catalog.sources.get(&text).and_then(|s| s.later.clone()) {
            self.hinted(at, &format!("reading \"{text}\""), &why);
        } else if catalog.views.contains_key(&text) {
            let hint = "CREATE VIEW; embedded, an engine reads the views that it keeps";
            self.hinted(at, "reading a materialized view", hint);
        }
    }
}

fn is_unnest(relation: &TableFactor) -> bool {
    matches!(relation, TableFactor::UNNEST { .. })
}
