//! DataFusion names a call or a key without the casts in it: MAX(a) and MAX(CAST(a AS BIGINT))
//! would be two columns of one name. Where that happens the casts of all but one are marked, by a
//! function that is its argument.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Select, visit_expressions, visit_expressions_mut,
};

use super::from::marked;
use crate::functions::{FunctionKind, kind};
use crate::window::marker::CAST;

/// Marks casts where names would clash.
pub(super) fn tell_apart(select: &mut Select) {
    let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut note = |expr: &Expr| {
        let texts = calls.entry(without_casts(expr)).or_default();
        let text = expr.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    };
    if let GroupByExpr::Expressions(keys, _) = &select.group_by {
        keys.iter().for_each(&mut note);
    }
    let _: ControlFlow<()> = visit_expressions(&*select, |e| {
        if let Expr::Function(f) = e
            && (f.over.is_some() || kind(&f.name.to_string()) == Some(FunctionKind::Aggregate))
        {
            note(e);
        }
        ControlFlow::Continue(())
    });
    // One of each name stays as it is: the one without casts, else the first.
    let later = calls.into_iter().flat_map(|(bare, mut texts)| {
        let unmarked = texts.iter().position(|text| *text == bare);
        texts.remove(unmarked.unwrap_or(0));
        texts
    });
    let later: BTreeSet<String> = later.collect();
    if later.is_empty() {
        return;
    }
    let _: ControlFlow<()> = visit_expressions_mut(select, |e| {
        if later.contains(&e.to_string()) {
            mark(e);
        }
        ControlFlow::Continue(())
    });
}

fn without_casts(expr: &Expr) -> String {
    let mut bare = expr.clone();
    let _: ControlFlow<()> = visit_expressions_mut(&mut bare, |e| {
        while let Expr::Cast { expr, .. } | Expr::Nested(expr) = e {
            *e = expr.as_ref().clone();
        }
        ControlFlow::Continue(())
    });
    bare.to_string()
}

fn mark(expr: &mut Expr) {
    let _: ControlFlow<()> = visit_expressions_mut(expr, |e| {
        if matches!(e, Expr::Cast { .. }) {
            // Its parts are visited next: the cast inside is left as it is.
            let cast = e.clone();
            *e = marked(CAST, cast);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
}
