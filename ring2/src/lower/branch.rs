//! The stage that is being put together: where its rows come from, and what was done with them so
//! far. The rows of a union have several such branches, all with the same columns: what is done
//! with rows one by one is done on each, before they leave for the stage where they meet.

use std::sync::Arc;

use trefoil_ring0::id::ExchangeId;
use trefoil_ring0::program::{
    ChangesSpec, ExchangeSpec, OperatorSpec, Order, Routing, StageInput, StageOutput, StageSpec,
};
use trefoil_ring0::schema::Schema;

use super::Lowering;

/// A stage that is not sealed yet.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) input: StageInput,
    /// The inputs besides.
    pub(super) others: Vec<StageInput>,
    pub(super) operators: Vec<OperatorSpec>,
    /// Which of the source's declared columns are read, where a source is.
    pub(super) read: Vec<usize>,
    /// Which of the source's columns each of the columns is, where it is one.
    pub(super) origins: Vec<Option<usize>>,
    /// All rows are on one shard.
    pub(super) single: bool,
}

impl Branch {
    /// Rows that came over exchanges.
    pub(super) fn behind(inputs: Vec<StageInput>, columns: usize, single: bool) -> Self {
        let mut inputs = inputs.into_iter();
        Self {
            input: inputs.next().expect("a stage has an input"),
            others: inputs.collect(),
            operators: Vec::new(),
            read: Vec::new(),
            origins: vec![None; columns],
            single,
        }
    }

    /// The source whose rows these still are.
    pub(super) fn source(&self) -> Option<usize> {
        let stand = |o: &OperatorSpec| match o {
            OperatorSpec::Latest(_) => true,
            OperatorSpec::Changing(changes) => matches!(changes, ChangesSpec::Captured(_)),
            _ => false,
        };
        match self.input {
            StageInput::Source(id) if !self.operators.iter().any(stand) => Some(id.index()),
            StageInput::Source(_) | StageInput::Exchange(_) => None,
        }
    }

    /// Whether each row still is one of the source's, and nothing told of it yet.
    pub(super) fn is_whole(&self) -> bool {
        let told = |o: &OperatorSpec| o.groups() || matches!(o, OperatorSpec::Applied);
        self.source().is_some() && !self.operators.iter().any(told)
    }

    /// How its rows get to a stage on the same shard.
    pub(super) fn staying(&self) -> Routing {
        match self.single {
            true => Routing::Single,
            false => Routing::Local,
        }
    }
}

impl Lowering<'_> {
    /// The only branch.
    pub(super) fn branch(&mut self) -> &mut Branch {
        let [branch] = self.branches.as_mut_slice() else {
            unreachable!("branches are merged before")
        };
        branch
    }

    /// Does this with the rows.
    pub(super) fn push(&mut self, operator: OperatorSpec) {
        for branch in &mut self.branches {
            branch.operators.push(operator.clone());
        }
    }

    /// Whether rows come right from sources.
    pub(super) fn reads(&self) -> bool {
        self.branches.iter().all(|b| b.source().is_some())
    }

    /// Whether rows are groups, or those of several sources: they have no order by themselves.
    pub(super) fn mixed(&self) -> bool {
        self.grouped || self.branches.len() > 1 || !self.reads()
    }

    /// Has the rows of a union meet where they are.
    pub(super) fn merge(&mut self) {
        if self.branches.len() > 1 {
            let routings = self.branches.iter().map(Branch::staying).collect();
            self.exchange_by(Arc::clone(&self.schema), routings, Order::Free);
        }
    }

    /// Sends rows to another stage. Those of a source may be taken in `order`.
    pub(super) fn exchange(&mut self, schema: Arc<Schema>, routing: Routing, order: Order) {
        let routings = vec![routing; self.branches.len()];
        self.exchange_by(schema, routings, order);
    }

    fn exchange_by(&mut self, schema: Arc<Schema>, routings: Vec<Routing>, order: Order) {
        let branches = std::mem::take(&mut self.branches);
        let single = routings.iter().all(|r| *r == Routing::Single);
        let several = branches.len() > 1;
        let alike = branches.iter().all(Branch::is_whole);
        let mut inputs = Vec::with_capacity(branches.len());
        for (branch, routing) in branches.into_iter().zip(routings) {
            inputs.push(self.send(branch, Arc::clone(&schema), routing, order));
        }
        let columns = schema.fields.len();
        self.branches = vec![Branch::behind(inputs, columns, single)];
        self.schema = schema;
        if several {
            self.windows.clear();
        }
        // Rows of several sources are told of where they meet, if they are alike.
        self.grouped |= several && !alike;
    }

    /// Ends a branch with an exchange. Gives what reads it.
    pub(super) fn send(
        &mut self,
        branch: Branch,
        schema: Arc<Schema>,
        routing: Routing,
        order: Order,
    ) -> StageInput {
        let id = u32::try_from(self.program.exchanges.len()).expect("few exchanges");
        let order = match branch.source() {
            Some(_) => order,
            None => Order::Free,
        };
        self.program.exchanges.push(ExchangeSpec {
            schema,
            routing,
            order,
        });
        self.end(branch, StageOutput::Exchange(ExchangeId(id)));
        StageInput::Exchange(ExchangeId(id))
    }

    fn end(&mut self, branch: Branch, output: StageOutput) {
        let Branch {
            input,
            others,
            operators,
            ..
        } = branch;
        self.program.stages.push(StageSpec {
            input,
            others,
            operators,
            output,
        });
    }

    /// Ends the only branch.
    pub(super) fn seal(&mut self, output: StageOutput) {
        let branch = self.branches.pop().expect("there is a branch");
        assert!(self.branches.is_empty(), "branches are merged before");
        self.end(branch, output);
    }
}
