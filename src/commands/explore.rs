//! `explore`: the terminal explorer, and its screens as text.

mod around;

use crate::catalog::Catalog;
use crate::cli::ExploreArgs;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::settings::Settings;
use around::Around;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use tui::host::Host;
use tui::terminal::{End, explore};
use tui::theme::Look;
use tui::{Model, capture, key};

/// Explores.
pub fn run(flags: &ExploreArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let is_asked = flags.plan.is_some() || flags.model.is_some();
    if flags.keys.is_none() && is_asked {
        needs_a_terminal(flags)?;
    }
    let catalog = Catalog::from_environment()?;
    let (around, ask) = Around::new(catalog, flags, settings)?;
    if let Some(keys) = &flags.keys {
        return screen(&around, ask, keys, flags, settings, output);
    }
    let variable = std::env::var("COLORTERM").unwrap_or_default();
    let look = Look {
        has_colour: output.out.has_colour,
        has_true_colour: matches!(variable.as_str(), "truecolor" | "24bit"),
        is_ascii: output.out.is_ascii,
    };
    let host: Arc<dyn Host + Send + Sync> = Arc::new(around);
    match explore(&host, ask, look) {
        Ok(End::Left) => Ok(Exit::Done),
        Ok(End::Signalled) => Ok(Exit::Interrupted),
        Err(error) => {
            Err(Failure::new(Exit::Failed, format!("cannot talk to the terminal: {error}")))
        }
    }
}

/// The explorer reads keys and draws; what works without says the same.
fn needs_a_terminal(flags: &ExploreArgs) -> Result<(), Failure> {
    let is_dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    if io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb {
        return Ok(());
    }
    let (lines, again) = match (&flags.plan, &flags.model, flags.gpus) {
        (Some(plan), ..) => (format!("explain {plan}"), plan.clone()),
        (None, Some(model), Some(gpus)) => {
            (format!("plan -m {model} -g {gpus}"), format!("-m {model} -g {gpus}"))
        }
        _ => ("plan -m MODEL -g N".into(), "-m MODEL -g N".into()),
    };
    Err(Failure::usage("the explorer needs a terminal that can be drawn on")
        .hint(format!("`meshwright {lines}` says the same in lines"))
        .hint(format!("`meshwright explore {again} --keys 2` prints a screen of it")))
}

/// A screen as text.
fn screen(
    around: &Around,
    ask: tui::Ask,
    keys: &str,
    flags: &ExploreArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let keys = key::parse(keys)
        .map_err(|why| Failure::usage(why).hint("keys are written like 2 j <enter> <tab> <C-d>"))?;
    let look = Look { is_ascii: output.out.is_ascii, ..Look::default() };
    let menu = around.menu().clone();
    let (mut model, effects) = Model::new(ask, menu, look, flags.size, around.measured());
    capture::press(around, &mut model, effects, &keys);
    let text = capture::text(&capture::buffer(&model));
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}
