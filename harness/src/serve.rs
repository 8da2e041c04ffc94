//! `trefoil serve`: an engine that stays. What its SQL declares comes in through sockets that
//! listen and is kept in materialized views; over HTTP it says how it is ([`mod@page`]). It ends at
//! a signal.

mod page;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tiny_http::{Header, Request, Response, Server};
use trefoil::engine::{Builder, Drain, Outcome};
use trefoil::{Engine, SourceFile};
use trefoil_ring0::preflight::allowed_cores;

use self::page::{Page, page};
use crate::args::ServeArgs;
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
    files: Vec<SourceFile>,
    http: String,
}

impl Job {
    /// Reads the files.
    pub(crate) fn new(args: ServeArgs, settings: &mut Settings) -> Result<Self, Failure> {
        let later = [
            (
                args.listen.is_some(),
                "--listen: the SQL port is not there yet",
            ),
            (
                args.state.is_some(),
                "--state: views of a server are not kept on disk yet",
            ),
        ];
        if let Some((_, why)) = later.iter().find(|(is_asked, _)| *is_asked) {
            return Err(Failure::Usage((*why).to_owned()));
        }
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
        Ok(Self {
            builder: Builder::from(config),
            files,
            http: args.http,
        })
    }
}

/// Serves until a signal comes.
pub(crate) fn run(job: Job) -> Result<(), Failure> {
    let stop = Stop::by_signals()?;
    let open = |error| Failure::Open(format!("cannot listen on {}: {error}", job.http));
    let server = Server::http(&job.http).map_err(open)?;
    let engine = Arc::new(job.builder.open()?);
    for file in &job.files {
        declare(&engine, file)?;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready http={}", server.server_addr())?;
    out.flush()?;
    drop(out);
    while !stop.is_asked() {
        let failed = |error| Failure::Running(format!("HTTP: {error}"));
        if let Some(request) = server.recv_timeout(LOOK).map_err(failed)? {
            answer(&engine, request);
        }
    }
    drop(server);
    if let Some(engine) = Arc::into_inner(engine) {
        end(engine);
    }
    Ok(())
}

/// Runs the statements of a file.
fn declare(engine: &Engine, file: &SourceFile) -> Result<(), Failure> {
    for number in 0.. {
        match engine.statement(file, number)? {
            None => break,
            Some(Outcome::Done | Outcome::Rows(_)) => {}
            Some(Outcome::Results(_)) => {
                let name = &file.name;
                let why = format!(
                    "{name}: statement {} is a SELECT, whose rows nobody would read: CREATE \
                     MATERIALIZED VIEW .. AS it",
                    number + 1
                );
                return Err(Failure::Usage(why));
            }
        }
    }
    Ok(())
}

/// Answers one request. Who does not read the answer has none.
fn answer(engine: &Engine, request: Request) {
    let path = request.url().split('?').next().unwrap_or_default();
    let Page { status, kind, text } = page(engine, request.method(), path);
    let header = Header::from_bytes("Content-Type", kind).expect("a name and a value");
    let response = Response::from_string(text)
        .with_status_code(status)
        .with_header(header);
    _ = request.respond(response);
}

/// Ends all views where they are.
fn end(engine: Engine) {
    let left = engine.shutdown(Drain::Nothing, END);
    let failed = left.views.iter().filter_map(|view| {
        let why = view.failure.as_ref()?;
        Some(format!("view {} had failed: {why}", view.name))
    });
    failed.for_each(|text| say(&format_args!("note: {text}")));
}
