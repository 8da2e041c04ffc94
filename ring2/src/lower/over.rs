//! Functions with OVER, over input that ends: rows of a partition meet on one shard, are put in
//! order there, and DataFusion computes over them.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{
    DataType, Field as ArrowField, Float32Type, Float64Type, Schema as ArrowSchema, SchemaRef,
};
use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr as PlanExpr, ExprSchemable, Window};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::window::WindowExpr;
use trefoil_ring0::expr::Expr;
use trefoil_ring0::operator::over::{OverSpec, PartitionKernel};
use trefoil_ring0::operator::ranked::{Functions, Rank, Updates};
use trefoil_ring0::order::SortKey;
use trefoil_ring0::program::{OperatorSpec, Routing};
use trefoil_ring0::schema::{Field, Schema};

use super::calls::check_order;
use super::order::{Standing, sort_key};
use super::{Lowering, Refusal, weighted};
use crate::lower_expr::{as_type, cause, expression, held_type, is_constant, unaliased};
use crate::partitioning::text;
use crate::planner;

/// DataFusion's functions over the columns that they need.
#[derive(Debug)]
struct Partition {
    functions: Vec<Arc<dyn WindowExpr>>,
    /// Of the functions' columns, and where each is among those of the rows.
    schema: SchemaRef,
    columns: Vec<usize>,
    /// Which of them say the order: -0.0 is 0.0 there, so that the two are peers.
    ordering: Vec<bool>,
    /// Of the results, as Ring 0 holds them.
    results: Vec<DataType>,
}

/// The values of an order, of which equal ones are the same.
fn as_order(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            Arc::new(values.unary::<_, Float64Type>(|x| x + 0.0))
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            Arc::new(values.unary::<_, Float32Type>(|x| x + 0.0))
        }
        _ => Arc::clone(array),
    }
}

impl Partition {
    fn run(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<ArrayRef>, DataFusionError> {
        let needed = self.columns.iter().map(|&c| &columns[c]);
        let fields = self.schema.fields().iter().zip(&self.ordering);
        let needed = needed.zip(fields).map(|(array, (field, orders))| {
            let array = as_type(array, field.data_type())?;
            Ok::<_, DataFusionError>(if *orders { as_order(&array) } else { array })
        });
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let needed = needed.collect::<Result<_, _>>()?;
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), needed, &options)?;
        let results = self.functions.iter().zip(&self.results);
        results
            .map(|(f, t)| as_type(&f.evaluate(&batch)?, t))
            .collect()
    }
}

impl PartitionKernel for Partition {
    fn data_types(&self) -> &[DataType] {
        &self.results
    }

