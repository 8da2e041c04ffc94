//! Joins: which there are, and what their conditions may be.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Join, JoinConstraint, JoinOperator, TableFactor,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::from::Position;
use super::group::unnested;
use super::scope::{Ctes, Scope, Side};
use super::{Checker, Output};
use crate::error::SqlError;

impl Checker<'_> {
    pub(super) fn join(
        &mut self,
        join: &Join,
        scope: &mut Scope<'_>,
        ctes: &Ctes,
        left: &Output,
    ) -> Result<Output, SqlError> {
        use JoinOperator as J;
        let Join {
            relation,
            global,
            join_operator,
        } = join;
        let at = self.relation_at(relation);
        if *global {
            return Err(self.place.foreign(at, "GLOBAL JOIN", "JOIN"));
        }
        let before = scope.len();
        let right = self.factor(relation, scope, ctes, Position::Joined)?;
        let unnest = matches!(relation, TableFactor::UNNEST { .. });
        let place = self.place;
        let no_constraint = |what: &str, hint: &str| Err(place.foreign(at, what, hint));
        match join_operator {
            J::CrossJoin(JoinConstraint::None) => {
                if !left.bounded && !right.bounded && !unnest {
                    let hint = "JOIN .. ON with an equality";
                    let message = "CROSS JOIN of two unbounded inputs keeps everything for ever";
                    return Err(self.place.hinted("E0403", at, message, hint));
                }
            }
            J::CrossJoin(JoinConstraint::On(_) | JoinConstraint::Using(_))
            | J::CrossJoin(JoinConstraint::Natural) => {
                return no_constraint("a condition of CROSS JOIN", "JOIN .. ON");
            }
            J::Join(c)
            | J::Inner(c)
            | J::Left(c)
            | J::LeftOuter(c)
            | J::Right(c)
            | J::RightOuter(c)
            | J::FullOuter(c)
            | J::Semi(c)
            | J::LeftSemi(c)
            | J::RightSemi(c)
            | J::Anti(c)
            | J::LeftAnti(c)
            | J::RightAnti(c) => self.constraint(c, scope, ctes, before, at)?,
            J::AsOf {
                match_condition,
                constraint,
            } => {
                self.match_condition(match_condition)?;
                self.row(match_condition, scope, ctes)?;
                if *constraint != JoinConstraint::None {
                    self.constraint(constraint, scope, ctes, before, at)?;
                }
            }
            J::CrossApply | J::OuterApply => {
                return no_constraint("APPLY", "CROSS JOIN UNNEST(list) AS item");
            }
            J::StraightJoin(_) => return no_constraint("STRAIGHT_JOIN", "JOIN"),
            J::ArrayJoin | J::LeftArrayJoin | J::InnerArrayJoin => {
                return no_constraint("ARRAY JOIN", "CROSS JOIN UNNEST(list) AS item");
            }
        }
        match join_operator {
            J::Semi(_) | J::LeftSemi(_) | J::Anti(_) | J::LeftAnti(_) => {
                scope.hide(before..scope.len());
            }
            J::RightSemi(_) | J::RightAnti(_) => {
                scope.hide(0..before);
                scope.part(before);
            }
            _ => {}
        }
        let versioned = matches!(
            relation,
            TableFactor::Table {
                version: Some(_),
                ..
            }
        );
        match unnest || versioned {
            true => Ok(left.clone()),
            false => Ok(joined(left, &right)),
        }
    }

    fn constraint(
        &mut self,
        constraint: &JoinConstraint,
        scope: &mut Scope<'_>,
        ctes: &Ctes,
        before: usize,
        at: Location,
    ) -> Result<(), SqlError> {
        match constraint {
            JoinConstraint::On(condition) => {
                self.asked(condition, super::expr::Context::row(scope, ctes))
            }
            JoinConstraint::Using(columns) => {
                for column in columns {
                    let name = match column.0.as_slice() {
                        [part] => part.as_ident().map(|i| i.value.clone()),
                        _ => None,
                    };
                    let name = name.unwrap_or_else(|| column.to_string());
                    for (side, word) in [(Side::Left, "left"), (Side::Right, "right")] {
                        if !scope.side_has(&name, before, side) {
                            let message =
                                format!("column \"{name}\" does not exist on the {word} of USING");
                            let hint = "ON a.key = b.other";
                            return Err(self.place.hinted("E0201", self.at(column), message, hint));
                        }
                    }
                    scope.merge(&name);
                }
                Ok(())
            }
            JoinConstraint::Natural => {
                let at = self.find(&["NATURAL"], self.chunk.start());
                Err(self
                    .place
                    .foreign(at, "NATURAL JOIN", "JOIN .. USING (column)"))
            }
            JoinConstraint::None => {
                let hint = "ON a.key = b.key, USING (key), or CROSS JOIN";
                let message = "JOIN without ON or USING";
                Err(self.place.hinted("E0403", at, message, hint))
            }
        }
    }

    fn match_condition(&self, condition: &Expr) -> Result<(), SqlError> {
        use BinaryOperator::{Gt, GtEq, Lt, LtEq};
        match unnested(condition) {
            Expr::BinaryOp {
                left: _,
                op: Gt | GtEq | Lt | LtEq,
                right: _,
            } => Ok(()),
            other => {
                let hint = "MATCH_CONDITION (t.ts >= q.ts)";
                let message = "MATCH_CONDITION compares one time of each side";
                Err(self.place.hinted("E0403", self.at(other), message, hint))
            }
        }
    }
}

/// What both sides together are.
pub(super) fn joined(left: &Output, right: &Output) -> Output {
    Output {
        columns: Vec::new(),
        bounded: left.bounded && right.bounded,
        watermark: left.watermark && (right.watermark || right.bounded)
            || right.watermark && left.bounded,
        window: left.window || right.window,
    }
}
