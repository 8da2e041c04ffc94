//! `trefoil serve`: an engine that stays. What its SQL declares comes in through sockets that
//! listen and is kept in materialized views; over HTTP it says how it is ([`mod@page`]). It ends at
//! a signal.

mod asked;
mod page;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tiny_http::{Header, Request, Response, Server};
use trefoil::engine::{Builder, Drain, Gives};
use trefoil::{Engine, SourceFile};
use trefoil_ring0::preflight::allowed_cores;

use self::asked::Asked;
use self::page::{Page, page};
use crate::args::{ServeArgs, StateSettings};
use crate::failure::Failure;
use crate::run::read;
use crate::say::say;
use crate::settings::Settings;
use crate::stop::Stop;

/// Time between two looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);
/// How long views may take to end.
const END: Duration = Duration::from_secs(10);

/// A server that is ready.
#[derive(Debug)]
pub(crate) struct Job {
    builder: Builder,
    /// Whether views are kept on disk.
    keeps: bool,
    files: Vec<SourceFile>,
    http: String,
}

impl Job {
    /// Reads the files.
    pub(crate) fn new(args: ServeArgs, settings: &mut Settings) -> Result<Self, Failure> {
        if args.listen.is_some() {
            let why = "--listen: the SQL port is not there yet";
            return Err(Failure::Usage(why.to_owned()));
        }
        check_address(&args.http)?;
        let mut files = Vec::new();
        for path in &args.files {
            files.push(read(path)?);
        }
        files.extend(args.commands.into_iter().map(|text| SourceFile {
            name: "-c".to_owned(),
            text,
            base: PathBuf::from("."),
        }));
        let cores_default = allowed_cores().len().saturating_sub(1).max(1);
        let config = args.engine.resolve(settings, cores_default)?;
        let state = StateSettings::resolve((args.state, args.checkpoint_every), settings)?;
        let keeps = state.is_some();
        let mut builder = Builder::from(config);
        if let Some(state) = state {
            builder = builder.state_dir(state.dir).checkpoint_every(state.every);
        }
        Ok(Self {
            builder,
            keeps,
            files,
            http: args.http,
        })
    }
}

/// Refuses what is no address.
fn check_address(http: &str) -> Result<(), Failure> {
    let port = http.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        true => Ok(()),
        false => Err(Failure::Usage(format!(
            "--http {http} is no address: HOST:PORT is, as in 127.0.0.1:8433"
        ))),
    }
}

/// Serves until a signal comes, or until no view is left that is well.
pub(crate) fn run(job: Job) -> Result<(), Failure> {
    let stop = Stop::by_signals()?;
    if job.keeps {
        stop.takes_checkpoints()?;
    }
    let engine = Arc::new(job.builder.open()?);
    // All that is wrong with the text is said before anybody can connect.
    check(&engine, &job.files)?;
    let open = |error| Failure::Open(format!("cannot listen on {}: {error}", job.http));
    let server = Server::http(&job.http).map_err(open)?;
    for file in &job.files {
        declare(&engine, file)?;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready http={}", server.server_addr())?;
    out.flush()?;
    drop(out);
    let mut failed = BTreeSet::new();
    let mut asked = Asked::default();
    while !stop.is_asked() {
        let unanswered = |error| Failure::Running(format!("HTTP: {error}"));
        if let Some(request) = server.recv_timeout(LOOK).map_err(unanswered)? {
            answer(&engine, job.keeps, request);
        }
        asked.turn(&engine, &stop)?;
        if say_failures(&engine, &mut failed) == Left::Nothing {
            break;
        }
    }
    drop(server);
    asked.end();
    let kept = match job.keeps {
        true => keep(&engine),
        false => Ok(()),
    };
    say_failures(&engine, &mut failed);
    let mut lost = 0;
    if let Some(engine) = Arc::into_inner(engine) {
        for sink in engine.shutdown(Drain::Nothing, END).sinks {
            let why = sink
                .failure
                .as_deref()
                .unwrap_or("it did not come to its end");
            say(&format_args!(
                "error: sink {} has no file: {why}",
                sink.name
            ));
            lost += 1;
        }
    }
    kept?;
    match (failed.len(), lost) {
        (0, 0) => Ok(()),
        (count, 0) => Err(Failure::Running(format!("{count} of the views failed"))),
        (count, lost) => Err(Failure::Running(format!(
            "{count} of the views and sinks failed, {lost} sinks have no file"
        ))),
    }
}

/// Takes the last checkpoint, of all views that are well.
fn keep(engine: &Engine) -> Result<(), Failure> {
    match engine.checkpoint() {
        Err(error) if error.code() == "E0615" => {
            Err(Failure::Checkpoint(format!("the last {error}")))
        }
        // What a view has failed with is told with the other failures.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What there is to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// There are views that are well, or there are none at all.
    Something,
    /// All views have failed.
    Nothing,
}

/// Says which views have failed that had not before.
fn say_failures(engine: &Engine, failed: &mut BTreeSet<String>) -> Left {
    let now = engine.failures();
    let views = engine.metrics().views;
    for (name, why) in now {
        if failed.insert(name.clone()) {
            let kind = match views.iter().any(|view| view.name == name) {
                true => "view",
                false => "sink",
            };
            say(&format_args!("error: {kind} {name} failed: {why}"));
        }
    }
    let is_all = !views.is_empty() && views.iter().all(|view| failed.contains(&view.name));
    match is_all {
        true => Left::Nothing,
        false => Left::Something,
    }
}

/// Refuses what cannot be served: what is wrong, and what gives rows that nobody would read.
fn check(engine: &Engine, files: &[SourceFile]) -> Result<(), Failure> {
    let given = engine.check(files)?;
    for (file, given) in files.iter().zip(given) {
        if let Some(number) = given.iter().position(|gives| *gives == Gives::Rows) {
            let name = &file.name;
            let why = format!(
                "{name}: statement {} is a SELECT, whose rows nobody would read: CREATE \
                 MATERIALIZED VIEW .. AS it",
                number + 1
            );
            return Err(Failure::Usage(why));
        }
    }
    Ok(())
}

/// Runs the statements of a file, which were checked.
fn declare(engine: &Engine, file: &SourceFile) -> Result<(), Failure> {
    for number in 0.. {
        if engine.statement(file, number)?.is_none() {
            break;
        }
    }
    Ok(())
}

/// Answers one request. Who does not read the answer has none.
fn answer(engine: &Engine, keeps: bool, request: Request) {
    let path = request.url().split('?').next().unwrap_or_default();
    let Page { status, kind, text } = page((engine, keeps), request.method(), path);
    let header = Header::from_bytes("Content-Type", kind).expect("a name and a value");
    let response = Response::from_string(text)
        .with_status_code(status)
        .with_header(header);
    _ = request.respond(response);
}