    fn evaluate(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<ArrayRef>, String> {
        self.run(columns, rows).map_err(|e| cause(&e))
    }
}

/// The columns that functions need, as they are gathered.
#[derive(Default)]
struct Needed {
    /// As Ring 0 computes them, and the plan's name and type of each.
    exprs: Vec<Expr>,
    fields: Vec<ArrowField>,
}

impl Lowering<'_> {
    pub(super) fn over(&mut self, window: &Window) -> Result<(), Refusal> {
        self.node(&window.input)?;
        let Standing {
            visible,
            ties,
            lanes,
        } = self.standing();
        let (calls, needed) = self.calls_over(window)?;
        let results = window
            .schema
            .fields()
            .iter()
            .skip(window.input.schema().fields().len());
        let results = results.map(|f| f.data_type().clone()).collect();
        let json = self.jsons(&window.window_expr, &window.input)?;
        let known = self.columns.clone();
        self.end_apart();
        let columns = self.columns_of(needed.exprs)?;
        if self.changes {
            self.weigh();
        }
        let kernel = kernel(&calls, needed.fields, columns, results)?;
        let at = |expr: &PlanExpr| match expr {
            PlanExpr::Column(c) => kernel
                .schema
                .index_of(c.name())
                .ok()
                .map(|i| kernel.columns[i]),
            _ => None,
        };
        let first = &calls[0].params;
        let partition: Vec<usize> = first.partition_by.iter().filter_map(at).collect();
        let order = first
            .order_by
            .iter()
            .filter_map(|s| at(&s.expr).map(|c| sort_key(c, s)));
        let tied = ties.len();
        let order: Vec<SortKey> = order.chain(ties).collect();
        let some = self.analysis.overs.get(self.overs).and_then(Option::as_ref);
        let by: Vec<usize> = match some {
            None => partition.clone(),
            Some(by) => {
                let by = by
                    .iter()
                    .filter_map(|&key| at(first.partition_by.get(key)?));
                by.collect()
            }
        };
        self.overs += 1;
        let routing = match by.is_empty() {
            true => Routing::Single,
            false => Routing::Hash(by),
        };
        self.part_updates(&partition);
        self.exchange(Arc::clone(&self.schema), routing, lanes);
        let input = Arc::clone(&self.schema);
        let ranks = weighted::ranks(&calls).filter(|_| {
            let is = |t: &DataType| *t == DataType::UInt64;
            kernel.results.iter().all(is)
        });
        let mut fields = input.fields.clone();
        fields.extend(over_fields(&kernel));
        let spec = OverSpec {
            input,
            partition,
            order,
            kernel: Arc::new(kernel),
            output: Arc::new(Schema::new(fields)),
        };
        match self.weighted || self.closing(&spec.partition).is_some() {
            true => self.rank(spec, tied, ranks, window),
            false => {
                self.ends("OVER")?;
                self.add_over(spec);
            }
        }
        self.behind_over((window, json.as_slice()), visible, known);
        Ok(())
    }

    /// Computes the functions where rows come and go, or partitions close before the end; the last
    /// `tied` columns of the order are no part of what the query says.
    fn rank(&mut self, spec: OverSpec, tied: usize, ranks: Option<Vec<Rank>>, window: &Window) {
        let limit = (ranks.as_ref()).and_then(|r| weighted::limit(&self.query.plan, window, r));
        let functions = match ranks {
            Some(ranks) => Functions::Ranks(ranks),
            None => Functions::Any(Arc::clone(&spec.kernel)),
        };
        let results = over_fields(&*spec.kernel);
        // By number where the result is kept by that.
        let numbered = self.upsert.as_ref().and_then(|key| key.numbered);
        let updates = match numbered {
            Some((of, call)) if std::ptr::eq(of, window) => Updates::Numbers(call),
            _ => Updates::Rows,
        };
        self.add_ranked(spec, tied, (functions, updates), limit, results);
    }

    /// The functions, and the columns that they need.
    fn calls_over(&self, window: &Window) -> Result<(Vec<WindowFunction>, Needed), Refusal> {
        let mut needed = Needed::default();
        let mut calls = Vec::new();
        for expr in &window.window_expr {
            let PlanExpr::WindowFunction(call) = unaliased(expr) else {
                return Err(("E0301", format!("{} is not supported yet", text(expr))));
            };
            let mut call = call.as_ref().clone();
            self.gather(&mut call, window, &mut needed)?;
            calls.push(call);
        }
        Ok((calls, needed))
    }

    /// Adds the operator.
    fn add_over(&mut self, spec: OverSpec) {
        self.schema = Arc::clone(&spec.output);
        self.push(OperatorSpec::Over(Arc::new(spec)));
    }

    /// Keeps of what the operator gives the `visible` first columns and those of the functions.
    /// `known`: which of the plan's columns these are.
    /// `json`: of which functions the results are that.
    fn behind_over(
        &mut self,
        (window, json): (&Window, &[bool]),
        visible: usize,
        known: Option<Vec<usize>>,
    ) {
        let all = self.visible();
        let results = all - window.window_expr.len()..all;
        let kept: Vec<usize> = (0..visible).chain(results).collect();
        let fields = kept.iter().map(|&c| self.schema.fields[c].clone());
        let mut schema = Schema::new(fields.collect());
        for (field, &json) in schema.fields[visible..].iter_mut().zip(json) {
            field.json = json;
        }
        self.project(kept.into_iter().map(Expr::Column).collect(), schema);
        let planned = window.input.schema().fields().len();
        let known = known.unwrap_or_else(|| (0..planned).collect());
        let results = planned..planned + window.window_expr.len();
        self.columns = Some(known.into_iter().chain(results).collect());
        (self.grouped, self.sorted) = (true, false);
    }

