//! How deep the expressions of a program are: what Ring 0 would refuse is refused as SQL.

use trefoil_ring0::expr::Expr;
use trefoil_ring0::limits::EXPR_DEPTH_MAX;
use trefoil_ring0::program::{OperatorSpec, Program};

/// Whether an expression is deeper than Ring 0 runs.
pub(crate) fn is_too_deep(program: &Program) -> bool {
    let operators = program.stages.iter().flat_map(|stage| &stage.operators);
    let exprs = operators.flat_map(|operator| match operator {
        OperatorSpec::Filter(expr) | OperatorSpec::FilterChanges(expr) => {
            std::slice::from_ref(expr)
        }
        OperatorSpec::Project { exprs, .. } => exprs.as_slice(),
        OperatorSpec::Join(spec) => spec.condition.as_slice(),
        OperatorSpec::Aggregate(_)
        | OperatorSpec::Windows(_)
        | OperatorSpec::Sort(_)
        | OperatorSpec::Over(_)
        | OperatorSpec::Latest(_)
        | OperatorSpec::Changing(_)
        | OperatorSpec::Sessions(_)
        | OperatorSpec::Panes(_)
        | OperatorSpec::DropLate(_)
        | OperatorSpec::MarkFirst { .. }
        | OperatorSpec::Unnest { .. }
        | OperatorSpec::Repeat(_)
        | OperatorSpec::Standing(_)
        | OperatorSpec::Applied => &[],
    });
    exprs.into_iter().any(|expr| depth(expr) > EXPR_DEPTH_MAX)
}

fn depth(expr: &Expr) -> usize {
    let deepest = |exprs: &mut dyn Iterator<Item = &Expr>| exprs.map(depth).max().unwrap_or(0);
    1 + match expr {
        Expr::Column(_) | Expr::Literal(_) => 0,
        Expr::Binary(_, left, right) => depth(left).max(depth(right)),
        Expr::Like { value, pattern, .. } => depth(value).max(depth(pattern)),
        Expr::Unary(_, inner) | Expr::Cast(inner, _) | Expr::TryCast(inner, _) => depth(inner),
        Expr::Case {
            branches,
            otherwise,
        } => {
            let branches = branches.iter().flat_map(|(when, then)| [when, then]);
            deepest(&mut branches.chain(otherwise.as_deref()))
        }
        Expr::InList { value, list, .. } => deepest(&mut list.iter().chain([&**value])),
        Expr::Coalesce(args) | Expr::Call { args, .. } => deepest(&mut args.iter()),
        Expr::TumbleStart { time, .. } | Expr::InWindows { time, .. } => depth(time),
    }
}
