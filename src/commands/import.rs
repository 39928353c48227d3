//! `import`: what people train with today, as a plan.

use crate::catalog::Catalog;
use crate::cli::{self, LayoutArgs};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::layout::{self, Layout, Size, Stated};
use crate::output::Output;
use crate::settings::Settings;
use plan::model::{Family, ModelSpec};
use std::num::NonZeroU32;

/// Prices the layout of a trainer's configuration.
pub fn run(flags: &LayoutArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let name = files::shown(&flags.file);
    let layout = layout::read(name, &files::read(&flags.file)?, flags.gpus.map(NonZeroU32::get))?;
    let Some(ranks) = layout.ranks else {
        return Err(Failure::usage(format!("{name} does not say on how many GPUs it runs"))
            .hint("--gpus says it"));
    };
    let spec = Catalog::from_environment()?.import(&flags.model)?.spec;
    let stack = flags.stack.as_deref().unwrap_or(layout.stack);
    output.note(&format!("{name} asks for {} --stack {stack}", layout.flags().join(" ")));
    for remark in &layout.remarks {
        let place = remark.line.map_or(name.to_string(), |line| format!("{name}:{line}"));
        output.note(&format!("{place}: {}", remark.text));
    }
    for remark in differences(&layout.stated, &spec) {
        output.note(&format!("{name}:{remark}"));
    }
    let plan = cli::plan_of(words(flags, &layout, ranks))?;
    super::plan::run(&plan, settings, output)
}

/// The `plan` command that asks for the layout. It trains today, so nothing is held in reserve.
fn words(flags: &LayoutArgs, layout: &Layout, ranks: u32) -> Vec<String> {
    let mut words: Vec<String> = ["plan", "--top", "1", "--max-memory", "100%", "-m", &flags.model]
        .map(str::to_string)
        .to_vec();
    words.extend(["-g".into(), ranks.to_string()]);
    for flag in layout.flags() {
        words.extend(flag.split_whitespace().map(str::to_string));
    }
    let stack = flags.stack.clone().unwrap_or(layout.stack.into());
    words.extend(["--stack".into(), stack]);
    words
}

/// Sizes in which the file's model is not the one that is planned.
fn differences(stated: &[Stated], spec: &ModelSpec) -> Vec<String> {
    let Family::Transformer(shape) = &spec.family else { return Vec::new() };
    let difference = |stated: &Stated| {
        let (ours, what) = match stated.size {
            Size::Layers => (u64::from(shape.layers), "layers"),
            Size::Width => (shape.d_model, "wide"),
            Size::Heads => (shape.heads, "heads"),
        };
        let Stated { value, line, .. } = stated;
        (ours != *value)
            .then(|| format!("{line}: the file's model has {value} {what}, {} {ours}", spec.name))
    };
    stated.iter().filter_map(difference).collect()
}