    /// Replaces what a function reads by columns; constants stay.
    fn gather(
        &self,
        call: &mut WindowFunction,
        window: &Window,
        needed: &mut Needed,
    ) -> Result<(), Refusal> {
        let schema = window.input.schema();
        let params = &mut call.params;
        let order = params.order_by.iter_mut().map(|s| &mut s.expr);
        let filter = params.filter.iter_mut().map(|f| f.as_mut());
        let others = params.partition_by.iter_mut().chain(order).chain(filter);
        // DataFusion's sum of integers wraps around: decimals do not, and the result is checked.
        // What orders keeps its type: the bounds of a range are computed in it.
        let sums = call.fun.name() == "sum";
        let args = params.args.iter_mut().map(|e| (e, sums));
        for (expr, summed) in args.chain(others.map(|e| (e, false))) {
            if is_constant(expr) {
                continue;
            }
            let lowered = expression(expr, &self.scope(&window.input))?;
            let mut planned = expr.get_type(schema).map_err(|e| ("E0206", cause(&e)))?;
            if matches!(call.fun.name(), "min" | "max") {
                check_order(call.fun.name(), &planned)?;
            }
            if summed && planned.is_integer() {
                planned = DataType::Decimal128(38, 0);
            }
            let there = needed.exprs.iter().zip(&needed.fields);
            let same = there
                .into_iter()
                .position(|(e, f)| *e == lowered && *f.data_type() == planned);
            let number = same.unwrap_or(needed.exprs.len());
            let name = format!("a{number}");
            if same.is_none() {
                needed.exprs.push(lowered);
                needed.fields.push(ArrowField::new(&name, planned, true));
            }
            *expr = PlanExpr::Column(Column::new_unqualified(name));
        }
        Ok(())
    }

    /// Where these are among the rows' columns; what is none is added.
    fn columns_of(&mut self, exprs: Vec<Expr>) -> Result<Vec<usize>, Refusal> {
        let mut columns = Vec::new();
        let mut added = Vec::new();
        let before = self.visible();
        for expr in exprs {
            columns.push(match expr {
                Expr::Column(column) => column,
                computed => {
                    added.push(computed);
                    before + added.len() - 1
                }
            });
        }
        if !added.is_empty() {
            self.add_columns(added)?;
        }
        Ok(columns)
    }
}

/// The columns of the functions.
fn over_fields(kernel: &dyn PartitionKernel) -> Vec<Field> {
    let results = kernel.data_types().iter().enumerate();
    results
        .map(|(number, result)| Field::new(format!("over{number}"), result.clone()))
        .collect()
}

fn kernel(
    calls: &[WindowFunction],
    fields: Vec<ArrowField>,
    columns: Vec<usize>,
    planned: Vec<DataType>,
) -> Result<Partition, Refusal> {
    let wrong = |e: DataFusionError| ("E0206", cause(&e));
    let schema = Arc::new(ArrowSchema::new(fields));
    let named = DFSchema::try_from(Arc::clone(&schema)).map_err(wrong)?;
    let (mut functions, mut results) = (Vec::new(), Vec::new());
    for (call, result) in calls.iter().zip(planned) {
        let call = PlanExpr::WindowFunction(Box::new(call.clone()));
        let function = planner::over(&call, &named).map_err(wrong)?;
        let Some(held) = held_type(&result) else {
            return Err((
                "E0302",
                format!("a result of type {result} is not supported yet"),
            ));
        };
        functions.push(function);
        results.push(held);
    }
    let mut ordering = vec![false; schema.fields().len()];
    let orders = functions
        .iter()
        .flat_map(|f: &Arc<dyn WindowExpr>| f.order_by());
    for order in orders {
        if let Some(column) = order.expr.downcast_ref::<PhysicalColumn>() {
            ordering[column.index()] = true;
        }
    }
    Ok(Partition {
        functions,
        ordering,
        schema,
        columns,
        results,
    })
}
