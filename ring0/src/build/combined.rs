//! Which exchanges make groups of rows before these cross: those into an aggregation that nothing
//! else reads, and whose groups of two shards can become one.

use std::sync::Arc;

use crate::error::Result;
use crate::exchange::{Combiner, ExchangeSender};
use crate::id::ExchangeId;
use crate::mesh::LaneSender;
use crate::operator::aggregate::before_exchange;
use crate::program::{
    AggregateSpec, ExchangeSpec, OperatorSpec, Order, Program, Routing, StageInput,
};
use crate::runtime::Config;
use crate::stage::{Place, Sink};
use crate::table::store::Addresses;

/// Groups that are made before an exchange, and how they cross.
#[derive(Debug)]
pub(super) struct Combined {
    groups: AggregateSpec,
    pub(super) exchange: ExchangeSpec,
}

/// What is made of rows before each exchange; `None` where they cross as they are. None is made
/// where each has to be sparing with addresses. Besides, for how many tables there are to be such.
pub(super) fn combined(
    program: &Program,
    config: &Config,
    tables: usize,
) -> (Vec<Option<Combined>>, usize) {
    let exchanges = 0..program.exchanges.len();
    let of = |exchange| before(program, exchange);
    let is_wanted = config.shards > 1 && config.combine_groups > 0;
    let all: Vec<_> = exchanges.map(|e| of(e).filter(|_| is_wanted)).collect();
    let made = all.iter().flatten().count();
    match Addresses::shared_by(config.shards * (tables + made)).are_plenty() {
        true => (all, tables + made),
        false => (all.iter().map(|_| None).collect(), tables),
    }
}

fn before(program: &Program, exchange: usize) -> Option<Combined> {
    let spec = &program.exchanges[exchange];
    let Routing::Hash(by) = &spec.routing else {
        return None;
    };
    let input = StageInput::Exchange(ExchangeId(exchange as u32));
    let mut readers = (program.stages.iter()).filter(|stage| stage.inputs().any(|i| i == input));
    let (Some(reader), None) = (readers.next(), readers.next()) else {
        return None;
    };
    let Some(OperatorSpec::Aggregate(behind)) = reader.operators.first() else {
        return None;
    };
    if !reader.others.is_empty() || spec.order != Order::Free {
        return None;
    }
    let groups = before_exchange(behind)?;
    let at = |column: &usize| groups.keys.iter().position(|key| key == column);
    let by = by.iter().map(at).collect::<Option<Vec<usize>>>()?;
    Some(Combined {
        exchange: ExchangeSpec::hash(Arc::clone(&groups.output), by),
        groups,
    })
}

/// The sink into an exchange; the lanes of groups are behind those of rows.
pub(super) fn exchange_sink(
    (spec, combined): (&ExchangeSpec, Option<&Combined>),
    config: &Config,
    mut lanes: Vec<LaneSender>,
    place: Place,
) -> Result<Sink> {
    let Some(combined) = combined else {
        return Ok(Sink::Exchange(ExchangeSender::new(lanes, spec, place.seed)));
    };
    let of_groups = lanes.split_off(config.shards);
    let sender = ExchangeSender::new(lanes, spec, place.seed);
    let to = ExchangeSender::new(of_groups, &combined.exchange, place.seed);
    let combiner = Combiner::new(
        combined.groups.clone(),
        to,
        (config.combine_groups, place.frame_rows),
        place.addresses,
        place.seed,
    )?;
    Ok(Sink::Exchange(sender.combining(combiner)))
}
