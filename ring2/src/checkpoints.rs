//! Between the snapshots of Ring 0 and the files of Ring 1: what a checkpoint says of a program,
//! and a program that goes on from one. `trefoil run` and engines keep their state so.
//!
//! Invariants:
//! - state goes to the operators that it is of, or nowhere: a program that is planned in another
//!   way is told by its outline;
//! - what is read on is what was read: files are known by the bytes that were.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;

use trefoil_ring0::program::{Program, SourceKind};
use trefoil_ring0::snapshot::Place;
use trefoil_ring1::checkpoint::{self, FilePrint, SourcePrint, checksum};

/// What decides which state belongs where: stages, what they read, and their operators; between
/// them, where rows go. Of all that only a hash.
pub fn outline(program: &Program) -> String {
    let name = |text: String| {
        let end = text.find(|c: char| !c.is_alphanumeric());
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let mut text = String::new();
    for stage in &program.stages {
        let inputs: Vec<_> = stage.inputs().collect();
        let operators = stage.operators.iter().map(|o| name(format!("{o:?}")));
        let operators: Vec<_> = operators.collect();
        _ = writeln!(text, "{inputs:?} {operators:?} {:?}", stage.output);
    }
    for exchange in &program.exchanges {
        _ = writeln!(text, "{:?}", exchange.routing);
    }
    // Positions count chunks, which a format makes by itself.
    for (source, taken) in program.sources.iter().zip(program.taken()) {
        if let SourceKind::Columnar { format, .. } = &source.kind {
            _ = writeln!(text, "{format:?} {taken:?}");
        }
    }
    format!("{:016x}", checksum(text.as_bytes()))
}

/// The files that a program reads, as far as it does.
///
/// # Errors
/// Which of them cannot be read.
pub fn prints(
    program: &Program,
    sizes: &HashMap<PathBuf, u64>,
) -> Result<Vec<SourcePrint>, String> {
    let sources = program.sources.iter().map(|source| {
        let paths = match &source.kind {
            SourceKind::Files { paths, .. } | SourceKind::Columnar { paths, .. } => &paths[..],
            _ => &[],
        };
        let files = paths.iter().map(|path| {
            let size = sizes.get(path).copied().unwrap_or_default();
            let print = FilePrint::of(path, size);
            print.map_err(|error| format!("source {}: {}: {error}", source.name, path.display()))
        });
        Ok(SourcePrint {
            name: source.name.clone(),
            connector: match source.kind {
                SourceKind::Generator(_) => "generator".to_owned(),
                SourceKind::Channel => "channel".to_owned(),
                SourceKind::Connections { .. } => "sockets".to_owned(),
                _ => "file".to_owned(),
            },
            files: files.collect::<Result<_, String>>()?,
        })
    });
    sources.collect()
}

/// Has a program read the files that were read before, each of which has to be what it was. Gives
/// how far they are read: as far as then.
///
/// # Errors
/// Which of them is another one by now.
pub fn read_on(
    program: &mut Program,
    before: &[SourcePrint],
) -> Result<HashMap<PathBuf, u64>, String> {
    let mut sizes = HashMap::new();
    for (source, print) in program.sources.iter_mut().zip(before) {
        let (SourceKind::Files { paths, .. } | SourceKind::Columnar { paths, .. }) =
            &mut source.kind
        else {
            continue;
        };
        for file in &print.files {
            let checked = file.check(&file.path);
            checked.map_err(|why| format!("source {}: {why}", source.name))?;
            sizes.insert(file.path.clone(), file.read_upto);
        }
        *paths = print.files.iter().map(|file| file.path.clone()).collect();
    }
    Ok(sizes)
}

/// How many bytes of each file are read, as checkpoints say it.
pub fn read_upto(sources: &[SourcePrint]) -> HashMap<PathBuf, u64> {
    let files = sources.iter().flat_map(|source| &source.files);
    files
        .map(|file| (file.path.clone(), file.read_upto))
        .collect()
}

/// Kinds of places in part files.
const SOURCE: u16 = 1;
const EXCHANGE: u16 = 2;
const STAGE: u16 = 3;
const OPERATOR: u16 = 4;

/// A place of a part file as one of a program; `None` where it is of something else.
pub fn place_of(place: checkpoint::Place) -> Option<Place> {
    Some(match place.kind {
        SOURCE => Place::Source(place.number),
        EXCHANGE => Place::Exchange(place.number),
        STAGE => Place::Stage(place.number),
        OPERATOR => Place::Operator(place.number, place.level),
        _ => return None,
    })
}

/// A place of a program as one of a part file.
pub fn kept_place(place: Place) -> checkpoint::Place {
    let (kind, number, level) = match place {
        Place::Source(number) => (SOURCE, number, 0),
        Place::Exchange(number) => (EXCHANGE, number, 0),
        Place::Stage(number) => (STAGE, number, 0),
        Place::Operator(stage, operator) => (OPERATOR, stage, operator),
    };
    checkpoint::Place {
        kind,
        number,
        level,
    }
}
