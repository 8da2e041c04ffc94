//! Rows that are late go where their source is read, if it wants to know which they are: because
//! they go to a sink, or because splits that come at their own time share a watermark. One shard
//! reads such a source, in its order, so that a row's watermark is known there. Behind what WHERE
//! drops and before the exchange, a row counts where it would have counted behind it.

use std::sync::Arc;

use trefoil_ring0::id::{OutputId, SourceId};
use trefoil_ring0::program::{
    EventTime, LateRule, OperatorSpec, OutputSpec, Reading, SourceKind, SourceSpec, StageInput,
};
use trefoil_ring0::schema::Schema;

use super::{Lowering, Refusal};
use crate::catalog::SourceDef;

impl Lowering<'_> {
    /// Has rows go that are late by this rule, where they are read. Returns whether all are: of
    /// what is left none is late.
    pub(super) fn drop_at_source(&mut self, rule: LateRule) -> bool {
        let mut all = true;
        for number in 0..self.branches.len() {
            let source = self.branches[number].source();
            match source.is_some_and(|source| self.wants_late(source)) {
                true => {
                    let operators = &mut self.branches[number].operators;
                    operators.push(OperatorSpec::DropLate(rule));
                }
                false => all = false,
            }
        }
        all
    }

    fn wants_late(&self, source: usize) -> bool {
        let spec = &self.program.sources[source];
        let is_joint = matches!(
            spec.kind,
            SourceKind::Channel | SourceKind::Connections { .. }
        );
        let is_told = self.declared(source).is_some_and(|s| s.late_sink.is_some());
        is_joint || (is_told || spec.policy.is_some()) && spec.reading == Reading::InOrder
    }

    /// Whether a source of the query is not to be too far ahead of others.
    fn drifts(&self) -> bool {
        let mut tables = self.query.tables.iter();
        tables.any(|table| table.patience.max_drift_ns.is_some())
    }

    /// Whether a source may have to say how far it is, for it or others not to be too far ahead.
    pub(super) fn is_compared(&self, source: &SourceDef) -> bool {
        source.lag_ns.is_some() && self.drifts()
    }

    /// Has sources say how far they are that are to be compared, where no window asks them: where
    /// one is not to be too far ahead of others, or has splits that are not.
    fn compare_drift(&mut self) -> Result<(), Refusal> {
        if !self.drifts() {
            return Ok(());
        }
        let has_watermark = |s: &usize| self.declared(*s).is_some_and(|d| d.lag_ns.is_some());
        let timed: Vec<usize> = (0..self.program.sources.len())
            .filter(has_watermark)
            .collect();
        for &source in &timed {
            let declared = self.declared(source).expect("it has a watermark");
            let (lag_ns, drifts) = (declared.lag_ns, declared.patience.max_drift_ns.is_some());
            let spec = &self.program.sources[source];
            let splits = matches!(
                spec.kind,
                SourceKind::Channel | SourceKind::Connections { .. }
            );
            if spec.event_time.is_some() || timed.len() == 1 && !(drifts && splits) {
                continue;
            }
            if spec.processing.is_some() {
                let name = &spec.name;
                let message = format!(
                    "max_drift, by the event time of {name}, beside a window on processing time \
                     is not supported yet"
                );
                return Err(("E0301", message));
            }
            let column = self.times[source].expect("it is read where sources are compared");
            let spec = &mut self.program.sources[source];
            spec.event_time = Some(EventTime {
                column,
                lag_ns,
                bound: None,
            });
            (spec.is_only_compared, spec.reading) = (true, Reading::InOrder);
        }
        Ok(())
    }

    /// Has sources read by one shard whose watermarks are to be compared: where several meet, and
    /// one of them may be idle, or too far ahead.
    pub(super) fn compare_watermarks(&mut self) -> Result<(), Refusal> {
        self.compare_drift()?;
        let timed = |s: &&mut SourceSpec| s.event_time.is_some_and(|time| time.lag_ns.is_some());
        let sources = &mut self.program.sources;
        let is_judged = sources.iter_mut().filter(timed).any(|s| s.policy.is_some());
        if is_judged && sources.iter_mut().filter(timed).count() > 1 {
            let sources = sources.iter_mut().filter(timed);
            sources.for_each(|source| source.reading = Reading::InOrder);
        }
        Ok(())
    }

    /// Gives sources an output for their late rows, whose late rows go to a sink, as far as any of
    /// them can be late.
    pub(super) fn tell_late(&mut self) {
        for number in 0..self.program.sources.len() {
            let Some(declared) = self.declared(number) else {
                continue;
            };
            let columns = declared.columns.len();
            let input = StageInput::Source(SourceId(number as u32));
            let mut stages = self.program.stages.iter().filter(|s| s.input == input);
            let drops = |o: &OperatorSpec| matches!(o, OperatorSpec::DropLate(_));
            if declared.late_sink.is_none() || !stages.any(|s| s.operators.iter().any(drops)) {
                continue;
            }
            let program = &mut self.program;
            let output = u32::try_from(program.outputs.len()).expect("few outputs");
            let source = &mut program.sources[number];
            source.late = Some(OutputId(output));
            let fields = source.schema.fields[..columns].to_vec();
            let schema = Arc::new(Schema::new(fields));
            program.outputs.push(OutputSpec::free(schema));
        }
    }
}
