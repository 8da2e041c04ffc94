//! Records to compare over: those of one schema that queries are written for, and those of any.

use crate::tape::Tape;

/// A type of SQL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    Bool,
    Int { bits: u32, signed: bool },
    Real,
    Double,
    Decimal(u32, u32),
    Text,
    Bytes,
    Date,
    Time(u32),
    Timestamp(u32),
    List(Box<Type>),
    Struct(Box<Type>, Box<Type>),
}

impl Type {
    /// Any type that a column may have; lists and structs in proportion.
    pub(crate) fn any(tape: &mut Tape) -> Self {
        match tape.below(22) {
            19 | 20 => Self::List(Box::new(Self::plain(tape))),
            21 => Self::Struct(Box::new(Self::plain(tape)), Box::new(Self::plain(tape))),
            _ => Self::plain(tape),
        }
    }

    /// Any type but lists and structs.
    pub(crate) fn plain(tape: &mut Tape) -> Self {
        match tape.below(12) {
            0 | 1 => Self::Int {
                bits: 64,
                signed: true,
            },
            2 | 3 => Self::Text,
            4 => Self::Double,
            5 => Self::Bool,
            6 => Self::Bytes,
            7 => Self::Date,
            8 => Self::Time(tape.below(10) as u32),
            9 => Self::Timestamp(tape.below(10) as u32),
            _ => Self::number(tape),
        }
    }

    /// Any type of numbers.
    pub(crate) fn number(tape: &mut Tape) -> Self {
        match tape.below(8) {
            0..=2 => Self::Int {
                bits: 8 << tape.below(4),
                signed: true,
            },
            3 => Self::Int {
                bits: 8 << tape.below(4),
                signed: false,
            },
            4 => Self::Double,
            5 => Self::Real,
            _ => {
                let (p, s) = *tape.pick(&[(12, 3), (38, 10), (5, 0), (38, 38), (9, 9), (18, 2)]);
                Self::Decimal(p, s)
            }
        }
    }

    /// As it is written in SQL.
    pub(crate) fn sql(&self) -> String {
        match self {
            Self::Bool => "BOOLEAN".to_owned(),
            Self::Int { bits, signed } => {
                let name = match bits {
                    8 => "TINYINT",
                    16 => "SMALLINT",
                    32 => "INT",
                    _ => "BIGINT",
                };
                format!("{name}{}", if *signed { "" } else { " UNSIGNED" })
            }
            Self::Real => "REAL".to_owned(),
            Self::Double => "DOUBLE".to_owned(),
            Self::Decimal(p, s) => format!("DECIMAL({p}, {s})"),
            Self::Text => "VARCHAR".to_owned(),
            Self::Bytes => "BYTEA".to_owned(),
            Self::Date => "DATE".to_owned(),
            Self::Time(p) => format!("TIME({p})"),
            Self::Timestamp(p) => format!("TIMESTAMP({p})"),
            Self::List(item) => format!("{}[]", item.sql()),
            Self::Struct(a, b) => format!("STRUCT<a {}, b {}>", a.sql(), b.sql()),
        }
    }

    pub(crate) fn is_float(&self) -> bool {
        matches!(self, Self::Real | Self::Double)
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Int { .. } | Self::Decimal(..)) || self.is_float()
    }
}

/// A column of a generated source.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) of: Type,
    /// Its values are small, and sums of them exact.
    pub(crate) tame: bool,
}

/// Columns of any types, and how they are declared; `ts` is the event time.
pub(crate) fn columns(tape: &mut Tape) -> (Vec<Column>, String) {
    let wild = tape.below(2) == 1;
    let mut columns = Vec::new();
    for n in 0..3 + tape.below(7) {
        let (name, of) = (format!("c{n}"), Type::any(tape));
        let tame = !wild || tape.below(2) == 0;
        columns.push(Column { name, of, tame });
    }
    let declared = columns
        .iter()
        .map(|c| format!("{} {}, ", c.name, c.of.sql()));
    let declared = format!("{}ts TIMESTAMP(3) NOT NULL", declared.collect::<String>());
    let (name, of) = ("ts".to_owned(), Type::Timestamp(3));
    columns.push(Column {
        name,
        of,
        tame: true,
    });
    (columns, declared)
}

/// Records of these columns, one a line. A few are alike, a sixth of the values is NULL.
pub(crate) fn records(columns: &[Column], count: u64, seed: u64) -> String {
    let mut tape = Tape::endless(seed);
    let mut out = String::new();
    for _ in 0..count {
        let mut members = Vec::new();
        for column in columns {
            let time = column.name == "ts";
            if time || tape.below(6) != 0 {
                let text = value(&column.of, column.tame, &mut tape);
                members.push(format!("\"{}\":{text}", column.name));
            } else if tape.below(2) == 0 {
                members.push(format!("\"{}\":null", column.name));
            }
        }
        out.push_str(&format!("{{{}}}\n", members.join(",")));
    }
    out
}

