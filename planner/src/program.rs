//! The program of a plan.

use crate::exchange::table;
use crate::pieces;
use crate::prices::{PriceBook, Split, compute, mesh_of, traits};
use crate::request::Request;
use crate::setting::Setting;
use crate::validate::configuration;
use cost_model::memory::Zero;
use plan::document::Decision;
use plan::program::{DifferentTokens, Facts, Granularity, LowerError, Program, Settings, lower};

/// What lowering needs to know about the machine and the corpus of a request.
#[must_use]
pub fn facts(request: &Request<'_>, decision: &Decision) -> Facts {
    let d = decision.degrees;
    // Degrees of zero are refused when the decision is lowered; there is nothing to count before.
    let is_whole = [d.dp, d.tp, d.pp, d.cp, d.ep].iter().all(|&degree| degree > 0);
    let knows = is_whole && request.corpus.is_some();
    let table = knows.then(|| {
        let group = mesh_of(request, d).replica_group();
        table(request, &configuration(decision), group)
    });
    let tokens =
        |t: cost_model::exchange::Table| DifferentTokens { own: t.unique_own, all: t.unique_all };
    Facts {
        per_node: request.per_node(),
        traits: traits(request.profile, compute(request)),
        different: table.flatten().map(tokens),
        capacity: Some(request.usable(request.limit())),
    }
}

/// Lowers a decision on the machine of a request.
///
/// # Errors
/// [`LowerError`] where the decision contradicts itself or the model, or has no lowering.
pub fn program(
    request: &Request<'_>,
    decision: &Decision,
    settings: &Settings,
) -> Result<Program, LowerError> {
    let mut settings = settings.clone();
    settings.shares = shares(request, decision);
    lower(request.model, decision, &facts(request, decision), &settings)
}

/// How the rows of a token table in pieces are shared out over stages; nothing where it is whole.
fn shares(request: &Request<'_>, decision: &Decision) -> Vec<f64> {
    let c = configuration(decision);
    let degrees = [c.degrees.dp, c.degrees.tp, c.degrees.pp, c.degrees.cp, c.degrees.ep];
    if c.pieces < 2 || degrees.contains(&0) {
        return Vec::new();
    }
    let zero = decision.stages.first().and_then(|s| Zero::from_stage(s.zero));
    let exchange = decision.embedding.map(|e| e.exchange);
    let setting = Setting { zero: zero.unwrap_or(Zero::Off), exchange };
    let replicas = mesh_of(request, c.degrees).replica_group().size;
    let mut book = PriceBook::new(request);
    match book.get(Split::of(request, &c)) {
        Ok(kinds) => pieces::shares(request, &c, setting, replicas, kinds),
        Err(_) => Vec::new(),
    }
}

/// How the software stack of a request runs programs: buckets of gradients are its own.
#[must_use]
pub fn settings(request: &Request<'_>, granularity: Granularity) -> Settings {
    let bucket = request.profile.stack().collective.bucket.value;
    Settings { granularity, bucket, ..Settings::default() }
}
