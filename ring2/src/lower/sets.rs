//! GROUPING SETS, ROLLUP and CUBE, which DataFusion writes as sets of keys. Each row is repeated,
//! once for each set; keys that are not in a copy's set are NULL there, and a key of its own,
//! DataFusion's grouping id, tells the sets apart: GROUPING() reads it. The groups of an empty set
//! exist without rows.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Aggregate, Expr as PlanExpr, GroupingSet};
use trefoil_ring0::changelog;
use trefoil_ring0::expr::{BinaryOp, Expr, Scalar};
use trefoil_ring0::operator::unnest::flagged;
use trefoil_ring0::program::{AggregateSpec, LastColumn, OperatorSpec, RepeatSpec, StandingSpec};
use trefoil_ring0::schema::{Field, Schema};

use super::{Lowering, Refusal};
use crate::lower_expr::{literal, unaliased};
use crate::partitioning::Route;

/// The sets of an aggregation.
#[derive(Debug)]
pub(super) struct Sets {
    /// All keys, each once, in the order of the plan's columns.
    pub(super) keys: Vec<PlanExpr>,
    /// For each set: which of the keys it has, and its grouping id.
    sets: Vec<(Vec<bool>, u64)>,
    id: DataType,
}

impl Sets {
    /// Those of an aggregation, if it has several.
    pub(super) fn of(aggregate: &Aggregate) -> Result<Option<Self>, Refusal> {
        let [PlanExpr::GroupingSet(sets)] = aggregate.group_expr.as_slice() else {
            return Ok(None);
        };
        let keys: Vec<PlanExpr> = sets.distinct_expr().into_iter().cloned().collect();
        let prefixes = |of: &[PlanExpr]| (0..=of.len()).rev().map(|n| of[..n].to_vec()).collect();
        let sets: Vec<Vec<PlanExpr>> = match sets {
            GroupingSet::GroupingSets(sets) => sets.clone(),
            GroupingSet::Rollup(of) => prefixes(of),
            GroupingSet::Cube(of) if of.len() < 16 => {
                let of_mask = |mask: usize| {
                    let in_set = of.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1);
                    in_set.map(|(_, key)| key.clone()).collect()
                };
                (0..1 << of.len()).map(of_mask).collect()
            }
            GroupingSet::Cube(_) => {
                let message = "CUBE of more than 15 keys is not supported yet";
                return Err(("E0301", message.to_owned()));
            }
        };
        let mut told: Vec<(Vec<bool>, u64)> = Vec::new();
        for set in sets {
            let has: Vec<bool> = keys.iter().map(|key| set.contains(key)).collect();
            // As DataFusion has it: a bit for each key that is left out, the last one's lowest,
            // and before them which of the same sets it is.
            let mask = has.iter().fold(0, |mask, has| mask << 1 | u64::from(!has));
            let before = told.iter().filter(|(other, _)| *other == has).count() as u64;
            let id = before.checked_shl(keys.len() as u32).unwrap_or(0) | mask;
            told.push((has, id));
        }
        Ok(Some(Self {
            id: aggregate.schema.field(keys.len()).data_type().clone(),
            sets: told,
            keys,
        }))
    }

    /// The set's id, where no row has it yet.
    pub(super) fn placeholder(&self, aggregate: &Aggregate) -> (Expr, Field) {
        let name = aggregate.schema.field(self.keys.len()).name();
        let field = Field {
            nullable: false,
            ..Field::new(name, self.id.clone())
        };
        (Expr::Literal(self.scalar(0)), field)
    }

    /// Whether each set has this key.
    pub(super) fn all_have(&self, key: usize) -> bool {
        self.sets.iter().all(|(has, _)| has[key])
    }

    fn scalar(&self, id: u64) -> Scalar {
        // Types are as narrow as all ids allow.
        match self.id {
            DataType::UInt8 => Scalar::U8(id as u8),
            DataType::UInt16 => Scalar::U16(id as u16),
            DataType::UInt32 => Scalar::U32(id as u32),
            _ => Scalar::U64(id),
        }
    }

    /// Whether a row's copy is one of these.
    fn is_one(number: usize, copies: &[usize]) -> Expr {
        let is = |&copy: &usize| {
            let copy = Expr::Literal(Scalar::I64(copy as i64));
            let number = Box::new(Expr::Column(number));
            Expr::Binary(BinaryOp::Eq, number, Box::new(copy))
        };
        let or = |a, b| Expr::Binary(BinaryOp::Or, Box::new(a), Box::new(b));
        let all = copies.iter().map(is).reduce(or);
        all.unwrap_or(Expr::Literal(Scalar::Bool(false)))
    }

    /// What a key is in each copy.
    fn key(&self, key: usize, number: usize) -> Expr {
        let copies = 0..self.sets.len();
        let copies: Vec<usize> = copies.filter(|&copy| self.sets[copy].0[key]).collect();
        match copies.len() == self.sets.len() {
            true => Expr::Column(key),
            false => Expr::Case {
                branches: vec![(Self::is_one(number, &copies), Expr::Column(key))],
                otherwise: None,
            },
        }
    }

    /// The id of each copy's set.
    fn id(&self, number: usize) -> Expr {
        let mut ids = self
            .sets
            .iter()
            .map(|(_, id)| Expr::Literal(self.scalar(*id)));
        let last = ids.next_back().map(Box::new);
        let branches = ids
            .enumerate()
            .map(|(copy, id)| (Self::is_one(number, &[copy]), id));
        let branches: Vec<_> = branches.collect();
        match last {
            Some(only) if branches.is_empty() => *only,
            otherwise => Expr::Case {
                branches,
                otherwise,
            },
        }
    }
}

