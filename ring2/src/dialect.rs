//! The dialect: PostgreSQL's, with what this engine adds or reads otherwise. EMIT can never be an
//! alias, a table can have a version (`FOR SYSTEM_TIME AS OF`), comments are never hints, and words
//! that begin an expression are read in one way only: falling back to a second reading would take
//! exponential time on nested text.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{
    CastKind, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName,
};
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{IsOptional, Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::limits::PARSER_DEPTH_MAX;
pub(crate) use crate::place::{Place, find_word};

/// The dialect all text is read in.
pub static DIALECT: Trefoil = Trefoil;

/// Name of the call that `TABLE t` is read as among the arguments of a window.
pub(crate) const TABLE_ARGUMENT: &str = "trefoil_table";

const POSTGRES: PostgreSqlDialect = PostgreSqlDialect {};

/// This engine's SQL.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trefoil;

/// A parser over these tokens.
pub(crate) fn parser(tokens: &[TokenWithSpan]) -> Parser<'static> {
    Parser::new(&DIALECT)
        .with_recursion_limit(PARSER_DEPTH_MAX)
        .with_tokens_with_locations(plain_asof(tokens))
}

/// The tokens, `ASOF LEFT JOIN` and `LEFT ASOF JOIN` as `ASOF JOIN`: it keeps all rows of its left
/// side, however it is spelled.
fn plain_asof(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let is = |i: usize, word: &str| tokens.get(i).is_some_and(|t| is_word(t, word));
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let asof = usize::from(is(at, "ASOF"));
        let left = at + asof;
        let outer = left + 1 + usize::from(is(left + 1, "OUTER"));
        let is_left = is(left, "LEFT")
            && match asof {
                1 => is(outer, "JOIN"),
                _ => is(outer, "ASOF") && is(outer + 1, "JOIN"),
            };
        match is_left {
            true => {
                kept.extend_from_slice(&tokens[at..left]);
                at = outer;
            }
            false => {
                kept.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    kept
}

/// Whether the word just read is EMIT and begins its clause.
fn is_emit(parser: &Parser<'_>) -> bool {
    let behind = match &parser.peek_token_ref().token {
        Token::Word(w) if w.quote_style.is_none() => w.value.to_ascii_uppercase(),
        // A statement that breaks off is one that lacks the rest of the clause.
        Token::EOF => "ON".into(),
        _ => return false,
    };
    let next = parser.peek_nth_token_ref(1);
    let window = is_word(next, "WINDOW") || next.token == Token::EOF;
    is_word(parser.get_current_token(), "EMIT")
        && (matches!(behind.as_str(), "CHANGES" | "FINAL" | "EVERY") || behind == "ON" && window)
}

fn is_word(token: &TokenWithSpan, wanted: &str) -> bool {
    matches!(&token.token, Token::Word(Word { value, quote_style: None, .. })
        if value.eq_ignore_ascii_case(wanted))
}

impl Dialect for Trefoil {
    // The parser asks in places whether it reads PostgreSQL: it does.
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        POSTGRES.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        POSTGRES.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        POSTGRES.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        POSTGRES.is_identifier_part(ch)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        // `a->-1`: no operator of two signs ends with that of a number.
        !matches!(ch, '+' | '-') && POSTGRES.is_custom_operator_part(ch)
    }

    fn is_reserved_for_identifier(&self, kw: Keyword) -> bool {
        POSTGRES.is_reserved_for_identifier(kw)
    }

    /// `a IS DISTINCT FROM b AND c`: the right side ends before AND.
    fn parse_infix(
        &self,
        parser: &mut Parser,
        expr: &Expr,
        _precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        use Keyword::{DISTINCT, FROM, IS, NOT};
        let negated = parser.parse_keywords(&[IS, NOT, DISTINCT, FROM]);
        if !negated && !parser.parse_keywords(&[IS, DISTINCT, FROM]) {
            return None;
        }
        let left = Box::new(expr.clone());
        let right = parser.parse_subexpr(self.prec_value(Precedence::Is));
        Some(right.map(|right| match negated {
            true => Expr::IsNotDistinctFrom(left, Box::new(right)),
            false => Expr::IsDistinctFrom(left, Box::new(right)),
        }))
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        POSTGRES.get_next_precedence(parser)
    }

    fn prec_value(&self, prec: Precedence) -> u8 {
        POSTGRES.prec_value(prec)
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn supports_string_escape_constant(&self) -> bool {
        true
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_within_after_array_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_rarrow_operator(&self) -> bool {
        true
    }

    // Off: with it every argument is read twice, and nested calls take exponential time.
    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    fn supports_named_fn_args_with_eq_operator(&self) -> bool {
        false
    }

    fn supports_array_typedef_with_brackets(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn supports_notnull_operator(&self) -> bool {
        true
    }

    fn supports_interval_options(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    fn allow_extract_single_quotes(&self) -> bool {
        true
    }

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }

    fn is_select_item_alias(&self, explicit: bool, kw: &Keyword, parser: &mut Parser) -> bool {
        explicit || (!is_emit(parser) && self.is_column_alias(kw, parser))
    }

    fn is_table_factor_alias(&self, explicit: bool, kw: &Keyword, parser: &mut Parser) -> bool {
        explicit || (!is_emit(parser) && self.is_table_alias(kw, parser))
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let Token::Word(w) = &parser.peek_token_ref().token else {
            return None;
        };
        if w.quote_style.is_some() {
            return None;
        }
        let (word, keyword) = (w.clone(), w.keyword);
        let next = parser.peek_nth_token(1).token;
        let called = next == Token::LParen;
        let literal = matches!(
            next,
            Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::Number(..)
        );
        let ident = |parser: &Parser<'_>| {
            let mut ident = Ident::new(word.value.clone());
            ident.span = parser.get_current_token().span;
            ident
        };
        let step = |parser: &mut Parser<'_>| {
            parser.advance_token();
        };
        Some(match keyword {
            Keyword::CASE => {
                step(parser);
                parser.parse_case_expr()
            }
            Keyword::NOT => {
                step(parser);
                parser.parse_not()
            }
            Keyword::CAST if called => {
                step(parser);
                parser.parse_cast_expr(CastKind::Cast)
            }
            Keyword::TRY_CAST if called => {
                step(parser);
                parser.parse_cast_expr(CastKind::TryCast)
            }
            Keyword::SAFE_CAST if called => {
                step(parser);
                parser.parse_cast_expr(CastKind::SafeCast)
            }
            Keyword::CONVERT if called => {
                step(parser);
                parser.parse_convert_expr(false)
            }
            Keyword::EXISTS if called => {
                step(parser);
                parser.parse_exists_expr(false)
            }
            Keyword::EXTRACT if called => {
                step(parser);
                parser.parse_extract_expr()
            }
            Keyword::CEIL if called => {
                step(parser);
                parser.parse_ceil_floor_expr(true)
            }
            Keyword::FLOOR if called => {
                step(parser);
                parser.parse_ceil_floor_expr(false)
            }
            Keyword::POSITION if called => {
                step(parser);
                let ident = ident(parser);
                parser.parse_position_expr(ident)
            }
            Keyword::SUBSTR | Keyword::SUBSTRING if called => parser.parse_substring(),
            Keyword::OVERLAY if called => {
                step(parser);
                parser.parse_overlay_expr()
            }
            Keyword::TRIM if called => {
                step(parser);
                parser.parse_trim_expr()
            }
            Keyword::INTERVAL if literal => {
                step(parser);
                parser.parse_interval()
            }
            Keyword::INTERVAL => {
                step(parser);
                Ok(Expr::Identifier(ident(parser)))
            }
            Keyword::TABLE if matches!(next, Token::Word(_)) => {
                step(parser);
                table_argument(parser)
            }
            _ => return None,
        })
    }
}

/// `TABLE t [PARTITION BY k]`, as the Flink form of a window names its input: a call of the table
/// and its keys.
fn table_argument(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    let table = parser.parse_identifier()?;
    let mut name = Ident::new(TABLE_ARGUMENT);
    name.span = table.span;
    let mut names = vec![table];
    if parser.parse_keywords(&[Keyword::PARTITION, Keyword::BY]) {
        match parser.peek_token_ref().token {
            Token::LParen => {
                names.extend(parser.parse_parenthesized_column_list(IsOptional::Mandatory, false)?)
            }
            _ => names.push(parser.parse_identifier()?),
        }
    }
    let argument = |name| FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(name)));
    Ok(Expr::Function(Function {
        name: ObjectName::from(vec![name]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: names.into_iter().map(argument).collect(),
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    }))
}
