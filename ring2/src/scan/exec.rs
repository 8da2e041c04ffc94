//! The scan of a [`StreamSource`]: as many partitions as the source has, of which nothing more is
//! known.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::{StreamSourceRef, check_partition, projected};

/// A scan that gives each batch when it comes. It has no end, where its source has none.
#[derive(Debug, Clone)]
pub struct StreamingScanExec {
    source: StreamSourceRef,
    projection: Option<Vec<usize>>,
    filters: Vec<Expr>,
    properties: Arc<PlanProperties>,
    opened: Arc<Opened>,
}

/// The streams of all partitions, once the first of them is asked for, until each is. A query that
/// has what it needs may end before it asks for the last: that one is dropped with the plan then,
/// so that its producer does not wait for somebody who never comes.
#[derive(Default)]
struct Opened(Mutex<Option<Streams>>);

struct Streams {
    /// The source's when they were opened.
    generation: u64,
    /// `None` is one that was asked for.
    of: Vec<Option<Result<SendableRecordBatchStream, DataFusionError>>>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened")
    }
}

impl StreamingScanExec {
    /// A scan of these columns of the rows for which all filters are true.
    ///
    /// # Errors
    /// Where the source has no such column.
    pub fn try_new(
        source: StreamSourceRef,
        projection: Option<Vec<usize>>,
        filters: Vec<Expr>,
    ) -> Result<Self, DataFusionError> {
        let schema = projected(&source.schema(), projection.as_deref())?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(source.num_partitions()),
            EmissionType::Incremental,
            match source.is_bounded() {
                true => Boundedness::Bounded,
                false => Boundedness::Unbounded {
                    requires_infinite_memory: false,
                },
            },
        );
        Ok(Self {
            source,
            projection,
            filters,
            properties: Arc::new(properties),
            opened: Arc::default(),
        })
    }

    /// Its source.
    pub fn source(&self) -> &StreamSourceRef {
        &self.source
    }

    /// The source's columns that it gives; `None` is all.
    pub fn projection(&self) -> Option<&[usize]> {
        self.projection.as_deref()
    }

    /// The filters that the source honours.
    pub fn filters(&self) -> &[Expr] {
        &self.filters
    }
}

impl DisplayAs for StreamingScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.properties.equivalence_properties().schema();
        let columns: Vec<&str> = schema.fields().iter().map(|c| c.name().as_str()).collect();
        let filters: Vec<String> = self.filters.iter().map(Expr::to_string).collect();
        let (name, partitions) = (self.name(), self.source.num_partitions());
        let columns = columns.join(", ");
        write!(f, "{name}: partitions={partitions}, projection=[{columns}]")?;
        match filters.is_empty() {
            true => Ok(()),
            false => write!(f, ", filters=[{}]", filters.join(", ")),
        }
    }
}

impl ExecutionPlan for StreamingScanExec {
    fn name(&self) -> &'static str {
        "StreamingScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion, DataFusionError>,
    ) -> Result<TreeNodeRecursion, DataFusionError> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        assert!(children.is_empty(), "a scan has no children");
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        _: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let partitions = self.source.num_partitions();
        check_partition(partition, partitions)?;
        let open = |partition| {
            let (projection, filters) = (self.projection.clone(), self.filters.clone());
            self.source.stream(partition, projection, filters)
        };
        let mut opened = self.opened.0.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.source.generation();
        // Behind a run that ended early the streams left are of a source that began anew since.
        if opened.as_ref().is_some_and(|o| o.generation != generation) {
            *opened = None;
        }
        let streams = opened.get_or_insert_with(|| Streams {
            generation,
            of: (0..partitions).map(|n| Some(open(n))).collect(),
        });
        let stream = streams.of.get_mut(partition).and_then(Option::take);
        stream.unwrap_or_else(|| open(partition))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, RecordBatch};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use futures::StreamExt;
    use futures::executor::block_on;

    use super::*;
    use crate::scan::ChannelStreamSource;

    #[test]
    fn a_plan_that_ended_early_runs_again_behind_a_reset() {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let source = Arc::new(ChannelStreamSource::with_partitions(Arc::clone(&schema), 2));
        let plan =
            StreamingScanExec::try_new(Arc::<ChannelStreamSource>::clone(&source), None, vec![])
                .unwrap();
        let batch = |n| {
            let column = Arc::new(Int64Array::from(vec![n]));
            RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap()
        };
        // Of the first run nobody asks for partition 1.
        for sender in source.take_senders() {
            sender.try_send(batch(1)).unwrap();
        }
        drop(plan.execute(0, Arc::default()).unwrap());
        for sender in source.reset() {
            sender.try_send(batch(2)).unwrap();
        }
        for partition in [1, 0] {
            let stream = plan.execute(partition, Arc::default()).unwrap();
            let batches: Vec<RecordBatch> = block_on(stream.map(Result::unwrap).collect());
            assert_eq!(batches, [batch(2)], "partition {partition}");
        }
    }
}
