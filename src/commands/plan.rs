//! `plan`: from flags to a request, from a request to the best plan.

mod request;

use crate::catalog::Catalog;
use crate::cli::{Format, PlanArgs};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::settings::Settings;
use request::Request;

/// Finds the best plan.
pub fn run(flags: &PlanArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let catalog = Catalog::from_environment()?;
    let request = Request::resolve(&catalog, flags, settings)?;
    if !flags.dry_run {
        return Err(no_search());
    }
    let text = match settings.format {
        Format::Json => crate::render::json::document(&request.json()),
        _ => output.out.text(&request.screen()),
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

/// The search is not linked in yet.
pub fn no_search() -> Failure {
    Failure::usage("the search is not part of this build")
        .hint("`meshwright plan --dry-run` shows what would be searched for")
}
