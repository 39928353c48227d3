//! What a trainer is told of each decision, and what it cannot be told.

use super::form::{Setting, Value};
use super::recipe::{Formats, Recipe};
use super::topic::Topic;

/// What a trainer's configuration says about one decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// Keys that state it.
    pub settings: Vec<Setting>,
    /// What happens instead, where they do not state all of it.
    pub instead: Option<String>,
    /// Why the plan cannot be run at all, and the flag of `plan` that avoids it.
    pub refusal: Option<(String, Option<&'static str>)>,
}

impl Said {
    /// The trainer does that of itself.
    pub fn same() -> Self {
        Self::default()
    }

    /// By these keys.
    pub fn keys<K: Into<String>, const N: usize>(keys: [(K, Value); N]) -> Self {
        let settings = keys.into_iter().map(|(key, value)| Setting { key: key.into(), value });
        Self { settings: settings.collect(), ..Self::default() }
    }

    /// Something else happens.
    pub fn instead(what: impl Into<String>) -> Self {
        Self { instead: Some(what.into()), ..Self::default() }
    }

    /// By these keys in part; what is missing.
    #[must_use]
    pub fn but(mut self, what: impl Into<String>) -> Self {
        self.instead = Some(what.into());
        self
    }

    /// More keys.
    #[must_use]
    pub fn and<K: Into<String>, const N: usize>(mut self, keys: [(K, Value); N]) -> Self {
        self.settings.extend(Self::keys(keys).settings);
        self
    }

    /// With a remark where the trainer keeps other formats than the plan counts.
    #[must_use]
    pub fn keeping(self, own: Formats, plan: Formats) -> Self {
        match own == plan {
            true => self,
            false => self.but(format!("it keeps {}", own.words())),
        }
    }

    /// Not at all; `flag` asks `plan` for one without.
    pub fn never(why: impl Into<String>, flag: Option<&'static str>) -> Self {
        Self { refusal: Some((why.into(), flag)), ..Self::default() }
    }
}

/// Somebody's trainer.
pub trait Trainer {
    /// Its name.
    fn name(&self) -> &'static str;

    /// The release or commit at which the keys were read.
    fn version(&self) -> &'static str;

    /// How a decision that is not plain is stated.
    fn say(&self, topic: Topic, recipe: &Recipe<'_>) -> Said;

    /// The model, where the trainer is told its shape.
    fn model(&self, recipe: &Recipe<'_>) -> Said;

    /// The text, from all settings; every line of `remarks` has to be in it where the format has
    /// comments.
    fn write(&self, recipe: &Recipe<'_>, settings: &[Setting], remarks: &[String]) -> String;
}

/// A configuration and what it leaves out.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The file.
    pub text: String,
    /// Decisions that it does not state, each with what happens instead.
    pub unsaid: Vec<String>,
}

/// Why a trainer cannot run a plan: reasons, and flags of `plan` that avoid them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refusal {
    /// Reasons.
    pub reasons: Vec<String>,
    /// Flags, where flags help.
    pub flags: Vec<&'static str>,
}

/// Tells a trainer everything, or says why that is impossible.
///
/// # Errors
/// What the trainer lacks.
pub fn tell(trainer: &dyn Trainer, recipe: &Recipe<'_>) -> Result<Document, Refusal> {
    let mut settings = Vec::new();
    let mut unsaid = Vec::new();
    let mut refusal = Refusal::default();
    let mut take = |what: &dyn Fn() -> String, said: Said| {
        settings.extend(said.settings);
        unsaid.extend(said.instead.map(|instead| format!("{}: {instead}", what())));
        if let Some((why, flag)) = said.refusal {
            refusal.reasons.push(why);
            refusal.flags.extend(flag);
        }
    };
    take(&|| format!("the model {}", recipe.spec.name), trainer.model(recipe));
    for topic in Topic::ALL {
        if !topic.is_plain(recipe) {
            take(&|| topic.words(recipe), trainer.say(topic, recipe));
        }
    }
    if !refusal.reasons.is_empty() {
        return Err(refusal);
    }
    let text = trainer.write(recipe, &settings, &remarks(trainer, recipe, &unsaid));
    Ok(Document { text, unsaid })
}

/// What stands at the head of a file.
fn remarks(trainer: &dyn Trainer, r: &Recipe<'_>, unsaid: &[String]) -> Vec<String> {
    let gpus = r.decision.world_size;
    let mut lines = vec![
        format!("Plan {} of meshwright: {} on {gpus} GPUs of {}.", r.id, r.spec.name, r.cluster),
        format!("For {} {}.", trainer.name(), trainer.version()),
    ];
    if !unsaid.is_empty() {
        lines.push("What the plan decides and this cannot state:".into());
        lines.extend(unsaid.iter().map(|line| format!("- {line}")));
    }
    lines
}
