//! The walk over an expression. Every form is named: one that is no part of this SQL is refused at
//! its place, the others are walked with all that they hold.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, CaseWhen, CastKind, CeilFloorKind, Expr, Ident, Query, Subscript,
    TypedString, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::group::{Grouping, normal};
use super::scope::{Ctes, Found, Scope, no_fields};
use super::select::Item;
use super::{Checker, Purpose};
use crate::error::SqlError;

/// What an expression may be made of.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) scope: &'c Scope<'c>,
    pub(super) ctes: &'c Ctes,
    /// Over groups: their keys.
    pub(super) group: Option<&'c Grouping>,
    /// The select list.
    pub(super) items: &'c [Item],
    /// Whether a name may be one of the select list.
    pub(super) aliases: bool,
    /// Whether OVER may stand here.
    pub(super) over: bool,
    /// Whether this is an argument of an aggregate.
    pub(super) within_aggregate: bool,
    /// Names of WINDOW.
    pub(super) windows: &'c [String],
    /// Whether the input has no end.
    pub(super) unbounded: bool,
}

impl<'c> Context<'c> {
    /// Over rows, without aggregates.
    pub(super) fn row(scope: &'c Scope<'c>, ctes: &'c Ctes) -> Self {
        Self {
            scope,
            ctes,
            group: None,
            items: &[],
            aliases: false,
            over: false,
            within_aggregate: false,
            windows: &[],
            unbounded: false,
        }
    }
}

