//! What is declared: sources and tables with all their columns, views, sinks, indexes, by one name
//! each. A type that Ring 0 cannot hold yet is kept as declared and is an error only where a query
//! names the column.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::sql::sqlparser::ast::Expr;
use trefoil_ring0::program::{FileFormat, GeneratorSpec, Splits};
use trefoil_ring0::schema::Field;
use trefoil_ring1::connector::Sockets;
use trefoil_ring1::watermark::Patience;

use crate::partitioning::StrategyConfig;
use crate::syntax::{CreateSink, EmitQuery, Kind, SourceKind};

/// A declared column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDef {
    /// Its name.
    pub name: String,
    /// Its type as Arrow has it, also where Ring 0 cannot hold it.
    pub data_type: DataType,
    /// Its type in the one spelling that is printed back.
    pub declared: String,
    /// Whether NULL can occur.
    pub nullable: bool,
}

impl ColumnDef {
    /// Whether its texts are JSON, or those in its lists.
    pub fn is_json(&self) -> bool {
        self.declared.trim_end_matches("[]") == "JSON"
    }

    /// How many characters its texts have at most: `n` of VARCHAR(n).
    pub fn length_max(&self) -> Option<u32> {
        let length = self.declared.strip_prefix("VARCHAR(")?.strip_suffix(')')?;
        length.parse().ok()
    }

    /// The column as a source reads it, integers for a TIMESTAMP being so many of `unit`.
    pub(crate) fn field(&self, unit: Option<TimeUnit>) -> Field {
        Field {
            nullable: self.nullable,
            json: self.is_json(),
            epoch: unit,
            length_max: self.length_max(),
            ..Field::new(&self.name, self.data_type.clone())
        }
    }
}

/// A column that is computed from those that are read of its row.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedDef {
    /// The column.
    pub column: ColumnDef,
    /// How many columns of the declaration stand before it.
    pub at: usize,
    /// What it is.
    pub expr: Expr,
}

/// What becomes of records that cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BadDataPolicy {
    /// The query ends with an error.
    #[default]
    Fail,
    /// They are counted and left out.
    Skip,
    /// They are counted and written to this file, one JSON object each, with where they were and
    /// why.
    DeadLetters(PathBuf),
}

/// What a source's input holds.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceFormat {
    /// Records, one behind the other.
    Records(FileFormat),
    /// Columns, as Parquet.
    Parquet,
    /// Columns, as Arrow IPC.
    Arrow,
}

impl Default for SourceFormat {
    fn default() -> Self {
        Self::Records(FileFormat::default())
    }
}

/// What the rows of a view are to who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewRows {
    /// They only come.
    Coming,
    /// They come and go.
    Changing,
}

/// A declared source or table, or what a materialized view is to a query that reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceDef {
    /// Its name.
    pub name: String,
    /// Source or table.
    pub kind: SourceKind,
    /// The columns that are read, in order.
    pub columns: Vec<ColumnDef>,
    /// Those that are computed from them, in order.
    pub generated: Vec<GeneratedDef>,
    /// The event time's column, if it has one.
    pub event_time: Option<usize>,
    /// How far the watermark stays behind, in nanoseconds, allowed lateness included; `None`: no
    /// watermark before the end.
    pub lag_ns: Option<i64>,
    /// Columns of the primary key.
    pub primary_key: Vec<usize>,
    /// Its connector, where it has one.
    pub connector: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// How many bytes of it are read, where that is not for its size now to say.
    pub read_upto: Option<u64>,
    /// What is in it.
    pub format: SourceFormat,
    /// What becomes of its bad records.
    pub bad_data: BadDataPolicy,
    /// Who is to get its records, where that is not left to the analysis.
    pub partitioning: Option<StrategyConfig>,
    /// Whether its input ends.
    pub bounded: bool,
    /// Whether the file is read on as it grows.
    pub follow: bool,
    /// What integers stand for where a TIMESTAMP is wanted.
    pub timestamp_unit: Option<TimeUnit>,
    /// What its splits are.
    pub splits: Splits,
    /// How far ahead of the clock, in nanoseconds, an event time still moves the watermark.
    pub max_ahead_ns: Option<i64>,
    /// How long its splits are waited for, and how far they may part.
    pub patience: Patience,
    /// The sink that its late rows go into; `None`: they are counted.
    pub late_sink: Option<String>,
    /// How its records are made, all declared columns, where they are not read.
    pub generator: Option<GeneratorSpec>,
    /// What it listens to, where clients send its records.
    pub sockets: Option<Sockets>,
    /// What its rows are, where it is a view.
    pub view: Option<ViewRows>,
    /// What of it cannot run yet.
    pub later: Option<String>,
    /// What it becomes where it is written to: its use decides.
    pub as_sink: Option<Box<CreateSink>>,
}

impl SourceDef {
    /// Whether its records are changes of rows, which come and go.
    pub fn has_changes(&self) -> bool {
        let captured = matches!(self.format, SourceFormat::Records(FileFormat::Debezium(_)));
        captured || self.view == Some(ViewRows::Changing)
    }

    /// All columns as they are declared, those that are computed among them.
    pub fn declared(&self) -> Vec<&ColumnDef> {
        let mut all: Vec<&ColumnDef> = self.columns.iter().collect();
        for generated in &self.generated {
            all.insert(generated.at, &generated.column);
        }
        all
    }

    /// Index of the column that is read by this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }
}