impl Lowering<'_> {
    /// Repeats rows whose first columns are the keys and the id's place, once for each set.
    pub(super) fn repeat(&mut self, sets: Option<&Sets>) {
        let Some(sets) = sets else { return };
        if self.weighted && !self.grouped {
            self.push(OperatorSpec::Applied);
        }
        let tail = match (self.weighted, self.apart) {
            (true, _) => LastColumn::Weight,
            (false, true) => LastColumn::Flag,
            (false, false) if self.grouped => LastColumn::Own,
            (false, false) => LastColumn::NewFlag,
        };
        let number = self.visible();
        let mut fields = self.schema.fields[..number].to_vec();
        let mut made = Schema::new(fields.clone());
        made.fields.push(Field {
            nullable: false,
            ..Field::new("_SET", DataType::Int64)
        });
        self.schema = match tail {
            LastColumn::Own => Arc::new(made),
            LastColumn::NewFlag | LastColumn::Flag => flagged(made),
            LastColumn::Weight => changelog::weighted(made),
        };
        self.apart |= tail == LastColumn::NewFlag;
        self.push(OperatorSpec::Repeat(Arc::new(RepeatSpec {
            times: sets.sets.len() as u32,
            tail,
            schema: Arc::clone(&self.schema),
        })));
        let mut exprs: Vec<Expr> = (0..number).map(Expr::Column).collect();
        for key in 0..sets.keys.len() {
            exprs[key] = sets.key(key, number);
            fields[key].nullable |= !sets.all_have(key);
        }
        exprs[sets.keys.len()] = sets.id(number);
        self.project(exprs, Schema::new(fields));
    }

    /// Has the groups of empty sets stand without rows. `route`: how rows came
    /// there.
    pub(super) fn stand(
        &mut self,
        sets: Option<&Sets>,
        aggregate: &Aggregate,
        spec: &AggregateSpec,
        route: Option<&Route>,
    ) {
        let Some(sets) = sets else { return };
        let routed_by = match route {
            Some(Route::Hash(by)) => by.clone(),
            _ => Vec::new(),
        };
        let id = sets.keys.len();
        let empty = sets.sets.iter().filter(|(has, _)| !has.contains(&true));
        let rows: Vec<Vec<Scalar>> = empty
            .map(|(_, of_set)| {
                let fields = spec.output.fields.iter();
                let types = fields.map(|f| &f.data_type).take(id + 1 + spec.calls.len());
                let values = types.enumerate().map(|(at, data_type)| {
                    let null = Scalar::Null(data_type.clone());
                    match at.checked_sub(id + 1) {
                        None if at == id => sets.scalar(*of_set),
                        None => null,
                        Some(call) => without_rows(&aggregate.aggr_expr[call], data_type, null),
                    }
                });
                values.collect()
            })
            .collect();
        if !rows.is_empty() {
            let standing = StandingSpec {
                rows,
                id,
                routed_by,
            };
            self.push(OperatorSpec::Standing(Arc::new(standing)));
        }
    }
}

/// What a call gives of no rows.
fn without_rows(call: &PlanExpr, data_type: &DataType, null: Scalar) -> Scalar {
    let PlanExpr::AggregateFunction(call) = unaliased(call) else {
        return null;
    };
    let value = call
        .func
        .default_value(data_type)
        .unwrap_or(ScalarValue::Null);
    let schema = Schema::default();
    match literal(&value) {
        Some(value) if Expr::Literal(value.clone()).data_type(&schema) == *data_type => value,
        _ => null,
    }
}
