//! Shapes of transformers.

use crate::published::row::Row;
use crate::published::rules::ShapeRule;
use crate::published::skip::{Assumptions, Skip};
use crate::published::words::number_after;
use plan::model::{Adaptive, Experts, Norm, Positions, Stacks, Transformer};

/// Which stacks of layers a row names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Decoder,
    Encoder,
    EncoderDecoder,
}

/// Everything that is known about a transformer.
pub(super) struct Hints<'a> {
    pub row: &'a Row,
    pub rule: ShapeRule,
    pub words: &'a str,
    pub stacks: Kind,
}

/// Stated dimensions, with those that had to be assumed.
#[derive(Clone, Copy)]
struct Dims {
    layers: u32,
    hidden: u64,
    heads: u64,
    kv_heads: u64,
    ffn: Option<u64>,
    vocab: u64,
}

/// What the parameter count decides.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Choice {
    gated: bool,
    tied: bool,
    head_dim: u64,
    d_ff: u64,
}

/// Widths of heads besides `hidden / heads`.
const HEAD_DIMS: [u64; 5] = [32, 64, 96, 128, 256];
/// How much closer an unusual choice must come to the published count than the usual one.
const UNUSUAL: f64 = 0.02;
/// Relative difference of parameter counts that is worth a word.
const OFF: f64 = 0.10;
/// Dimensions beyond this are no model's.
const MOST: u64 = 1 << 24;
/// Vocabularies of this size come with an adaptive softmax in Transformer-XL.
const ADAPTIVE_VOCABULARY: u64 = 200_000;
/// Cut-offs of the word-level Transformer-XL (arXiv:1901.02860, its published scripts).
const CUTOFFS: [u64; 3] = [19_997, 39_997, 199_997];

