//! Rows for tests.

use super::row::Row;

/// GPT-3 175B on 64 devices, TP 8, PP 8.
pub fn gpt3() -> Row {
    let mut row = Row {
        id: "x".into(),
        group: "somewhere".into(),
        tier: "A".into(),
        source: "a table".into(),
        model: "GPT-3".into(),
        family: "transformer-decoder".into(),
        gpu: "A100-80GB-SXM".into(),
        precision: "fp16".into(),
        optimizer: "adam".into(),
        attention: "unfused".into(),
        recompute: "full".into(),
        year: Some(2021),
        ..Row::default()
    };
    let shape = &mut row.shape;
    shape.parameters = Some(174.6);
    (shape.layers, shape.hidden, shape.heads) = (Some(96), Some(12_288), Some(96));
    (shape.kv_heads, shape.ffn) = (Some(96), Some(49_152));
    (shape.vocab, shape.seq) = (Some(51_200), Some(2048));
    let run = &mut row.run;
    (run.gpus, run.per_node) = (Some(64), Some(8));
    (run.tp, run.pp, run.dp) = (Some(8), Some(8), Some(1));
    (run.micro_batch, run.global_batch) = (Some(1), Some(64));
    (run.zero, run.sequence_parallel, run.chunks) = (Some(0), Some(0), Some(1));
    row
}
