//! The options of generated sources: how many records, and what each column holds.

use datafusion::arrow::datatypes::DataType;
use trefoil_ring0::format::time::{parse_date, parse_timestamp};
use trefoil_ring0::is_made;
use trefoil_ring0::program::{Draw, GeneratedColumn, GeneratorSpec, Made};
use trefoil_ring0::schema::unit_nanos;

use super::{duration, get, word, wrong};
use crate::catalog::{ColumnDef, SourceDef};
use crate::error::{SqlError, nearest};
use crate::place::Place;
use crate::syntax::{CreateSource, OptionSpec};

/// Options of the connector.
pub(super) const OPTIONS: [&str; 4] = ["rows", "rate", "seed", "disorder"];
/// Options of a column, behind `fields.` and its name.
const OF_FIELD: [&str; 9] = [
    "kind",
    "start",
    "step",
    "min",
    "max",
    "cardinality",
    "exponent",
    "length",
    "nulls",
];
const KINDS: [&str; 3] = ["sequence", "uniform", "zipf"];
/// Most characters of a text.
const LENGTH_MAX: i64 = 65_536;
/// Distinct values where nothing is said.
const CARDINALITY: i64 = 1000;
/// The time of row 0 where nothing is said.
const START: &str = "2024-01-01T00:00:00";
/// Time from row to row where there is no rate.
const STEP_NS: i64 = 1_000_000;

/// Whether an option says how a column is made.
pub(super) fn is_of_field(name: &str) -> bool {
    name.starts_with("fields.")
}

/// How a column is made, as written.
struct Field<'a> {
    place: Place<'a>,
    column: &'a ColumnDef,
    options: Vec<(&'a str, &'a OptionSpec)>,
    at: datafusion::sql::sqlparser::tokenizer::Location,
}

/// How the records of a source are made.
pub(super) fn generator(
    place: Place<'_>,
    def: &SourceDef,
    create: &CreateSource,
) -> Result<GeneratorSpec, SqlError> {
    let options = &create.options;
    let number = |name: &str, least: u64| {
        let option = get(options, name);
        option.map(|option| whole(place, option, least)).transpose()
    };
    let rate = number("rate", 1)?;
    for option in options.iter().filter(|o| is_of_field(&o.name)) {
        check_name(place, def, option)?;
    }
    let disorder = match get(options, "disorder") {
        None => 0,
        Some(option) => match def.event_time {
            Some(_) => duration(place, option)?,
            None => {
                let message = "disorder is of the event time, which this source does not have";
                let hint = "WATERMARK FOR ts, or event_time_field = 'ts'";
                return Err(place.hinted("E0104", option.value_at.0, message, hint));
            }
        },
    };
    let read = create.columns.iter().filter(|c| c.generated.is_none());
    let mut columns = Vec::new();
    for (number, (column, spec)) in def.columns.iter().zip(read).enumerate() {
        let prefix = format!("fields.{}.", column.name);
        let own = options
            .iter()
            .filter_map(|o| Some((o.name.strip_prefix(&prefix)?, o)));
        let field = Field {
            place,
            column,
            options: own.collect(),
            at: spec.type_at.0,
        };
        let is_time = def.event_time == Some(number);
        let jitter_ns = if is_time { disorder } else { 0 };
        columns.push(GeneratedColumn {
            number: number as u64,
            ..field.made(rate, jitter_ns, is_time)?
        });
    }
    Ok(GeneratorSpec {
        rows: number("rows", 0)?,
        rate,
        seed: number("seed", 0)?.unwrap_or_default(),
        made: Made::Drawn(columns),
    })
}

/// Checks that an option names a column and something of it.
fn check_name(place: Place<'_>, def: &SourceDef, option: &OptionSpec) -> Result<(), SqlError> {
    let wrong = |message, hint| Err(place.hinted("E0103", option.name_at.0, message, hint));
    let parts: Vec<&str> = option.name.splitn(2, '.').collect();
    let (column, what) = match parts[1].rsplit_once('.') {
        Some(named) => named,
        None => {
            let known = OF_FIELD.map(|what| format!("fields.{}.{what}", parts[1]));
            let message = format!("\"{}\" says nothing of a column", option.name);
            return wrong(message, format!("known options: {}", known.join(", ")));
        }
    };
    if def.index_of(column).is_none() {
        let names = def.columns.iter().map(|c| c.name.as_str());
        let hint = nearest(column, names.clone()).map_or_else(
            || format!("columns: {}", names.collect::<Vec<_>>().join(", ")),
            |name| format!("did you mean \"fields.{name}.{what}\"?"),
        );
        return wrong(format!("column \"{column}\" does not exist"), hint);
    }
    match OF_FIELD.contains(&what) {
        true => Ok(()),
        false => {
            let known = OF_FIELD.map(|what| format!("fields.{column}.{what}"));
            let message = format!("unknown option \"{}\"", option.name);
            wrong(message, format!("known options: {}", known.join(", ")))
        }
    }
}

