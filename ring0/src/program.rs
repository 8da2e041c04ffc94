//! A program: what every shard runs, as plain data. Stages are joined by exchanges; both are
//! numbered so that records only ever move to higher numbers, hence there is no cycle.

mod aggregate;
mod changes;
mod generator;
mod input;
mod join;
mod name;
mod sets;
mod window;

use std::sync::Arc;

use crate::align::SplitPolicy;
use crate::expr::Expr;
use crate::format::columnar::Taken;
use crate::id::{ExchangeId, OutputId, SourceId};
use crate::operator::latest::LatestSpec;
use crate::operator::over::OverSpec;
use crate::operator::sort::SortSpec;
use crate::schema::{Field, Schema};

pub use self::aggregate::{
    AggregateCall, AggregateFunction, AggregateSpec, Phase, SessionSpec, WindowKey,
};
pub use self::changes::ChangesSpec;
pub use self::generator::{Draw, EVENTS_PER_S, GeneratedColumn, GeneratorSpec, Made};
pub use self::generator::{NexmarkColumn, NexmarkSpec, NexmarkTable};
pub use self::input::{FileFormat, Header, SourceKind};
pub use self::join::{Interval, JoinKind, JoinSpec, Keep, Nearest, Side, Ties, Toward};
pub use self::sets::{LastColumn, RepeatSpec, StandingSpec};
pub use self::window::{LateRule, PanesSpec, Reach, WindowShape, WindowsSpec};

/// What every shard runs.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// Where records come from; each is read once.
    pub sources: Vec<SourceSpec>,
    /// Chains of operators, topologically ordered.
    pub stages: Vec<StageSpec>,
    /// How records change shards, topologically ordered.
    pub exchanges: Vec<ExchangeSpec>,
    /// Where results go.
    pub outputs: Vec<OutputSpec>,
}

impl Program {
    /// The records of one source through operators to one output.
    pub fn chain(source: SourceSpec, operators: Vec<OperatorSpec>, output: OutputSpec) -> Self {
        Self {
            sources: vec![source],
            stages: vec![StageSpec {
                input: StageInput::Source(SourceId(0)),
                others: Vec::new(),
                operators,
                output: StageOutput::Output(OutputId(0)),
            }],
            exchanges: Vec::new(),
            outputs: vec![output],
        }
    }

    /// As [`Program::chain`], with an exchange between two chains of operators.
    pub fn exchanged(
        source: SourceSpec,
        before: Vec<OperatorSpec>,
        exchange: ExchangeSpec,
        behind: Vec<OperatorSpec>,
        output: OutputSpec,
    ) -> Self {
        let mut program = Self::chain(source, before, output);
        let last = StageSpec {
            input: StageInput::Exchange(ExchangeId(0)),
            others: Vec::new(),
            operators: behind,
            output: StageOutput::Output(OutputId(0)),
        };
        program.stages[0].output = StageOutput::Exchange(ExchangeId(0));
        program.stages.push(last);
        program.exchanges.push(exchange);
        program
    }

    /// Whether the chunks of each source are taken in their order, by an exchange or an output.
    pub fn taken(&self) -> Vec<Taken> {
        let numbers = 0..self.sources.len() as u32;
        numbers.map(|number| self.takes(SourceId(number))).collect()
    }

    fn takes(&self, source: SourceId) -> Taken {
        let spec = &self.sources[source.index()];
        if spec.event_time.is_some_and(|time| time.lag_ns.is_some()) {
            return Taken::InOrder;
        }
        let mut from = vec![StageInput::Source(source)];
        let mut at = 0;
        while let Some(input) = from.get(at).copied() {
            at += 1;
            let reads = |stage: &&StageSpec| stage.inputs().any(|i| i == input);
            for stage in self.stages.iter().filter(reads) {
                let StageOutput::Exchange(id) = stage.output else {
                    return Taken::InOrder;
                };
                let exchange = &self.exchanges[id.index()];
                match (exchange.order, &exchange.routing) {
                    (Order::Chunks { .. }, _) => return Taken::InOrder,
                    // What stays on its shard goes on in the order in which it was read.
                    (Order::Free, Routing::Local) => from.push(StageInput::Exchange(id)),
                    (Order::Free, _) => {}
                }
            }
        }
        Taken::InAnyOrder
    }

