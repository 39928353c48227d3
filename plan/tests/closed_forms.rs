//! Lowered layers against formulas from the literature.

use plan::Dtype;
use plan::graph::Sizes;
use plan::layout::Layout;
use plan::lower::{Context, Recompute, StepRole, Traits, lower};
use plan::mesh::{Axis, Degrees, Mesh};
use plan::model::{
    Batch, Experts, Family, Lstm, Mlstm, Model, ModelSpec, Norm, Positions, Precision, Rhn,
    Softmax, Stacks, Training, Transformer,
};
use plan::work::{AttentionKernel, CollectiveOp, OptimizerRule, PointwiseKind, Work};

fn training(sequence: u64) -> Training {
    Training {
        sequence,
        source_sequence: 0,
        batch: Batch::Global(8),
        precision: Precision {
            compute: Dtype::Fp16,
            weight_bytes: 2,
            gradient_bytes: 2,
            optimizer_bytes: 12,
            wire_bytes: 2,
        },
        optimizer: OptimizerRule::Adam,
        default_cluster: "dgx-a100".into(),
        default_stack: None,
        corpus: None,
        epoch_tokens: None,
    }
}

fn spec(family: Family, sequence: u64) -> ModelSpec {
    ModelSpec {
        name: "test".into(),
        source: "test".into(),
        published_parameters: None,
        family,
        training: training(sequence),
    }
}

/// A GPT of `layers` layers, width `h`, `a` heads.
fn gpt(layers: u32, h: u64, a: u64, vocab: u64, positions: u64) -> Transformer {
    Transformer {
        stacks: Stacks::Decoder,
        layers,
        d_model: h,
        heads: a,
        kv_heads: a,
        head_dim: h / a,
        latent: None,
        d_ff: 4 * h,
        gated: false,
        vocab,
        tied: true,
        positions: Positions::Learned(positions),
        norm: Norm::LayerNorm,
        bias: true,
        qkv_bias: false,
        final_norm: true,
        embedding_norm: false,
        dropout: true,
        segments: 0,
        pooler: false,
        mlm_head: false,
        loss_fraction: 1.0,
        memory_length: 0,
        adaptive: None,
        experts: None,
    }
}

fn model(t: Transformer, sequence: u64) -> Model {
    Model::build(&spec(Family::Transformer(t), sequence)).unwrap()
}

fn lowered(
    m: &Model,
    split: (u32, bool),
    micro_batch: u64,
    attention: AttentionKernel,
    recompute: Recompute,
) -> plan::lower::LoweredLayer {
    let traits = Traits::fused(attention);
    lowered_by(m, split, micro_batch, traits, recompute)
}

fn lowered_by(
    m: &Model,
    (tp, sp): (u32, bool),
    micro_batch: u64,
    traits: Traits,
    recompute: Recompute,
) -> plan::lower::LoweredLayer {
    let kind = &m.kinds[1];
    let s = m.spec.training.sequence;
    let sizes: Sizes = m.sizes_for(kind, micro_batch, s, s);
    let context = Context {
        sizes: &sizes,
        layout: Layout::new(sp),
        mesh: Mesh { degrees: Degrees { dp: 1, tp, pp: 1, cp: 1, ep: 1 }, per_node: 8 },
        compute: Dtype::Fp16,
        traits,
    };
    lower(&kind.graph, &context, recompute)
}

/// The last body layer of a model in 8 bit over `ep` expert-parallel ranks.
fn lowered_in_8_bit(m: &Model, ep: u32, micro_batch: u64) -> plan::lower::LoweredLayer {
    let kind = &m.kinds[m.kinds.len() - 2];
    let s = m.spec.training.sequence;
    let sizes: Sizes = m.sizes_for(kind, micro_batch * u64::from(ep), s, s);
    let attention = AttentionKernel::Flash2;
    let context = Context {
        sizes: &sizes,
        layout: Layout::new(false),
        mesh: Mesh { degrees: Degrees { dp: ep, tp: 1, pp: 1, cp: 1, ep }, per_node: 8 },
        compute: Dtype::Fp8,
        traits: Traits::fused(attention),
    };
    lower(&kind.graph, &context, Recompute::None)
}

