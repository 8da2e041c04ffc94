//! The shape of a SELECT: one source, and of its clauses only those that are lowered. All others
//! are refused at the word that begins them.

use datafusion::sql::sqlparser::ast::{
    Distinct, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    ObjectName, Query, SetExpr, Spanned, TableFactor,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::catalog::SourceDef;
use crate::dialect::find_word;
use crate::error::{SqlError, nearest};
use crate::script::Select;

/// A SELECT over one source.
pub(crate) struct Shape<'a> {
    pub(crate) query: Query,
    pub(crate) source: &'a SourceDef,
    /// Names that may stand before a column.
    pub(crate) qualifiers: Vec<String>,
    /// Clauses that are not supported yet.
    pub(crate) later: Vec<SqlError>,
}

/// Checks the clauses and finds the source.
pub(crate) fn shape<'a>(input: &'a Select<'a>) -> Result<Shape<'a>, SqlError> {
    let mut query = input.query.clone();
    crate::flatten::query(&mut query, &input.catalog);
    let tokens = &input.chunk.tokens;
    let start = tokens.first().map_or(input.chunk.end, |t| t.span.start);
    let place = input.place;
    let at = |words: &[&str]| find_word(tokens, words, start);
    let no = |words: &[&str], what: &str| place.unsupported(at(words), what);
    if query.with.is_some() {
        return Err(no(&["WITH"], "WITH"));
    }
    let mut later = Vec::new();
    let mut refuse = |found: bool, words: &[&str], what: &str| {
        if found {
            later.push(no(words, what));
        }
    };
    refuse(query.order_by.is_some(), &["ORDER"], "ORDER BY");
    let limit = query.limit_clause.is_some();
    refuse(limit, &["LIMIT", "OFFSET"], "LIMIT or OFFSET");
    refuse(query.fetch.is_some(), &["FETCH"], "FETCH");
    let locks = !query.locks.is_empty() || query.for_clause.is_some();
    refuse(locks, &["FOR"], "FOR");
    refuse(query.settings.is_some(), &["SETTINGS"], "SETTINGS");
    refuse(query.format_clause.is_some(), &["FORMAT"], "FORMAT");
    refuse(!query.pipe_operators.is_empty(), &["SELECT"], "|>");
    let select = match query.body.as_mut() {
        SetExpr::Select(select) => select,
        SetExpr::SetOperation { op, .. } => {
            let word = op.to_string();
            return Err(no(&[&word], &word));
        }
        _ => return Err(place.unsupported(start, "a query other than a plain SELECT")),
    };
    let distinct = matches!(select.distinct, Some(Distinct::Distinct | Distinct::On(_)));
    refuse(distinct, &["DISTINCT"], "DISTINCT");
    refuse(select.top.is_some(), &["TOP"], "TOP");
    refuse(select.exclude.is_some(), &["EXCLUDE"], "EXCLUDE");
    refuse(select.into.is_some(), &["INTO"], "INTO");
    refuse(!select.lateral_views.is_empty(), &["LATERAL"], "LATERAL");
    refuse(select.prewhere.is_some(), &["PREWHERE"], "PREWHERE");
    refuse(!select.connect_by.is_empty(), &["CONNECT"], "CONNECT BY");
    refuse(!select.cluster_by.is_empty(), &["CLUSTER"], "CLUSTER BY");
    let distribute = !select.distribute_by.is_empty();
    refuse(distribute, &["DISTRIBUTE"], "DISTRIBUTE BY");
    refuse(!select.sort_by.is_empty(), &["SORT"], "SORT BY");
    refuse(!select.named_window.is_empty(), &["WINDOW"], "WINDOW");
    refuse(select.qualify.is_some(), &["QUALIFY"], "QUALIFY");
    let odd = select.value_table_mode.is_some()
        || select.select_modifiers.is_some()
        || !select.optimizer_hints.is_empty();
    refuse(odd, &["SELECT"], "a modifier of SELECT");
    match &select.group_by {
        GroupByExpr::Expressions(_, modifiers) if modifiers.is_empty() => {}
        GroupByExpr::Expressions(..) => return Err(no(&["WITH"], "a modifier of GROUP BY")),
        GroupByExpr::All(_) => return Err(no(&["GROUP"], "GROUP BY ALL")),
    }
    let tables = match select.from.as_mut_slice() {
        [] => return Err(place.unsupported(start, "SELECT without FROM")),
        [table] => table,
        [_, second, ..] => {
            let at = second.span().start;
            return Err(place.unsupported(at, "more than one source"));
        }
    };
    if !tables.joins.is_empty() {
        let kinds = [
            "JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL", "ASOF", "SEMI", "ANTI",
        ];
        let from = find_word(tokens, &["FROM"], start);
        let unnest = matches!(tables.joins[0].relation, TableFactor::UNNEST { .. });
        let what = match unnest {
            true => "UNNEST",
            false => "JOIN",
        };
        return Err(place.unsupported(find_word(tokens, &kinds, from), what));
    }
    let relation_at = tables.relation.span().start;
    let (source, qualifiers) = match &mut tables.relation {
        TableFactor::Table {
            name,
            alias,
            args: None,
            with_hints,
            version: None,
            with_ordinality: false,
            partitions,
            json_path: None,
            sample: None,
            index_hints,
        } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
            let source = find(input, name)?;
            if let Some(why) = &source.later {
                let what = format!("reading \"{}\"", source.name);
                let mut error = place.unsupported(relation_at, what);
                error.hint = Some(why.clone());
                return Err(error);
            }
            let mut qualifiers = vec![source.name.clone()];
            if let Some(alias) = alias {
                if !alias.columns.is_empty() {
                    let at = alias.span().start;
                    return Err(place.unsupported(at, "a list of column aliases"));
                }
                let ident = &alias.name;
                qualifiers = vec![match ident.quote_style {
                    None => ident.value.to_lowercase(),
                    Some(_) => ident.value.clone(),
                }];
            }
            *alias = None;
            *name = ObjectName::from(vec![Ident::with_quote('"', &source.name)]);
            (source, qualifiers)
        }
        TableFactor::Derived { .. } => {
            return Err(place.unsupported(relation_at, "a subquery in FROM"));
        }
        TableFactor::UNNEST { .. } => return Err(no(&["UNNEST"], "UNNEST")),
        _ => {
            let from = find_word(tokens, &["FROM"], start);
            let next = tokens.iter().find(|t| t.span.start > from);
            let at = next.map_or(from, |t| t.span.start);
            return Err(place.unsupported(at, "FROM anything but a source"));
        }
    };
    Ok(Shape {
        query,
        source,
        qualifiers,
        later,
    })
}

