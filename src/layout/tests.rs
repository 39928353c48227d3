use super::*;
use crate::style::Canvas;
use plan::lower::Recompute;
use plan::schedule::ScheduleKind;

fn layout(text: &str, gpus: Option<u32>) -> Layout {
    read("mine", text, gpus).unwrap()
}

fn remarks(layout: &Layout) -> Vec<String> {
    let line = |r: &Remark| match r.line {
        Some(line) => format!("{line}: {}", r.text),
        None => r.text.clone(),
    };
    layout.remarks.iter().map(line).collect()
}

fn flags(layout: &Layout) -> String {
    layout.flags().join(" ")
}

/// The form of the script in NVIDIA/Megatron-LM, examples/llama/train_llama3_8b_h100_fp8.sh:
/// variables with defaults, arrays, quoted pairs.
const SCRIPT: &str = r#"#!/bin/bash
export CUDA_DEVICE_MAX_CONNECTIONS=${CUDA_DEVICE_MAX_CONNECTIONS:-1}
GPUS_PER_NODE=8
NUM_NODES=4
TP_SIZE=2
PP_SIZE=4     # stages
MODEL_ARGS=(
    --num-layers 32
    --hidden-size 4096
    --num-attention-heads 32
    --swiglu
)
TRAINING_ARGS=(
    --micro-batch-size 1
    --global-batch-size 128
    --bf16
    --use-distributed-optimizer
    --recompute-granularity full --recompute-method uniform --recompute-num-layers 1
    "--fp8-format hybrid"
    --seq-length ${SEQ_LENGTH:-8192}
)
torchrun --nproc_per_node $GPUS_PER_NODE --nnodes $NUM_NODES pretrain_gpt.py \
    ${MODEL_ARGS[@]} ${TRAINING_ARGS[@]} \
    --tensor-model-parallel-size $TP_SIZE \
    --pipeline-model-parallel-size ${PP_SIZE} \
    --pipeline-model-parallel-layout "Et*4|(t*4|)*6t*4L" \
    --sequence-parallel
"#;

/// 32 ranks over 2 · 4 leave 4 replicas; the layout has 8 stages on 4 ranks, so 2 chunks.
#[test]
fn scripts_of_megatron_are_read() {
    let layout = layout(SCRIPT, None);
    assert_eq!(
        flags(&layout),
        "--tp 2 --pp 4 --dp 4 --cp 1 --ep 1 --zero 1 --micro-batch 1 --recompute full \
         --schedule interleaved --chunks 2 --sequence-parallel on --embedding dense --offload off \
         --global-batch 128 --seq 8192 --dtype fp8"
    );
    assert_eq!(layout.ranks, Some(32));
    assert_eq!(remarks(&layout), [""; 0]);
    assert_eq!(layout.stated.len(), 3);
}

#[test]
fn a_list_of_flags_is_enough() {
    let text = "--tensor-model-parallel-size=8\n--micro-batch-size 2\n--recompute-activations\n";
    let layout = layout(text, Some(16));
    assert_eq!(layout.pins.dp, Some(2));
    assert_eq!(layout.pins.recompute, Some(Recompute::Selective));
    assert_eq!(layout.pins.sequence_parallel, Some(false));
    assert_eq!((layout.global_sequences, layout.compute), (Some(4), Some(Dtype::Fp32)));
}

#[test]
fn what_megatron_is_told_and_plans_lack_is_said_with_its_line() {
    let text = "--micro-batch-size 1\n--tensor-model-parallel-size $TP\n--frobnicate 3\n\
                --recompute-granularity full --recompute-method block --recompute-num-layers 3\n\
                --pipeline-model-parallel-size 2\n--pipeline-model-parallel-layout Ettt|tL\n\
                --data-path x --lr 1e-4\n";
    let layout = layout(text, Some(8));
    assert_eq!(
        remarks(&layout),
        [
            "2: --tensor-model-parallel-size is $TP, which the file does not set",
            "3: frobnicate is not understood",
            "4: 3 layers of every stage are recomputed, the others are not: the planner chooses \
             layers itself",
            "6: stages of 3, 1 layers: the planner places layers itself",
        ]
    );
    assert_eq!((layout.pins.tp, layout.pins.recompute), (Some(1), None));
}

#[test]
fn degrees_that_do_not_divide_are_refused() {
    let text = "--tensor-model-parallel-size 3 --micro-batch-size 1";
    let said = read("mine", text, Some(8)).unwrap_err().render(&Canvas::PLAIN);
    assert!(said.contains("parallel = 3 does not divide 8 ranks"), "{said}");
}

const TITAN: &str = r#"
[training]
local_batch_size = 4
seq_len = 8192
steps = 1000

