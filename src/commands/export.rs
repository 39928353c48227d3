//! `export`: a plan as others read it.

use crate::catalog::Catalog;
use crate::cli::ExportArgs;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::export::Exported;
use crate::files;
use crate::output::Output;
use crate::planfile;
use crate::settings::Settings;

/// Writes a plan as something else.
pub fn run(flags: &ExportArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let plan = planfile::parse(files::shown(&flags.plan), &files::read(&flags.plan)?)?;
    let catalog = Catalog::from_environment()?;
    let exported = Exported::new(plan, &flags.plan, &catalog, &flags.sources)?;
    let (text, unsaid) = exported.write(flags.to, &flags.drawing)?;
    files::write(output, settings.output.as_deref(), &text)?;
    for line in unsaid {
        output.note(&format!("not stated: {line}"));
    }
    Ok(Exit::Done)
}