fn find<'a>(input: &'a Select<'a>, name: &ObjectName) -> Result<&'a SourceDef, SqlError> {
    let parts: Option<Vec<_>> = name.0.iter().map(|p| p.as_ident()).collect();
    let sources = &input.catalog.sources;
    let text = match parts.as_deref() {
        Some([ident]) if ident.quote_style.is_some() => ident.value.clone(),
        Some([ident]) => ident.value.to_lowercase(),
        _ => name.to_string(),
    };
    sources.get(&text).ok_or_else(|| {
        if input.catalog.views.contains_key(&text) {
            let what = "reading a materialized view";
            return input.place.unsupported(name.span().start, what);
        }
        let message = format!("relation \"{text}\" does not exist");
        let mut error = input.place.error("E0202", name.span().start, message);
        error.hint = nearest(&text, sources.keys().map(String::as_str))
            .map(|n| format!("did you mean \"{n}\"?"));
        error
    })
}

/// What of a call is not supported yet.
pub(crate) fn refuse_call(input: &Select<'_>, f: &Function, start: Location) -> Option<SqlError> {
    let tokens = &input.chunk.tokens;
    let no = |words: &[&str], what: &str| {
        Some((input.place).unsupported(find_word(tokens, words, start), what))
    };
    if f.over.is_some() {
        return no(&["OVER"], "OVER");
    }
    if !f.within_group.is_empty() {
        return no(&["WITHIN"], "WITHIN GROUP");
    }
    if f.null_treatment.is_some() {
        return no(&["IGNORE", "RESPECT"], "IGNORE NULLS");
    }
    let FunctionArguments::List(list) = &f.args else {
        return no(&[], "a call of this form");
    };
    if list.duplicate_treatment.is_some() {
        return no(&["DISTINCT", "ALL"], "DISTINCT in an aggregate");
    }
    if !list.clauses.is_empty() {
        return no(
            &["ORDER", "LIMIT", "IGNORE", "RESPECT"],
            "ORDER BY in an aggregate",
        );
    }
    let plain = |a: &FunctionArg| {
        use FunctionArgExpr::{Expr, Wildcard};
        matches!(a, FunctionArg::Unnamed(Expr(_) | Wildcard))
    };
    if !list.args.iter().all(plain) {
        return no(&[], "a named argument");
    }
    None
}
