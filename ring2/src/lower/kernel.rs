//! Aggregates that Ring 0 does not have, as DataFusion's accumulators over columns that Ring 0
//! computes. DISTINCT and FILTER are Ring 0's, so that values are equal as they are in keys.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_empty_array, new_null_array,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use datafusion::common::{Column, DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::AggregateFunction as PlanCall;
use datafusion::logical_expr::{
    Accumulator, EmitTo, Expr as PlanExpr, ExprSchemable, GroupsAccumulator,
};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::{GroupsAccumulatorAdapter, PhysicalExpr};
use trefoil_ring0::expr::Expr;
use trefoil_ring0::operator::aggregate::{AggregateKernel, GroupStates};
use trefoil_ring0::program::Phase;

use super::Refusal;
use crate::alike::one_zero;
use crate::lower_expr::{Scope, as_type, cause, expression, held_type, is_constant};
use crate::partitioning::text;
use crate::planner;

/// An aggregate of DataFusion's.
#[derive(Debug, Clone)]
struct Kernel {
    function: Arc<AggregateFunctionExpr>,
    /// The arguments, then what it orders by, of columns of this schema.
    inputs: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    /// Its results, as Ring 0 holds them.
    data_type: DataType,
}

/// A kernel, the expressions of its columns, and how many of these are arguments.
type Made = (Arc<dyn AggregateKernel>, Vec<Expr>, usize);

/// The kernel of a call, the expressions of its columns, and how many of these are arguments.
pub(super) fn aggregate(
    expr: &PlanExpr,
    call: &PlanCall,
    scope: &Scope<'_>,
) -> Result<Made, Refusal> {
    let wrong = |e: DataFusionError| ("E0206", format!("{}: {}", text(expr), cause(&e)));
    let mut columns = Vec::new();
    let mut fields = Vec::new();
    let mut column = |e: &mut PlanExpr| -> Result<(), Refusal> {
        if is_constant(e) {
            *e = planner::simplified(e.clone(), &Arc::new(DFSchema::empty())).map_err(wrong)?;
            return Ok(());
        }
        let name = format!("a{}", fields.len());
        let planned = e.get_type(scope.plan).map_err(wrong)?;
        columns.push(expression(e, scope)?);
        fields.push(Field::new(&name, planned, true));
        *e = PlanExpr::Column(Column::new_unqualified(name));
        Ok(())
    };
    let mut plain = call.clone();
    plain.params.args.iter_mut().try_for_each(&mut column)?;
    let sorts = &mut plain.params.order_by;
    for sort in sorts.iter_mut() {
        sort.expr = one_zero(sort.expr.clone(), scope.plan);
    }
    let order = sorts.iter_mut();
    order.map(|sort| &mut sort.expr).try_for_each(&mut column)?;
    let is_column = |e: &&PlanExpr| matches!(e, PlanExpr::Column(_));
    let values = plain.params.args.iter().filter(is_column).count();
    plain.params.filter = None;
    plain.params.distinct = false;
    let schema = Arc::new(ArrowSchema::new(fields));
    let function = planner::aggregate(PlanExpr::AggregateFunction(plain), &schema);
    let function = function.map_err(wrong)?;
    let given = function.field().data_type().clone();
    let Some(data_type) = held_type(&given) else {
        let message = format!(
            "{}: a result of type {given} is not supported yet",
            text(expr)
        );
        return Err(("E0302", message));
    };
    let inputs = function.all_expressions();
    let inputs = [inputs.args, inputs.order_by_exprs].concat();
    let kernel = Kernel {
        function,
        inputs,
        schema,
        data_type,
    };
    // That it cannot be made is found out now.
    kernel.function.create_accumulator().map_err(wrong)?;
    Ok((Arc::new(kernel), columns, values))
}

