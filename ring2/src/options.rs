//! The options of sources and sinks: which a connector knows, what they mean, and which of them
//! cannot run yet. None is ignored.

mod csv;
mod frames;
mod generator;
pub(crate) mod nexmark;
mod sockets;

use crate::catalog::{BadDataPolicy, SinkDef, SourceDef, SourceFormat};
use crate::ddl::{named_column, set_event_time, set_watermark};
use crate::error::{SqlError, nearest};
use crate::interval;
use datafusion::arrow::datatypes::TimeUnit;
use trefoil_ring0::format::debezium::Captured;
use trefoil_ring0::program::{FileFormat, Splits};

use crate::partitioning::StrategyConfig;
use crate::place::Place;
use crate::syntax::{CreateSink, CreateSource, OptionSpec, Reader};

/// Options of every source, the watermark before what widens it.
const COMMON: [&str; 13] = [
    "connector",
    "format",
    "event_time_field",
    "watermark_field",
    "allowed_lateness",
    "max_ahead",
    "late",
    "idle_timeout",
    "max_drift",
    "bad_data",
    "dlq_path",
    "partitioning",
    "timestamp_unit",
];
const SOURCES: [&str; 8] = [
    "file",
    "stdin",
    "generator",
    "nexmark",
    "channel",
    "tcp",
    "unix",
    "kafka",
];
/// The connector of rows that a program appends which embeds the engine.
pub(crate) const CHANNEL: &str = "channel";
/// Why a script does not read it.
pub(crate) const CHANNEL_LATER: &str =
    "connector 'channel' takes rows of a program that embeds the engine";
const SINKS: [&str; 8] = [
    "file",
    "stdout",
    "blackhole",
    "print",
    "channel",
    "tcp",
    "unix",
    "kafka",
];
const FORMATS: [&str; 7] = [
    "json",
    "csv",
    "parquet",
    "arrow",
    "avro",
    "raw",
    "debezium_json",
];

/// Those of sources.
const SOURCE_FORMATS: [&str; 8] = [
    "json",
    "csv",
    "binary",
    "parquet",
    "arrow",
    "avro",
    "raw",
    "debezium_json",
];

/// What a connector of sources knows besides.
fn of_source(connector: &str) -> &'static [&'static str] {
    match connector {
        "file" => &["path", "follow", "splits"],
        "generator" => &generator::OPTIONS,
        nexmark::NAME => &nexmark::OPTIONS,
        "tcp" | "unix" => &sockets::OPTIONS,
        "kafka" => &["topic", "bootstrap_servers", "group_id", "start"],
        _ => &[],
    }
}

fn of_sink(connector: &str) -> &'static [&'static str] {
    match connector {
        "file" => &["connector", "format", "mode", "path"],
        "kafka" => &["connector", "format", "mode", "topic", "bootstrap_servers"],
        "tcp" | "unix" => &["connector", "format", "mode", "address"],
        _ => &["connector", "format", "mode"],
    }
}

fn get<'o>(options: &'o [OptionSpec], name: &str) -> Option<&'o OptionSpec> {
    options.iter().find(|o| o.name == name)
}

fn wrong(place: Place<'_>, option: &OptionSpec, known: &[&str]) -> SqlError {
    let message = format!("'{}' is no {}", option.value, option.name);
    let known_text = format!("known: {}", known.join(", "));
    let hint = nearest(&option.value, known.iter().copied()).map_or(known_text.clone(), |n| {
        format!("did you mean '{n}'? {known_text}")
    });
    place.hinted("E0104", option.value_at.0, message, hint)
}

/// One of these words, in the one spelling that is used on.
fn word(place: Place<'_>, option: &OptionSpec, known: &[&str]) -> Result<String, SqlError> {
    let value = match option.value.as_str() {
        "single_file" => "file",
        other => other,
    };
    match known.contains(&value) {
        true => Ok(value.to_string()),
        false => Err(wrong(place, option, known)),
    }
}

fn unknown(place: Place<'_>, options: &[OptionSpec], known: &[&str]) -> Result<(), SqlError> {
    match options.iter().find(|o| !known.contains(&o.name.as_str())) {
        None => Ok(()),
        Some(option) => {
            let message = format!("unknown option \"{}\"", option.name);
            let name = option.name.as_str();
            let hint = match csv::OPTIONS.contains(&name) {
                true => "it is an option of sources with format = 'csv'".to_owned(),
                false if generator::is_of_field(name) => {
                    "it is an option of sources with connector = 'generator'".to_owned()
                }
                false => Reader::unknown_option(name, known),
            };
            Err(place.hinted("E0103", option.name_at.0, message, hint))
        }
    }
}

