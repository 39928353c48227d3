//! What a stage may choose besides its layers: ZeRO stage and embedding exchange.

use crate::combinations::refuses_setting;
use crate::request::Request;
use crate::space::Configuration;
use cost_model::memory::Zero;
use plan::exchange::Exchange;
use plan::model::Table;

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Setting {
    /// Sharding of the training state.
    pub zero: Zero,
    /// Exchange of the token table's gradient; `None` where the model has no table.
    pub exchange: Option<Exchange>,
}

/// The settings of a request, least sharding first: ties go to the simpler plan.
#[must_use]
pub fn settings(request: &Request<'_>, c: &Configuration, replicas: u32) -> Vec<Setting> {
    let zeros = Zero::ALL.into_iter().filter(|&z| match request.pins.zero {
        Some(pin) => pin == z,
        None => z == Zero::Off || replicas > 1,
    });
    let exchanges = exchanges(request, replicas);
    zeros
        .flat_map(|zero| exchanges.iter().map(move |&exchange| Setting { zero, exchange }))
        .filter(|s| is_consistent(request, *s) && !refuses_setting(request, c, *s))
        .collect()
}

fn exchanges(request: &Request<'_>, replicas: u32) -> Vec<Option<Exchange>> {
    let Some(table) = request.model.table else { return vec![None] };
    if replicas == 1 {
        // Nobody to exchange with: a pin holds, and costs nothing.
        return vec![Some(request.pins.exchange.unwrap_or(Exchange::Dense))];
    }
    let all = Exchange::ALL.into_iter().filter(|&e| applies(table, e).is_none());
    match request.pins.exchange {
        Some(pin) => all.filter(|&e| e == pin).map(Some).collect(),
        // Trainers of Transformers have no such table: tensor parallelism splits theirs.
        None => {
            let recurrent = request.model.is_recurrent;
            all.filter(|&e| e != Exchange::Sharded || recurrent).map(Some).collect()
        }
    }
}

/// Whether the training state of the table takes more than a tenth of a device, in a model where
/// tensor parallelism does not take care of it.
#[must_use]
pub fn is_large(request: &Request<'_>, table: Table) -> bool {
    if !request.model.is_recurrent {
        return false;
    }
    let p = &request.model.spec.training.precision;
    let each = (p.weight_bytes + p.gradient_bytes + p.optimizer_bytes) as f64;
    table.vocab as f64 * table.width as f64 * each > 0.1 * request.profile.memory().get()
}

/// Why an exchange cannot be used with a table, if it cannot.
#[must_use]
pub fn applies(table: Table, exchange: Exchange) -> Option<&'static str> {
    let dense_gradient = table.tied && table.sampled.is_none();
    match exchange {
        Exchange::Gather | Exchange::DedupGather | Exchange::Unique if dense_gradient => {
            Some("tied to a full softmax: every row has a gradient")
        }
        Exchange::Sharded if table.tied => Some("tied: the softmax needs every row"),
        _ => None,
    }
}

/// Exchanges of rows keep the whole table on every replica; with sharded parameters the table is
/// sharded like everything else.
fn is_consistent(request: &Request<'_>, setting: Setting) -> bool {
    let whole_rows = matches!(
        setting.exchange,
        Some(Exchange::Gather | Exchange::DedupGather | Exchange::Unique)
    );
    let pinned = request.pins.exchange.is_some();
    !(whole_rows && setting.zero == Zero::Parameters && !pinned)
}
