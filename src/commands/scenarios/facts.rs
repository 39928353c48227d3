//! What a list says about a scenario, and what follows from its file.

use crate::catalog::{Catalog, Kind, Scenario};
use crate::diagnostics::Failure;
use crate::render::table::Align;
use crate::style::Canvas;
use plan::Dtype;
use plan::corpus::TokenKind;
use plan::machine::{Cluster, Device};
use plan::model::{Batch, Family, ModelSpec, Stacks};
use plan::scenario::{names, parse_corpus, parse_device, parse_model};
use plan::units::{count, significant};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What is worth knowing about a scenario without reading its file.
pub struct Facts {
    /// The name to type.
    pub name: String,
    aliases: Vec<String>,
    /// Values in the order of [`Facts::columns`], or the failure of a file that is broken.
    values: Result<Vec<String>, Failure>,
}

impl Facts {
    /// The facts about one file.
    pub fn of(catalog: &Catalog, kind: Kind, name: &str, file: &Scenario) -> Self {
        let head = names(&file.text).ok();
        let scenario = |p| Failure::scenario(&file.shown, &file.text, p);
        let values = match kind {
            Kind::Model => parse_model(&file.text).map(|m| model(&m)).map_err(scenario),
            Kind::Cluster => catalog.read_cluster(file).map(|c| cluster(&c)),
            Kind::Device => parse_device(&file.text).map(|d| device(&d)).map_err(scenario),
            Kind::Corpus => parse_corpus(&file.text).map_err(scenario).map(|c| {
                let word = TokenKind::ALL.iter().find(|(_, t)| *t == c.token);
                let law = format!(
                    "{}·N^{}",
                    significant(c.prefactor.value, 3),
                    significant(c.exponent.value, 3)
                );
                vec![word.map_or("", |(word, _)| word).to_string(), law, c.source]
            }),
            Kind::Profile => catalog.read_stack(file).map(|stack| vec![stack.label]),
        };
        let aliases = head.as_ref().map(|h| h.aliases.clone()).unwrap_or_default();
        let name = head.map_or_else(|| name.to_string(), |head| head.name);
        Self { name, aliases, values }
    }

    /// Columns besides the name.
    pub fn columns(kind: Kind) -> Vec<(&'static str, Align)> {
        use Align::{Left, Right};
        match kind {
            Kind::Model => vec![("params", Right), ("kind", Left), ("source", Left)],
            Kind::Cluster => vec![("devices", Left), ("link", Left)],
            Kind::Device => vec![("peak", Right), ("memory", Right), ("label", Left)],
            Kind::Profile => vec![("software stack", Left)],
            Kind::Corpus => vec![("tokens", Left), ("law", Left), ("source", Left)],
        }
    }

    /// The cells besides the name.
    pub fn cells(&self) -> impl Iterator<Item = String> + '_ {
        let broken = "broken: see `meshwright validate`".to_string();
        let cells = self.values.as_ref().map_or_else(|_| vec![broken], Clone::clone);
        cells.into_iter()
    }

    /// For programs.
    pub fn json(&self, kind: Kind) -> Value {
        let columns = Self::columns(kind);
        let pairs = columns.iter().map(|(name, _)| (*name).to_string());
        let values = self.values.clone().unwrap_or_default();
        let facts: serde_json::Map<String, Value> =
            pairs.zip(values.into_iter().map(Value::String)).collect();
        let mut entry = json!({
            "kind": kind.singular(),
            "name": self.name,
            "aliases": self.aliases,
            "facts": facts,
        });
        if let Err(failure) = &self.values {
            entry["problem"] = failure.render(&Canvas::PLAIN).into();
        }
        entry
    }

    /// As comment lines below the file.
    pub fn comment(&self, kind: Kind) -> String {
        let mut text = String::from("\n# What follows from this file:\n");
        match &self.values {
            Ok(values) => {
                for ((name, _), value) in Self::columns(kind).iter().zip(values) {
                    let _infallible = writeln!(text, "#   {name:<8} {value}");
                }
            }
            Err(failure) => {
                for line in failure.render(&Canvas::PLAIN).lines() {
                    let _infallible = writeln!(text, "{}", format!("#   {line}").trim_end());
                }
            }
        }
        text
    }
}

/// The kind of a file that lies anywhere, by the tables it has.
pub fn kind_of(text: &str) -> Kind {
    let has = |table: &str| text.lines().any(|line| line.trim_start().starts_with(table));
    match () {
        () if has("[node]") || has("[[node]]") || has("[node.") => Kind::Cluster,
        () if has("[peak]") || has("[gemm]") => Kind::Device,
        () if has("[vocabulary]") => Kind::Corpus,
        () if has("family") || has("[training]") || has("[shape]") => Kind::Model,
        () => Kind::Profile,
    }
}

fn model(model: &ModelSpec) -> Vec<String> {
    let parameters = model
        .published_parameters
        .as_ref()
        .map_or_else(String::new, |published| count(published.parameters));
    let batch = match model.training.batch {
        Batch::PerDevice(n) => format!("{n} sequences per GPU"),
        Batch::Global(n) => format!("{n} sequences"),
    };
    let kind = format!("{}, {batch} × {}", family(&model.family), model.training.sequence);
    vec![parameters, kind, model.source.clone()]
}

fn family(family: &Family) -> &'static str {
    match family {
        Family::Transformer(t) if t.experts.is_some() => "mixture of experts",
        Family::Transformer(t) => match t.stacks {
            Stacks::Decoder => "decoder",
            Stacks::Encoder => "encoder",
            Stacks::EncoderDecoder { .. } => "encoder–decoder",
        },
        Family::Lstm(_) => "LSTM",
        Family::Mlstm(_) => "mLSTM",
        Family::Rhn(_) => "RHN",
        Family::Einsum(_) => "einsum graph",
    }
}

fn cluster(cluster: &Cluster) -> Vec<String> {
    let groups = &cluster.groups;
    let devices: Vec<String> = groups
        .iter()
        .map(|g| {
            let nodes = g.nodes.map_or_else(|| "N".to_string(), |n| n.to_string());
            format!("{nodes} × {} × {}", g.devices_per_node, g.device.label)
        })
        .collect();
    let links: Vec<String> = groups
        .iter()
        .map(|g| match &g.inter {
            Some(inter) => format!("{} · {}", g.intra.label, inter.label),
            None => g.intra.label.clone(),
        })
        .collect();
    let mut links = links;
    links.dedup();
    vec![devices.join(" + "), links.join(" + ")]
}

/// The fastest format, and what it reaches.
fn device(device: &Device) -> Vec<String> {
    let order = [Dtype::Bf16, Dtype::Fp16, Dtype::Fp32, Dtype::Fp8];
    let fastest = order.iter().find_map(|dtype| Some((dtype, device.peak.get(dtype)?)));
    let peak = fastest.map_or_else(String::new, |(dtype, rate)| format!("{} {dtype}", rate.value));
    vec![peak, device.memory.value.to_string(), device.label.clone()]
}
