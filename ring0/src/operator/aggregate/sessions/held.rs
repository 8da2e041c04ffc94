//! What has no cells that two sessions could add up: calls that Ring 0 does not have itself, and
//! those with DISTINCT. Each session holds the rows that they need, in the order in which they
//! came; results are computed anew when they are asked for, or gone on with where that is with each
//! row.

mod live;

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, LargeBinaryArray, LargeListArray, cast::AsArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field as ArrowField};

use self::live::{Live, is_before};
use crate::column::Column;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::operator::aggregate::cells::Plan;
use crate::operator::aggregate::generic::GenericCall;
use crate::operator::aggregate::saved::other;
use crate::operator::aggregate::{emit, update};
use crate::order::{SortKey, put_key, put_row, take};
use crate::program::{AggregateCall, AggregateFunction, AggregateSpec, Phase, SessionSpec};
use crate::schema::{Field, Schema};
use crate::table::store::PageStore;
use crate::table::var::VarHeap;
use crate::tally::Packed;

/// Bytes of a row's number, before its columns.
const NUMBER: usize = 8;

/// A row: its number, then its values.
type Row = Packed;

fn values(row: &[u8]) -> &[u8] {
    &row[NUMBER..]
}

/// Where the result of a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// From cells: the output of this number.
    Cells(usize),
    /// From rows: the held call of this number.
    Held(usize),
}

/// What computes a held call.
#[derive(Debug)]
enum Function {
    Generic(Arc<GenericCall>),
    /// A native one over a column of its own.
    Native {
        plan: Box<Plan>,
        schema: Schema,
    },
}

/// A call over rows that are held; columns are those of the rows.
#[derive(Debug)]
struct Call {
    function: Function,
    args: Vec<usize>,
    filter: Option<usize>,
    /// By which columns a row counts only where it is the first, with DISTINCT.
    first_by: Option<Vec<SortKey>>,
}

/// The rows of all sessions.
#[derive(Debug)]
pub(super) struct Held {
    /// Which columns of the input are held.
    columns: Vec<usize>,
    schema: Schema,
    calls: Vec<Call>,
    /// By the session's slot: rows in their order, each behind its number.
    rows: Vec<Vec<Row>>,
    /// By the session's slot, by call what was computed of these; nothing where results are asked
    /// for once.
    live: Vec<Vec<Live>>,
    phase: Phase,
    /// The number of the next row.
    next: u64,
}

/// The calls that have cells, and where all results are made.
pub(super) fn divided(spec: &SessionSpec) -> Result<(AggregateSpec, Vec<Made>, Held)> {
    let aggregate = &spec.aggregate;
    let mut held = Held {
        columns: Vec::new(),
        schema: Schema::default(),
        calls: Vec::new(),
        rows: Vec::new(),
        live: Vec::new(),
        phase: aggregate.phase,
        next: 0,
    };
    let (mut calls, mut results, mut made) = (Vec::new(), Vec::new(), Vec::new());
    for (i, (call, result)) in aggregate.calls.iter().zip(aggregate.results()).enumerate() {
        let first_by = spec.first_by.get(i).cloned().flatten();
        let generic = matches!(call.function, AggregateFunction::Generic(_));
        if generic || first_by.is_some() {
            made.push(Made::Held(held.calls.len()));
            held.add(aggregate, call, result, first_by)?;
        } else {
            made.push(Made::Cells(calls.len()));
            calls.push(call.clone());
            results.push(result.clone());
        }
    }
    // A session stands in its list, so that under EMIT CHANGES, too, nothing counts its rows.
    let cells = AggregateSpec {
        calls,
        phase: Phase::Complete,
        output: Arc::new(Schema::new(results)),
        ..aggregate.clone()
    };
    Ok((cells, made, held))
}

impl Call {
    /// Whether a row counts that FILTER is asked about.
    fn passes(&self, frame: &Frame, row: usize) -> bool {
        self.filter.is_none_or(|f| match &frame.columns[f] {
            Column::Bool(c) => c.get(row) == Some(true),
            other => unreachable!("a filter of {:?}", other.physical()),
        })
    }
}

