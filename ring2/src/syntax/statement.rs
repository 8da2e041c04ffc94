//! The tree of a statement, and which reader its first words choose.

use datafusion::sql::sqlparser::ast::{Assignment, Expr, Ident, Interval, Query};
use datafusion::sql::sqlparser::tokenizer::{Location, Token};

use super::canonical::Rows;
use super::function::CreateFunction;
use super::reader::Reader;
use super::types::TypeName;
use crate::error::{SqlError, nearest};
use crate::explain::Format;
use crate::place::{Chunk, Place, word};

/// A place that two equal trees may differ in.
#[derive(Debug, Clone, Copy, Eq)]
pub struct At(pub Location);

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `CREATE SOURCE`, `CREATE STREAM`, `CREATE TABLE`.
    CreateSource(CreateSource),
    /// `CREATE SINK`.
    CreateSink(CreateSink),
    /// `CREATE [MATERIALIZED] VIEW`.
    CreateView(CreateView),
    /// `CREATE INDEX`.
    CreateIndex(CreateIndex),
    /// `CREATE FUNCTION`, `CREATE AGGREGATE`.
    CreateFunction(CreateFunction),
    /// `INSERT INTO`.
    Insert(Insert),
    /// `UPDATE t SET a = b WHERE c`.
    Update {
        /// The table.
        table: Ident,
        /// What is set.
        assignments: Vec<Assignment>,
        /// Where.
        selection: Option<Expr>,
    },
    /// `DELETE FROM t WHERE c`.
    Delete {
        /// The table.
        table: Ident,
        /// Where.
        selection: Option<Expr>,
    },
    /// `DROP`.
    Drop(Drop),
    /// `ALTER .. RENAME TO`.
    Rename(Rename),
    /// `SHOW`.
    Show(Show),
    /// `DESCRIBE name`.
    Describe(Ident),
    /// `SET name = value`.
    Set {
        /// The setting.
        name: Ident,
        /// Its value; `None` for DEFAULT.
        value: Option<String>,
        /// Where the value stands.
        at: At,
    },
    /// `FLUSH`.
    Flush,
    /// `CHECKPOINT`.
    Checkpoint,
    /// `SUBSCRIBE`.
    Subscribe(Subscribe),
    /// `DECLARE c CURSOR FOR SUBSCRIBE ..`.
    Declare {
        /// The cursor.
        cursor: Ident,
        /// What it reads.
        subscribe: Subscribe,
    },
    /// `FETCH n FROM c`.
    Fetch {
        /// At most so many rows.
        rows: u64,
        /// The cursor.
        cursor: Ident,
    },
    /// `CLOSE c`.
    Close(Ident),
    /// `EXPLAIN`.
    Explain(Explain),
    /// A bare query.
    Query(EmitQuery),
}

/// A query and when its results appear.
#[derive(Debug, Clone, PartialEq)]
pub struct EmitQuery {
    /// The query.
    pub query: Box<Query>,
    /// Its EMIT clause.
    pub emit: Option<Emit>,
    /// Where the EMIT clause stands, else the statement's end.
    pub emit_at: At,
}

/// When results appear.
#[derive(Debug, Clone, PartialEq)]
pub enum Emit {
    /// `EMIT CHANGES`.
    Changes,
    /// `EMIT ON WINDOW CLOSE` and `EMIT FINAL`.
    OnWindowClose,
    /// `EMIT EVERY INTERVAL ..`.
    Every(Interval),
}

/// What a definition of columns makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceKind {
    /// `CREATE SOURCE`, `CREATE STREAM`.
    #[default]
    Source,
    /// `CREATE TABLE`.
    Table,
    /// `CREATE TABLE .. APPEND ONLY`.
    AppendOnlyTable,
}

