//! What a run writes is nothing that it reads, or writes otherwise, or would read the next time.
//! Checked before anything is opened, so that no file is lost.

use std::path::{Path, PathBuf};

use trefoil::output::{FileLocation, Location};
use trefoil::{PlannedQuery, SinkConnector, Step, would_read};
use trefoil_ring0::program::{BadData, SourceKind};

use crate::args::RunSettings;
use crate::failure::Failure;

/// A file that the run writes.
struct Output<'a> {
    /// Who does, as a user names it.
    name: String,
    by: By,
    path: &'a Path,
    location: FileLocation,
    /// It is a folder of files, which may not be there yet.
    has_parts: bool,
}

/// A file of what is committed with checkpoints.
const PART: &str = "part-00000001-0.json";

/// Who says that a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Flag,
    Script,
}

/// Checks all files of a run against each other.
pub(crate) fn check(
    settings: &RunSettings,
    scripts: &[PathBuf],
    steps: &[Step],
) -> Result<(), Failure> {
    let queries = || {
        steps.iter().filter_map(|step| match step {
            Step::Query(query) => Some(&**query),
            Step::Analyze(analyze) => Some(&analyze.query),
            Step::Answer(_) => None,
        })
    };
    check_stdin(scripts, queries())?;
    let outputs = outputs(settings, queries());
    for (number, output) in outputs.iter().enumerate() {
        let is_same = |other: &&Output<'_>| other.location.is_same(&output.location);
        if let Some(other) = outputs[..number].iter().find(is_same) {
            let (a, b, path) = (&other.name, &output.name, output.path.display());
            let by = match other.by {
                By::Flag => By::Flag,
                By::Script => output.by,
            };
            let why = format!("{a} and {b} name the same file, {path}");
            return Err(refuse(by, &why, "give each a file of its own"));
        }
    }
    if outputs.is_empty() {
        return Ok(());
    }
    for path in scripts.iter().filter(|path| *path != Path::new("-")) {
        check_input(&outputs, path, "the script is read from")?;
    }
    for query in queries() {
        for path in &query.paths {
            check_next_run(&outputs, path)?;
        }
        for source in &query.program.sources {
            let reader = format!("source {} reads", source.name);
            for path in source.kind.paths() {
                check_input(&outputs, path, &reader)?;
            }
        }
    }
    Ok(())
}

/// Refuses what would read standard input a second time: it is gone by then.
fn check_stdin<'a>(
    scripts: &[PathBuf],
    queries: impl Iterator<Item = &'a PlannedQuery>,
) -> Result<(), Failure> {
    let of_script = scripts.iter().any(|path| path == Path::new("-"));
    let mut reader = of_script.then(|| "the script".to_owned());
    for source in queries.flat_map(|query| &query.program.sources) {
        let SourceKind::Stream { feed, .. } = &source.kind else {
            continue;
        };
        if feed.name() != Path::new("<stdin>") {
            continue;
        }
        if let Some(first) = &reader {
            let why = format!("{first} and source {} read standard input", source.name);
            let hint = "one query reads it, and the script comes from a file or -c";
            return Err(refuse(By::Flag, &why, hint));
        }
        reader = Some(format!("another query with source {}", source.name));
    }
    Ok(())
}

/// All that is written. What cannot be looked up cannot be opened, which says why.
fn outputs<'a>(
    settings: &'a RunSettings,
    queries: impl Iterator<Item = &'a PlannedQuery>,
) -> Vec<Output<'a>> {
    let mut outputs: Vec<Output<'_>> = Vec::new();
    let has_state = settings.state.is_some();
    let mut add = |name: String, by, path: &'a Path, has_parts: bool| {
        let location = match Location::of(path) {
            // That of a run before.
            Ok(Location::Direct) if has_parts && path.is_dir() => Location::of(&path.join(PART)),
            location => location,
        };
        if let Ok(Location::File(location)) = location {
            outputs.push(Output {
                name,
                by,
                path,
                location,
                has_parts,
            });
        }
    };
    if let Some(path) = &settings.output {
        add("--output".to_owned(), By::Flag, path, has_state);
    }
    if let Some(path) = &settings.stats {
        add("--stats".to_owned(), By::Flag, path, false);
    }
    let (mut sinks, mut letters) = (Vec::new(), Vec::new());
    for query in queries {
        let late = query.late.iter().map(|late| &late.sink);
        for sink in query.sink.iter().chain(late) {
            if let SinkConnector::File { path, .. } = &sink.connector
                && !sinks.contains(&sink)
            {
                sinks.push(sink);
                add(format!("sink {}", sink.name), By::Script, path, has_state);
            }
        }
        if let Some(path) = &query.dead_letters
            && !letters.contains(&path)
        {
            letters.push(path);
            let mut sources = query.program.sources.iter();
            let source = sources.find(|s| matches!(s.bad_data, BadData::DeadLetters(_)));
            let source = source.map_or("", |s| &s.name);
            let name = format!("dlq_path of source {source}");
            add(name, By::Script, path, has_state);
        }
    }
    outputs
}

fn check_input(outputs: &[Output<'_>], path: &Path, reader: &str) -> Result<(), Failure> {
    let Ok(Location::File(input)) = Location::of(path) else {
        return Ok(());
    };
    match outputs.iter().find(|o| o.location.is_same(&input)) {
        Some(output) => {
            let (name, path) = (&output.name, output.path.display());
            let why = format!("{name} would replace {path}, which {reader}");
            Err(refuse(output.by, &why, "write into another file"))
        }
        None => Ok(()),
    }
}

fn check_next_run(outputs: &[Output<'_>], path: &Path) -> Result<(), Failure> {
    let is_read = |output: &&Output<'_>| {
        let part = |name: &Path| output.has_parts && would_read(path, &name.join(PART));
        let mut names = output.location.names();
        names.any(|name| would_read(path, name) || part(name))
    };
    match outputs.iter().find(is_read) {
        Some(output) => {
            let (name, file) = (&output.name, output.path.display());
            let path = path.display();
            let why = format!("{name} is {file}, which a source reads with path '{path}'");
            let hint = "write elsewhere, or begin the file's name with a dot: sources leave such \
                        names out";
            Err(refuse(output.by, &why, hint))
        }
        None => Ok(()),
    }
}

fn refuse(by: By, why: &str, hint: &str) -> Failure {
    let text = format!("{why}\nhint: {hint}");
    match by {
        By::Flag => Failure::Usage(text),
        By::Script => Failure::Open(text),
    }
}
