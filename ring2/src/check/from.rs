//! FROM: relations by name, subqueries, table functions of windows, UNNEST.

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, ObjectName, TableAlias, TableFactor, TableFunctionArgs,
    TableVersion, TableWithJoins,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::expr::Context;
use super::join::joined;
use super::scope::{Column, Ctes, Scope};
use super::{Checker, Output, Purpose};
use crate::error::{SqlError, meant, nearest};
use crate::functions::WINDOWS;
use crate::syntax::{Kind, SourceKind, call};

const SYSTEM: [&str; 3] = ["_timestamp", "_partition", "_offset"];
const BOUNDS: [&str; 2] = ["window_start", "window_end"];

/// Where a relation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// First, or behind a comma.
    First,
    /// Behind JOIN.
    Joined,
}

impl Checker<'_> {
    pub(super) fn from<'p>(
        &mut self,
        from: &[TableWithJoins],
        ctes: &Ctes,
        outer: Option<&'p Scope<'p>>,
    ) -> Result<(Scope<'p>, Output), SqlError> {
        let mut scope = Scope::within(outer);
        let mut whole: Option<Output> = None;
        for table in from {
            let output = self.table(table, &mut scope, ctes)?;
            whole = Some(match whole {
                None => output,
                Some(before) => joined(&before, &output),
            });
        }
        let nothing = Output {
            columns: Vec::new(),
            bounded: true,
            watermark: false,
            window: false,
        };
        Ok((scope, whole.unwrap_or(nothing)))
    }

    fn table(
        &mut self,
        table: &TableWithJoins,
        scope: &mut Scope<'_>,
        ctes: &Ctes,
    ) -> Result<Output, SqlError> {
        let TableWithJoins { relation, joins } = table;
        let mut output = self.factor(relation, scope, ctes, Position::First)?;
        for join in joins {
            output = self.join(join, scope, ctes, &output)?;
        }
        Ok(output)
    }

    pub(super) fn relation_at(&self, relation: &TableFactor) -> Location {
        self.at(relation)
    }

    fn add(
        &self,
        scope: &mut Scope<'_>,
        alias: Option<&TableAlias>,
        name: Option<(String, Location)>,
        mut output: Output,
        hidden: &[&str],
    ) -> Result<Output, SqlError> {
        let name = match alias {
            None => name,
            Some(alias) => {
                let at = alias.name.span.start;
                let (name, columns) = self.alias(alias)?;
                self.rename(&mut output, &columns, at)?;
                Some((name, at))
            }
        };
        if let Some((name, at)) = &name
            && scope.has_relation(name)
        {
            let hint = format!("give one of them another name: {name} AS {name}2");
            let message = format!("relation \"{name}\" is named twice in FROM");
            return Err(self.place.hinted("E0205", *at, message, hint));
        }
        let columns = output.columns.iter();
        let columns = columns.map(|(n, t)| Column::new(n, t.clone())).collect();
        scope.add(name.map(|(n, _)| n), columns, hidden);
        Ok(output)
    }

    pub(super) fn factor(
        &mut self,
        factor: &TableFactor,
        scope: &mut Scope<'_>,
        ctes: &Ctes,
        position: Position,
    ) -> Result<Output, SqlError> {
        let at = self.relation_at(factor);
        let place = self.place;
        let foreign = |what: &str, hint: &str| Err(place.foreign(at, what, hint));
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                if !with_hints.is_empty() || !index_hints.is_empty() {
                    let at = self.find(&["WITH", "USE", "FORCE", "IGNORE"], at);
                    return Err(self.place.foreign(at, "a hint behind a table", ""));
                }
                if !partitions.is_empty() || json_path.is_some() || *with_ordinality {
                    return foreign("what stands behind this name", "FROM t AS alias");
                }
                if sample.is_some() {
                    let at = self.find(&["TABLESAMPLE", "SAMPLE"], at);
                    return Err(self
                        .place
                        .foreign(at, "TABLESAMPLE", "WHERE random() < 0.1"));
                }
                let name_at = self.at(name);
                match args {
                    Some(args) => {
                        if version.is_some() {
                            return foreign("a version of a window", "");
                        }
                        self.window_table(name, args, alias.as_ref(), scope, ctes)
                    }
                    None => {
                        let (own, output, hidden) = self.named(name, ctes)?;
                        if let Some(version) = version {
                            self.version(version, &own, name_at, scope, ctes, position)?;
                        }
                        let own = Some((own, name_at));
                        self.add(scope, alias.as_ref(), own, output, &hidden)
                    }
                }
            }
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                sample,
            } => {
                if *lateral {
                    let at = self.find(&["LATERAL"], self.chunk.start());
                    return Err(self.place.foreign(at, "LATERAL", "a plain join"));
                }
                if sample.is_some() {
                    let at = self.find(&["TABLESAMPLE", "SAMPLE"], at);
                    return Err(self
                        .place
                        .foreign(at, "TABLESAMPLE", "WHERE random() < 0.1"));
                }
                let output = self.query(subquery, ctes, None, Purpose::Keep)?;
                let hidden: &[&str] = match output.window {
                    true => &BOUNDS,
                    false => &[],
                };
                self.add(scope, alias.as_ref(), None, output, hidden)
            }
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset,
                with_offset_alias,
                with_ordinality,
            } => {
                if *with_offset || with_offset_alias.is_some() {
                    return foreign("UNNEST .. WITH OFFSET", "WITH ORDINALITY");
                }
                self.unnest(
                    alias.as_ref(),
                    array_exprs,
                    *with_ordinality,
                    scope,
                    ctes,
                    at,
                )
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                if let Some(alias) = alias {
                    let at = alias.name.span.start;
                    return Err(self.place.foreign(at, "an alias of joins in brackets", ""));
                }
                self.table(table_with_joins, scope, ctes)
            }
            TableFactor::TableFunction { expr: _, alias: _ } => {
                let hint = "TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' MINUTE))";
                foreign("TABLE(..) of this form", hint)
            }
            TableFactor::Function {
                lateral: _,
                name: _,
                args: _,
                with_ordinality: _,
                alias: _,
            } => foreign("LATERAL", "CROSS JOIN UNNEST(list) AS item"),
            TableFactor::Pivot { .. } => {
                let at = self.find(&["PIVOT"], at);
                let hint = "SUM(x) FILTER (WHERE k = 'a') for each column";
                Err(self.place.foreign(at, "PIVOT", hint))
            }
            TableFactor::Unpivot { .. } => {
                let at = self.find(&["UNPIVOT"], at);
                Err(self
                    .place
                    .foreign(at, "UNPIVOT", "UNION ALL of one SELECT for each column"))
            }
            TableFactor::MatchRecognize { .. } => foreign("MATCH_RECOGNIZE", ""),
            TableFactor::JsonTable { .. } => foreign("JSON_TABLE", "-> and ->> read JSON"),
            TableFactor::OpenJsonTable { .. } => foreign("OPENJSON", "-> and ->> read JSON"),
            TableFactor::XmlTable { .. } => foreign("XMLTABLE", ""),
            TableFactor::SemanticView { .. } => foreign("SEMANTIC_VIEW", ""),
        }
    }

    /// A relation by its name: what it is called, what it gives, what it hides.
    fn named(
        &mut self,
        name: &ObjectName,
        ctes: &Ctes,
    ) -> Result<(String, Output, Vec<&'static str>), SqlError> {
        let at = self.at(name);
        let text = match name.0.as_slice() {
            [part] => part.as_ident().map(|i| i.value.clone()),
            _ => {
                let hint = "there is one catalogue: name the relation alone";
                return Err(self.place.foreign(at, "a schema before a name", hint));
            }
        };
        let text = text.unwrap_or_else(|| name.to_string());
        if let Some(output) = ctes.get(&text) {
            let hidden = match output.window {
                true => BOUNDS.to_vec(),
                false => vec![],
            };
            return Ok((text, output.clone(), hidden));
        }
        if let Some(source) = self.catalog.sources.get(&text) {
            self.uses.insert(text.clone());
            let columns = source.declared().into_iter();
            let output = Output {
                columns: columns
                    .map(|c| (c.name.clone(), Some(c.data_type.clone())))
                    .collect(),
                bounded: source.bounded,
                watermark: source.lag_ns.is_some(),
                window: false,
            };
            // Rows of a view know no more than its columns.
            let hidden = match source.view {
                Some(_) => vec![],
                None => SYSTEM.to_vec(),
            };
            return Ok((text, output, hidden));
        }
        if let Some(view) = self.catalog.views.get(&text) {
            self.uses.insert(text.clone());
            let columns = view.columns.iter();
            let output = Output {
                columns: columns
                    .map(|c| (c.name.clone(), c.data_type.clone()))
                    .collect(),
                bounded: view.bounded,
                watermark: view.watermark,
                window: view.window,
            };
            let hidden = match view.window {
                true => BOUNDS.to_vec(),
                false => vec![],
            };
            return Ok((text, output, hidden));
        }
        if let Some(kind) = self.catalog.kind(&text) {
            let message = format!("\"{text}\" is a {}: it cannot be read", kind.word());
            let hint = "sinks are written to; read the view that feeds it";
            return Err(self.place.hinted("E0211", at, message, hint));
        }
        let message = format!("relation \"{text}\" does not exist");
        let mut error = self.place.error("E0202", at, message);
        let known = self
            .catalog
            .relations()
            .chain(ctes.keys().map(String::as_str));
        let none = "nothing is declared before it: CREATE SOURCE name (..) WITH (..)";
        error.hint = meant(&text, known).or_else(|| Some(none.to_owned()));
        Err(error)
    }

    fn version(
        &mut self,
        version: &TableVersion,
        table: &str,
        at: Location,
        scope: &Scope<'_>,
        ctes: &Ctes,
        position: Position,
    ) -> Result<(), SqlError> {
        let TableVersion::ForSystemTimeAsOf(time) = version else {
            let hint = "JOIN t FOR SYSTEM_TIME AS OF s.ts";
            return Err(self.place.foreign(at, "a version of this form", hint));
        };
        let version_at = self.find(&["SYSTEM_TIME"], at);
        if position == Position::First {
            let hint = "FROM s JOIN t FOR SYSTEM_TIME AS OF s.ts ON ..";
            let message = "FOR SYSTEM_TIME AS OF stands behind JOIN: it asks at each row's time";
            return Err(self.place.hinted("E0403", version_at, message, hint));
        }
        let is_table = self.catalog.kind(table) == Some(Kind::Table);
        if !is_table {
            let hint = "CREATE TABLE with a PRIMARY KEY, or ASOF JOIN for two streams";
            let message = format!("\"{table}\" is no table: only tables have versions");
            return Err(self.place.hinted("E0403", at, message, hint));
        }
        match (time, call(time)) {
            (Expr::Identifier(_) | Expr::CompoundIdentifier(_), _) => self.row(time, scope, ctes),
            (_, Some(("proctime", args))) if args.is_empty() => Ok(()),
            _ => {
                let hint = "FOR SYSTEM_TIME AS OF s.ts, or PROCTIME()";
                let message = "a version is asked for at a time column of the other side";
                Err(self.place.hinted("E0403", self.at(time), message, hint))
            }
        }
    }

    /// `TUMBLE(t, ts, size)` in FROM.
    fn window_table(
        &mut self,
        name: &ObjectName,
        args: &TableFunctionArgs,
        alias: Option<&TableAlias>,
        scope: &mut Scope<'_>,
        ctes: &Ctes,
    ) -> Result<Output, SqlError> {
        let TableFunctionArgs { args, settings } = args;
        let at = self.at(name);
        let function = name.to_string();
        if settings.is_some() {
            return Err(self.place.foreign(at, "SETTINGS", ""));
        }
        if !WINDOWS.contains(&function.as_str()) {
            let upper = function.to_uppercase();
            let message = format!("there is no table function {upper}");
            let mut error = self.place.error("E0204", at, message);
            error.hint = nearest(&function, WINDOWS.into_iter())
                .map(|n| format!("did you mean {}?", n.to_uppercase()))
                .or(Some("TUMBLE, HOP and CUMULATE are".into()));
            return Err(error);
        }
        let mut exprs: Vec<Expr> = Vec::new();
        for arg in args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => exprs.push(expr.clone()),
                _ => {
                    let hint = format!("FROM {}(t, ts, ..)", function.to_uppercase());
                    let message = "this argument is no expression";
                    return Err(self.place.hinted("E0401", at, message, hint));
                }
            }
        }
        let (own, mut output) = match exprs.first() {
            Some(Expr::Identifier(table)) => {
                let object = ObjectName::from(vec![table.clone()]);
                let (own, output, _) = self.named(&object, ctes)?;
                (Some(own), output)
            }
            Some(Expr::Subquery(query)) => (None, self.query(query, ctes, None, Purpose::Keep)?),
            _ => {
                let hint = format!(
                    "FROM {}(t, ts, INTERVAL '5' MINUTE)",
                    function.to_uppercase()
                );
                let message = "the first argument is the relation";
                return Err(self.place.hinted("E0401", at, message, hint));
            }
        };
        let mut inner = Scope::default();
        let columns = output.columns.iter();
        let columns = columns.map(|(n, t)| Column::new(n, t.clone())).collect();
        inner.add(own.clone(), columns, &SYSTEM);
        // A session's keys stand behind its gap.
        let lengths = exprs.len().min(if function == "session" {
            3
        } else {
            exprs.len()
        });
        self.window_arguments(&function, at, &exprs[1..lengths], &inner, ctes)?;
        for key in &exprs[lengths..] {
            self.row(key, &inner, ctes)?;
        }
        if function == "session" {
            return Err(self.session_table(own.as_deref().unwrap_or("t"), at, &exprs));
        }
        let time = Some(DataType::Timestamp(
            datafusion::arrow::datatypes::TimeUnit::Millisecond,
            None,
        ));
        for bound in BOUNDS {
            output.columns.push((bound.to_string(), time.clone()));
        }
        output.window = true;
        self.add(scope, alias, own.map(|own| (own, at)), output, &[])
    }

    /// Sessions of a table are planned as groups alone: what to write for them.
    fn session_table(&self, table: &str, at: Location, args: &[Expr]) -> SqlError {
        let texts = |args: &[Expr]| {
            let texts: Vec<_> = args.iter().map(ToString::to_string).collect();
            texts.join(", ")
        };
        let (window, keys) = args[1..].split_at((args.len() - 1).min(2));
        let keys = match keys.is_empty() {
            true => "key".into(),
            false => texts(keys),
        };
        let hint = format!("FROM {table} GROUP BY {keys}, SESSION({})", texts(window));
        let message = "SESSION as a table is not supported yet: sessions belong to a key";
        self.place.hinted("E0301", at, message, hint)
    }

    fn unnest(
        &mut self,
        alias: Option<&TableAlias>,
        arrays: &[Expr],
        ordinality: bool,
        scope: &mut Scope<'_>,
        ctes: &Ctes,
        at: Location,
    ) -> Result<Output, SqlError> {
        let [array] = arrays else {
            let message = "UNNEST takes one list";
            let hint = "FROM t CROSS JOIN UNNEST(list) AS item";
            return Err(self.place.hinted("E0209", at, message, hint));
        };
        self.row(array, scope, ctes)?;
        let item = match self.infer(array, Context::row(scope, ctes)) {
            None => None,
            Some(DataType::List(item)) => Some(item.data_type().clone()),
            Some(_) => {
                let message = format!("UNNEST takes a list, and \"{array}\" is none");
                let hint = "declare it as a list: tags VARCHAR[]";
                return Err(self.place.hinted("E0206", self.at(array), message, hint));
            }
        };
        let first = alias.map_or("unnest".to_string(), |a| a.name.value.clone());
        let mut columns = vec![(first, item)];
        if ordinality {
            columns.push(("ordinality".into(), Some(DataType::Int64)));
        }
        let output = Output {
            columns,
            bounded: true,
            watermark: false,
            window: false,
        };
        self.add(scope, alias, None, output, &[])
    }

    /// The event time of the only source in FROM, for windows that name no time.
    pub(super) fn has_event_time(&self, scope: &Scope<'_>) -> bool {
        let sources = self.uses.iter().filter_map(|u| self.catalog.sources.get(u));
        let timed = |kind: SourceKind| kind != SourceKind::Table;
        !scope.is_empty()
            && sources
                .into_iter()
                .any(|s| timed(s.kind) && s.event_time.is_some())
    }
}
