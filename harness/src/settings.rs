//! Where a setting's value comes from: what was typed, else the environment (`TREFOIL_CORES`), else
//! `trefoil.toml` in the working directory, else a default. Each value that is asked for is kept
//! with its origin, to be shown.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::failure::Failure;

/// The file of settings.
const FILE: &str = "trefoil.toml";
const PREFIX: &str = "TREFOIL_";
/// Of the file alone: values for SET.
const SET: &str = "set";

/// All settings there are.
pub(crate) const NAMES: [&str; 12] = [
    "checkpoint_every",
    "color",
    "cores",
    "executor",
    "for",
    "format",
    "frame_rows",
    "limit",
    "output",
    "pin",
    "state",
    "stats",
];

/// What the environment and the file say.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    environment: Vec<(String, String)>,
    file: Vec<(String, String)>,
    /// Values for SET, from the file.
    pub(crate) set: Vec<(String, String)>,
    /// What was asked for.
    pub(crate) shown: Vec<Shown>,
}

/// A value and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) origin: String,
}

/// One setting: how its value is read and shown.
pub(crate) struct Kind<T> {
    pub(crate) name: &'static str,
    pub(crate) parse: fn(&str) -> Result<T, String>,
    pub(crate) show: fn(&T) -> String,
}

impl Settings {
    /// Reads the environment and the file.
    pub(crate) fn load() -> Result<Self, Failure> {
        let mut settings = Self::default();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().and_then(|n| n.strip_prefix(PREFIX)) else {
                continue;
            };
            let wrong = |_| Failure::Usage(format!("{PREFIX}{name} is no text"));
            let value = value.into_string().map_err(wrong)?;
            settings.environment.push((name.to_lowercase(), value));
        }
        match std::fs::read_to_string(FILE) {
            Ok(text) => settings.read(&text)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::Usage(format!("cannot read {FILE}: {error}"))),
        }
        Ok(settings)
    }

    fn read(&mut self, text: &str) -> Result<(), Failure> {
        let table = DeTable::parse(text)
            .map_err(|e| Failure::Usage(format!("{FILE}: {}", e.to_string().trim_end())))?;
        let line = |at: usize| text[..at].lines().count().max(1);
        let wrong = |at, what: String| Failure::Usage(format!("{FILE}:{}: {what}", line(at)));
        for (name, value) in table.get_ref().iter() {
            let (at, name) = (name.span().end, name.get_ref());
            if let (SET, DeValue::Table(values)) = (&**name, value.get_ref()) {
                for (name, value) in values.iter() {
                    let (at, name) = (name.span().end, name.get_ref().to_string());
                    let value = plain(value.get_ref());
                    let value = value.ok_or_else(|| wrong(at, format!("{name} is no value")))?;
                    self.set.push((name, value));
                }
                continue;
            }
            if !NAMES.contains(&&**name) {
                let known = NAMES.join(", ");
                let what = format!("there is no setting {name}; known: {known}, [set]");
                return Err(wrong(at, what));
            }
            let value = plain(value.get_ref());
            let value = value.ok_or_else(|| wrong(at, format!("{name} is no value")))?;
            self.file.push((name.to_string(), value));
        }
        Ok(())
    }

    /// The value of a setting, with what was typed before all else; `None` where there is none and
    /// the default is `default`.
    pub(crate) fn take<T>(
        &mut self,
        kind: &Kind<T>,
        typed: Option<T>,
        default: Option<&str>,
    ) -> Result<Option<T>, Failure> {
        let of = |values: &[(String, String)]| {
            let found = values.iter().find(|(name, _)| name == kind.name);
            found.map(|(_, value)| value.clone())
        };
        let variable = format!("{PREFIX}{}", kind.name.to_uppercase());
        let (value, origin) = if let Some(value) = typed {
            (Some(value), "flag".to_owned())
        } else if let Some(text) = of(&self.environment) {
            let wrong = |why| Failure::Usage(format!("{variable} is '{text}': {why}"));
            (Some((kind.parse)(&text).map_err(wrong)?), variable)
        } else if let Some(text) = of(&self.file) {
            let wrong = |why| Failure::Usage(format!("{FILE}: {} is '{text}': {why}", kind.name));
            (Some((kind.parse)(&text).map_err(wrong)?), FILE.to_owned())
        } else {
            (None, "default".to_owned())
        };
        self.shown.push(Shown {
            name: kind.name.to_owned(),
            value: value.as_ref().map(kind.show).or(default.map(str::to_owned)),
            origin,
        });
        Ok(value)
    }

    /// Variables that look like settings and are none.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = String> {
        let unknown = |(name, _): &&(String, String)| !NAMES.contains(&name.as_str());
        let unknown = self.environment.iter().filter(unknown);
        unknown.map(|(name, _)| format!("{PREFIX}{}", name.to_uppercase()))
    }
}

/// A value of the file as it would be typed.
fn plain(value: &DeValue<'_>) -> Option<String> {
    Some(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(n) => n.to_string(),
        DeValue::Float(x) => x.to_string(),
        DeValue::Boolean(b) => b.to_string(),
        DeValue::Array(values) => {
            let values: Option<Vec<_>> = values.iter().map(|v| plain(v.get_ref())).collect();
            values?.join(",")
        }
        DeValue::Datetime(_) | DeValue::Table(_) => return None,
    })
}

/// A path, which is not empty.
pub(crate) fn path(text: &str) -> Result<PathBuf, String> {
    match text.is_empty() {
        true => Err("a path is needed".to_owned()),
        false => Ok(Path::new(text).to_owned()),
    }
}
