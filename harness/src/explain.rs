//! `trefoil explain`: the plan of every query, with the partition strategy and its reason. A file
//! is explained as a script; a folder file by file, each behind the files that are named before
//! it and the folder's own `schema.sql`, and a summary ends it. Explaining goes on behind a
//! refused query; the exit code is then 3.

use std::io::Write;
use std::path::{Path, PathBuf};

use trefoil::explain::{Explained, Format, Summary, render};
use trefoil::{Error, SourceFile, explain_script};

use crate::args::{ExplainArgs, ExplainFormat};
use crate::failure::Failure;
use crate::run::read;

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
    let format = match job.format {
        ExplainFormat::Text => Format::Text,
        ExplainFormat::Json => Format::Json,
        ExplainFormat::Mermaid => Format::Mermaid,
        ExplainFormat::Dot => Format::Dot,
    };
    let text = render(&all, format, job.folder.then_some(&summary));
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