/// Eight bits are kept of the inputs of the four products, 7·sbh elements, and of nothing else;
/// those inputs are cast, and the gradients of the outputs, 9·sbh.
#[test]
fn eight_bits_feed_products_only() {
    let (s, b, h) = (2048u64, 4u64, 6144u64);
    let m = model(gpt(2, h, 64, 51200, 2048), s);
    let half = lowered(&m, (1, false), b, AttentionKernel::Flash2, Recompute::None);
    let eight = lowered_in_8_bit(&m, 1, b);
    let sbh = s * b * h;
    assert_eq!(half.saved.get() - eight.saved.get(), (7 * sbh) as f64);
    assert_eq!(half.border, eight.border);
    let cast = |steps: &[plan::lower::Step]| -> u64 {
        let of = |step: &plan::lower::Step| match &step.work {
            Work::Pointwise(p) if p.kind == PointwiseKind::Cast => Some(p.elements),
            _ => None,
        };
        steps.iter().filter_map(of).sum()
    };
    assert_eq!((cast(&eight.forward), cast(&eight.backward)), (7 * sbh, 9 * sbh));
    assert_eq!((cast(&half.forward), cast(&half.backward)), (0, 0));
}

/// Two copies of each of 4096 rows of 16-bit activations leave for their experts and come back.
#[test]
fn tokens_travel_to_their_experts_and_back() {
    let mut mixtral = llama(32, 4096, 32, 8, 14336, 32000);
    mixtral.experts = Some(Experts {
        count: 8,
        top_k: 2,
        d_expert: 14336,
        d_shared: 0,
        dense_layers: 0,
        every: 1,
        router_bias: false,
        imbalance: 1.0,
    });
    let layer = lowered_in_8_bit(&model(mixtral, 4096), 4, 1);
    let sent: Vec<_> = layer
        .forward
        .iter()
        .filter(|s| s.role == StepRole::Communication(Axis::Expert))
        .filter_map(|s| match &s.work {
            Work::Collective(c) => Some((c.op, c.bytes.get())),
            _ => None,
        })
        .collect();
    let dispatch = (CollectiveOp::Dispatch { copies: 2 }, (2 * 4096 * 4096 * 2) as f64);
    assert_eq!(sent, vec![dispatch; 2]);
}

/// Korthikanti et al. 2022 (arXiv:2205.05198), table 2: activation bytes per layer.
#[test]
fn activation_formulas() {
    let (s, b, h, a) = (2048u64, 4u64, 6144u64, 64u64);
    let m = model(gpt(2, h, a, 51200, 2048), s);
    let sbh = (s * b * h) as f64;
    let scores = 5.0 * (a * s) as f64 / h as f64;
    let at = |tp, sp, recompute| {
        lowered(&m, (tp, sp), b, AttentionKernel::Unfused, recompute).saved.get() / sbh
    };
    let same = |got: f64, want: f64| assert!((got / want - 1.0).abs() < 1e-12, "{got} not {want}");
    same(at(1, false, Recompute::None), 34.0 + scores);
    for t in [2u32, 4, 8] {
        let n = f64::from(t);
        same(at(t, false, Recompute::None), 10.0 + 24.0 / n + scores / n);
        same(at(t, true, Recompute::None), (34.0 + scores) / n);
        same(at(t, true, Recompute::Selective), 34.0 / n);
        same(at(t, false, Recompute::Full), 2.0);
        same(at(t, true, Recompute::Full), 2.0 / n);
    }
}

/// A gated layer of width h with rotary positions, four times as wide inside: an eager one keeps
/// the activated gate (4·2 bytes per token and h), one whose values stay a view the whole product
/// of queries, keys and values (3·2 bytes).
#[test]
fn eager_layers_keep_their_operands() {
    let (s, b, h) = (2048u64, 4u64, 4096u64);
    let base = gpt(2, h, 32, 51200, 2048);
    let t = Transformer { gated: true, positions: Positions::Rope, dropout: false, ..base };
    let m = model(t, s);
    let attention = AttentionKernel::Flash2;
    let saved = |eager, views| {
        let traits = Traits { eager, views, ..Traits::fused(attention) };
        lowered_by(&m, (1, false), b, traits, Recompute::None).saved.get() / (s * b * h) as f64
    };
    let plain = saved(false, false);
    assert_eq!(saved(true, false) - plain, 8.0);
    assert_eq!(saved(false, true) - plain, 6.0);
}

/// What torchtitan's selective recomputation by operator keeps of a gated layer of width h, 4·h
/// inside: its input and what attention put out, 2·2 bytes per token and h, its row sums, and half
/// of what the products put out, (3 + 1 + 8 + 1)·2/2 bytes. The rest, among it nothing that was
/// kept, exists while the layer is repeated.
#[test]
fn alternating_recomputation_keeps_half_of_the_products() {
    let (s, b, h, a) = (2048u64, 4u64, 4096u64, 32u64);
    let base = gpt(2, h, a, 51200, 2048);
    let t = Transformer { gated: true, positions: Positions::Rope, dropout: false, ..base };
    let m = model(t, s);
    let traits = Traits { alternates: true, ..Traits::fused(AttentionKernel::Flash2) };
    let of = |recompute| lowered_by(&m, (1, false), b, traits, recompute);
    let (none, kept) = (of(Recompute::None), of(Recompute::Selective));
    assert_eq!(kept.saved.get(), (s * b * h * (4 + 13) + 4 * b * a * s) as f64);
    assert_eq!(kept.transient.get(), (none.saved - kept.saved).get());
    let repeats = |step: &&plan::lower::Step| matches!(step.work, Work::Gemm(_));
    assert_eq!(kept.recompute.iter().filter(repeats).count(), 2, "out and down of four products");
    assert!(none.recompute.is_empty());
}