impl Hints<'_> {
    pub(super) fn build(&self, assumed: &mut Assumptions) -> Result<Transformer, Skip> {
        if self.words.contains("electra") {
            return Err(Skip::Part("ELECTRA's pair of models"));
        }
        let dims = self.dims(assumed)?;
        let is_xl = self.words.contains("transformer-xl") || self.words.contains("(txl)");
        let experts = self.row.shape.experts.filter(|n| *n > 1);
        let choice = self.choose(&dims, experts.is_some(), is_xl);
        let mut shape = self.plain(&dims, &choice);
        if let Some(count) = experts {
            shape.experts = Some(self.experts(count, &dims, &choice, assumed)?);
            shape.d_ff = self.rule.d_dense.unwrap_or(choice.d_ff);
        }
        if is_xl {
            self.extra_long(&mut shape, &dims, assumed);
        }
        if self.stacks == Kind::Encoder {
            self.masked(&mut shape, assumed);
        }
        self.compare(&shape, &dims, assumed);
        Ok(shape)
    }

    fn dims(&self, assumed: &mut Assumptions) -> Result<Dims, Skip> {
        let shape = &self.row.shape;
        let size = |value: Option<u64>, name| {
            let value = value.filter(|v| *v > 0).ok_or(Skip::Missing(name))?;
            if value < MOST { Ok(value) } else { Err(Skip::Large(name)) }
        };
        let hidden = size(shape.hidden, "hidden")?;
        let layers = u32::try_from(size(shape.layers, "layers")?).unwrap_or(u32::MAX);
        if layers > 4096 {
            return Err(Skip::Large("layers"));
        }
        let heads = shape.heads.filter(|h| *h > 0 && *h < MOST);
        let heads = assumed.or(heads, (hidden / 128).max(1), "heads: 128 wide");
        let stated = shape.kv_heads.filter(|k| *k > 0 && heads.is_multiple_of(*k));
        let kv_heads = assumed.or(stated, heads, "key and value heads: as query heads");
        let vocab = shape.vocab.filter(|v| *v < MOST);
        let vocab = assumed.or(vocab, 50_304, "vocabulary: 50304");
        let ffn = shape.ffn.filter(|f| *f < MOST);
        Ok(Dims { layers, hidden, heads, kv_heads, ffn, vocab })
    }

    /// The choice whose parameter count is nearest to the published one; usual choices win ties.
    fn choose(&self, dims: &Dims, is_sparse: bool, is_xl: bool) -> Choice {
        let gated = self.rule.gated.unwrap_or(false);
        let usual_dim = (dims.hidden / dims.heads).max(1);
        let stated = number_after(self.words, "head_dim").or(self.rule.head_dim);
        let tied = self.stacks == Kind::Encoder || !gated;
        let d_ff = |gated: bool| dims.ffn.unwrap_or_else(|| usual_width(dims.hidden, gated));
        let usual =
            Choice { gated, tied, head_dim: stated.unwrap_or(usual_dim), d_ff: d_ff(gated) };
        let Some(published) = self.row.shape.parameters.filter(|_| !is_sparse && !is_xl) else {
            return usual;
        };
        let mut best = (f64::INFINITY, usual);
        for head_dim in head_dims(stated, usual_dim) {
            for (gated, tied) in [(false, true), (false, false), (true, true), (true, false)] {
                let choice = Choice { gated, tied, head_dim, d_ff: d_ff(gated) };
                let off = self.off(parameters(dims, &choice), published * 1e9, &choice);
                let odd = u8::from(gated != usual.gated) + u8::from(head_dim != usual.head_dim);
                let cost = off + UNUSUAL * f64::from(odd);
                if cost < best.0 {
                    best = (cost, choice);
                }
            }
        }
        best.1
    }

    /// How far a count is from the published one, which may hold a table of learned positions.
    fn off(&self, parameters: f64, published: f64, choice: &Choice) -> f64 {
        let plain = (parameters / published).ln().abs();
        let shape = &self.row.shape;
        let table = shape.seq.unwrap_or(0) as f64 * shape.hidden.unwrap_or(0) as f64;
        match choice.gated || self.rule.rope == Some(true) {
            true => plain,
            false => plain.min(((parameters + table) / published).ln().abs()),
        }
    }

    fn plain(&self, dims: &Dims, choice: &Choice) -> Transformer {
        let rule = &self.rule;
        let gated = choice.gated;
        let seq = self.row.shape.seq.unwrap_or(1);
        let is_unfused = self.row.attention.starts_with("unfused");
        let rope = rule.rope.unwrap_or(gated);
        let is_alibi = self.words.contains("alibi") || self.words.contains("bloom");
        let positions = match rope {
            true => Positions::Rope,
            false if is_alibi || rule.rope == Some(false) && rule.bias == Some(false) => {
                Positions::Sinusoidal
            }
            false => Positions::Learned(seq),
        };
        Transformer {
            stacks: match self.stacks {
                Kind::Decoder => Stacks::Decoder,
                Kind::Encoder => Stacks::Encoder,
                Kind::EncoderDecoder => Stacks::EncoderDecoder { encoder_layers: dims.layers },
            },
            layers: dims.layers,
            d_model: dims.hidden,
            heads: dims.heads,
            kv_heads: if rule.latent.is_some() { dims.heads } else { dims.kv_heads },
            head_dim: choice.head_dim,
            latent: rule.latent,
            d_ff: choice.d_ff,
            gated,
            vocab: dims.vocab,
            tied: choice.tied,
            positions,
            norm: if rule.rms.unwrap_or(gated) { Norm::RmsNorm } else { Norm::LayerNorm },
            bias: rule.bias.unwrap_or(!gated),
            qkv_bias: rule.qkv_bias.unwrap_or(false),
            final_norm: true,
            embedding_norm: is_alibi && self.words.contains("bloom"),
            dropout: rule.dropout.unwrap_or(is_unfused && !gated),
            segments: 0,
            pooler: false,
            mlm_head: false,
            loss_fraction: 1.0,
            memory_length: 0,
            adaptive: None,
            experts: None,
        }
    }

    /// Experts; their width follows from the parameter count where no name states it.
    fn experts(
        &self,
        count: u64,
        dims: &Dims,
        choice: &Choice,
        assumed: &mut Assumptions,
    ) -> Result<Experts, Skip> {
        if count > 65_536 {
            return Err(Skip::Large("the number of experts"));
        }
        let top_k = assumed.or(self.row.shape.top_k.filter(|k| *k > 0), 2, "experts per token: 2");
        let dense_layers = self.rule.dense_layers.unwrap_or(0).min(dims.layers);
        let d_expert = match self.rule.d_expert.or(dims.ffn) {
            Some(width) => width,
            None => {
                assumed.add("width of experts: from the parameter count");
                self.width_of_experts(count, dims, choice)
            }
        };
        if !self.words.contains("balanced") {
            assumed.add("experts: balanced load");
        }
        Ok(Experts {
            count,
            top_k: top_k.min(count),
            d_expert,
            d_shared: self.rule.d_shared.unwrap_or(0),
            dense_layers,
            every: 1,
            router_bias: false,
            imbalance: 1.0,
        })
    }

    fn width_of_experts(&self, count: u64, dims: &Dims, choice: &Choice) -> u64 {
        let Some(published) = self.row.shape.parameters else { return dims.hidden };
        let rest = parameters(dims, &Choice { d_ff: 0, ..*choice });
        let matrices = if choice.gated { 3.0 } else { 2.0 };
        let each = matrices * (count * u64::from(dims.layers)) as f64 * dims.hidden as f64;
        let width = (published * 1e9 - rest) / each;
        // Widths are multiples of 64.
        ((width / 64.0).round().max(1.0) as u64) * 64
    }

    /// Transformer-XL: relative positions, as many cached positions as tokens, adaptive softmax.
    fn extra_long(&self, shape: &mut Transformer, dims: &Dims, assumed: &mut Assumptions) {
        shape.positions = Positions::Relative;
        shape.memory_length = self.row.shape.seq.unwrap_or(0);
        (shape.tied, shape.final_norm, shape.dropout) = (true, false, true);
        if dims.vocab < ADAPTIVE_VOCABULARY {
            return;
        }
        let published = self.row.shape.parameters.map(|p| p * 1e9);
        let of = |divisor: u64| {
            let rows = adaptive_rows(dims.vocab, divisor) as f64;
            let inner = Dims { vocab: 0, ..*dims };
            let choice =
                Choice { gated: false, tied: true, head_dim: shape.head_dim, d_ff: shape.d_ff };
            // One more projection per layer, of relative positions.
            let relative = (dims.hidden * dims.hidden * u64::from(dims.layers)) as f64;
            parameters(&inner, &choice) + rows * dims.hidden as f64 + relative
        };
        let off = |divisor: u64| published.map_or(0.0, |p| (of(divisor) / p).ln().abs());
        let divisor = if off(4) < off(1) { 4 } else { 1 };
        assumed.add("adaptive softmax: cut-offs of the word-level Transformer-XL");
        shape.adaptive = Some(Adaptive { cutoffs: CUTOFFS.to_vec(), divisor });
    }

    /// BERT's parts and its masked loss.
    fn masked(&self, shape: &mut Transformer, assumed: &mut Assumptions) {
        (shape.tied, shape.final_norm, shape.embedding_norm) = (true, false, true);
        (shape.segments, shape.pooler, shape.mlm_head) = (2, true, true);
        shape.positions = Positions::Learned(self.row.shape.seq.unwrap_or(1).max(512));
        shape.loss_fraction = 0.15;
        shape.dropout = true;
        assumed.add("masked loss over 15 % of positions");
    }

    fn compare(&self, shape: &Transformer, dims: &Dims, assumed: &mut Assumptions) {
        let is_plain = shape.experts.is_none() && shape.adaptive.is_none();
        let choice = Choice {
            gated: shape.gated,
            tied: shape.tied,
            head_dim: shape.head_dim,
            d_ff: shape.d_ff,
        };
        let off = self.row.shape.parameters.map(|p| parameters(dims, &choice) / (p * 1e9) - 1.0);
        if is_plain && off.is_some_and(|off| off.abs() > OFF) {
            assumed.add("shape: parameters differ from the published count by more than 10 %");
        }
    }
}

