//! Which columns sessions give.

use crate::changelog::is_weighted;
use crate::error::{Result, refuse};
use crate::program::{Phase, SessionSpec};

/// Where the keys of sessions are among the columns that these give: their bounds may stand before
/// them and in between.
pub(crate) fn key_columns(spec: &SessionSpec) -> Vec<usize> {
    let bounds: Vec<usize> = spec.start.into_iter().chain(spec.end).collect();
    let all = 0..spec.aggregate.keys.len() + bounds.len();
    all.filter(|at| !bounds.contains(at)).collect()
}

/// Refuses an output whose columns could not take what is emitted; gives those of the keys.
pub(super) fn check_output(spec: &SessionSpec) -> Result<Vec<usize>> {
    let aggregate = &spec.aggregate;
    let output = &aggregate.output.fields;
    let bounds: Vec<usize> = spec.start.into_iter().chain(spec.end).collect();
    let keys = aggregate.keys.len() + bounds.len();
    let changes = match aggregate.phase {
        Phase::Complete => 0,
        Phase::Changes if is_weighted(&aggregate.output) => 1,
        Phase::Changes | Phase::Partial | Phase::Final => {
            return refuse(format!("sessions in phase {:?}", aggregate.phase));
        }
    };
    if output.len() != keys + aggregate.calls.len() + changes {
        return refuse("sessions that give other columns".to_owned());
    }
    let keys_to = key_columns(spec);
    let froms = bounds
        .iter()
        .map(|_| spec.time)
        .chain(aggregate.keys.iter().copied());
    let tos = bounds.iter().chain(&keys_to);
    for (&to, from) in tos.zip(froms) {
        let same = to < keys && output[to].data_type == aggregate.input.fields[from].data_type;
        if keys_to.len() != aggregate.keys.len() || !same {
            return refuse(format!("column {to} of sessions is of another type"));
        }
    }
    Ok(keys_to)
}