impl Kernel {
    /// What its accumulator takes, from the columns.
    fn inputs(&self, args: &[ArrayRef], rows: usize) -> Result<Vec<ArrayRef>, DataFusionError> {
        let fields = self.schema.fields().iter();
        let args = fields.zip(args).map(|(f, arg)| as_type(arg, f.data_type()));
        let given = RecordBatchOptions::new().with_row_count(Some(rows));
        let args = args.collect::<Result<_, _>>()?;
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), args, &given)?;
        let inputs = self.inputs.iter();
        inputs
            .map(|e| e.evaluate(&batch)?.into_array(rows))
            .collect()
    }

    /// The types of the columns of its states.
    fn state_types(&self) -> Vec<DataType> {
        // It was asked for a state before, so that it knows them.
        let fields = self.function.state_fields().unwrap_or_default();
        fields.iter().map(|f| f.data_type().clone()).collect()
    }

    /// States of all groups, in one where it has such.
    fn groups(&self) -> Result<Box<dyn GroupsAccumulator>, DataFusionError> {
        if self.function.groups_accumulator_supported() {
            return self.function.create_groups_accumulator();
        }
        let function = Arc::clone(&self.function);
        let make = move || function.create_accumulator();
        Ok(Box::new(GroupsAccumulatorAdapter::new(make)))
    }
}

impl AggregateKernel for Kernel {
    fn data_type(&self) -> &DataType {
        &self.data_type
    }

    fn takes_middle(&self) -> bool {
        self.function.fun().name() == "median" && self.inputs.len() == 1
    }

    fn states(&self, phase: Phase) -> Result<Box<dyn GroupStates>, String> {
        let kernel = self.clone();
        Ok(match phase {
            Phase::Changes => Box::new(Each {
                kernel,
                groups: Vec::new(),
                bytes: 0,
            }),
            Phase::Complete | Phase::Partial | Phase::Final => {
                let groups = kernel.groups().map_err(|e| cause(&e))?;
                Box::new(Whole {
                    kernel,
                    groups,
                    total: 0,
                })
            }
        })
    }
}

/// States whose results are asked for once: DataFusion's give them up then.
struct Whole {
    kernel: Kernel,
    groups: Box<dyn GroupsAccumulator>,
    /// How many groups there are.
    total: usize,
}

impl Whole {
    fn take(
        &mut self,
        args: &[ArrayRef],
        groups: &[usize],
        total: usize,
    ) -> Result<(), DataFusionError> {
        // It takes a group for one with values that comes with a row. So one that has no row that
        // counts comes with a row that does not.
        let mut come = vec![false; total - self.total];
        let new = groups.iter().filter_map(|g| g.checked_sub(self.total));
        new.for_each(|new| come[new] = true);
        let without = come.iter().enumerate().filter(|(_, come)| !**come);
        let without: Vec<usize> = without.map(|(new, _)| self.total + new).collect();
        if !without.is_empty() {
            let fields = self.kernel.schema.fields().iter();
            let nulls = fields.map(|f| new_null_array(f.data_type(), without.len()));
            let nulls: Vec<ArrayRef> = nulls.collect();
            let inputs = self.kernel.inputs(&nulls, without.len())?;
            let none = BooleanArray::from(vec![false; without.len()]);
            (self.groups).update_batch(&inputs, &without, Some(&none), total)?;
        }
        self.total = total;
        if groups.is_empty() {
            return Ok(());
        }
        let inputs = self.kernel.inputs(args, groups.len())?;
        self.groups.update_batch(&inputs, groups, None, total)
    }
}

impl Whole {
    /// The states of all groups. DataFusion gives them up with it, so that they are taken back.
    fn given_up(&mut self, total: usize) -> Result<Vec<ArrayRef>, DataFusionError> {
        if total == 0 {
            let types = self.kernel.state_types();
            return Ok(types.iter().map(new_empty_array).collect());
        }
        self.take(&[], &[], total)?;
        let states = self.groups.state(EmitTo::All)?;
        let groups: Vec<usize> = (0..total).collect();
        self.groups = self.kernel.groups()?;
        self.groups.merge_batch(&states, &groups, total)?;
        Ok(states)
    }
}

impl GroupStates for Whole {
    fn update(&mut self, args: &[ArrayRef], groups: &[usize], total: usize) -> Result<(), String> {
        self.take(args, groups, total).map_err(|e| cause(&e))
    }

    fn results(&mut self, total: usize) -> Result<ArrayRef, String> {
        if total == 0 {
            return Ok(new_empty_array(&self.kernel.data_type));
        }
        self.take(&[], &[], total).map_err(|e| cause(&e))?;
        let results = self.groups.evaluate(EmitTo::All);
        let results = results.and_then(|r| as_type(&r, &self.kernel.data_type));
        results.map_err(|e| cause(&e))
    }

    fn result(&mut self, _: usize) -> Result<ArrayRef, String> {
        unreachable!("the phase says that all results are asked for at once")
    }

