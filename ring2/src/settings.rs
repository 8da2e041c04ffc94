//! The settings of a session: which there are, what they may be.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::error::{SqlError, nearest};
use crate::interval::text_nanos;
use crate::partitioning;
use crate::place::Place;

/// What a setting's value is.
#[derive(Debug, Clone, Copy)]
enum Value {
    /// A time such as `1 hour`, or `none`.
    Duration,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number.
    Count,
}

struct Known {
    name: &'static str,
    default: &'static str,
    value: Value,
    meaning: &'static str,
}

const SETTINGS: [Known; 4] = [
    Known {
        name: "auto_select_strategy",
        default: "true",
        value: Value::Word(&["true", "false"]),
        meaning: "false: every exchange hashes",
    },
    Known {
        name: "broadcast_max_bytes",
        default: "10485760",
        value: Value::Count,
        meaning: "tables up to here are replicated to all shards",
    },
    Known {
        name: "read",
        default: "snapshot",
        value: Value::Word(&["snapshot", "latest"]),
        meaning: "latest: reads of views do not wait for a barrier",
    },
    Known {
        name: "state_ttl",
        default: "none",
        value: Value::Duration,
        meaning: "how far apart in time rows of regular joins may be, and how long they are kept",
    },
];

/// The values that were set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    set: BTreeMap<&'static str, String>,
}

fn known(place: Place<'_>, name: &Ident) -> Result<&'static Known, SqlError> {
    let found = SETTINGS.iter().find(|s| s.name == name.value);
    found.ok_or_else(|| {
        let message = format!("there is no setting \"{}\"", name.value);
        let names = SETTINGS.iter().map(|s| s.name);
        let all = format!("known: {}", names.clone().collect::<Vec<_>>().join(", "));
        let shown = ["sources", "tables", "sinks", "views", "jobs", "all"];
        let hint = match nearest(&name.value, names.chain(shown)) {
            Some(n) => format!("did you mean \"{n}\"? {all}"),
            None => all,
        };
        place.hinted("E0212", name.span.start, message, hint)
    })
}

impl Settings {
    /// Sets one; `None` gives it its default back.
    pub(crate) fn set(
        &mut self,
        place: Place<'_>,
        name: &Ident,
        value: Option<&str>,
        at: Location,
    ) -> Result<(), SqlError> {
        let setting = known(place, name)?;
        let Some(value) = value else {
            self.set.remove(setting.name);
            return Ok(());
        };
        let lower = value.to_lowercase();
        let (good, hint) = match setting.value {
            Value::Word(words) => (words.contains(&lower.as_str()), words.join(" or ")),
            Value::Count => (
                lower.parse::<u64>().is_ok(),
                "a whole number from 0 up".into(),
            ),
            Value::Duration => {
                let length = text_nanos(value).is_some_and(|ns| ns > 0);
                (length || lower == "none", "'1 hour', or none".into())
            }
        };
        if !good {
            let message = format!("\"{value}\" is no value of {}", setting.name);
            return Err(place.hinted("E0212", at, message, hint));
        }
        self.set.insert(setting.name, lower);
        Ok(())
    }

    /// The value of one.
    pub(crate) fn get(&self, place: Place<'_>, name: &Ident) -> Result<String, SqlError> {
        Ok(self.value(known(place, name)?))
    }

    fn value(&self, setting: &Known) -> String {
        let set = self.set.get(setting.name);
        set.map_or(setting.default.to_string(), Clone::clone)
    }

    /// What the analysis of partitions may choose.
    pub(crate) fn of_analysis(&self) -> partitioning::Settings {
        let mut settings = partitioning::Settings::default();
        if let Some(auto) = self.set.get("auto_select_strategy") {
            settings.auto_select_strategy = auto == "true";
        }
        let bytes = self
            .set
            .get("broadcast_max_bytes")
            .and_then(|b| b.parse().ok());
        settings.broadcast_max_bytes = bytes.unwrap_or(settings.broadcast_max_bytes);
        let ttl = self.set.get("state_ttl").filter(|ttl| *ttl != "none");
        settings.state_ttl_ns = ttl.and_then(|ttl| text_nanos(ttl));
        settings
    }

    /// Whether reads of views take what stands just then.
    pub(crate) fn reads_latest(&self) -> bool {
        self.set.get("read").is_some_and(|read| read == "latest")
    }

    /// All: name, value, meaning.
    pub(crate) fn rows(&self) -> Vec<Vec<Option<String>>> {
        let row = |s: &Known| {
            let cells = [s.name.to_string(), self.value(s), s.meaning.to_string()];
            cells.into_iter().map(Some).collect()
        };
        SETTINGS.iter().map(row).collect()
    }
}