/// A column of a view, and its type where that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewColumn {
    /// Its name.
    pub name: String,
    /// Its type; `None` where the query cannot be planned yet.
    pub data_type: Option<DataType>,
    /// How that was declared, where it is a column of a source as it is.
    pub declared: Option<String>,
}

/// A declared view.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewDef {
    /// Its name.
    pub name: String,
    /// Plain or materialized.
    pub kind: Kind,
    /// Its columns.
    pub columns: Vec<ViewColumn>,
    /// Names of its columns, where they were given.
    pub renamed: Vec<String>,
    /// What it is.
    pub query: EmitQuery,
    /// Whether all that it reads ends.
    pub bounded: bool,
    /// Whether what it gives has a watermark.
    pub watermark: bool,
    /// Whether its rows have a window.
    pub window: bool,
}

/// A declared sink.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkDef {
    /// Its name.
    pub name: String,
    /// Its columns, where they are declared.
    pub columns: Vec<ColumnDef>,
    /// Its connector.
    pub connector: String,
    /// The file, where the connector writes one.
    pub path: PathBuf,
    /// How its rows are written, where that is said.
    pub format: Option<String>,
    /// What of a changelog it takes, where that is said.
    pub mode: Option<String>,
}

/// A declared index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexDef {
    /// Its name.
    pub name: String,
    /// The view or table.
    pub on: String,
    /// Its columns.
    pub columns: Vec<String>,
}

/// All that is declared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    /// Sources and tables.
    pub sources: BTreeMap<String, SourceDef>,
    /// Views of both kinds.
    pub views: BTreeMap<String, ViewDef>,
    /// Sinks.
    pub sinks: BTreeMap<String, SinkDef>,
    /// Indexes.
    pub indexes: BTreeMap<String, IndexDef>,
    /// Who reads whom: what is named in the definition of each.
    uses: BTreeMap<String, BTreeSet<String>>,
}

impl Catalog {
    /// What has this name.
    pub fn kind(&self, name: &str) -> Option<Kind> {
        if let Some(source) = self.sources.get(name) {
            if source.view.is_some() {
                return Some(Kind::MaterializedView);
            }
            return Some(match source.kind {
                SourceKind::Source => Kind::Source,
                SourceKind::Table | SourceKind::AppendOnlyTable => Kind::Table,
            });
        }
        if let Some(view) = self.views.get(name) {
            return Some(view.kind);
        }
        if self.sinks.contains_key(name) {
            return Some(Kind::Sink);
        }
        self.indexes.contains_key(name).then_some(Kind::Index)
    }

    /// All names, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let sources = self.sources.keys().chain(self.views.keys());
        let others = self.sinks.keys().chain(self.indexes.keys());
        sources.chain(others).map(String::as_str)
    }

    /// Names that a query can read.
    pub fn relations(&self) -> impl Iterator<Item = &str> {
        self.sources
            .keys()
            .chain(self.views.keys())
            .map(String::as_str)
    }

    /// Notes that `name` reads `used`.
    pub fn note_uses(&mut self, name: &str, used: BTreeSet<String>) {
        self.uses.insert(name.to_string(), used);
    }

    /// Notes that `name` reads these, too.
    pub fn note_more_uses(&mut self, name: &str, used: impl Iterator<Item = String>) {
        self.uses.entry(name.to_string()).or_default().extend(used);
    }

    /// Who reads `name`, directly, in order.
    pub fn users(&self, name: &str) -> Vec<String> {
        let reads =
            |(user, used): (&String, &BTreeSet<String>)| used.contains(name).then(|| user.clone());
        self.uses.iter().filter_map(reads).collect()
    }

    /// What `name` reads, directly.
    pub fn used_by(&self, name: &str) -> impl Iterator<Item = &str> {
        self.uses
            .get(name)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// Takes a name out, with what it is; who reads it is not looked at.
    pub fn remove(&mut self, name: &str) {
        self.sources.remove(name);
        self.views.remove(name);
        self.sinks.remove(name);
        self.indexes.remove(name);
        self.uses.remove(name);
    }

    /// Gives what is called `from` the name `to`, also for those that read it; what their
    /// definitions say of it is not looked at.
    pub fn rename(&mut self, from: &str, to: &str) {
        fn moved<T>(map: &mut BTreeMap<String, T>, from: &str, to: &str, name: impl Fn(&mut T)) {
            if let Some(mut def) = map.remove(from) {
                name(&mut def);
                map.insert(to.to_string(), def);
            }
        }
        moved(&mut self.sources, from, to, |d| {
            d.name = to.into();
            // What it becomes where it is written to.
            if let Some(sink) = &mut d.as_sink {
                sink.name.value = to.into();
            }
        });
        moved(&mut self.views, from, to, |d| d.name = to.into());
        moved(&mut self.sinks, from, to, |d| d.name = to.into());
        moved(&mut self.indexes, from, to, |d| d.name = to.into());
        moved(&mut self.uses, from, to, |_| {});
        for late in self
            .sources
            .values_mut()
            .filter_map(|s| s.late_sink.as_mut())
        {
            if late == from || late.to_lowercase() == from {
                to.clone_into(late);
            }
        }
        for used in self.uses.values_mut() {
            if used.remove(from) {
                used.insert(to.to_string());
            }
        }
        let indexes = self.indexes.values_mut();
        indexes
            .filter(|i| i.on == from)
            .for_each(|i| i.on = to.into());
    }
}