/// `CREATE SOURCE|STREAM|TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateSource {
    /// Source or table.
    pub kind: SourceKind,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Its name.
    pub name: Ident,
    /// Its columns.
    pub columns: Vec<ColumnSpec>,
    /// `PRIMARY KEY (..)`, also where it stands behind a column.
    pub primary_key: Vec<Ident>,
    /// `WATERMARK FOR ..`, each of them.
    pub watermarks: Vec<Watermark>,
    /// `WITH (..)`.
    pub options: Vec<OptionSpec>,
    /// Where the options begin, else the statement's end.
    pub options_at: At,
    /// Whether `WITH` was written.
    pub has_options: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSpec {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub data_type: TypeName,
    /// Where the type stands.
    pub type_at: At,
    /// `NOT NULL`.
    pub not_null: bool,
    /// `GENERATED ALWAYS AS (..) STORED`.
    pub generated: Option<Expr>,
    /// Where GENERATED stands, else the type.
    pub generated_at: At,
}

/// `WATERMARK FOR column [AS expr]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Watermark {
    /// The column.
    pub column: Ident,
    /// What it is; `None` where that is the column itself.
    pub expr: Option<Expr>,
    /// Where the expression stands.
    pub at: At,
}

/// An option of WITH.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionSpec {
    /// Its name.
    pub name: String,
    /// Where that stands.
    pub name_at: At,
    /// Its value, always a text.
    pub value: String,
    /// Where that stands.
    pub value_at: At,
}

/// `CREATE SINK`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateSink {
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Its name.
    pub name: Ident,
    /// Its columns, where they are declared.
    pub columns: Vec<ColumnSpec>,
    /// `FROM view`.
    pub from: Option<Ident>,
    /// `WITH (..)`.
    pub options: Vec<OptionSpec>,
    /// Where the options begin.
    pub options_at: At,
    /// `AS SELECT ..`.
    pub query: Option<EmitQuery>,
}

/// Whether a view is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewKind {
    /// Expanded where it is named.
    Plain,
    /// Kept up to date.
    Materialized,
}

/// `CREATE [MATERIALIZED] VIEW`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateView {
    /// Plain or kept.
    pub kind: ViewKind,
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Its name.
    pub name: Ident,
    /// Names of its columns, where they are given.
    pub columns: Vec<Ident>,
    /// What it is.
    pub query: EmitQuery,
}

/// `CREATE INDEX`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateIndex {
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Its name.
    pub name: Ident,
    /// The view or table.
    pub on: Ident,
    /// Its columns.
    pub columns: Vec<Ident>,
}

/// `INSERT INTO`.
#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    /// The table or sink.
    pub into: Ident,
    /// The columns that are named.
    pub columns: Vec<Ident>,
    /// `SELECT` or `VALUES`.
    pub query: EmitQuery,
}

/// Kinds of things with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A source.
    Source,
    /// A table.
    Table,
    /// A sink.
    Sink,
    /// A plain view.
    View,
    /// A view that is kept.
    MaterializedView,
    /// An index.
    Index,
    /// A function of rows.
    Function,
    /// A function of groups.
    Aggregate,
}

/// `DROP`.
#[derive(Debug, Clone, PartialEq)]
pub struct Drop {
    /// Of what kind.
    pub kind: Kind,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// The names.
    pub names: Vec<Ident>,
    /// `CASCADE`: also what uses them.
    pub cascade: bool,
}

/// `ALTER .. RENAME TO`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rename {
    /// Of what kind.
    pub kind: Kind,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// The old name.
    pub name: Ident,
    /// The new name.
    pub to: Ident,
}

/// `SHOW`.
#[derive(Debug, Clone, PartialEq)]
pub enum Show {
    /// `SHOW SOURCES`.
    Sources,
    /// `SHOW TABLES`.
    Tables,
    /// `SHOW SINKS`.
    Sinks,
    /// `SHOW VIEWS`.
    Views,
    /// `SHOW JOBS`.
    Jobs,
    /// `SHOW ALL`.
    All,
    /// `SHOW setting`.
    Setting(Ident),
}

/// `SUBSCRIBE view [WHERE ..]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscribe {
    /// The view.
    pub view: Ident,
    /// Which rows.
    pub selection: Option<Expr>,
}

