//! Windows on processing time: over the system column that says when a row was read. One shard
//! reads their sources, and its clock is the watermark.

use trefoil_ring0::program::{ProcessingTime, Reading};

use super::windows::KeyWindow;
use super::{Lowering, Refusal};

impl Lowering<'_> {
    /// Whether a window is on processing time. Then its sources tell the time. Rows carry no
    /// watermark of their own, by which panes would close: they are put into each window.
    pub(super) fn on_processing_time(&mut self, key: Option<&KeyWindow>) -> Result<bool, Refusal> {
        let Some(key) = key else {
            return Ok(false);
        };
        let mut clocks = Vec::new();
        for (number, branch) in self.branches.iter().enumerate() {
            let origin = key.column.and_then(|c| *branch.origins.get(c)?);
            if let (Some(source), Some(origin)) = (branch.source(), origin)
                && let Some(declared) = self.declared(source)
                // It stands behind the declared ones, before what else the source knows.
                && branch.read[origin] == declared.columns.len()
            {
                clocks.push((number, source, origin));
            }
        }
        if clocks.is_empty() {
            return Ok(false);
        }
        let timed = |(_, source, _): &(usize, usize, usize)| {
            self.program.sources[*source].event_time.is_some()
        };
        if clocks.len() < self.branches.len() || clocks.iter().any(timed) {
            let message = "a window on processing time beside event time is not supported yet";
            return Err(("E0301", message.to_owned()));
        }
        for (number, source, column) in clocks {
            let spec = &mut self.program.sources[source];
            let before = spec.processing.map_or(i64::MAX, |clock| clock.every_ns);
            spec.processing = Some(ProcessingTime {
                column,
                every_ns: before.min(key.shortest_ns()),
            });
            spec.reading = Reading::InOrder;
            self.branches[number].single = true;
        }
        Ok(true)
    }
}