/// A value, as JSON.
fn value(of: &Type, tame: bool, tape: &mut Tape) -> String {
    let extreme = !tame && tape.below(3) == 0;
    match of {
        Type::Bool => (tape.below(2) == 1).to_string(),
        Type::Int { bits, signed } => integer(*bits, *signed, extreme, tape),
        Type::Real | Type::Double if extreme => {
            let special = ["\"NaN\"", "\"Infinity\"", "\"-Infinity\"", "-0.0"];
            let (most, least) = match of {
                Type::Real => ("3.4028235e38", "1e-45"),
                _ => ("1.7976931348623157e308", "5e-324"),
            };
            let all = [special.as_slice(), &[most, least]].concat();
            (*tape.pick(&all)).to_owned()
        }
        Type::Real | Type::Double => format!("{}", (tape.below(81) as f64 - 40.0) / 4.0),
        Type::Decimal(p, s) => decimal(*p, *s, extreme, tape),
        Type::Text => {
            let skewed = if tape.below(3) == 0 {
                2
            } else {
                TEXTS_ALL.len()
            };
            format!("\"{}\"", TEXTS_ALL[tape.below(skewed as u64) as usize])
        }
        Type::Bytes => format!(
            "\"{}\"",
            tape.pick(&["", "00", "ff", "61", "62ff", "c3bc", "6162"])
        ),
        Type::Date | Type::Timestamp(_) | Type::Time(_) => moment(of, extreme, tape),
        Type::List(item) => {
            let items = (0..tape.below(4)).map(|_| member(item, tame, tape));
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        }
        Type::Struct(a, b) => {
            let (a, b) = (member(a, tame, tape), member(b, tame, tape));
            format!("{{\"a\":{a},\"b\":{b}}}")
        }
    }
}

/// A value within another; it may be NULL. Within others DataFusion tells zeros of both signs
/// apart, which are one key here.
fn member(of: &Type, tame: bool, tape: &mut Tape) -> String {
    match tape.below(5) {
        0 => "null".to_owned(),
        _ => match value(of, tame, tape) {
            zero if zero == "-0.0" => "0.0".to_owned(),
            value => value,
        },
    }
}

fn integer(bits: u32, signed: bool, extreme: bool, tape: &mut Tape) -> String {
    let (least, most) = match signed {
        true => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
        false => (0, (1i128 << bits) - 1),
    };
    let value = match extreme {
        true => *tape.pick(&[least, most, least + 1, most - 1, most / 2]),
        // Most rows have one of a few keys.
        false => (i128::from(tape.below(4)) - 1 + i128::from(tape.below(8) / 7 * tape.below(60)))
            .max(least),
    };
    value.to_string()
}

fn decimal(p: u32, s: u32, extreme: bool, tape: &mut Tape) -> String {
    let most = 10i128.pow(p) - 1;
    let digits = match extreme {
        true => *tape.pick(&[-most, most, most - 1, 1, 0]),
        false => {
            (i128::from(tape.below(4001)) - 2000) * 10i128.pow(s.saturating_sub(4)) % (most + 1)
        }
    };
    let (sign, digits) = (if digits < 0 { "-" } else { "" }, digits.unsigned_abs());
    let one = 10u128.pow(s);
    match s {
        0 => format!("{sign}{digits}"),
        _ => format!(
            "{sign}{}.{:0width$}",
            digits / one,
            digits % one,
            width = s as usize
        ),
    }
}

fn moment(of: &Type, extreme: bool, tape: &mut Tape) -> String {
    let second = |digits: u32, tape: &mut Tape| match digits {
        0 => String::new(),
        _ => format!(
            ".{:0width$}",
            tape.below(10u64.pow(digits.min(4))),
            width = digits as usize
        ),
    };
    let clock = |digits: u32, tape: &mut Tape| {
        let (h, m, s) = (tape.below(24), tape.below(2) * 59, tape.below(60));
        format!("{h:02}:{m:02}:{s:02}{}", second(digits, tape))
    };
    let day = match (extreme, of) {
        (false, _) => format!(
            "20{:02}-{:02}-{:02}",
            23 + tape.below(2),
            1 + tape.below(3),
            1 + tape.below(28)
        ),
        // What 64 bits of nanoseconds hold.
        (true, Type::Timestamp(7..)) => {
            (*tape.pick(&["1677-09-22", "2262-04-10", "1969-12-31"])).to_owned()
        }
        (true, _) => {
            (*tape.pick(&["0001-01-01", "9999-12-31", "1969-12-31", "2024-02-29"])).to_owned()
        }
    };
    match of {
        Type::Date => format!("\"{day}\""),
        Type::Time(_) if extreme => (*tape.pick(&["\"00:00:00\"", "\"23:59:59\""])).to_owned(),
        Type::Time(p) => format!("\"{}\"", clock(*p, tape)),
        Type::Timestamp(p) => format!("\"{day}T{}\"", clock(*p, tape)),
        _ => unreachable!("others are no moments"),
    }
}