/// The options of a source.
pub(crate) fn source(
    place: Place<'_>,
    def: &mut SourceDef,
    create: &CreateSource,
) -> Result<(), SqlError> {
    let options = &create.options;
    let begin = create.options_at.0;
    let connector = match get(options, "connector") {
        None => None,
        Some(option) => Some(word(place, option, &SOURCES)?),
    };
    let own = of_source(connector.as_deref().unwrap_or("file"));
    let is_csv = get(options, "format").is_some_and(|option| option.value == "csv");
    let of_csv: &[&str] = if is_csv { &csv::OPTIONS } else { &[] };
    let known: Vec<&str> = COMMON.iter().chain(own).chain(of_csv).copied().collect();
    let is_generator = connector.as_deref() == Some("generator");
    let of_fields = |o: &&OptionSpec| is_generator && generator::is_of_field(&o.name);
    let others: Vec<OptionSpec> = options.iter().filter(|o| !of_fields(o)).cloned().collect();
    unknown(place, &others, &known)?;
    let needs: &[&str] = match connector.as_deref() {
        None | Some("file") => &["connector", "path", "format"],
        Some("kafka") => &["topic", "bootstrap_servers", "format"],
        Some("tcp" | "unix") => &["address", "format"],
        Some("stdin") => &["format"],
        Some(_) => &[],
    };
    if let Some(missing) = needs.iter().find(|n| get(options, n).is_none()) {
        let message = format!("option \"{missing}\" is missing");
        let hint = match connector.as_deref() {
            None => "WITH (connector = 'file', path = '...', format = 'json')".to_string(),
            Some(connector) => format!("connector '{connector}' needs: {}", needs.join(", ")),
        };
        return Err(place.hinted("E0104", begin, message, hint));
    }
    def.bounded = match connector.as_deref() {
        Some("file") => get(options, "follow").is_none_or(|o| o.value != "true"),
        Some("stdin") => true,
        Some("generator" | "nexmark") => get(options, "rows").is_some(),
        None | Some(_) => false,
    };
    match connector.as_deref() {
        Some("file" | "stdin" | "generator" | "nexmark" | "channel" | "tcp" | "unix") | None => {}
        Some(other) => later(def, format!("connector '{other}' cannot run yet")),
    }
    def.connector = connector;
    if is_csv {
        def.format = SourceFormat::Records(csv::format(place, def, create)?);
    }
    let mut ordered: Vec<&OptionSpec> = options.iter().collect();
    ordered.sort_by_key(|o| COMMON.iter().position(|c| *c == o.name));
    ordered
        .into_iter()
        .try_for_each(|o| source_option(place, def, o))?;
    if def.has_changes() && def.event_time.is_some() {
        later(
            def,
            "the event time of rows that come and go cannot be told yet".to_owned(),
        );
    }
    if get(options, "format").is_some_and(|option| option.value == "binary") {
        def.format = SourceFormat::Records(frames::format(place, def, create)?);
    }
    if def.connector.as_deref().is_some_and(sockets::is_socket) {
        def.sockets = Some(sockets::sockets(place, def, create)?);
    }
    if is_generator {
        def.generator = Some(generator::generator(place, def, create)?);
    }
    if nexmark::is_nexmark(create) {
        def.generator = Some(nexmark::nexmark(place, def, create)?);
    }
    // Behind whatever else cannot run: an engine takes this one back.
    if def.connector.as_deref() == Some(CHANNEL) {
        later(def, CHANNEL_LATER.to_owned());
    }
    check_format(place, def, create)
}

/// Refuses what cannot be of files that hold columns.
fn check_format(place: Place<'_>, def: &SourceDef, create: &CreateSource) -> Result<(), SqlError> {
    if matches!(def.format, SourceFormat::Records(_)) {
        return Ok(());
    }
    let of_records = |o: &&OptionSpec| match o.name.as_str() {
        "timestamp_unit" => true,
        "follow" => o.value == "true",
        "connector" => o.value == "stdin" || sockets::is_socket(&o.value),
        _ => false,
    };
    match create.options.iter().find(of_records) {
        None => Ok(()),
        Some(option) => {
            let (name, value) = (&option.name, &option.value);
            let message = format!("{name} = '{value}' is of no use for files that hold columns");
            let hint = "it needs format = 'json' or 'csv'";
            Err(place.hinted("E0104", option.value_at.0, message, hint))
        }
    }
}