    /// How many stages, and sources with dead letters or late rows, send there.
    pub fn senders(&self, to: StageOutput) -> usize {
        let letters = |s: &SourceSpec| match s.bad_data {
            BadData::DeadLetters(id) => Some(id),
            BadData::Fail | BadData::Skip => None,
        };
        let sources = self.sources.iter().flat_map(|s| [letters(s), s.late]);
        let told = sources.flatten().map(StageOutput::Output);
        let stages = self.stages.iter().map(|s| s.output);
        stages.chain(told).filter(|output| *output == to).count()
    }
}

/// A source.
#[derive(Debug, Clone)]
pub struct SourceSpec {
    /// Its name, for errors and statistics.
    pub name: String,
    /// The columns to produce: those that a query names, in order.
    pub schema: Arc<Schema>,
    /// Which of them is event time, if any query needs it.
    pub event_time: Option<EventTime>,
    /// Event time says how far the source is, for [`Self::policy`] to compare, and nothing else: no
    /// watermark is told, and a row without it is a row like any other. One shard reads it.
    pub is_only_compared: bool,
    /// Who reads.
    pub reading: Reading,
    /// Where the records are.
    pub kind: SourceKind,
    /// The schema's columns that the source fills by itself: behind those that are read, and before
    /// [`EventTime::bound`].
    pub system: Vec<SystemColumn>,
    /// What becomes of records that cannot be parsed.
    pub bad_data: BadData,
    /// What its splits are.
    pub splits: Splits,
    /// How far, in nanoseconds, an event time may be ahead of the clock and still move the
    /// watermark all the way; `None`: any distance.
    pub max_ahead_ns: Option<i64>,
    /// Who decides which splits are idle or too far ahead, where they come at their own time;
    /// `None`: all are waited for.
    pub policy: Option<Arc<dyn SplitPolicy>>,
    /// The time by which rows are told, where that is when they were read; [`Self::event_time`] is
    /// of no use then.
    pub processing: Option<ProcessingTime>,
    /// The output that takes rows which [`OperatorSpec::DropLate`] drops in stages that read the
    /// source, each row once: of its columns the first, as many as the output has. One shard reads
    /// the source then. `None`: they are counted.
    pub late: Option<OutputId>,
}

/// What the splits of a source are: each has a watermark of its own, by which its rows are late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Splits {
    /// All of it is one.
    #[default]
    One,
    /// Each file is one.
    Files,
}

impl SourceSpec {
    /// A source without event time or system columns, which bad records end.
    pub fn new(name: impl Into<String>, schema: Arc<Schema>, kind: SourceKind) -> Self {
        Self {
            name: name.into(),
            schema,
            event_time: None,
            is_only_compared: false,
            reading: Reading::Chunks,
            kind,
            system: Vec::new(),
            bad_data: BadData::Fail,
            splits: Splits::One,
            max_ahead_ns: None,
            policy: None,
            processing: None,
            late: None,
        }
    }

    /// Whether it has to know which of its rows were late: they go to an output, or it shares a
    /// watermark with others that come at their own time, for which alone a row may be late.
    pub(crate) fn wants_late(&self) -> bool {
        self.late.is_some()
            || self.policy.is_some()
            || matches!(
                self.kind,
                SourceKind::Channel | SourceKind::Connections { .. }
            )
    }
}

/// Who reads a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// All shards, chunk by chunk.
    #[default]
    Chunks,
    /// Shard 0 alone: records keep the order of the split.
    InOrder,
}

/// Event time of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    /// The column, a TIMESTAMP.
    pub column: usize,
    /// How far the watermark stays behind the greatest event time, in nanoseconds; allowed
    /// lateness included. `None`: no watermark before the end.
    pub lag_ns: Option<i64>,
    /// The column (BIGINT, the schema's last, filled by the source and not read from the file)
    /// that takes each row's watermark in nanoseconds, where an operator needs it.
    pub bound: Option<usize>,
}

/// Processing time of a source that one shard reads: the watermark is that shard's clock, and goes
/// on while nothing comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessingTime {
    /// The column that takes it, of [`SystemColumn::Ingested`].
    pub column: usize,
    /// The shortest length of time after which something happens, in nanoseconds: the clock is
    /// looked at a few times in it.
    pub every_ns: i64,
}

