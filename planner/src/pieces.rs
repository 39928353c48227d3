//! How the rows of a token table in pieces are shared out over the stages that store them.
//!
//! Where every stage is one layer, what a stage holds besides is known beforehand, and the pieces
//! fill the emptier stages until all are equally full. Elsewhere the pieces are equal.

use crate::prices::PricedKinds;
use crate::request::Request;
use crate::setting::Setting;
use crate::space::Configuration;
use cost_model::memory::{Zero, states};
use plan::exchange::Exchange;
use plan::model::{LayerRole, Precision};
use plan::schedule::ScheduleKind;

/// Per stage that stores a piece: its share of the table's rows. The shares add up to 1.
#[must_use]
pub fn shares(
    request: &Request<'_>,
    c: &Configuration,
    setting: Setting,
    replicas: u32,
    kinds: &PricedKinds,
) -> Vec<f64> {
    let pieces = c.pieces as usize;
    let held = Holdings { request, c, zero: setting.zero, replicas, kinds };
    let layers = held.layers();
    if pieces < 2 || layers.len() != c.degrees.pp as usize {
        return vec![1.0 / f64::from(c.pieces.max(1)); pieces.max(1)];
    }
    let besides: Vec<f64> =
        layers[..pieces].iter().enumerate().map(|(stage, kind)| held.bytes(stage, *kind)).collect();
    let table = held.table(setting.exchange);
    fill(&besides, table).into_iter().map(|bytes| bytes / table).collect()
}

/// Pours `amount` into vessels that hold `besides` already, until those that got some are equally
/// full: `xᵢ = max(0, λ − uᵢ)`, where `λ` is such that `Σ xᵢ` is the amount.
fn fill(besides: &[f64], amount: f64) -> Vec<f64> {
    let mut sorted = besides.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut level = f64::INFINITY;
    let mut sum = amount;
    for (n, held) in sorted.iter().enumerate() {
        if *held >= level {
            break;
        }
        sum += held;
        level = sum / (n as f64 + 1.0);
    }
    besides.iter().map(|held| (level - held).max(0.0)).collect()
}

struct Holdings<'a> {
    request: &'a Request<'a>,
    c: &'a Configuration,
    zero: Zero,
    replicas: u32,
    kinds: &'a PricedKinds,
}

impl Holdings<'_> {
    fn precision(&self) -> &Precision {
        &self.request.model.spec.training.precision
    }

    /// The kind of every layer.
    fn layers(&self) -> Vec<usize> {
        let runs = self.request.model.chain.iter();
        runs.flat_map(|run| (0..run.layers).map(|_| run.kind)).collect()
    }

    /// What a stage of one layer holds besides rows of the input table.
    fn bytes(&self, stage: usize, kind: usize) -> f64 {
        let priced = &self.kinds[kind];
        let p = &priced.parameters;
        let table = match self.request.model.kinds[kind].role {
            LayerRole::Embedding => 0,
            LayerRole::Body | LayerRole::Head => p.table,
        };
        let own = (p.replicated + p.expert + table) as f64;
        let state = states(own, self.precision(), self.zero, self.replicas).total().get();
        let level = &priced.levels[0];
        let behind = u32::try_from(stage).map_or(0, |s| self.c.degrees.pp.saturating_sub(s));
        let in_flight = match self.c.schedule {
            ScheduleKind::GPipe => self.c.micro_batches,
            _ => behind.min(self.c.micro_batches),
        };
        state + level.saved.get() * f64::from(in_flight) + level.transient.get()
    }

    /// The whole input table. The gradient of rows that are exchanged lives in a buffer.
    fn table(&self, exchange: Option<Exchange>) -> f64 {
        let chain = self.request.model.chain.iter();
        let role = |kind: usize| self.request.model.kinds[kind].role;
        let input = chain.filter(|run| role(run.kind) == LayerRole::Embedding);
        let rows: u64 = input.map(|run| self.kinds[run.kind].parameters.table).sum();
        let (p, rows) = (self.precision(), rows as f64);
        match exchange {
            None | Some(Exchange::Dense) => states(rows, p, self.zero, self.replicas).total().get(),
            Some(Exchange::Sharded) => {
                rows * (p.weight_bytes + p.optimizer_bytes) as f64 / f64::from(self.replicas)
            }
            Some(_) => rows * (p.weight_bytes + p.optimizer_bytes) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 30 into 20, 0, 10: all at (30 + 30)/3 = 20, so 0, 20, 10. 6 into 20, 0, 10: the second only.
    /// 14 into 20, 0, 10: two at (14 + 10)/2 = 12.
    #[test]
    fn vessels_fill_to_one_level() {
        assert_eq!(fill(&[20.0, 0.0, 10.0], 30.0), [0.0, 20.0, 10.0]);
        assert_eq!(fill(&[20.0, 0.0, 10.0], 6.0), [0.0, 6.0, 0.0]);
        assert_eq!(fill(&[20.0, 0.0, 10.0], 14.0), [0.0, 12.0, 2.0]);
        assert_eq!(fill(&[1.0, 1.0], 2.0), [1.0, 1.0]);
    }
}
