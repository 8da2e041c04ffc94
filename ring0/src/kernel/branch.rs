//! CASE, COALESCE and IN: arguments that count only for some rows. All rows are evaluated, as
//! elsewhere; errors of rows that do not take an argument are left out.

use super::binary::{bools, bools_mut, equal, is_one};
use super::check::check_binary;
use super::logic;
use super::node::{Node, Run};
use crate::column::{Bitmap, Bools, Column};
use crate::error::{Result, refuse};
use crate::expr::{BinaryOp, Expr};
use crate::schema::{Physical, Schema};

/// Rows that take no branch, which are NULL.
const NONE: u32 = u32::MAX;

/// One of several values for each row.
#[derive(Debug)]
pub(super) struct Choice {
    /// Conditions and values: COALESCE has none, a value that is not NULL is taken.
    branches: Vec<(Option<Node>, Node)>,
    /// Rows that no branch has taken so far.
    left: Bitmap,
    taken: Bitmap,
    active: Bitmap,
    choice: Vec<u32>,
}

impl Choice {
    /// Of `CASE` or `COALESCE`.
    pub(super) fn new(expr: &Expr, schema: &Schema, depth: usize) -> Result<Self> {
        let node = |expr: &Expr| Node::new(expr, schema, depth + 1);
        let mut branches = Vec::new();
        let results: Vec<&Expr> = match expr {
            Expr::Case {
                branches: whens,
                otherwise,
            } => {
                for (when, then) in whens {
                    branches.push((Some(node(when)?), node(then)?));
                    let t = when.data_type(schema);
                    check_binary(BinaryOp::And, &t, &t)?;
                }
                if let Some(otherwise) = otherwise {
                    branches.push((None, node(otherwise)?));
                }
                let thens = whens.iter().map(|(_, then)| then);
                thens.chain(otherwise.as_deref()).collect()
            }
            Expr::Coalesce(args) => {
                for arg in args {
                    branches.push((None, node(arg)?));
                }
                args.iter().collect()
            }
            other => unreachable!("{other:?} has no branches"),
        };
        let Some(first) = results.first().map(|e| e.data_type(schema)) else {
            return refuse("CASE or COALESCE of nothing".to_owned());
        };
        for other in results {
            let other = other.data_type(schema);
            if other != first {
                return refuse(format!(
                    "{first} or {other} as the result of CASE or COALESCE"
                ));
            }
        }
        Ok(Self {
            branches,
            left: Bitmap::default(),
            taken: Bitmap::default(),
            active: Bitmap::default(),
            choice: Vec::new(),
        })
    }

    pub(super) fn is_fallible(&self) -> bool {
        let fallible = |(when, then): &(Option<Node>, Node)| {
            then.is_fallible() || when.as_ref().is_some_and(Node::is_fallible)
        };
        self.branches.iter().any(fallible)
    }

    pub(super) fn run(&mut self, out: &mut Column, run: &mut Run<'_>) {
        let (frame, rows) = (run.frame, run.frame.rows());
        let Self {
            branches,
            left,
            taken,
            active,
            choice,
        } = self;
        choice.clear();
        choice.resize(rows, NONE);
        left.clear();
        left.extend(true, rows);
        for (number, (when, then)) in branches.iter_mut().enumerate() {
            if let Some(when) = when {
                run_for(when, left, active, run);
                // A NULL's bit is zero: only true counts.
                let yes = &bools(when.column(frame)).values;
                taken.fill_words(rows, |w| left.words()[w] & yes.words()[w]);
                run_for(then, taken, active, run);
            } else {
                // COALESCE, and the ELSE of a CASE, of which a NULL is as good as none.
                run_for(then, left, active, run);
                let validity = then.column(frame).validity();
                taken.fill_words(rows, |w| left.words()[w] & validity.word(w));
            }
            for (w, &word) in taken.words().iter().enumerate() {
                let mut word = word;
                while word != 0 {
                    choice[w * 64 + word.trailing_zeros() as usize] = number as u32;
                    word &= word - 1;
                }
            }
            if !left.clear_where(taken) {
                break;
            }
        }
        self.gather(out, run);
    }

    /// Builds the result from runs of rows that take one branch.
    fn gather(&self, out: &mut Column, run: &Run<'_>) {
        out.clear();
        let mut at = 0;
        for same in self.choice.chunk_by(|a, b| a == b) {
            let rows = at..at + same.len();
            at = rows.end;
            match same[0] {
                NONE => rows.for_each(|_| out.push_null()),
                number => {
                    let (_, then) = &self.branches[number as usize];
                    out.append_range(then.column(run.frame), rows);
                }
            }
        }
    }
}

/// Evaluates; only rows of `rows` may raise an error.
fn run_for(node: &mut Node, rows: &Bitmap, scratch: &mut Bitmap, run: &mut Run<'_>) {
    if !node.is_fallible() {
        return node.run(run);
    }
    scratch.fill_words(rows.len(), |w| {
        rows.words()[w] & run.active.map_or(u64::MAX, |a| a.words()[w])
    });
    node.run(&mut Run {
        frame: run.frame,
        active: Some(scratch),
        failures: run.failures,
        text: run.text,
    });
}

/// Whether a value is one of several.
#[derive(Debug)]
pub(super) struct InList {
    value: Node,
    list: Vec<Node>,
    negated: bool,
    /// The comparison with one of them, and with those before.
    one: Column,
    before: Column,
    left: Bitmap,
    active: Bitmap,
}

impl InList {
    pub(super) fn new(expr: &Expr, schema: &Schema, depth: usize) -> Result<Self> {
        let Expr::InList {
            value,
            list,
            negated,
        } = expr
        else {
            unreachable!("{expr:?} is no IN")
        };
        if list.is_empty() {
            return refuse("IN of nothing".to_owned());
        }
        let node = |expr: &Expr| Node::new(expr, schema, depth + 1);
        let this = Self {
            value: node(value)?,
            list: list.iter().map(node).collect::<Result<_>>()?,
            negated: *negated,
            one: Column::new(Physical::Bool),
            before: Column::new(Physical::Bool),
            left: Bitmap::default(),
            active: Bitmap::default(),
        };
        let t = value.data_type(schema);
        for item in list {
            check_binary(BinaryOp::Eq, &t, &item.data_type(schema))?;
        }
        Ok(this)
    }

    pub(super) fn is_fallible(&self) -> bool {
        self.value.is_fallible() || self.list.iter().any(Node::is_fallible)
    }

    pub(super) fn run(&mut self, out: &mut Bools, run: &mut Run<'_>) {
        self.value.run(run);
        let rows = run.frame.rows();
        for (number, item) in self.list.iter_mut().enumerate() {
            if !is_one(item) {
                // An item counts for rows that no item before is equal to.
                match number {
                    0 => item.run(run),
                    _ => {
                        let found = &bools(&self.before).values;
                        self.left.fill_words(rows, |w| !found.words()[w]);
                        run_for(item, &self.left, &mut self.active, run);
                    }
                }
            }
            equal(&self.value, item, bools_mut(&mut self.one), run.frame);
            if number == 0 {
                std::mem::swap(&mut self.one, &mut self.before);
                continue;
            }
            let (before, one) = (bools(&self.before), bools(&self.one));
            logic::connect(BinaryOp::Or, before, one, out);
            std::mem::swap(bools_mut(&mut self.before), out);
        }
        match self.negated {
            true => logic::not(bools(&self.before), out),
            false => std::mem::swap(bools_mut(&mut self.before), out),
        }
    }
}