impl Held {
    /// Whether no call needs rows.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Where a column of the input is among those held.
    fn column(&mut self, input: &Schema, column: usize) -> usize {
        let found = self.columns.iter().position(|&c| c == column);
        found.unwrap_or_else(|| {
            self.columns.push(column);
            self.schema.fields.push(input.fields[column].clone());
            self.columns.len() - 1
        })
    }

    fn add(
        &mut self,
        spec: &AggregateSpec,
        call: &AggregateCall,
        result: &Field,
        first_by: Option<Vec<usize>>,
    ) -> Result<()> {
        let input = &spec.input;
        let (args, filter) = match &call.function {
            AggregateFunction::Generic(generic) => (generic.args.clone(), generic.filter),
            _ => (call.argument.into_iter().collect(), None),
        };
        let function = match &call.function {
            AggregateFunction::Generic(generic) => Function::Generic(Arc::clone(generic)),
            function => {
                let fields = args.iter().map(|&a| input.fields[a].clone()).collect();
                let schema = Schema::new(fields);
                let alone = AggregateSpec {
                    input: Arc::new(schema.clone()),
                    keys: Vec::new(),
                    calls: vec![AggregateCall {
                        function: function.clone(),
                        argument: call.argument.map(|_| 0),
                    }],
                    phase: Phase::Complete,
                    window: None,
                    output: Arc::new(Schema::new(vec![result.clone()])),
                };
                let plan = Box::new(Plan::new(&alone, 0)?);
                Function::Native { plan, schema }
            }
        };
        let args = args.into_iter().map(|a| self.column(input, a)).collect();
        let filter = filter.map(|f| self.column(input, f));
        let first_by = first_by.map(|columns| {
            let columns = columns.into_iter().map(|c| self.column(input, c));
            columns.map(SortKey::ascending).collect()
        });
        self.calls.push(Call {
            function,
            args,
            filter,
            first_by,
        });
        Ok(())
    }

    fn of(&mut self, group: u32) -> &mut Vec<Row> {
        let group = group as usize;
        if self.rows.len() <= group {
            self.rows.resize_with(group + 1, Vec::new);
        }
        &mut self.rows[group]
    }

    /// Holds rows of `frame` from `start` on, each for the session of its group.
    pub(super) fn take(&mut self, frame: &Frame, start: usize, groups: &[u32]) {
        if self.is_empty() {
            return;
        }
        for (row, &group) in (start..).zip(groups) {
            let mut bytes = self.next.to_be_bytes().to_vec();
            let columns = self.columns.iter().map(|&c| &frame.columns[c]);
            put_row(&mut bytes, columns, row);
            self.next += 1;
            self.of(group).push(bytes.into());
        }
    }

    /// Gives the rows of one session to another.
    pub(super) fn merge(&mut self, stays: u32, gone: u32) {
        if !self.is_empty() {
            let behind = std::mem::take(self.of(gone));
            self.begin_anew(gone);
            let mut rows = std::mem::take(self.of(stays));
            if !is_before(&rows, &behind) {
                self.begin_anew(stays);
            }
            rows.extend(behind);
            // They begin with their numbers.
            rows.sort_unstable();
            *self.of(stays) = rows;
        }
    }

    /// Forgets the rows of a session.
    pub(super) fn forget(&mut self, group: u32) {
        if !self.is_empty() {
            *self.of(group) = Vec::new();
            self.begin_anew(group);
        }
    }