/// Automatic mixed precision keeps the inputs of both norms in 32 instead of 16 bit, and 32-bit
/// softmaxes over b·a·s² scores beside their 16-bit copies.
#[test]
fn mixed_precision_keeps_norms_and_softmaxes_in_32_bit() {
    let (s, b, h, a) = (512u64, 4u64, 1024u64, 16u64);
    let m = model(gpt(2, h, a, 51200, 512), s);
    let saved = |wide, attention| {
        let traits = Traits { wide, ..Traits::fused(attention) };
        lowered_by(&m, (1, false), b, traits, Recompute::None).saved.get()
    };
    let norms = (2 * 2 * s * b * h) as f64;
    let (unfused, flash) = (AttentionKernel::Unfused, AttentionKernel::Flash2);
    assert_eq!(saved(true, flash) - saved(false, flash), norms);
    assert_eq!(saved(true, unfused) - saved(false, unfused), norms + (4 * b * a * s * s) as f64);
}

/// Per logit 2 bytes for itself, and what the loss keeps: nothing, one 32-bit copy, or two.
#[test]
fn losses_keep_what_the_stack_says() {
    let (s, b, vocab) = (512u64, 4u64, 51200u64);
    let m = model(gpt(2, 1024, 16, vocab, 512), s);
    let head = &m.kinds[m.kinds.len() - 1];
    let sizes = m.sizes_for(head, b, s, s);
    let saved = |loss_bytes| {
        let context = Context {
            sizes: &sizes,
            layout: Layout::new(false),
            mesh: Mesh { degrees: Degrees { dp: 1, tp: 1, pp: 1, cp: 1, ep: 1 }, per_node: 8 },
            compute: Dtype::Fp16,
            traits: Traits { loss_bytes, ..Traits::fused(AttentionKernel::Flash2) },
        };
        lower(&head.graph, &context, Recompute::None).saved.get()
    };
    let logits = (s * b * vocab) as f64;
    assert_eq!(saved(4) - saved(0), 4.0 * logits);
    assert_eq!(saved(8) - saved(0), 8.0 * logits);
    // Besides: the inputs of the final norm and of the product, 2·2·s·b·h.
    assert_eq!(saved(0), 2.0 * logits + (4 * s * b * 1024) as f64);
}

/// With sequence parallelism products read the whole input, 2·s·b·h, of which ranks keep parts.
#[test]
fn sequence_parallelism_gathers_inputs() {
    let (s, b, h) = (2048u64, 4u64, 6144u64);
    let m = model(gpt(2, h, 64, 51200, 2048), s);
    let of = |split| lowered(&m, split, b, AttentionKernel::Flash2, Recompute::None).gathered.get();
    assert_eq!(of((8, true)), (2 * s * b * h) as f64);
    assert_eq!((of((8, false)), of((1, true))), (0.0, 0.0));
}

/// Collectives of one layer, by pass and kind.
fn collectives(steps: &[plan::lower::Step]) -> Vec<(CollectiveOp, f64)> {
    let of = |s: &plan::lower::Step| match &s.work {
        Work::Collective(c) if s.role == StepRole::Communication(Axis::Tensor) => {
            Some((c.op, c.bytes.get()))
        }
        _ => None,
    };
    steps.iter().filter_map(of).collect()
}

/// Shoeybi et al. 2019: two all-reduces of b·s·h per layer and pass. Korthikanti et al. 2022:
/// with sequence parallelism a gather and a scatter for each, and the gathers of the two blocks'
/// inputs once more in the backward pass.
#[test]
fn tensor_parallel_collectives_follow_from_the_layout() {
    let (s, b, h) = (2048u64, 4u64, 6144u64);
    let m = model(gpt(2, h, 64, 51200, 2048), s);
    let bytes = (2 * s * b * h) as f64;
    let plain = lowered(&m, (8, false), b, AttentionKernel::Flash2, Recompute::None);
    let all_reduce = (CollectiveOp::AllReduce, bytes);
    assert_eq!(collectives(&plain.forward), vec![all_reduce; 2]);
    assert_eq!(collectives(&plain.backward), vec![all_reduce; 2]);
    let split = lowered(&m, (8, true), b, AttentionKernel::Flash2, Recompute::None);
    let (ag, rs) = ((CollectiveOp::AllGather, bytes), (CollectiveOp::ReduceScatter, bytes));
    assert_eq!(collectives(&split.forward), vec![ag, rs, ag, rs]);
    let mut backward = collectives(&split.backward);
    backward.sort_by_key(|c| c.0);
    assert_eq!(backward, vec![ag, ag, ag, ag, rs, rs]);
}

