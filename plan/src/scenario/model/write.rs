//! Writes a transformer as the file that is read as the same model.

use super::training::RECIPES;
use crate::model::{
    Batch, Family, ModelSpec, Norm, Positions, Precision, Stacks, Training, Transformer,
};
use crate::work::OptimizerRule;
use std::fmt::Display;

/// The lines of a file, one table after the other.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn put(&mut self, key: &str, value: impl Display) {
        self.0.push_str(&format!("{key} = {value}\n"));
    }

    fn text(&mut self, key: &str, value: &str) {
        // Escapes of JSON are escapes of TOML.
        self.put(key, serde_json::Value::from(value));
    }

    /// A key that is left out where its value is the one that readers assume.
    fn unless<T: Display + PartialEq>(&mut self, otherwise: T, key: &str, value: T) {
        if value != otherwise {
            self.put(key, value);
        }
    }

    fn table(&mut self, name: &str) {
        self.0.push_str(&format!("\n[{name}]\n"));
    }
}

/// The file of a model; `None` for families that this does not write: recurrent ones, free graphs
/// and adaptive tables.
#[must_use]
pub fn write_model(spec: &ModelSpec) -> Option<String> {
    let Family::Transformer(t) = &spec.family else { return None };
    if t.adaptive.is_some() {
        return None;
    }
    let mut lines = Lines::default();
    lines.put("schema", super::super::reader::SCHEMA);
    lines.text("name", &spec.name);
    lines.text("family", "transformer");
    lines.text("source", &spec.source);
    if let Some(count) = &spec.published_parameters {
        lines.table("parameters");
        lines.put("value", count.parameters);
        lines.put("tolerance", count.tolerance);
        lines.text("source", &count.source);
    }
    lines.table("shape");
    sizes(&mut lines, t);
    parts(&mut lines, t);
    latent(&mut lines, t);
    experts(&mut lines, t);
    lines.table("training");
    training(&mut lines, &spec.training);
    Some(lines.0)
}

fn sizes(lines: &mut Lines, t: &Transformer) {
    match t.stacks {
        Stacks::Decoder => lines.text("stacks", "decoder"),
        Stacks::Encoder => lines.text("stacks", "encoder"),
        Stacks::EncoderDecoder { encoder_layers } => {
            lines.text("stacks", "encoder-decoder");
            lines.put("encoder_layers", encoder_layers);
        }
    }
    lines.put("layers", t.layers);
    lines.put("d_model", t.d_model);
    lines.put("heads", t.heads);
    lines.unless(t.heads, "kv_heads", t.kv_heads);
    lines.put("head_dim", t.head_dim);
    lines.put("d_ff", t.d_ff);
    lines.put("vocab", t.vocab);
}

fn parts(lines: &mut Lines, t: &Transformer) {
    lines.unless(false, "gated", t.gated);
    lines.put("tied", t.tied);
    match t.positions {
        Positions::Learned(rows) => {
            lines.text("positions", "learned");
            lines.put("max_positions", rows);
        }
        Positions::Rope => lines.text("positions", "rope"),
        Positions::NormedRope => lines.text("positions", "normed-rope"),
        Positions::Sinusoidal => lines.text("positions", "sinusoidal"),
        Positions::Relative => lines.text("positions", "relative"),
    }
    let norm = match t.norm {
        Norm::LayerNorm => "layer-norm",
        Norm::RmsNorm => "rms-norm",
    };
    lines.text("norm", norm);
    lines.put("bias", t.bias);
    lines.unless(false, "qkv_bias", t.qkv_bias);
    lines.unless(true, "final_norm", t.final_norm);
    lines.unless(false, "embedding_norm", t.embedding_norm);
    lines.unless(false, "dropout", t.dropout);
    lines.unless(0, "segments", t.segments);
    lines.unless(false, "pooler", t.pooler);
    lines.unless(false, "mlm_head", t.mlm_head);
    lines.unless(1.0, "loss_fraction", t.loss_fraction);
    lines.unless(0, "memory_length", t.memory_length);
}

fn latent(lines: &mut Lines, t: &Transformer) {
    let Some(l) = &t.latent else { return };
    lines.table("shape.latent");
    l.query.iter().for_each(|query| lines.put("query", query));
    lines.put("key_value", l.key_value);
    lines.put("rotary", l.rotary);
    lines.put("value", l.value);
}

fn experts(lines: &mut Lines, t: &Transformer) {
    let Some(e) = &t.experts else { return };
    lines.table("shape.experts");
    lines.put("count", e.count);
    lines.put("top_k", e.top_k);
    lines.put("d_expert", e.d_expert);
    lines.unless(0, "d_shared", e.d_shared);
    lines.unless(0, "dense_layers", e.dense_layers);
    lines.unless(1, "every", e.every);
    lines.unless(false, "router_bias", e.router_bias);
    lines.put("imbalance", format!("{:?}", e.imbalance));
}

fn training(lines: &mut Lines, t: &Training) {
    lines.put("sequence", format!("\"{} tokens\"", t.sequence));
    if t.source_sequence > 0 {
        lines.put("source_sequence", format!("\"{} tokens\"", t.source_sequence));
    }
    match t.batch {
        Batch::PerDevice(n) => lines.put("batch", format!("{{ per_device = {n} }}")),
        Batch::Global(n) => lines.put("batch", format!("{{ global = {n} }}")),
    }
    lines.text("optimizer", t.optimizer.name());
    precision(lines, t);
    lines.text("default_cluster", &t.default_cluster);
    t.default_stack.iter().for_each(|stack| lines.text("default_stack", stack));
    t.corpus.iter().for_each(|corpus| lines.text("corpus", corpus));
    t.epoch_tokens.iter().for_each(|tokens| lines.put("epoch_tokens", tokens));
}

/// The recipe with these bytes, or the bytes.
fn precision(lines: &mut Lines, t: &Training) {
    let fits = |rule: Option<OptimizerRule>| rule == Some(t.optimizer) || rule.is_none();
    if let Some(r) = RECIPES.iter().find(|r| r.precision == t.precision && fits(r.rule)) {
        return lines.text("precision", r.name);
    }
    let Precision { compute, weight_bytes, gradient_bytes, optimizer_bytes, wire_bytes } =
        t.precision;
    let value = format!(
        "{{ compute = \"{}\", weight_bytes = {weight_bytes}, gradient_bytes = {gradient_bytes}, \
         optimizer_bytes = {optimizer_bytes}, wire_bytes = {wire_bytes} }}",
        compute.name()
    );
    lines.put("precision", value);
}