fn later(def: &mut SourceDef, why: String) {
    def.later.get_or_insert(why);
}

/// What becomes of bad records; `dlq_path` comes after `bad_data`.
fn bad_data(place: Place<'_>, def: &mut SourceDef, option: &OptionSpec) -> Result<(), SqlError> {
    if option.name == "dlq_path" {
        let BadDataPolicy::DeadLetters(path) = &mut def.bad_data else {
            let message = "dlq_path is of no use without bad_data = 'dlq'";
            let hint = "add bad_data = 'dlq'";
            return Err(place.hinted("E0104", option.value_at.0, message, hint));
        };
        *path = place.file.base.join(&option.value);
        return Ok(());
    }
    def.bad_data = match word(place, option, &["fail", "skip", "dlq"])?.as_str() {
        "fail" => BadDataPolicy::Fail,
        "skip" => BadDataPolicy::Skip,
        _ => {
            let file = format!("{}.dlq.ndjson", def.name);
            BadDataPolicy::DeadLetters(place.file.base.join(file))
        }
    };
    Ok(())
}

fn source_option(
    place: Place<'_>,
    def: &mut SourceDef,
    option: &OptionSpec,
) -> Result<(), SqlError> {
    let (value, at) = (option.value.as_str(), option.value_at.0);
    let bad = |message: String, hint: &str| Err(place.hinted("E0104", at, message, hint));
    match option.name.as_str() {
        "connector" => {}
        "format" => match word(place, option, &SOURCE_FORMATS)?.as_str() {
            "json" | "csv" | "binary" => {}
            "debezium_json" => {
                let captured = FileFormat::Debezium(Captured::default());
                def.format = SourceFormat::Records(captured);
            }
            "parquet" => def.format = SourceFormat::Parquet,
            "arrow" => def.format = SourceFormat::Arrow,
            other => later(def, format!("format '{other}' cannot run yet")),
        },
        "path" if value.is_empty() => {
            return bad("an empty path".into(), "path = 'trades.ndjson'");
        }
        "path" => def.path = place.file.base.join(value),
        "event_time_field" => {
            let index = named_column(place, def, value, at)?;
            set_event_time(place, def, index, at)?;
        }
        "watermark_field" => {
            let index = named_column(place, def, value, at)?;
            set_watermark(place, def, index, 0, at)?;
        }
        "allowed_lateness" | "max_ahead" | "idle_timeout" | "max_drift" => {
            of_watermark(place, def, option)?;
        }
        "late" => match value.strip_prefix("sink:") {
            Some(name) if !name.is_empty() && def.lag_ns.is_none() => {
                return Err(without_watermark(place, option));
            }
            Some(name) if !name.is_empty() => def.late_sink = Some(name.to_owned()),
            None if value == "drop" => {}
            Some(_) | None => return Err(wrong(place, option, &["drop", "sink:NAME"])),
        },
        "bad_data" | "dlq_path" => bad_data(place, def, option)?,
        "partitioning" => {
            let known = StrategyConfig::ALL.map(StrategyConfig::option);
            let asked = word(place, option, &known)?;
            def.partitioning = asked.parse().ok();
        }
        "splits" => match word(place, option, &["folder", "file"])?.as_str() {
            "folder" => {}
            _ => def.splits = Splits::Files,
        },
        "follow" => match word(place, option, &["true", "false"])?.as_str() {
            "false" => {}
            _ => def.follow = true,
        },
        "timestamp_unit" => {
            def.timestamp_unit = Some(
                match word(place, option, &["s", "ms", "us", "ns"])?.as_str() {
                    "s" => TimeUnit::Second,
                    "ms" => TimeUnit::Millisecond,
                    "us" => TimeUnit::Microsecond,
                    _ => TimeUnit::Nanosecond,
                },
            );
        }
        "start" => drop(word(place, option, &["earliest", "latest"])?),
        // What else a connector knows matters once it runs: until then `later` refuses it.
        _ => return network(place, def.connector.as_deref(), option),
    }
    Ok(())
}