    /// Appends the results of a call for these sessions.
    pub(super) fn push(
        &mut self,
        call: usize,
        groups: &[u32],
        (heap, store): (&mut VarHeap, &mut PageStore),
        to: &mut Column,
    ) -> Result<()> {
        groups.iter().for_each(|&group| _ = self.of(group));
        if self.phase == Phase::Changes && self.calls[call].goes_on() {
            for &group in groups {
                self.push_live(call, group, (&mut *heap, &mut *store), to)?;
            }
            return Ok(());
        }
        let call = &self.calls[call];
        let (rows, sessions) = self.counted(call, groups);
        match &call.function {
            Function::Generic(generic) => {
                let args = call.args.iter().map(|&arg| {
                    let mut taken = rows.columns[arg].empty_like();
                    taken.append_all(&rows.columns[arg]);
                    taken.into_array(&self.schema.fields[arg].data_type)
                });
                let args: Vec<ArrayRef> = args.collect();
                let evaluate = || {
                    let mut states = generic.kernel.states(Phase::Complete)?;
                    states.update(&args, &sessions, groups.len())?;
                    states.results(groups.len())
                };
                let results = evaluate().map_err(|message| Error::Row { message })?;
                assert_eq!(results.len(), groups.len(), "a result for each session");
                to.append_array(&results, 0..groups.len());
            }
            Function::Native { plan, schema } => {
                let mut frame = Frame::new(schema, rows.rows().max(1));
                for (column, &arg) in frame.columns.iter_mut().zip(&call.args) {
                    column.append_all(&rows.columns[arg]);
                }
                frame.commit_rows(rows.rows());
                let size = plan.initial.len();
                let mut words = plan.initial.repeat(groups.len());
                let first = words.as_mut_ptr();
                let slots = sessions.iter().map(|s| first.wrapping_add(s * size));
                let slots: Vec<*mut u64> = slots.collect();
                for cell in &plan.cells {
                    update::apply(cell, Phase::Complete, heap, store, &frame, 0, &slots)?;
                }
                let slots = (0..groups.len()).map(|s| first.wrapping_add(s * size));
                let slots: Vec<*mut u64> = slots.collect();
                emit::push_results(&plan.outputs[0], store, &slots, to)?;
                let cells = plan.cells.iter();
                cells.for_each(|cell| slots.iter().for_each(|&slot| cell.free(heap, store, slot)));
            }
        }
        Ok(())
    }

    /// The rows of these sessions that a call counts, and of which of them each is.
    fn counted(&self, call: &Call, groups: &[u32]) -> (Frame, Vec<usize>) {
        let all = groups.iter().map(|&g| self.rows[g as usize].len()).sum();
        let mut frame = Frame::new(&self.schema, usize::max(all, 1));
        let mut sessions = Vec::with_capacity(all);
        for (session, &group) in groups.iter().enumerate() {
            for row in &self.rows[group as usize] {
                let mut rest = values(row);
                frame.columns.iter_mut().for_each(|to| take(&mut rest, to));
                sessions.push(session);
            }
        }
        frame.commit_rows(all);
        let mut seen = HashSet::new();
        let counts = |row: &u32| {
            let row = *row as usize;
            call.passes(&frame, row)
                && call.first_by.as_ref().is_none_or(|columns| {
                    let mut key = sessions[row].to_be_bytes().to_vec();
                    put_key(&mut key, &frame, row, columns);
                    seen.insert(key)
                })
        };
        let rows: Vec<u32> = (0..all as u32).filter(counts).collect();
        let mut counted = Frame::new(&self.schema, rows.len().max(1));
        counted.append_rows(&frame, &rows);
        let sessions = rows.iter().map(|&row| sessions[row as usize]).collect();
        (counted, sessions)
    }

    /// The rows of these sessions, for a snapshot.
    pub(super) fn saved(&mut self, groups: &[u32]) -> Option<ArrayRef> {
        if self.is_empty() {
            return None;
        }
        groups.iter().for_each(|&group| _ = self.of(group));
        let of = || groups.iter().map(|&g| &self.rows[g as usize]);
        let lengths = OffsetBuffer::from_lengths(of().map(Vec::len));
        let rows: Vec<&[u8]> = of().flatten().map(|row| &row[..]).collect();
        let rows = LargeBinaryArray::from_vec(rows);
        let item = Arc::new(ArrowField::new("row", DataType::LargeBinary, false));
        let rows = LargeListArray::new(item, lengths, Arc::new(rows), None);
        Some(Arc::new(rows))
    }

    /// Takes the rows of a session back: those that such a column has for it.
    ///
    /// # Errors
    /// [`Error::Restore`] where they are none.
    pub(super) fn restore(&mut self, rows: &ArrayRef, at: usize, group: u32) -> Result<()> {
        let list = rows.as_list_opt::<i64>().ok_or_else(other)?.value(at);
        let list = list.as_binary_opt::<i64>().ok_or_else(other)?;
        for row in list.iter().flatten() {
            let number = row.first_chunk::<NUMBER>().ok_or_else(other)?;
            self.next = self.next.max(u64::from_be_bytes(*number) + 1);
            self.of(group).push(row.into());
        }
        Ok(())
    }
}
