//! Values that are typed.

use super::{Knob, choices};
use crate::ask::Ask;
use crate::host::Menu;
use plan::model::Batch;
use plan::schedule::LocalSteps;

/// The question with a knob set to what was typed.
///
/// # Errors
/// What is taken instead.
pub fn typed(knob: Knob, ask: &Ask, menu: &Menu, text: &str) -> Result<Ask, String> {
    let text = text.trim();
    if ["auto", "recipe", "default", "off"].contains(&text) && !is_switch(knob) {
        return Ok(knob.freed(ask));
    }
    let mut changed = ask.clone();
    let number = |text: &str| text.parse::<u32>().ok().filter(|n| (1..=1 << 24).contains(n));
    let degree = || number(text).ok_or_else(|| whole(knob));
    match knob {
        Knob::Gpus => changed.gpus = degree()?,
        Knob::Cluster => changed.cluster = named(text)?,
        Knob::Batch => changed.batch = Some(batch(text)?),
        Knob::Sequence => changed.sequence = Some(degree()?.into()),
        Knob::Tp => changed.pins.tp = Some(degree()?),
        Knob::Pp => changed.pins.pp = Some(degree()?),
        Knob::Dp => changed.pins.dp = Some(degree()?),
        Knob::Cp => changed.pins.cp = Some(degree()?),
        Knob::Ep => changed.pins.ep = Some(degree()?),
        Knob::MicroBatch => changed.pins.micro_sequences = Some(degree()?.into()),
        Knob::Chunks => changed.pins.chunks = Some(degree()?),
        Knob::LocalSteps => changed.pins.local_steps = Some(local_steps(text)?),
        Knob::MaxMemory => changed.max_memory = Some(share(text)?),
        _ => return listed(knob, ask, menu, text),
    }
    Ok(changed)
}

fn is_switch(knob: Knob) -> bool {
    matches!(knob, Knob::SequenceParallel | Knob::Offload)
}

fn whole(knob: Knob) -> String {
    format!("{} is a whole number from 1 to 16,777,216, or `auto`", knob.name())
}

fn named(text: &str) -> Result<String, String> {
    let is_one_word = !text.is_empty() && !text.contains(char::is_whitespace);
    is_one_word.then(|| text.to_string()).ok_or_else(|| "a cluster has a name".to_string())
}

fn batch(text: &str) -> Result<Batch, String> {
    let (text, of): (&str, fn(u64) -> Batch) = match text.strip_suffix("/gpu") {
        Some(each) => (each, Batch::PerDevice),
        None => (text, Batch::Global),
    };
    let number = text.trim().parse::<u64>().ok().filter(|n| (1..1 << 40).contains(n));
    number.map(of).ok_or_else(|| "a batch is written like 49152, or 256/gpu".to_string())
}

fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>().ok();
    let percent = percent.filter(|p| *p > 0.0 && *p <= 100.0);
    percent.map(|p| p / 100.0).ok_or_else(|| "a share is above 0% and up to 100%".to_string())
}

fn local_steps(text: &str) -> Result<LocalSteps, String> {
    let every = text.parse::<u32>().ok().filter(|n| (1..=100_000).contains(n));
    let policy = every.map(|every| LocalSteps { every, fragments: 1, delay: 0 });
    policy.filter(|p| p.is_sound()).ok_or_else(|| "it is a number of steps, or `off`".to_string())
}

/// One of the values that are offered.
fn listed(knob: Knob, ask: &Ask, menu: &Menu, text: &str) -> Result<Ask, String> {
    let all = choices(knob, ask, menu, 1);
    let found = all.iter().find(|choice| choice.word == text).map(|choice| choice.ask.clone());
    found.ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|choice| choice.word.as_str()).collect();
        format!("{} is one of {}", knob.name(), words.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_said_to_be_none() {
        let (ask, menu) = (Ask::new(8, "c"), Menu::default());
        let set = |knob, text| typed(knob, &ask, &menu, text);
        assert_eq!(set(Knob::Batch, "256/gpu").unwrap().batch, Some(Batch::PerDevice(256)));
        assert_eq!(set(Knob::Batch, "4096").unwrap().batch, Some(Batch::Global(4096)));
        assert_eq!(set(Knob::MaxMemory, "85 %").unwrap().max_memory, Some(0.85));
        assert_eq!(set(Knob::Offload, "off").unwrap().pins.offload, Some(false));
        assert_eq!(set(Knob::Tp, "auto").unwrap(), ask);
        assert!(set(Knob::Tp, "0").unwrap_err().contains("whole number"));
        assert!(set(Knob::Zero, "7").unwrap_err().contains("0, 1, 2, 3"));
        for knob in Knob::ALL {
            assert!(set(knob, "").is_err(), "{knob:?}");
        }
    }
}