/// A whole number from `least` up.
pub(super) fn whole(place: Place<'_>, option: &OptionSpec, least: u64) -> Result<u64, SqlError> {
    match option.value.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => {
            let (name, value) = (&option.name, &option.value);
            let message = format!("'{value}' is no whole number from {least} up");
            let hint = format!("{name} = 1000");
            Err(place.hinted("E0104", option.value_at.0, message, hint))
        }
    }
}

impl Field<'_> {
    fn get(&self, name: &str) -> Option<&OptionSpec> {
        let found = self.options.iter().find(|(option, _)| *option == name);
        found.map(|(_, option)| *option)
    }

    fn refuse<T>(&self, option: &OptionSpec, message: String, hint: &str) -> Result<T, SqlError> {
        Err(self.place.hinted("E0104", option.value_at.0, message, hint))
    }

    /// How the column is made.
    fn made(
        &self,
        rate: Option<u64>,
        jitter_ns: i64,
        is_time: bool,
    ) -> Result<GeneratedColumn, SqlError> {
        let column = self.column;
        if !is_made(&column.data_type) || column.is_json() || column.length_max().is_some() {
            let message = format!("{} is not generated", column.declared);
            let hint = "BOOLEAN, integers, FLOAT, DOUBLE, VARCHAR, DATE and TIMESTAMP are";
            return Err(self.place.hinted("E0302", self.at, message, hint));
        }
        let kind = match self.get("kind") {
            Some(option) => word(self.place, option, &KINDS)?,
            None => match column.data_type {
                DataType::Timestamp(..) => "sequence".to_owned(),
                _ => "uniform".to_owned(),
            },
        };
        let is_text = column.data_type == DataType::Utf8;
        let takes: &[&str] = match kind.as_str() {
            "sequence" => &["start", "step"],
            "zipf" => &["cardinality", "exponent"],
            _ if is_text => &["cardinality"],
            _ if column.data_type == DataType::Boolean => &[],
            _ => &["min", "max"],
        };
        let common: &[&str] = if is_text {
            &["kind", "nulls", "length"]
        } else {
            &["kind", "nulls"]
        };
        let is_other =
            |(name, _): &&(&str, &OptionSpec)| !takes.contains(name) && !common.contains(name);
        if let Some((name, option)) = self.options.iter().find(is_other) {
            let known: Vec<_> = common.iter().chain(takes).copied().collect();
            let (declared, known) = (&column.declared, known.join(", "));
            let message = format!("{name} says nothing of a {declared} of kind '{kind}'");
            let hint = format!("it takes: {known}");
            return Err(self.place.hinted("E0103", option.name_at.0, message, hint));
        }
        let draw = match kind.as_str() {
            "sequence" => self.sequence(rate, jitter_ns)?,
            "zipf" => self.zipf()?,
            _ => self.uniform()?,
        };
        Ok(GeneratedColumn {
            number: 0,
            nulls_permille: self.nulls(is_time)?,
            draw,
            length: match self.get("length") {
                None => 0,
                Some(_) => self.between("length", 0, (1, LENGTH_MAX))? as usize,
            },
        })
    }

    fn sequence(&self, rate: Option<u64>, jitter_ns: i64) -> Result<Draw, SqlError> {
        let unit = match &self.column.data_type {
            DataType::Timestamp(unit, _) => Some(unit_nanos(*unit)),
            _ => None,
        };
        let start = match unit {
            Some(_) => self.value("start")?.map_or_else(|| self.parse(START), Ok),
            None => Ok(self.value("start")?.unwrap_or_default()),
        };
        let step = match (unit, self.get("step")) {
            (None, None) => 1,
            (None, Some(option)) => self.number(option)?,
            (Some(unit), Some(option)) => duration(self.place, option)? / unit,
            (Some(unit), None) => {
                let step_ns = rate.map_or(STEP_NS, |rate| (1_000_000_000 / rate).cast_signed());
                (step_ns / unit).max(1)
            }
        };
        Ok(Draw::Sequence {
            start: start.or_else(|message| self.refuse_column(message))?,
            step,
            jitter: unit.map_or(0, |unit| jitter_ns / unit).unsigned_abs(),
        })
    }

    fn refuse_column<T>(&self, message: String) -> Result<T, SqlError> {
        Err(self.place.error("E0104", self.at, message))
    }

    fn zipf(&self) -> Result<Draw, SqlError> {
        let exponent = match self.get("exponent") {
            None => 1.0,
            Some(option) => match option.value.parse::<f64>() {
                Ok(exponent) if exponent > 0.0 && exponent <= 10.0 => exponent,
                _ => {
                    let message = format!("'{}' is no exponent above 0, at most 10", option.value);
                    return self.refuse(option, message, "exponent = 1.1");
                }
            },
        };
        let (_, most) = self.range();
        let cardinality = self.between("cardinality", CARDINALITY.min(most), (1, most))?;
        Ok(Draw::Zipf {
            cardinality: cardinality.unsigned_abs(),
            exponent,
        })
    }

    fn uniform(&self) -> Result<Draw, SqlError> {
        let draw = match &self.column.data_type {
            DataType::Boolean => Draw::Uniform { min: 0, max: 1 },
            DataType::Utf8 => Draw::Uniform {
                min: 0,
                max: self.between("cardinality", CARDINALITY, (1, i64::MAX))? - 1,
            },
            DataType::Float32 | DataType::Float64 => Draw::Between {
                min: self.float("min", 0.0)?,
                max: self.float("max", 1.0)?,
            },
            DataType::Date32 | DataType::Timestamp(..) => {
                let (min, max) = (self.value("min")?, self.value("max")?);
                let (Some(min), Some(max)) = (min, max) else {
                    let name = &self.column.name;
                    let message = format!("\"{name}\" of kind 'uniform' needs min and max");
                    return self.refuse_column(message);
                };
                Draw::Uniform { min, max }
            }
            _ => {
                let (_, most) = self.range();
                Draw::Uniform {
                    min: self.value("min")?.unwrap_or_default(),
                    max: self.value("max")?.unwrap_or((CARDINALITY - 1).min(most)),
                }
            }
        };
        let is_empty = match draw {
            Draw::Uniform { min, max } => min > max,
            Draw::Between { min, max } => min > max,
            Draw::Sequence { .. } | Draw::Zipf { .. } => false,
        };
        match self.get("min").or(self.get("max")) {
            Some(option) if is_empty => {
                self.refuse(option, "min is above max".to_owned(), "min = 0, max = 1")
            }
            _ => Ok(draw),
        }
    }

    /// The range of an integer type.
    fn range(&self) -> (i64, i64) {
        match self.column.data_type {
            DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 | DataType::Date32 => (i32::MIN.into(), i32::MAX.into()),
            _ => (i64::MIN, i64::MAX),
        }
    }

    /// The number that an option gives in the column's own units.
    fn value(&self, name: &str) -> Result<Option<i64>, SqlError> {
        let Some(option) = self.get(name) else {
            return Ok(None);
        };
        match self.parse(&option.value) {
            Ok(value) => Ok(Some(value)),
            Err(message) => self.refuse(option, message, "a value of the column's type"),
        }
    }

    fn parse(&self, text: &str) -> Result<i64, String> {
        match &self.column.data_type {
            DataType::Date32 => parse_date(text).map(i64::from),
            DataType::Timestamp(unit, _) => parse_timestamp(text, *unit),
            _ => {
                let (least, most) = self.range();
                let number = text.parse().ok().filter(|n| (least..=most).contains(n));
                number.ok_or_else(|| format!("'{text}' is no {}", self.column.declared))
            }
        }
    }

    fn number(&self, option: &OptionSpec) -> Result<i64, SqlError> {
        match option.value.parse() {
            Ok(number) => Ok(number),
            Err(_) => {
                let message = format!("'{}' is no whole number", option.value);
                self.refuse(option, message, "step = 1")
            }
        }
    }

    fn float(&self, name: &str, otherwise: f64) -> Result<f64, SqlError> {
        let Some(option) = self.get(name) else {
            return Ok(otherwise);
        };
        match option.value.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => self.refuse(
                option,
                format!("'{}' is no number", option.value),
                "min = 0.5",
            ),
        }
    }

    fn between(
        &self,
        name: &str,
        otherwise: i64,
        (least, most): (i64, i64),
    ) -> Result<i64, SqlError> {
        let Some(option) = self.get(name) else {
            return Ok(otherwise);
        };
        match option.value.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => {
                let message = format!("'{}' is no number from {least} to {most}", option.value);
                self.refuse(option, message, "a whole number")
            }
        }
    }

    /// The share of NULLs, in thousandths.
    fn nulls(&self, is_time: bool) -> Result<u32, SqlError> {
        let Some(option) = self.get("nulls") else {
            return Ok(0);
        };
        let share = option.value.parse::<f64>().ok();
        let Some(share) = share.filter(|share| (0.0..=1.0).contains(share)) else {
            return Err(wrong(self.place, option, &["a share from 0 to 1"]));
        };
        if share > 0.0 && (is_time || !self.column.nullable) {
            let message = format!("\"{}\" is never NULL", self.column.name);
            return self.refuse(option, message, "leave nulls out");
        }
        Ok((share * 1000.0).round() as u32)
    }
}