[parallelism]
data_parallel_shard_degree = -1
tensor_parallel_degree = 2
pipeline_parallel_degree = 4
pipeline_parallel_schedule = "Interleaved1F1B"
module_fqns_per_model_part = [["tok_embeddings", "layers.0"], ["layers.1"], ["layers.2"],
    ["layers.3"], ["layers.4"], ["layers.5"], ["layers.6"], ["layers.7", "norm", "output"]]

[activation_checkpoint]
mode = "selective"
selective_ac_option = "op"
"#;

/// 64 ranks over 2 · 4 leave 8 replicas of 4 sequences: 32 a step, in micro-batches of 1.
#[test]
fn tables_of_torchtitan_are_read() {
    let layout = layout(TITAN, Some(64));
    assert_eq!(
        flags(&layout),
        "--tp 2 --pp 4 --dp 8 --cp 1 --ep 1 --zero 2 --micro-batch 1 --recompute selective \
         --schedule interleaved --chunks 2 --sequence-parallel on --embedding dense --offload off \
         --global-batch 32 --seq 8192 --dtype bf16"
    );
    assert_eq!(remarks(&layout), [""; 0]);
}

#[test]
fn what_torchtitan_is_told_and_plans_lack_is_said_with_its_line() {
    let text = "[parallelism]\ndata_parallel_replicate_degree = 2\n\
                data_parallel_shard_degree = 4\npipeline_parallel_degree = 2\n\
                pipeline_parallel_schedule = \"DualPipeV\"\nspeed = \"fast\"\n";
    let layout = layout(text, None);
    assert_eq!(layout.ranks, Some(16));
    assert_eq!(
        remarks(&layout),
        [
            "2: 2 groups of replicas shard among themselves: one group is priced",
            "5: dualpipev is not priced: the planner chooses a schedule",
            "6: parallelism.speed is not understood",
            "every layer whose number 2 divides is recomputed: the planner chooses layers itself",
        ]
    );
    let said = read("mine", "[parallelism]\ntp = = 2\n", None).unwrap_err();
    assert!(said.render(&Canvas::PLAIN).contains("mine:2:6"), "{}", said.render(&Canvas::PLAIN));
}

/// The form of huggingface/nanotron, examples/config_tiny_llama.yaml.
const NANO: &str = "checkpoints:
  checkpoint_interval: 10
data_stages:
- data:
    dataset:
      hf_dataset_splits: train
    seed: 42
  name: Stable Training Stage
general:
  run: tiny_llama_%date_%jobid
model:
  dtype: bfloat16
  model_config:
    hidden_size: 16   # small
    num_hidden_layers: 2
optimizer:
  zero_stage: 1
parallelism:
  dp: 4
  expert_parallel_size: 1
  pp: 2
  pp_engine: 1f1b
  tp: 2
  tp_mode: REDUCE_SCATTER
  recompute_layer: true
  colour: blue
tokens:
  batch_accumulation_per_replica: 8
  micro_batch_size: 2
  sequence_length: 256
";

/// 4 · 2 · 2 ranks; 4 replicas of 8 micro-batches of 2 sequences are 64.
#[test]
fn yaml_of_nanotron_is_read() {
    let layout = layout(NANO, None);
    assert_eq!(layout.ranks, Some(16));
    assert_eq!(layout.pins.schedule, Some(ScheduleKind::OneForwardOneBackward));
    assert_eq!(
        flags(&layout),
        "--tp 2 --pp 2 --dp 4 --cp 1 --ep 1 --zero 1 --micro-batch 2 --recompute full \
         --schedule 1f1b --chunks 1 --sequence-parallel on --embedding dense --offload off \
         --global-batch 64 --seq 256 --dtype bf16"
    );
    assert_eq!(remarks(&layout), ["26: parallelism.colour is not understood"]);
    assert_eq!(layout.stated.iter().map(|s| s.line).collect::<Vec<_>>(), [15, 14]);
    let said = read("mine", "tokens:\nparallelism:\n  so\n", None).unwrap_err();
    assert!(said.render(&Canvas::PLAIN).contains("mine:3:3"), "{}", said.render(&Canvas::PLAIN));
}

#[test]
fn other_files_are_refused_with_what_would_work() {
    let said = read("mine", "{}", None).unwrap_err().render(&Canvas::PLAIN);
    assert!(
        said.contains("no configuration of a trainer") && said.contains("torchtitan"),
        "{said}"
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[-a-z0-9:=\\[\\]\"'$ {}#\n.,|*()]{0,120}") {
        for start in ["--micro-batch-size ", "[parallelism]\n", "parallelism:\ntokens:\n"] {
            let _either = read("any", &format!("{start}{text}"), Some(8));
        }
    }
}
