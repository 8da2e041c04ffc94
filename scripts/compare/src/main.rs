//! Trefoil beside other systems: the same queries over the same columns in memory, in turn within
//! each run, with as many workers, and every answer compared with what a plain array comes to.
//! Exit 1 where an answer is wrong or one of them fails, 2 on wrong usage.

mod args;
mod data;
mod engine;
mod peers;
mod report;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use trefoil_ring0::preflight::allowed_cores;

use self::args::{Args, USAGE};
use self::data::{Data, Query};
use self::peers::Peer;
use self::report::{Report, Run};

/// What is not among the peers, and why.
const LEFT_OUT: [&str; 2] = [
    "dbsp is not among those that are compared",
    "laminar-db is not among those that are compared: it brings a DataFusion of its own",
];

/// What was found besides figures, each of it once.
#[derive(Debug, Default)]
struct Findings {
    invalid: Vec<String>,
    notes: Vec<String>,
    /// Answers that were wrong.
    wrong: Vec<String>,
}

fn once(list: &mut Vec<String>, what: String) {
    if !list.contains(&what) {
        eprintln!("{what}");
        list.push(what);
    }
}

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(wrong) => {
            eprintln!("{wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match compare(args) {
        Ok(wrong) if wrong.is_empty() => ExitCode::SUCCESS,
        Ok(wrong) => {
            eprintln!("error: {}", wrong.join("\nerror: "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all of it, and gives the answers that were wrong.
fn compare(mut args: Args) -> Result<Vec<String>, String> {
    let mut findings = Findings::default();
    args.peers.retain(|peer| match peer.missing() {
        Some(why) => {
            once(
                &mut findings.notes,
                format!("{} is left out: {why}", peer.name()),
            );
            false
        }
        None => true,
    });
    if let Some(peer) = args.spoil.filter(|peer| !args.peers.contains(peer)) {
        return Err(format!("{} is given no data here", peer.name()));
    }
    for left_out in LEFT_OUT {
        once(&mut findings.notes, left_out.to_owned());
    }
    let cores = allowed_cores().len();
    if let Some(most) = args.workers.iter().filter(|&&n| n > cores).max() {
        once(
            &mut findings.invalid,
            format!("more workers ({most}) than cores ({cores})"),
        );
    }
    let mut runs = Vec::new();
    for number in 0..args.warmup + args.runs {
        if std::io::stderr().is_terminal() {
            eprintln!("run {} of {}", number + 1, args.warmup + args.runs);
        }
        let mut run = Run::default();
        for &query in &args.queries {
            measure(&args, query, &mut run, &mut findings)?;
        }
        if number >= args.warmup {
            runs.push(run);
        }
        // Each is the first one at times.
        args.peers.rotate_left(1);
    }
    let Findings {
        mut invalid,
        notes,
        wrong,
    } = findings;
    invalid.extend(wrong.iter().cloned());
    let report = Report::new(args.quick, runs, invalid, notes);
    match &args.json {
        None => print(&report.table())?,
        Some(path) if path == Path::new("-") => print(&report.json()?)?,
        Some(path) => {
            let failed = |error| format!("{}: {error}", path.display());
            std::fs::write(path, report.json()?).map_err(failed)?;
            print(&report.table())?;
        }
    }
    Ok(wrong)
}

fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .map_err(|error| error.to_string())
}

/// One query with each number of workers, by all in turn.
fn measure(
    args: &Args,
    query: Query,
    run: &mut Run,
    findings: &mut Findings,
) -> Result<(), String> {
    let data = Data::new(query, args.rows(query));
    let wanted = data.wanted();
    let spoiled = args.spoil.map(|peer| (peer, data.spoiled()));
    for &workers in &args.workers {
        let at = match workers {
            1 => query.name(),
            _ => format!("{},{workers}", query.name()),
        };
        let mut rates: Vec<(Peer, f64)> = Vec::new();
        for &peer in &args.peers {
            let given = match &spoiled {
                Some((spoiled, data)) if *spoiled == peer => data,
                _ => &data,
            };
            let answer = peer.run(given, workers)?;
            if let Some(said) = answer.said {
                once(&mut findings.notes, format!("{}: {said}", peer.name()));
            }
            if answer.digest != wanted {
                let (got, name) = (answer.digest, peer.name());
                let what = format!("{name} is wrong at {at}: {got:?} instead of {wanted:?}");
                once(&mut findings.wrong, what);
            }
            rates.push((peer, data.rows() as f64 / answer.seconds));
        }
        // In the order of their names' list, whoever was the first.
        rates.sort_by_key(|(peer, _)| Peer::ALL.iter().position(|p| p == peer));
        for (peer, rate) in &rates {
            run.add(format!("{}@{at}", peer.name()), *rate);
        }
        if let [(Peer::Engine, engine), others @ ..] = &rates[..] {
            for (peer, rate) in others {
                run.add(format!("engine/{}@{at}", peer.name()), engine / rate);
            }
        }
    }
    Ok(())
}