impl Checker<'_> {
    pub(super) fn walk(&mut self, expr: &Expr, cx: Context<'_>) -> Result<(), SqlError> {
        if let Some(group) = cx.group
            && group.has_key(&normal(expr, cx.scope))
        {
            return Ok(());
        }
        let at = self.at(expr);
        let place = self.place;
        let foreign = |what: &str, hint: &str| Err(place.foreign(at, what, hint));
        match expr {
            Expr::Identifier(ident) => self.name(ident, at, cx),
            Expr::CompoundIdentifier(parts) => self.compound(parts, at, cx),
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.walk(root, cx)?;
                for access in access_chain {
                    match access {
                        AccessExpr::Dot(Expr::Identifier(_)) => {}
                        AccessExpr::Dot(_) => {
                            return foreign("this access to a field", "value.field");
                        }
                        AccessExpr::Subscript(Subscript::Index { index }) => {
                            self.walk(index, cx)?;
                            if access_chain.len() == 1 {
                                self.subscript(root, index, cx)?;
                            }
                        }
                        AccessExpr::Subscript(Subscript::Slice {
                            lower_bound,
                            upper_bound,
                            stride,
                        }) => {
                            if stride.is_some() {
                                return foreign("a slice with a stride", "list[1:2]");
                            }
                            for bound in lower_bound.iter().chain(upper_bound) {
                                self.walk(bound, cx)?;
                            }
                        }
                    }
                }
                Ok(())
            }
            Expr::IsFalse(e)
            | Expr::IsNotFalse(e)
            | Expr::IsTrue(e)
            | Expr::IsNotTrue(e)
            | Expr::IsNull(e)
            | Expr::IsNotNull(e)
            | Expr::IsUnknown(e)
            | Expr::IsNotUnknown(e)
            | Expr::Nested(e) => self.walk(e, cx),
            Expr::IsDistinctFrom(a, b) | Expr::IsNotDistinctFrom(a, b) => {
                self.walk(a, cx)?;
                self.walk(b, cx)
            }
            Expr::InList {
                expr,
                list,
                negated: _,
            } => {
                self.walk(expr, cx)?;
                list.iter().try_for_each(|e| {
                    self.walk(e, cx)?;
                    self.compared(expr, e, cx)
                })
            }
            Expr::InSubquery {
                expr,
                subquery,
                negated: _,
            } => {
                self.walk(expr, cx)?;
                self.subquery(subquery, at, cx, Width::One)
            }
            Expr::Exists {
                subquery,
                negated: _,
            } => self.subquery(subquery, at, cx, Width::Any),
            Expr::Subquery(subquery) => self.subquery(subquery, at, cx, Width::One),
            Expr::Between {
                expr,
                negated: _,
                low,
                high,
            } => {
                self.walk(expr, cx)?;
                self.walk(low, cx)?;
                self.walk(high, cx)?;
                self.compared(expr, low, cx)?;
                self.compared(expr, high, cx)
            }
            Expr::BinaryOp { left, op, right } => {
                self.operator(op, at)?;
                self.walk(left, cx)?;
                self.walk(right, cx)?;
                self.operands(left, op, right, cx)
            }
            Expr::UnaryOp { op, expr } => match op {
                UnaryOperator::Plus | UnaryOperator::Minus => self.walk(expr, cx),
                UnaryOperator::Not => self.asked(expr, cx),
                _ => foreign(&format!("operator {op}"), "+, - and NOT are"),
            },
            Expr::Like {
                negated: _,
                any,
                expr,
                pattern,
                escape_char: _,
            }
            | Expr::ILike {
                negated: _,
                any,
                expr,
                pattern,
                escape_char: _,
            } => {
                if *any {
                    return foreign("LIKE ANY", "a LIKE .. OR a LIKE ..");
                }
                self.walk(expr, cx)?;
                self.walk(pattern, cx)?;
                self.like(expr, cx)?;
                self.like(pattern, cx)
            }
            Expr::SimilarTo {
                negated: _,
                expr: _,
                pattern: _,
                escape_char: _,
            } => foreign("SIMILAR TO", "LIKE, or REGEXP_LIKE(a, pattern)"),
            Expr::RLike {
                negated: _,
                expr: _,
                pattern: _,
                regexp: _,
            } => foreign("RLIKE", "REGEXP_LIKE(a, pattern)"),
            Expr::Cast {
                kind,
                expr,
                data_type,
                array,
                format,
            } => {
                match kind {
                    CastKind::Cast | CastKind::TryCast | CastKind::DoubleColon => {}
                    CastKind::SafeCast => return foreign("SAFE_CAST", "TRY_CAST"),
                }
                if *array || format.is_some() {
                    return foreign("this form of CAST", "CAST(x AS type)");
                }
                self.cast_type(data_type, self.behind(expr))?;
                self.cast_value(expr, data_type)?;
                self.walk(expr, cx)
            }
            Expr::AtTimeZone {
                timestamp: _,
                time_zone: _,
            } => foreign(
                "AT TIME ZONE",
                "a TIMESTAMP has no zone and is taken as UTC",
            ),
            Expr::Extract {
                field,
                syntax: _,
                expr,
            } => {
                self.time_field(&field.to_string(), at)?;
                self.walk(expr, cx)
            }
            Expr::Ceil { expr, field } | Expr::Floor { expr, field } => {
                match field {
                    CeilFloorKind::DateTimeField(f) if f.to_string().is_empty() => {}
                    CeilFloorKind::DateTimeField(
                        datafusion::sql::sqlparser::ast::DateTimeField::NoDateTime,
                    ) => {}
                    CeilFloorKind::DateTimeField(_) => {
                        return foreign("CEIL TO", "DATE_TRUNC('hour', ts)");
                    }
                    CeilFloorKind::Scale(_) => return foreign("CEIL with a scale", "ROUND(x, n)"),
                }
                self.walk(expr, cx)
            }
            Expr::Position { expr, r#in } => {
                self.walk(expr, cx)?;
                self.walk(r#in, cx)
            }
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                special: _,
                shorthand: _,
            } => {
                if substring_from.is_none() && substring_for.is_none() {
                    let message = "SUBSTR takes 2 to 3 arguments, not 1";
                    let at = self.find(&["SUBSTR", "SUBSTRING"], self.chunk.start());
                    return Err(self.place.hinted("E0209", at, message, "SUBSTR(x, 1, 3)"));
                }
                let parts = substring_from.iter().chain(substring_for);
                self.walk(expr, cx)?;
                parts
                    .map(|part| &**part)
                    .try_for_each(|part| self.walk(part, cx))
            }
            Expr::Trim {
                trim_where: _,
                trim_what,
                expr,
                trim_characters,
            } => {
                self.walk(expr, cx)?;
                if let Some(what) = trim_what {
                    self.walk(what, cx)?;
                }
                trim_characters
                    .iter()
                    .flatten()
                    .try_for_each(|e| self.walk(e, cx))
            }
            Expr::Overlay {
                expr,
                overlay_what,
                overlay_from,
                overlay_for,
            } => {
                self.walk(expr, cx)?;
                self.walk(overlay_what, cx)?;
                self.walk(overlay_from, cx)?;
                overlay_for.iter().try_for_each(|e| self.walk(e, cx))
            }
            Expr::Value(value) => match &value.value {
                Value::Placeholder(name) => {
                    let hint = "parameters belong to prepared statements: write the value";
                    foreign(&format!("parameter {name}"), hint)
                }
                Value::Number(number, _) => self.number(number, at),
                Value::SingleQuotedString(_)
                | Value::EscapedStringLiteral(_)
                | Value::DollarQuotedString(_)
                | Value::Boolean(_)
                | Value::Null => Ok(()),
                Value::DoubleQuotedString(_) => foreign("a text in double quotes", "'text'"),
                other => foreign(&format!("constant {other}"), "'text', 1, 1.5, TRUE, NULL"),
            },
            Expr::TypedString(TypedString {
                data_type,
                value,
                uses_odbc_syntax,
            }) => {
                if *uses_odbc_syntax {
                    return foreign("{..}", "DATE '2025-11-06'");
                }
                self.cast_type(data_type, at)?;
                self.typed_string(data_type, value)
            }
            Expr::Interval(interval) => crate::interval::check(self.place, interval),
            Expr::Function(f) => self.call(f, at, cx),
            Expr::Case {
                case_token: _,
                end_token: _,
                operand,
                conditions,
                else_result,
            } => {
                for part in operand.iter().chain(else_result) {
                    self.walk(part, cx)?;
                }
                for CaseWhen { condition, result } in conditions {
                    match operand {
                        Some(operand) => {
                            self.walk(condition, cx)?;
                            self.compared(operand, condition, cx)?;
                        }
                        None => self.asked(condition, cx)?,
                    }
                    self.walk(result, cx)?;
                }
                let results = conditions.iter().map(|c| &c.result);
                self.branches(results.chain(else_result.as_deref()), cx)
            }
            Expr::Array(Array { elem, named: _ }) => elem.iter().try_for_each(|e| self.walk(e, cx)),
            Expr::AnyOp {
                left,
                compare_op: _,
                right,
                is_some: _,
            }
            | Expr::AllOp {
                left,
                compare_op: _,
                right,
            } => {
                self.walk(left, cx)?;
                self.walk(right, cx)
            }
            Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => {
                let hint = "GROUP BY GROUPING SETS ((a), (b))";
                let message = "this stands in GROUP BY only";
                Err(self.place.hinted("E0207", at, message, hint))
            }
            Expr::Tuple(_) => foreign("a row of values", "compare the values one by one"),
            Expr::Wildcard(_) | Expr::QualifiedWildcard(_, _) => {
                let message = "\"*\" is no value";
                Err(self
                    .place
                    .hinted("E0101", at, message, "COUNT(*), SELECT *"))
            }
            Expr::Collate {
                expr: _,
                collation: _,
            } => foreign("COLLATE", "texts compare by their bytes"),
            Expr::IsNormalized {
                expr: _,
                form: _,
                negated: _,
            } => foreign("IS NORMALIZED", ""),
            Expr::JsonAccess { value: _, path: _ } => foreign("this access to JSON", "raw ->> 'a'"),
            Expr::Convert { .. } => foreign("CONVERT", "CAST(x AS type)"),
            Expr::InUnnest { .. } => foreign("IN UNNEST", "x = ANY(list)"),
            Expr::Prefixed {
                prefix: _,
                value: _,
            } => foreign("a prefix of a text", "'text'"),
            Expr::Struct {
                values: _,
                fields: _,
            } => foreign("STRUCT(..) as a value", ""),
            Expr::Named { expr: _, name: _ } => foreign("a named value", ""),
            Expr::Dictionary(_) => foreign("{..}", ""),
            Expr::Map(_) => foreign("MAP {..}", ""),
            Expr::MatchAgainst { .. } => foreign("MATCH .. AGAINST", "LIKE"),
            Expr::OuterJoin(_) => foreign("(+)", "LEFT JOIN"),
            Expr::Prior(_) => foreign("PRIOR", ""),
            Expr::Lambda(_) => foreign("a lambda", ""),
            Expr::MemberOf(_) => foreign("MEMBER OF", "x = ANY(list)"),
        }
    }

    fn name(&mut self, ident: &Ident, at: Location, cx: Context<'_>) -> Result<(), SqlError> {
        let name = ident.value.as_str();
        if let Some(found) = cx.scope.column(self.place, name, at)? {
            return self.found(&found, name, at, cx);
        }
        if crate::functions::CLOCKS.contains(&name) {
            return self.clock(name, at, cx);
        }
        if matches!(name, "window_start" | "window_end")
            && let Some(group) = cx.group
            && group.has_window()
        {
            return Ok(());
        }
        if let Some(item) = cx.items.iter().find(|i| i.aliased && i.name == name) {
            if cx.aliases {
                let aliases = false;
                return self.walk(&item.expr, Context { aliases, ..cx });
            }
            let mut error = cx.scope.missing(self.place, name, at);
            error.hint = Some(format!(
                "\"{name}\" is a name of the select list: it can be used in GROUP BY, HAVING, \
                 OVER and ORDER BY"
            ));
            return Err(error);
        }
        Err(cx.scope.missing(self.place, name, at))
    }

    /// A column that exists: over groups it has to be a key, unless it comes from around.
    fn found(
        &self,
        found: &Found,
        name: &str,
        at: Location,
        cx: Context<'_>,
    ) -> Result<(), SqlError> {
        let bound = matches!(name, "window_start" | "window_end");
        match cx.group {
            Some(group) if found.level == 0 && !(bound && group.has_window()) => {
                let message = format!("column \"{name}\" is neither grouped nor aggregated");
                let hint = format!("add {name} to GROUP BY, or use it in an aggregate");
                Err(self.place.hinted("E0203", at, message, hint))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn compound(&mut self, parts: &[Ident], at: Location, cx: Context<'_>) -> Result<(), SqlError> {
        let [first, second, rest @ ..] = parts else {
            return Err(cx.scope.missing(self.place, "", at));
        };
        if let Some(found) = cx.scope.qualified(self.place, &first.value, second)? {
            return self.found(&found, &second.value, at, cx);
        }
        let bound = matches!(second.value.as_str(), "start" | "end") && rest.is_empty();
        if bound
            && let Some(group) = cx.group
            && group.has_window()
        {
            let alias = cx.items.iter().any(|i| i.aliased && i.name == first.value);
            if alias || first.value == "window" {
                return Ok(());
            }
        }
        // A field of a column.
        if let Some(found) = cx.scope.column(self.place, &first.value, at)? {
            use datafusion::arrow::datatypes::DataType;
            match &found.data_type {
                Some(DataType::Struct(fields)) => {
                    self.field(&first.value, fields, &second.value, second.span.start)?;
                }
                Some(other) => {
                    let (of, at) = (&first.value, second.span.start);
                    return Err(no_fields(self.place, of, &second.value, other, at));
                }
                None => {}
            }
            return self.found(&found, &first.value, at, cx);
        }
        Err(cx.scope.missing_relation(self.place, &first.value, at))
    }

    fn subquery(
        &mut self,
        query: &Query,
        at: Location,
        cx: Context<'_>,
        width: Width,
    ) -> Result<(), SqlError> {
        let output = self.query(query, cx.ctes, Some(cx.scope), Purpose::Keep)?;
        let columns = output.columns.len();
        match width {
            Width::One if columns != 1 => {
                let message = format!("this subquery gives {columns} columns, not one");
                Err((self.place).hinted("E0209", at, message, "select the one that is meant"))
            }
            Width::One | Width::Any => Ok(()),
        }
    }
}

/// How many columns a subquery may give.
#[derive(Clone, Copy)]
enum Width {
    One,
    Any,
}