/// The options that say how the watermark follows the event time.
fn of_watermark(
    place: Place<'_>,
    def: &mut SourceDef,
    option: &OptionSpec,
) -> Result<(), SqlError> {
    let length = duration(place, option)?;
    let is_of_splits = matches!(option.name.as_str(), "idle_timeout" | "max_drift");
    if is_of_splits && length == 0 {
        let message = format!("{} is above 0", option.name);
        let hint = format!("{} = '5 seconds'", option.name);
        return Err(place.hinted("E0104", option.value_at.0, message, hint));
    }
    match (def.lag_ns, option.name.as_str()) {
        (None, _) => return Err(without_watermark(place, option)),
        (Some(_), "max_ahead") => def.max_ahead_ns = Some(length),
        (Some(_), "idle_timeout") => def.patience.idle_timeout_ns = Some(length),
        (Some(_), "max_drift") => def.patience.max_drift_ns = Some(length),
        (Some(lag), _) => def.lag_ns = Some(lag.saturating_add(length)),
    }
    Ok(())
}

fn without_watermark(place: Place<'_>, option: &OptionSpec) -> SqlError {
    let message = format!("{} needs a watermark", option.name);
    let hint = "WATERMARK FOR ts AS ts - INTERVAL '5' SECOND";
    place.hinted("E0104", option.value_at.0, message, hint)
}

/// The options that say where a connector of a network connects to.
fn network(place: Place<'_>, connector: Option<&str>, option: &OptionSpec) -> Result<(), SqlError> {
    let value = option.value.as_str();
    let is_host = |text: &str| match text.rsplit_once(':') {
        Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok(),
        None => false,
    };
    let (fits, form) = match (option.name.as_str(), connector) {
        ("address", Some("tcp")) => {
            let is_port = |text: &str| is_host(&format!("localhost{text}"));
            (is_host(value) || is_port(value), "localhost:9000")
        }
        ("address", _) => (!value.is_empty(), "/run/trades.sock"),
        ("bootstrap_servers", _) => (
            value.split(',').map(str::trim).all(|one| {
                // Kafka's port is known.
                is_host(one) || !one.is_empty() && !one.contains(':')
            }),
            "localhost:9092",
        ),
        ("topic" | "group_id", _) => (!value.is_empty(), "trades"),
        _ => return Ok(()),
    };
    if fits {
        return Ok(());
    }
    let message = format!("'{value}' is no {}", option.name);
    let hint = format!("{} = '{form}'", option.name);
    Err(place.hinted("E0104", option.value_at.0, message, hint))
}

fn duration(place: Place<'_>, option: &OptionSpec) -> Result<i64, SqlError> {
    match interval::text_nanos(&option.value).filter(|ns| *ns >= 0) {
        Some(ns) => Ok(ns),
        None => {
            let message = format!("'{}' is no interval such as '5 seconds'", option.value);
            let hint = format!("{} = '5 seconds'", option.name);
            Err(place.hinted("E0104", option.value_at.0, message, hint))
        }
    }
}

/// The options of a sink.
pub(crate) fn sink(
    place: Place<'_>,
    def: &mut SinkDef,
    create: &CreateSink,
) -> Result<(), SqlError> {
    let options = &create.options;
    let begin = create.options_at.0;
    let Some(option) = get(options, "connector") else {
        // An unknown option is more likely what is wrong than one that is missing.
        unknown(place, options, of_sink("file"))?;
        let hint = "WITH (connector = 'file', path = 'out.ndjson', format = 'json')";
        return Err(place.hinted("E0104", begin, "option \"connector\" is missing", hint));
    };
    let connector = word(place, option, &SINKS)?;
    unknown(place, options, of_sink(&connector))?;
    let needs: &[&str] = match connector.as_str() {
        "file" => &["path", "format"],
        "kafka" => &["topic", "bootstrap_servers", "format"],
        "tcp" | "unix" => &["address", "format"],
        _ => &[],
    };
    if let Some(missing) = needs.iter().find(|n| get(options, n).is_none()) {
        let message = format!("option \"{missing}\" is missing");
        let hint = format!("connector '{connector}' needs: {}", needs.join(", "));
        return Err(place.hinted("E0104", begin, message, hint));
    }
    if let Some(option) = get(options, "format") {
        def.format = Some(word(place, option, &FORMATS)?);
    }
    if let Some(option) = get(options, "mode") {
        def.mode = Some(word(place, option, &["append", "changelog", "upsert"])?);
    }
    if let Some(option) = get(options, "path") {
        if option.value.is_empty() {
            let hint = "path = 'out.ndjson'";
            return Err(place.hinted("E0104", option.value_at.0, "an empty path", hint));
        }
        def.path = place.file.base.join(&option.value);
    }
    let mut options = options.iter();
    options.try_for_each(|o| network(place, Some(&connector), o))?;
    def.connector = connector;
    Ok(())
}