/// `EXPLAIN [ANALYZE] [(FORMAT ..)] SELECT ..`.
#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    /// `ANALYZE`.
    pub analyze: bool,
    /// `FORMAT ..`.
    pub format: Format,
    /// The query.
    pub query: EmitQuery,
    /// Where that stands.
    pub query_at: At,
}

const STATEMENTS: [&str; 24] = [
    "CREATE",
    "SELECT",
    "WITH",
    "VALUES",
    "INSERT",
    "UPDATE",
    "DELETE",
    "DROP",
    "ALTER",
    "SHOW",
    "DESCRIBE",
    "SET",
    "FLUSH",
    "CHECKPOINT",
    "SUBSCRIBE",
    "DECLARE",
    "FETCH",
    "CLOSE",
    "EXPLAIN",
    "COPY",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "RESET",
];

/// Reads one statement.
pub(crate) fn read(place: Place<'_>, chunk: &Chunk) -> Result<Statement, SqlError> {
    let mut reader = Reader::new(place, chunk);
    let Some(first) = chunk.tokens.first() else {
        return Err(place.error("E0101", chunk.end, "expected a statement"));
    };
    let at = first.span.start;
    let keyword = word(first).unwrap_or_default();
    let statement = match keyword.as_str() {
        "CREATE" => reader.create()?,
        "SELECT" | "WITH" | "VALUES" => Statement::Query(reader.emit_query(Rows::Told)?),
        "" if first.token == Token::LParen => Statement::Query(reader.emit_query(Rows::Told)?),
        "INSERT" => Statement::Insert(reader.insert()?),
        "UPDATE" => reader.update()?,
        "DELETE" => reader.delete()?,
        "DROP" => Statement::Drop(reader.drop()?),
        "ALTER" => Statement::Rename(reader.rename()?),
        "SHOW" => Statement::Show(reader.show()?),
        "DESCRIBE" | "DESC" => Statement::Describe(reader.describe()?),
        "SET" => reader.set()?,
        "FLUSH" | "CHECKPOINT" => {
            reader.expect(&keyword)?;
            match keyword.as_str() {
                "FLUSH" => Statement::Flush,
                _ => Statement::Checkpoint,
            }
        }
        "SUBSCRIBE" => Statement::Subscribe(reader.subscribe()?),
        "DECLARE" => reader.declare()?,
        "FETCH" => reader.fetch()?,
        "CLOSE" => {
            reader.expect("CLOSE")?;
            Statement::Close(reader.ident()?)
        }
        "EXPLAIN" => Statement::Explain(reader.explain()?),
        "BEGIN" | "COMMIT" | "ROLLBACK" | "START" | "COPY" | "GRANT" | "REVOKE" | "TRUNCATE"
        | "MERGE" | "CALL" | "USE" | "VACUUM" | "ANALYZE" | "LOCK" | "PREPARE" | "EXECUTE"
        | "REPLACE" | "UPSERT" | "PIVOT" | "COMMENT" | "KILL" | "RESET" => {
            let hint = match keyword.as_str() {
                "BEGIN" | "COMMIT" | "ROLLBACK" | "START" => "every statement stands for itself",
                "COPY" => "read files with CREATE SOURCE, write them with CREATE SINK",
                "MERGE" | "REPLACE" | "UPSERT" => "INSERT into a table with a primary key replaces",
                "TRUNCATE" => "DELETE FROM t",
                "USE" => "there is one catalogue, without schemas",
                "RESET" => "SET name = DEFAULT",
                _ => "",
            };
            return Err(place.foreign(at, &keyword, hint));
        }
        _ => {
            let mut error = place.unexpected(first, chunk);
            error.message.push_str(", expected a statement");
            error.hint =
                nearest(&keyword, STATEMENTS.into_iter()).map(|n| format!("did you mean \"{n}\"?"));
            return Err(error);
        }
    };
    reader.finish()?;
    Ok(statement)
}