/// What becomes of a record that cannot be parsed, or on which an expression fails in a stage that
/// reads the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadData {
    /// It ends the program with an error.
    Fail,
    /// It is counted and left out.
    Skip,
    /// It is counted and goes, with where it was and why, to an output of its own, whose columns
    /// are those of [`dead_letter_schema`].
    DeadLetters(OutputId),
}

/// The columns of what is told about bad records: the source's name, the file, the byte at which
/// the record begins, the reason, and its bytes, as text or, where they are no UTF-8, in
/// hexadecimal. Of a row in a file of columns there are no bytes, and the offset is the number of
/// rows before it in that file.
/// Of a row in memory there is no file and there are no bytes; the offset is the number of rows
/// before it.
pub fn dead_letter_schema() -> Schema {
    use arrow_schema::DataType::{Int64, Utf8};
    Schema::new(vec![
        Field::new("source", Utf8),
        Field::new("file", Utf8),
        Field::new("offset", Int64),
        Field::new("reason", Utf8),
        Field::new("raw", Utf8),
        Field::new("raw_hex", Utf8),
    ])
}

/// What a source itself knows of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemColumn {
    /// Where in the split the record is: the bytes of all files before and those before it in its
    /// own, or, where files hold columns, so many records: BIGINT. Where
    /// each file is a split there are no files before.
    Offset,
    /// The number of its split: BIGINT.
    Split,
    /// When it was read, by the frame: TIMESTAMP.
    Ingested,
}

/// A chain of operators with one output.
#[derive(Debug, Clone)]
pub struct StageSpec {
    /// Where its records come from.
    pub input: StageInput,
    /// Where more come from, in the order of their ports; all inputs are exchanges then. Where the
    /// first operator is a join, its sides are the ports; else the rows of all go on as they come.
    pub others: Vec<StageInput>,
    /// The operators, in order.
    pub operators: Vec<OperatorSpec>,
    /// Where its records go.
    pub output: StageOutput,
}

impl StageSpec {
    /// All inputs, in the order of their ports.
    pub fn inputs(&self) -> impl Iterator<Item = StageInput> + '_ {
        std::iter::once(self.input).chain(self.others.iter().copied())
    }

    /// Whether what leaves are groups, and no records of the input any more.
    pub fn groups(&self) -> bool {
        self.operators.iter().any(OperatorSpec::groups)
    }
}

/// Input of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageInput {
    /// A source.
    Source(SourceId),
    /// An exchange.
    Exchange(ExchangeId),
}

/// Output of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageOutput {
    /// An exchange, numbered higher than the stage's input exchange.
    Exchange(ExchangeId),
    /// Results.
    Output(OutputId),
}

/// One step.
#[derive(Debug, Clone)]
pub enum OperatorSpec {
    /// Keeps rows for which the expression is true.
    Filter(Expr),
    /// Computes columns.
    Project {
        /// One for each column of the result.
        exprs: Vec<Expr>,
        /// The result's columns.
        schema: Arc<Schema>,
    },
    /// Groups and aggregates.
    Aggregate(Arc<AggregateSpec>),
    /// Groups by keys and by sessions, and aggregates.
    Sessions(Arc<SessionSpec>),
    /// Groups by keys and by hopping windows, and aggregates.
    Panes(Arc<PanesSpec>),
    /// Tells which rows are the first of their group: what counts with DISTINCT.
    MarkFirst {
        /// The groups, without calls, as [`Phase::Changes`].
        groups: Arc<AggregateSpec>,
        /// The result's columns: the input's, and behind them a BOOLEAN.
        schema: Arc<Schema>,
    },
    /// Keeps rows of a changelog for which the expression is true; of an update, where it is true
    /// of one row only, it leaves a deletion or an insertion. In the stage of an aggregation with
    /// [`Phase::Changes`].
    FilterChanges(Expr),
    /// Drops, and counts, rows none of whose windows is open.
    DropLate(LateRule),
    /// A row for each element of a list; none where the list is NULL or empty.
    Unnest {
        /// The list's column, which becomes that of its elements.
        list: usize,
        /// Whether each element has its number in its list, from 1 up.
        numbered: bool,
        /// The result's columns: the input's with the element's type, behind them a BIGINT where
        /// elements are numbered, and then a BOOLEAN that is true in the first row of each row of
        /// the input. It stays the last column until rows are grouped or
        /// [`OperatorSpec::Applied`].
        schema: Arc<Schema>,
    },
    /// Each row several times, and the number of the copy.
    Repeat(Arc<RepeatSpec>),
    /// Groups that stand without rows; right behind their aggregation.
    Standing(Arc<StandingSpec>),
    /// A row for each overlapping window that holds the row and is open.
    Windows(Arc<WindowsSpec>),
    /// Puts rows in order, once their input has ended; all of them on one shard.
    Sort(Arc<SortSpec>),
    /// Lets the last row of each key pass, once the input has ended.
    Latest(Arc<LatestSpec>),
    /// Computes over the rows around each row, once the input has ended.
    Over(Arc<OverSpec>),
    /// Joins the rows of two inputs; the first operator of its stage.
    Join(Arc<JoinSpec>),
    /// Works on a changelog.
    Changing(ChangesSpec),
    /// Rows are results from here on: they are counted as applied.
    Applied,
}