    fn columns(&self) -> usize {
        self.kernel.state_types().len()
    }

    fn states(&mut self, total: usize) -> Result<Vec<ArrayRef>, String> {
        self.given_up(total).map_err(|e| cause(&e))
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<(), String> {
        let merged = self.groups.merge_batch(states, groups, total);
        self.total = total;
        merged.map_err(|e| cause(&e))
    }

    fn bytes(&self) -> usize {
        self.groups.size()
    }
}

/// A state for each group, whose result can be asked for again and again.
struct Each {
    kernel: Kernel,
    groups: Vec<Box<dyn Accumulator>>,
    /// What all of them say that they take.
    bytes: usize,
}

impl Each {
    fn grow(&mut self, total: usize) -> Result<(), DataFusionError> {
        while self.groups.len() < total {
            let group = self.kernel.function.create_accumulator()?;
            self.bytes += group.size();
            self.groups.push(group);
        }
        Ok(())
    }

    /// Has a group take something.
    fn change(
        &mut self,
        group: usize,
        change: impl FnOnce(&mut dyn Accumulator) -> Result<(), DataFusionError>,
    ) -> Result<(), DataFusionError> {
        self.grow(group + 1)?;
        let group = &mut self.groups[group];
        let before = group.size();
        let changed = change(&mut **group);
        self.bytes = (self.bytes + group.size()).saturating_sub(before);
        changed
    }

    fn take(&mut self, args: &[ArrayRef], groups: &[usize]) -> Result<(), DataFusionError> {
        let inputs = self.kernel.inputs(args, groups.len())?;
        for (row, &group) in groups.iter().enumerate() {
            let row: Vec<ArrayRef> = inputs.iter().map(|i| i.slice(row, 1)).collect();
            self.change(group, |group| group.update_batch(&row))?;
        }
        Ok(())
    }
}

impl Each {
    /// The states of all groups, as [`Whole::given_up`].
    fn given_up(&mut self, total: usize) -> Result<Vec<ArrayRef>, DataFusionError> {
        self.grow(total)?;
        let types = self.kernel.state_types();
        let mut columns = vec![Vec::with_capacity(total); types.len()];
        for group in &mut self.groups {
            let state = group.state()?;
            for (column, value) in columns.iter_mut().zip(state) {
                column.push(value);
            }
        }
        let arrays =
            columns
                .into_iter()
                .zip(&types)
                .map(|(values, data_type)| match values.is_empty() {
                    true => Ok(new_empty_array(data_type)),
                    false => ScalarValue::iter_to_array(values),
                });
        let states: Vec<ArrayRef> = arrays.collect::<Result<_, _>>()?;
        self.groups.clear();
        self.bytes = 0;
        self.add(&states, &(0..total).collect::<Vec<_>>())?;
        Ok(states)
    }

    fn add(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<(), DataFusionError> {
        for (row, &group) in groups.iter().enumerate() {
            let row: Vec<ArrayRef> = states.iter().map(|s| s.slice(row, 1)).collect();
            self.change(group, |group| group.merge_batch(&row))?;
        }
        Ok(())
    }
}

impl GroupStates for Each {
    fn update(&mut self, args: &[ArrayRef], groups: &[usize], _: usize) -> Result<(), String> {
        self.take(args, groups).map_err(|e| cause(&e))
    }

    fn results(&mut self, _: usize) -> Result<ArrayRef, String> {
        unreachable!("the phase says that results are asked for one by one")
    }

    fn result(&mut self, group: usize) -> Result<ArrayRef, String> {
        let grown = self.grow(group + 1);
        let value = grown.and_then(|()| self.groups[group].evaluate());
        let array = value.and_then(|v| v.to_array_of_size(1));
        let array = array.and_then(|a| as_type(&a, &self.kernel.data_type));
        array.map_err(|e| cause(&e))
    }

    fn columns(&self) -> usize {
        self.kernel.state_types().len()
    }

    fn states(&mut self, total: usize) -> Result<Vec<ArrayRef>, String> {
        self.given_up(total).map_err(|e| cause(&e))
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize], _: usize) -> Result<(), String> {
        self.add(states, groups).map_err(|e| cause(&e))
    }

    fn bytes(&self) -> usize {
        self.bytes + self.groups.capacity() * size_of::<Box<dyn Accumulator>>()
    }
}
