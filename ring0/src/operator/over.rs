//! Functions over the rows around a row: OVER, over input that ends. Rows are put in order within
//! their partitions; whoever makes the program brings what computes a partition's results.

use std::fmt::Debug;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use crate::column::Column;
use crate::error::{Error, Result, refuse};
use crate::frame::Frame;
use crate::operator::aggregate::Progress;
use crate::operator::sort::{Sort, SortSpec};
use crate::order::SortKey;
use crate::schema::Schema;

/// Functions over the rows of one partition.
pub trait PartitionKernel: Debug + Send + Sync {
    /// The types of their results, each one that [`crate::schema::physical`] knows.
    fn data_types(&self) -> &[DataType];

    /// The results over a partition, in order: all its columns, of `rows` rows. One array for each
    /// type, of as many rows.
    ///
    /// # Errors
    /// What is wrong with at least one of the rows.
    fn evaluate(
        &self,
        columns: &[ArrayRef],
        rows: usize,
    ) -> std::result::Result<Vec<ArrayRef>, String>;
}

/// What is computed over which rows. The output's columns: the input's, then the results.
#[derive(Debug, Clone)]
pub struct OverSpec {
    /// The input's columns.
    pub input: Arc<Schema>,
    /// The columns by which rows belong together; none: all do.
    pub partition: Vec<usize>,
    /// The order of a partition's rows.
    pub order: Vec<SortKey>,
    /// What computes the results.
    pub kernel: Arc<dyn PartitionKernel>,
    /// The output's columns.
    pub output: Arc<Schema>,
}

/// The rows so far, and then the results.
#[derive(Debug)]
pub(crate) struct Over {
    spec: Arc<OverSpec>,
    rows: Sort,
    /// The partition that is given now, its results, and how many of its rows were.
    given: Option<(Frame, Vec<Column>, usize)>,
}

impl Over {
    /// # Errors
    /// [`Error::Program`] where columns do not fit together.
    pub(crate) fn new(spec: &Arc<OverSpec>) -> Result<Self> {
        let results = spec.kernel.data_types();
        if !spec.output.types().eq(spec.input.types().chain(results)) {
            return refuse("OVER makes other columns".to_owned());
        }
        let keys = spec.partition.iter().copied().map(SortKey::ascending);
        let sort = SortSpec {
            schema: Arc::clone(&spec.input),
            keys: keys.chain(spec.order.iter().copied()).collect(),
            skip: 0,
            fetch: None,
        };
        Ok(Self {
            rows: Sort::partitioned(&sort, spec.partition.len())?,
            spec: Arc::clone(spec),
            given: None,
        })
    }

    /// The rows so far, in the order in which they came.
    pub(super) fn all(&self) -> (&Schema, &[Frame]) {
        self.rows.all()
    }

    /// Takes the rows of a frame.
    pub(crate) fn update(&mut self, frame: &Frame) {
        self.rows.update(frame);
    }

    /// Writes rows with their results into `out` until it is full; to be called once no more come.
    ///
    /// # Errors
    /// [`Error::Row`] where a function fails.
    pub(crate) fn emit(&mut self, out: &mut Frame) -> Result<Progress> {
        loop {
            let Some((partition, results, at)) = &mut self.given else {
                let Some(partition) = self.rows.next_partition() else {
                    return Ok(Progress::Done);
                };
                let results = self.results(&partition)?;
                self.given = Some((partition, results, 0));
                continue;
            };
            while *at < partition.rows() {
                if out.is_full() {
                    return Ok(Progress::Full);
                }
                // Strings have no fixed size: the frame is looked at after a few rows.
                let end = partition.rows().min(*at + out.room().min(64));
                let columns = partition.columns.iter().chain(results.iter());
                for (to, from) in out.columns.iter_mut().zip(columns) {
                    to.append_range(from, *at..end);
                }
                out.commit_rows(end - *at);
                *at = end;
            }
            self.given = None;
        }
    }

    fn results(&self, partition: &Frame) -> Result<Vec<Column>> {
        let columns = partition.columns.iter().zip(self.spec.input.types());
        let arrays: Vec<ArrayRef> = columns.map(|(c, t)| c.clone().into_array(t)).collect();
        let results = self.spec.kernel.evaluate(&arrays, partition.rows());
        let results = results.map_err(|message| Error::Row { message })?;
        let rows = partition.rows();
        assert!(
            results.iter().all(|r| r.len() == rows),
            "a result for each row"
        );
        Ok(results.into_iter().map(Column::from_array).collect())
    }
}