impl OperatorSpec {
    /// Whether what leaves are groups, or rows that stand by a key.
    pub fn groups(&self) -> bool {
        matches!(
            self,
            Self::Aggregate(_)
                | Self::Sessions(_)
                | Self::Panes(_)
                | Self::Latest(_)
                | Self::Changing(ChangesSpec::Aggregate(_) | ChangesSpec::Captured(_))
        )
    }

    /// The columns that it makes; `None` where they are its input's.
    pub fn columns(&self) -> Option<&Arc<Schema>> {
        match self {
            Self::Filter(_)
            | Self::FilterChanges(_)
            | Self::DropLate(_)
            | Self::Sort(_)
            | Self::Latest(_)
            | Self::Standing(_)
            | Self::Applied => None,
            Self::Project { schema, .. }
            | Self::Unnest { schema, .. }
            | Self::MarkFirst { schema, .. } => Some(schema),
            Self::Aggregate(spec) => Some(&spec.output),
            Self::Sessions(spec) => Some(&spec.aggregate.output),
            Self::Panes(spec) => Some(&spec.aggregate.output),
            Self::Repeat(spec) => Some(&spec.schema),
            Self::Windows(spec) => Some(&spec.schema),
            Self::Over(spec) => Some(&spec.output),
            Self::Join(spec) => Some(&spec.output),
            Self::Changing(spec) => spec.columns(),
        }
    }
}

/// An exchange: who gets which record.
#[derive(Debug, Clone)]
pub struct ExchangeSpec {
    /// The records' columns.
    pub schema: Arc<Schema>,
    /// Who gets which.
    pub routing: Routing,
    /// The order in which a receiver takes what the shards send.
    pub order: Order,
}

impl ExchangeSpec {
    /// Records of equal `keys` to one shard, as they come.
    pub fn hash(schema: Arc<Schema>, keys: Vec<usize>) -> Self {
        Self {
            schema,
            routing: Routing::Hash(keys),
            order: Order::Free,
        }
    }
}

/// The order in which a receiver takes its lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As records come. Lanes are splits of their own: the watermark is the least of theirs.
    Free,
    /// In that of the one file that all shards read by chunks, chunk k by shard k mod shards, as if
    /// one reader had read it.
    Chunks {
        /// The BIGINT column with the row's watermark (ns), which as sent knows the row's own chunk
        /// only.
        bound: Option<usize>,
    },
}

/// How an exchange chooses the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routing {
    /// By the hash of these columns; all rows of a key meet on its owner.
    Hash(Vec<usize>),
    /// All to one shard.
    Single,
    /// All to every shard.
    Broadcast,
    /// Each shard keeps its own.
    Local,
}

/// An output.
#[derive(Debug, Clone)]
pub struct OutputSpec {
    /// The order in which the host takes the shards' rows.
    pub order: Order,
    /// The result's columns.
    pub schema: Arc<Schema>,
}

impl OutputSpec {
    /// Results as they come.
    pub fn free(schema: Arc<Schema>) -> Self {
        Self {
            order: Order::Free,
            schema,
        }
    }
}
