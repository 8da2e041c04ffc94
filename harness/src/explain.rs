//! `trefoil explain`: the plan of every query, with the partition strategy and its reason. A file
//! is explained as a script; a folder file by file, each behind the files that are named before
//! it and the folder's own `schema.sql`, and a summary ends it. Explaining goes on behind a
//! refused query; the exit code is then 3.

mod json;
mod summary;

use std::io::Write;
use std::path::{Path, PathBuf};

use trefoil::{Error, Explanation, SourceFile, SqlError, explain_script};

use crate::args::{ExplainArgs, ExplainFormat};
use crate::failure::Failure;
use crate::run::read;
use summary::Summary;

/// What is to be explained: scripts, and whether a summary ends it.
#[derive(Debug)]
pub(crate) struct Job {
    scripts: Vec<Script>,
    format: ExplainFormat,
    folder: bool,
}

/// Files that are read as one; queries of the last one are explained.
#[derive(Debug)]
struct Script {
    files: Vec<SourceFile>,
    title: Option<String>,
}

/// An explained query, or why there is none.
pub(crate) type Explained = Result<Explanation, SqlError>;

impl Job {
    /// Reads the files.
    pub(crate) fn new(args: ExplainArgs) -> Result<Self, Failure> {
        let mut before: Vec<SourceFile> = Vec::new();
        let mut scripts = Vec::new();
        let mut folder = false;
        for path in &args.paths {
            if path.is_dir() {
                folder = true;
                scripts.extend(folder_scripts(path, &before)?);
            } else {
                before.push(read(path)?);
            }
        }
        for text in args.commands {
            before.push(SourceFile {
                name: "-c".to_owned(),
                text,
                base: PathBuf::from("."),
            });
        }
        if !folder {
            let (files, title) = (before, None);
            scripts.push(Script { files, title });
        }
        let format = args.format;
        Ok(Self {
            scripts,
            format,
            folder,
        })
    }
}

fn folder_scripts(folder: &Path, before: &[SourceFile]) -> Result<Vec<Script>, Failure> {
    let shown = folder.display();
    let wrong = |e: std::io::Error| Failure::Usage(format!("cannot read {shown}: {e}"));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|e| e == "sql") {
            paths.push(path);
        }
    }
    paths.sort();
    let is_schema = |p: &PathBuf| p.file_name().is_some_and(|n| n == "schema.sql");
    let mut first = before.to_vec();
    for path in paths.iter().filter(|p| is_schema(p)) {
        first.push(read(path)?);
    }
    let mut scripts = Vec::new();
    for path in paths.iter().filter(|p| !is_schema(p)) {
        let mut files = first.clone();
        files.push(read(path)?);
        let title = path.file_name().map(|n| n.to_string_lossy().into_owned());
        scripts.push(Script { files, title });
    }
    if scripts.is_empty() {
        return Err(Failure::Usage(format!("{shown} holds no query")));
    }
    Ok(scripts)
}

fn explained(script: &Script) -> Result<Vec<Explained>, Failure> {
    match explain_script(&script.files) {
        Ok(all) => Ok(all),
        Err(Error::Sql(error)) => Ok(vec![Err(*error)]),
        Err(error) => Err(error.into()),
    }
}

/// Explains, and prints it.
pub(crate) fn run(job: &Job) -> Result<(), Failure> {
    let mut summary = Summary::default();
    let mut all: Vec<(Option<String>, Explained)> = Vec::new();
    for script in &job.scripts {
        for one in explained(script)? {
            summary.add(&one);
            all.push((script.title.clone(), one));
        }
    }
    let text = match job.format {
        ExplainFormat::Text => text(&all, job.folder.then_some(&summary)),
        ExplainFormat::Json => json::render(&all, job.folder.then_some(&summary))?,
        ExplainFormat::Mermaid => drawing(&all, "flowchart LR\n", "", Explanation::mermaid),
        ExplainFormat::Dot => drawing(&all, "digraph plan {\n", "}\n", Explanation::dot),
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    let refused: Vec<String> = (all.iter())
        .filter_map(|(_, e)| e.as_ref().err().map(ToString::to_string))
        .collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(Failure::Sql(refused.join("\n\n"))),
    }
}

fn text(all: &[(Option<String>, Explained)], summary: Option<&Summary>) -> String {
    let mut out = String::new();
    for (number, (title, one)) in all.iter().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        if let Some(title) = title {
            out.push_str(&format!("-- {title}\n"));
        }
        match one {
            Ok(query) => {
                if title.is_none() {
                    out.push_str(&format!("{}\n\n", query.sql));
                }
                out.push_str(&query.text());
            }
            Err(error) => out.push_str(&format!(
                "refused     {}:{}:{}: error[{}]: {}\n",
                error.file, error.line, error.column, error.code, error.message
            )),
        }
    }
    if let Some(summary) = summary {
        out.push_str(&format!("\n{summary}"));
    }
    out
}

fn drawing(
    all: &[(Option<String>, Explained)],
    head: &str,
    tail: &str,
    draw: fn(&Explanation, &str) -> String,
) -> String {
    let mut out = head.to_owned();
    let queries = all.iter().filter_map(|(_, e)| e.as_ref().ok());
    for (number, query) in queries.enumerate() {
        out.push_str(&draw(query, &format!("q{}", number + 1)));
    }
    out + tail
}
