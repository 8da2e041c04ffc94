//! Any text is read or refused, never a panic; what is read prints as a text that reads as the same
//! tree, and means the same: it is planned to the same program, or refused with the same code.

#![no_main]

use std::path::PathBuf;
use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;
use trefoil::syntax::{Statement, parse};
use trefoil::{Error, SourceFile, Step, plan_steps_at};

/// What the statements can name.
const SCHEMA: &str = include_str!("../../ring2/tests/wrong/schema.sql");

fn file(name: &str, text: String) -> SourceFile {
    let name = name.to_owned();
    // Nothing is there: what a plan asks of its files does not depend on the machine.
    let base = PathBuf::from("/nowhere");
    SourceFile { name, text, base }
}

fn print(statements: &[Statement]) -> String {
    let texts: Vec<_> = statements.iter().map(ToString::to_string).collect();
    texts.join(";\n")
}

/// What a text does: its programs and answers, or the code of its refusal. `None` where a limit of
/// the text's size decides.
fn outcome(text: String) -> Option<String> {
    let schema = file("schema.sql", SCHEMA.to_owned());
    // What a clock gives is a constant of the program: it is read once.
    let now = SystemTime::UNIX_EPOCH;
    match plan_steps_at(&[schema, file("fuzz.sql", text)], now) {
        Ok(steps) => {
            let told = steps.into_iter().map(|step| match step {
                Step::Query(q) => format!("{:?} {:?} {:?}", q.program, q.columns, q.sink),
                Step::Analyze(a) => format!("{:?} {:?}", a.query.program, a.query.columns),
                Step::Answer(answer) => format!("{:?} {:?}", answer.columns, answer.rows),
            });
            Some(told.collect())
        }
        Err(Error::Sql(error)) if error.code == "E0106" => None,
        Err(Error::Sql(error)) => Some(error.code.to_owned()),
        Err(error) => panic!("{error}"),
    }
}

fuzz_target!(|text: &str| {
    let Ok(first) = parse(&file("fuzz.sql", text.to_owned())) else {
        return;
    };
    let printed = print(&first);
    match parse(&file("fuzz.sql", printed.clone())) {
        Ok(second) => assert_eq!(second, first, "{printed}"),
        Err(error) => panic!("{printed}\n{error}"),
    }
    if let Some(typed) = outcome(text.to_owned())
        && let Some(canonical) = outcome(printed.clone())
    {
        assert_eq!(typed, canonical, "{printed}");
    }
});
