//! `trefoil config`: the settings of a run that would be typed with the same flags, each with its
//! value and where that is from.

use trefoil::Answer;

use crate::args::SettingArgs;
use crate::failure::Failure;
use crate::output;
use crate::print::{format_for, print_answer};
use crate::say::say;
use crate::settings::Settings;

/// Prints them on standard output, in the format that results would have.
pub(crate) fn run(args: SettingArgs, mut settings: Settings) -> Result<(), Failure> {
    let format = args.resolve(&mut settings)?.format;
    for name in settings.unknown() {
        say(&format_args!("note: {name} is no setting"));
    }
    let mut shown = settings.shown;
    shown.sort_by(|a, b| a.name.cmp(&b.name));
    let rows = shown.into_iter();
    let rows = rows.map(|row| vec![Some(row.name), row.value, Some(row.origin)]);
    let answer = Answer {
        sql: String::new(),
        columns: Answer::texts(&["name", "value", "origin"]),
        rows: rows.collect(),
    };
    let mut target = output::open(None)?;
    print_answer(&answer, format_for(&target, format)?, &mut target)
}