/// Texts: numbers, times, patterns, letters of one to four bytes.
const TEXTS_ALL: [&str; 18] = [
    "a",
    "",
    "B",
    "ab",
    "über",
    "ß",
    "日本",
    "😀",
    "e\u{301}",
    "12",
    " 7 ",
    "-3.5",
    "true",
    "2025-01-02",
    "12:34:56",
    "a%b_c",
    "a longer text, over twelve bytes",
    "1e3",
];

/// The columns of [`lines`].
pub(crate) const COLUMNS: &str = "k BIGINT, s VARCHAR, b BOOLEAN, d DATE, t TIMESTAMP(3), \
                       i BIGINT, x DOUBLE, y DOUBLE, ts TIMESTAMP(3) NOT NULL, n DECIMAL(12, 3), \
                       w SMALLINT, f REAL, u INT UNSIGNED, tm TIME(3), tags VARCHAR[], \
                       o STRUCT<a BIGINT, b VARCHAR>, g VARCHAR, us TIMESTAMP";

/// Texts, as JSON.
const TEXTS: [&str; 5] = [
    "\"\"",
    "\"a\"",
    "\"b\"",
    "\"über\"",
    "\"a longer text, over twelve bytes\"",
];

const DOUBLES: [&str; 9] = [
    "0.0", "-0.0", "1.5", "-2.25", "7e-3", "1e9", "0.1", "100", "-3",
];

/// Of NaN, MIN and MAX of DataFusion's grouped kernel depend on the order of rows; here NaN is the
/// greatest number. So `y` is compared, counted and grouped by, and `x` is aggregated.
const ALL_DOUBLES: [&str; 9] = [
    "0.0",
    "-0.0",
    "\"NaN\"",
    "\"-Infinity\"",
    "1e300",
    "\"Infinity\"",
    "5e-324",
    "1",
    "2",
];

/// A few hundred records with every kind of value, from a small generator.
pub(crate) fn lines(count: u64, seed: u64) -> String {
    let mut state = seed | 1;
    let mut next = move |bound: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut out = String::new();
    for n in 0..count {
        let mut members = vec![format!(
            "\"ts\":\"2025-11-06T{:02}:{:02}:{:02}.{:03}Z\"",
            n / 600 % 24,
            n / 10 % 60,
            next(60),
            next(1000)
        )];
        let candidates = [
            format!("\"y\":{}", ALL_DOUBLES[next(9) as usize]),
            format!("\"k\":{}", next(5) as i64 - 2),
            format!("\"s\":{}", TEXTS[next(5) as usize]),
            format!("\"b\":{}", next(2) == 1),
            format!("\"d\":\"2025-0{}-1{}\"", 1 + next(9), next(9)),
            format!("\"t\":\"19{}0-01-01T00:00:00.{}00Z\"", 1 + next(9), next(9)),
            format!("\"i\":{}", next(2_000_001) as i64 - 1_000_000),
            format!("\"x\":{}", DOUBLES[next(9) as usize]),
            format!(
                "\"n\":{}.{:03}",
                next(2_000_001) as i64 - 1_000_000,
                next(1000)
            ),
            format!("\"w\":{}", next(65_536) as i64 - 32_768),
            format!("\"f\":{}", DOUBLES[next(7) as usize]),
            format!("\"u\":{}", next(1 << 32)),
            format!("\"tm\":\"{:02}:{:02}:07.25\"", next(24), next(60)),
            format!(
                "\"tags\":[{}]",
                ["", "\"a\"", "\"b\",null,\"c\""][next(3) as usize]
            ),
            format!(
                "\"o\":{{\"a\":{},\"b\":{}}}",
                next(4),
                TEXTS[next(5) as usize]
            ),
            format!(
                "\"g\":\"{}\"",
                ["12", " 7", "x", "-3.5", "true", "2025-01-02"][next(6) as usize]
            ),
            format!(
                "\"us\":\"2025-02-{:02}T12:34:56.{:06}\"",
                1 + next(28),
                next(1_000_000)
            ),
        ];
        members.extend(candidates.into_iter().filter(|_| next(6) != 0));
        out.push_str(&format!("{{{}}}\n", members.join(",")));
    }
    out
}