/// Narayanan et al. 2021, equation 3 without recomputation: 72·B·s·l·h²(1 + s/6h + V/12lh) FLOPs
/// per step with the full score square, which a causal mask halves.
#[test]
fn model_flops() {
    let (l, h, v, s) = (24u64, 2304u64, 51200u64, 2048u64);
    let m = model(gpt(24, h, 24, v, s), s);
    let (lf, hf, vf, sf) = (l as f64, h as f64, v as f64, s as f64);
    let expected = 72.0 * sf * lf * hf * hf * (1.0 + sf / (12.0 * hf) + vf / (12.0 * lf * hf));
    let got = m.flops_per_sequence(s, s).get();
    assert!((got / expected - 1.0).abs() < 1e-12, "{got:e} against {expected:e}");
}

#[test]
fn parameter_counts_of_transformers() {
    // Radford et al. 2019, as released.
    assert_eq!(model(gpt(12, 768, 12, 50257, 1024), 1024).parameters(), 124_439_808);
    // Narayanan et al. 2021, equation 2: 12lh²(1 + 13/12h + (V+s)/12lh), plus the final norm 2h.
    let (l, h, v, s) = (80u64, 12288u64, 51200u64, 2048u64);
    let formula = 12 * l * h * h + 13 * l * h + (v + s) * h + 2 * h;
    assert_eq!(model(gpt(80, h, 96, v, s), s).parameters(), formula);
    assert_eq!(model(llama(32, 4096, 32, 32, 11008, 32000), 4096).parameters(), 6_738_415_616);
    assert_eq!(model(llama(80, 8192, 64, 8, 28672, 32000), 4096).parameters(), 68_976_648_192);
    let mut mixtral = llama(32, 4096, 32, 8, 14336, 32000);
    mixtral.experts = Some(Experts {
        count: 8,
        top_k: 2,
        d_expert: 14336,
        d_shared: 0,
        dense_layers: 0,
        every: 1,
        router_bias: false,
        imbalance: 1.0,
    });
    assert_eq!(model(mixtral, 4096).parameters(), 46_702_792_704);
}

fn llama(layers: u32, h: u64, a: u64, kv: u64, ff: u64, vocab: u64) -> Transformer {
    Transformer {
        kv_heads: kv,
        d_ff: ff,
        gated: true,
        tied: false,
        positions: Positions::Rope,
        norm: Norm::RmsNorm,
        bias: false,
        dropout: false,
        ..gpt(layers, h, a, vocab, 0)
    }
}

#[test]
fn parameter_counts_of_recurrent_models() {
    let count = |family| Model::build(&spec(family, 256)).unwrap().parameters();
    let mlstm = Mlstm { hidden: 4096, embedding: 64, vocab: 257, weight_norm: false };
    assert_eq!(count(Family::Mlstm(mlstm)), 86_282_561);
    // Hestness et al. 2019's symbolic model of the depth-10 character RHN.
    let rhn = Rhn { depth: 10, hidden: 2004, vocab: 98, extra_parameters: 2 };
    assert_eq!(count(Family::Rhn(rhn)), 88_785_316);
    // The same authors' two-layer word model: 16h² + 2hV + 8h + V. Their tool prints two more,
    // which are scalars of its graph.
    let lstm = Lstm {
        layers: 2,
        hidden: 2004,
        projection: None,
        embedding: 2004,
        vocab: 10_004,
        softmax: Softmax::Full,
        tied: false,
    };
    assert_eq!(count(Family::Lstm(lstm)), 104_378_324);
}

/// Two gathers of the state per time step in each pass: what makes tensor parallelism slow here.
#[test]
fn tensor_parallel_recurrence_communicates_every_step() {
    let mlstm = Mlstm { hidden: 4096, embedding: 64, vocab: 257, weight_norm: true };
    let m = Model::build(&spec(Family::Mlstm(mlstm), 256)).unwrap();
    let layer = lowered(&m, (2, false), 256, AttentionKernel::Flash2, Recompute::None);
    let in_scan = |steps: &[plan::lower::Step]| -> usize {
        let scans = steps.iter().filter_map(|s| match &s.work {
            Work::Scan(scan) => Some(scan),
            _ => None,
        });
        scans.flat_map(|s| &s.body).filter(|w| matches!(w, Work::Collective(_))).count()
    };
    assert_eq!(in_scan(&layer.forward), 2);
    assert_eq!(in_scan(&layer.backward), 2);
}
