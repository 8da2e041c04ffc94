//! Expressions of a wanted class, over columns: trees that are typed as far as SQL asks for it.

use crate::data::{Column, Type};
use crate::tape::Tape;

/// What an expression gives, where its exact type does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Number,
    Text,
    Bool,
    Date,
    Timestamp,
    Time,
    Bytes,
    Nested,
}

/// The classes that expressions are made of.
const CLASSES: [Class; 7] = [
    Class::Number,
    Class::Text,
    Class::Bool,
    Class::Date,
    Class::Timestamp,
    Class::Time,
    Class::Bytes,
];

pub(crate) fn class(of: &Type) -> Class {
    match of {
        Type::Bool => Class::Bool,
        Type::Text => Class::Text,
        Type::Bytes => Class::Bytes,
        Type::Date => Class::Date,
        Type::Time(_) => Class::Time,
        Type::Timestamp(_) => Class::Timestamp,
        Type::List(_) | Type::Struct(..) => Class::Nested,
        _ => Class::Number,
    }
}

/// Where expressions stand.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) columns: &'a [Column],
    pub(crate) tape: &'a mut Tape,
    /// A value was written that need not be computed.
    pub(crate) lazy: bool,
}

impl Scope<'_> {
    pub(crate) fn any_class(&mut self) -> Class {
        let [number, text, condition, ..] = CLASSES;
        let weighted = [[number; 5].as_slice(), &[text; 3], &[condition], &CLASSES].concat();
        *self.tape.pick(&weighted)
    }

    /// An expression of a class, at most `depth` operations deep.
    pub(crate) fn expr(&mut self, of: Class, depth: u32) -> String {
        if depth == 0 || self.tape.below(6) == 0 {
            return self.leaf(of);
        }
        if of != Class::Nested && self.tape.below(6) == 5 {
            return self.choice(of, depth - 1);
        }
        match of {
            Class::Number => self.number(depth - 1),
            Class::Text => self.text(depth - 1),
            Class::Bool => self.truth(depth - 1),
            Class::Date | Class::Timestamp | Class::Time => self.moment(of, depth - 1),
            Class::Bytes => match self.tape.below(3) {
                0 => format!("CAST({} AS BYTEA)", self.expr(Class::Text, depth - 1)),
                1 => format!("SHA256({})", self.expr(Class::Text, depth - 1)),
                _ => self.leaf(of),
            },
            Class::Nested => self.leaf(of),
        }
    }

    /// A column of this class, if there is one.
    pub(crate) fn column(&mut self, wanted: impl Fn(&Column) -> bool) -> Option<Column> {
        let found: Vec<_> = self.columns.iter().filter(|c| wanted(c)).collect();
        match found.is_empty() {
            true => None,
            false => Some((*self.tape.pick(&found)).clone()),
        }
    }

    /// The name of a column of integers.
    fn integer(&mut self) -> Option<String> {
        let column = self.column(|c| matches!(c.of, Type::Int { .. }));
        column.map(|c| c.name)
    }

    fn leaf(&mut self, of: Class) -> String {
        let literal = self.tape.below(5) == 4;
        match self.column(|c| class(&c.of) == of) {
            // TIMEs of different digits do not compare.
            Some(column) if !literal && of == Class::Time => {
                format!("CAST({} AS TIME(6))", column.name)
            }
            Some(column) if !literal => column.name,
            _ => self.literal(of),
        }
    }

    fn literal(&mut self, of: Class) -> String {
        let all: &[&str] = match of {
            Class::Number => &[
                "0",
                "1",
                "-1",
                "2",
                "7",
                "100",
                "1.5",
                "0.25",
                "-2.50",
                "1e3",
                "CAST(3 AS SMALLINT)",
                "CAST(1.25 AS REAL)",
                "CAST(2 AS INT UNSIGNED)",
                "CAST(1.10 AS DECIMAL(9, 4))",
            ],
            Class::Text => &[
                "'a'",
                "''",
                "'B'",
                "'über'",
                "'12'",
                "' x'",
                "'日本'",
                "'2025-01-02'",
            ],
            Class::Bool => &["TRUE", "FALSE", "CAST(NULL AS BOOLEAN)"],
            Class::Date => &[
                "DATE '2024-02-01'",
                "DATE '1969-12-31'",
                "DATE '2023-01-05'",
            ],
            Class::Timestamp => &[
                "TIMESTAMP '2024-02-01 01:02:03'",
                "TIMESTAMP '1969-12-31 23:59:59.5'",
                "CAST('2023-01-05T00:00:00.123' AS TIMESTAMP(3))",
            ],
            Class::Time => &[
                "CAST('12:34:56' AS TIME(6))",
                "CAST('00:00:00' AS TIME(6))",
                "CAST('23:59:59.5' AS TIME(6))",
            ],
            Class::Bytes => &[
                "CAST('a' AS BYTEA)",
                "CAST('' AS BYTEA)",
                "DECODE('c3bc', 'hex')",
            ],
            Class::Nested => &["[1, 2, NULL]", "['a', 'b']"],
        };
        (*self.tape.pick(all)).to_owned()
    }

    /// CASE, COALESCE and NULLIF, of any class.
    fn choice(&mut self, of: Class, depth: u32) -> String {
        self.lazy = true;
        let (a, b) = (self.expr(of, depth), self.expr(of, depth));
        match self.tape.below(6) {
            0 => format!("COALESCE({a}, {b})"),
            1 => format!("NULLIF({a}, {b})"),
            2 => format!("CASE WHEN {} THEN {a} END", self.expr(Class::Bool, depth)),
            3 => {
                let other = self.any_class();
                let (base, when) = (self.expr(other, depth), self.expr(other, 0));
                format!("CASE {base} WHEN {when} THEN {a} ELSE {b} END")
            }
            4 => {
                let (first, second) =
                    (self.expr(Class::Bool, depth), self.expr(Class::Bool, depth));
                format!("CASE WHEN {first} THEN {a} WHEN {second} THEN NULL ELSE {b} END")
            }
            _ => format!(
                "CASE WHEN {} THEN {a} ELSE {b} END",
                self.expr(Class::Bool, depth)
            ),
        }
    }

    /// A value of any type that SQL casts to `to`; texts seldom are what they are cast to.
    pub(crate) fn cast(&mut self, to: &Type, depth: u32) -> String {
        use Class::{Bool, Bytes, Date, Number, Text, Time, Timestamp};
        let from: &[Class] = match to {
            Type::Text => &CLASSES,
            Type::Bool => &[Text, Number, Bool],
            Type::Int { bits: 64, .. } => &[Number, Text, Bool, Timestamp, Date, Time],
            Type::Date => &[Timestamp, Text, Date],
            Type::Timestamp(_) => &[Date, Text, Timestamp],
            Type::Time(_) => &[Timestamp, Text, Time],
            Type::Bytes => &[Text, Bytes],
            // DataFusion casts no BOOLEAN to DECIMAL.
            Type::Decimal(..) => &[Number, Text],
            _ => &[Number, Number, Text, Bool],
        };
        let from = *self.tape.pick(from);
        let cast = match from != Text && self.tape.below(3) == 0 {
            true => "CAST",
            false => "TRY_CAST",
        };
        let to = to.sql();
        let value = self.expr(from, depth);
        match (from, to.starts_with("TIME(")) {
            // A text of digits alone is a TIME to DataFusion.
            (Text, true) => format!("{cast}(({value} || ':00') AS {to})"),
            _ => format!("{cast}({value} AS {to})"),
        }
    }

    fn number(&mut self, depth: u32) -> String {
        use Class::{Number, Text};
        match self.tape.below(12) {
            0..=3 => {
                let (a, b) = (self.expr(Number, depth), self.expr(Number, depth));
                match *self.tape.pick(&["+", "-", "*", "/", "%"]) {
                    // Zero by zero is a NaN with a sign, which DataFusion puts below all numbers.
                    op @ ("/" | "%") => match self.integer().filter(|_| self.tape.below(2) == 0) {
                        Some(integer) => format!("(7 {op} {integer})"),
                        None => format!("({a} {op} NULLIF({b}, 0))"),
                    },
                    op => format!("({a} {op} {b})"),
                }
            }
            4 => format!("(-({}))", self.expr(Number, depth)),
            5 => {
                let to = Type::number(self.tape);
                self.cast(&to, depth)
            }
            6 | 7 => {
                let x = self.expr(Number, depth);
                let call = *self.tape.pick(&[
                    "ABS($)",
                    "ROUND($)",
                    "FLOOR($)",
                    "CEIL($)",
                    "TRUNC($)",
                    "SIGNUM($)",
                    "ROUND($, 1)",
                    "SQRT(ABS($))",
                    "POWER($, 2)",
                    "LN(ABS($) + 1)",
                    "GREATEST($, 2)",
                    "LEAST($, 2.5)",
                    "EXP($ / 100.0)",
                    "CBRT($)",
                    "ATAN($)",
                    "DEGREES($)",
                    "NANVL($, 1)",
                    "LOG10(ABS($) + 1)",
                ]);
                call.replace('$', &x)
            }
            8 | 9 => {
                let (a, b) = (self.expr(Text, depth), self.expr(Text, 0));
                let call = *self.tape.pick(&[
                    "LENGTH($)",
                    "ASCII($)",
                    "STRPOS($, #)",
                    "OCTET_LENGTH($)",
                    "BIT_LENGTH($)",
                    "LEVENSHTEIN($, #)",
                    "REGEXP_COUNT($, 'a|b')",
                    "FIND_IN_SET($, 'a,b')",
                ]);
                call.replace('#', &b).replace('$', &a)
            }
            10 => {
                let parts = [
                    "YEAR", "MONTH", "DAY", "DOW", "DOY", "WEEK", "QUARTER", "EPOCH",
                ];
                let part = *self.tape.pick(&parts);
                let class = *self.tape.pick(&[Class::Timestamp, Class::Date]);
                format!("EXTRACT({part} FROM {})", self.expr(class, depth))
            }
            _ => self.part(Number),
        }
    }

    /// A part of a list or struct.
    fn part(&mut self, of: Class) -> String {
        let Some(column) = self.column(|c| class(&c.of) == Class::Nested) else {
            return self.leaf(of);
        };
        let name = &column.name;
        match &column.of {
            Type::List(item) if class(item) == of && self.tape.below(2) == 0 => {
                format!("{name}[{}]", self.tape.below(4))
            }
            Type::List(_) if of == Class::Number => format!("CARDINALITY({name})"),
            Type::List(item) if of == Class::Text && **item == Type::Text => {
                format!("ARRAY_TO_STRING({name}, '+')")
            }
            Type::Struct(a, _) if class(a) == of => format!("{name}['a']"),
            Type::Struct(_, b) if class(b) == of => format!("{name}['b']"),
            _ => self.leaf(of),
        }
    }

    fn text(&mut self, depth: u32) -> String {
        let (a, b) = (self.expr(Class::Text, depth), self.expr(Class::Text, 0));
        match self.tape.below(8) {
            0 => format!("({a} || {b})"),
            1 => self.cast(&Type::Text, depth),
            2 => self.part(Class::Text),
            3 => {
                let others = [
                    "CHR(CAST(64 AS BIGINT) + LENGTH('a'))",
                    "TO_HEX(255)",
                    "ENCODE(#, 'hex')",
                ];
                let call = *self.tape.pick(&others);
                call.replace('#', &self.expr(Class::Bytes, depth))
            }
            _ => {
                let call = *self.tape.pick(&[
                    "UPPER($)",
                    "LOWER($)",
                    "CONCAT($, '-', #)",
                    "SUBSTR($, 2, 2)",
                    "REPLACE($, 'a', #)",
                    "TRIM($)",
                    "LTRIM($)",
                    "RTRIM($)",
                    "LPAD($, 5, '*')",
                    "RPAD($, 5, '-')",
                    "SPLIT_PART($, 'b', 1)",
                    "REVERSE($)",
                    "INITCAP($)",
                    "LEFT($, 2)",
                    "RIGHT($, 2)",
                    "REPEAT($, 2)",
                    "MD5($)",
                    "TRANSLATE($, 'ab', 'x')",
                    "BTRIM($, 'a')",
                    "REGEXP_REPLACE($, '[aeiou]', '~', 'g')",
                    "CONCAT_WS('+', $, #)",
                    "OVERLAY($ PLACING 'zz' FROM 2)",
                    "SUBSTR($, 3)",
                ]);
                call.replace('#', &b).replace('$', &a)
            }
        }
    }

    /// A condition.
    fn truth(&mut self, depth: u32) -> String {
        let class = self.any_class();
        match self.tape.below(12) {
            0..=2 => {
                let ops = [
                    "=",
                    "<",
                    ">",
                    "<>",
                    "<=",
                    ">=",
                    "IS DISTINCT FROM",
                    "IS NOT DISTINCT FROM",
                ];
                let op = *self.tape.pick(&ops);
                let (a, b) = (self.expr(class, depth), self.expr(class, depth));
                format!("({a} {op} {b})")
            }
            3 | 4 => {
                self.lazy = true;
                let op = *self.tape.pick(&["AND", "OR"]);
                let (a, b) = (self.expr(Class::Bool, depth), self.expr(Class::Bool, depth));
                format!("({a} {op} {b})")
            }
            5 => format!("(NOT {})", self.expr(Class::Bool, depth)),
            6 => {
                let op = *self.tape.pick(&["IS NULL", "IS NOT NULL"]);
                format!("({} {op})", self.expr(class, depth))
            }
            7 => {
                self.lazy = true;
                let not = *self.tape.pick(&["", "NOT "]);
                let (a, b, c) = (
                    self.expr(class, depth),
                    self.expr(class, 0),
                    self.expr(class, 0),
                );
                let null = *self.tape.pick(&["", ", NULL"]);
                format!("({a} {not}IN ({b}, {c}{null}))")
            }
            8 => {
                self.lazy = true;
                let not = *self.tape.pick(&["", "NOT "]);
                let (a, b, c) = (
                    self.expr(class, depth),
                    self.expr(class, 0),
                    self.expr(class, 0),
                );
                format!("({a} {not}BETWEEN {b} AND {c})")
            }
            9 => self.like(depth),
            10 => {
                let of = [
                    "IS TRUE",
                    "IS NOT TRUE",
                    "IS FALSE",
                    "IS NOT FALSE",
                    "IS UNKNOWN",
                    "IS NOT UNKNOWN",
                ];
                let is = *self.tape.pick(&of);
                format!("({} {is})", self.expr(Class::Bool, depth))
            }
            _ => {
                let a = self.expr(Class::Text, depth);
                let calls = [
                    "STARTS_WITH($, 'a')",
                    "ENDS_WITH($, 'b')",
                    "REGEXP_LIKE($, '^[a-z]+$')",
                    "CONTAINS($, '')",
                ];
                let call = *self.tape.pick(&calls);
                call.replacen('$', &a, 1)
            }
        }
    }

    fn like(&mut self, depth: u32) -> String {
        let op = *self.tape.pick(&["LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"]);
        let patterns = [
            "'%a%'", "'_'", "'a%'", "'%b'", "'a\\%b%'", "'%ü_%'", "''", "'_%_'",
        ];
        let pattern = *self.tape.pick(&patterns);
        format!("({} {op} {pattern})", self.expr(Class::Text, depth))
    }

    fn moment(&mut self, of: Class, depth: u32) -> String {
        let precision = self.tape.below(10) as u32;
        match (of, self.tape.below(4)) {
            (Class::Date, 0) => self.cast(&Type::Date, depth),
            (Class::Time, 0 | 1) => {
                let time = self.cast(&Type::Time(precision), depth);
                format!("CAST({time} AS TIME(6))")
            }
            (Class::Timestamp, 0) => self.cast(&Type::Timestamp(precision), depth),
            (Class::Timestamp, 1) => {
                let unit = *self
                    .tape
                    .pick(&["year", "month", "week", "day", "hour", "minute", "second"]);
                format!("DATE_TRUNC('{unit}', {})", self.expr(of, depth))
            }
            (Class::Timestamp | Class::Date, 2) => {
                let intervals = ["'1' DAY", "'1' MONTH", "'3' YEAR"];
                let interval = *self.tape.pick(&intervals);
                let op = *self.tape.pick(&["+", "-"]);
                format!("({} {op} INTERVAL {interval})", self.expr(of, depth))
            }
            (Class::Timestamp, 3) => {
                format!("DATE_BIN(INTERVAL '15' MINUTE, {})", self.expr(of, depth))
            }
            _ => self.leaf(of),
        }
    }
}