fn head_dims(stated: Option<u64>, usual: u64) -> Vec<u64> {
    match stated {
        Some(width) => vec![width],
        None => std::iter::once(usual).chain(HEAD_DIMS).collect(),
    }
}

/// Four widths, or two thirds of that in three matrices, rounded up to 256.
fn usual_width(hidden: u64, gated: bool) -> u64 {
    if gated { (hidden * 8 / 3).next_multiple_of(256) } else { hidden * 4 }
}

/// Parameters of a decoder without its small vectors: per layer two attention matrices over all
/// heads, two over key and value heads, two or three of the feed-forward part; one or two tables.
fn parameters(dims: &Dims, choice: &Choice) -> f64 {
    let (h, width) = (dims.hidden as f64, choice.head_dim as f64);
    let attention = 2.0 * h * width * (dims.heads + dims.kv_heads) as f64;
    let matrices = if choice.gated { 3.0 } else { 2.0 };
    let layer = attention + matrices * h * choice.d_ff as f64;
    let tables = if choice.tied { 1.0 } else { 2.0 };
    f64::from(dims.layers) * layer + tables * dims.vocab as f64 * h
}

/// Rows of an adaptive table in rows of the first cluster's width.
fn adaptive_rows(vocab: u64, divisor: u64) -> u64 {
    let ends = [CUTOFFS[0], CUTOFFS[1], CUTOFFS[2], vocab];
    let mut start = 0;
    let mut narrower = 1;
    let mut rows = 0;
    for end in ends {
        rows += end.saturating_sub(start) / narrower;
        (start, narrower) = (end, narrower * divisor);
    }
    rows
}
