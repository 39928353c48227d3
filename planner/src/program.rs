//! The program of a plan.

use crate::exchange::table;
use crate::prices::{compute, mesh_of, traits};
use crate::request::Request;
use crate::validate::configuration;
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
    lower(request.model, decision, &facts(request, decision), settings)
}

/// How the software stack of a request runs programs: buckets of gradients are its own.
#[must_use]
pub fn settings(request: &Request<'_>, granularity: Granularity) -> Settings {
    let bucket = request.profile.stack().collective.bucket.value;
    Settings { granularity, bucket, ..Settings::default() }
}
