#!/bin/bash
GPUS_PER_NODE=8
ARGS=(
    --num-layers 32
    --hidden-size 8192
    --tensor-model-parallel-size 3
    --micro-batch-size 1
    --bf16
)
torchrun --nproc_per_node $GPUS_PER_NODE pretrain_gpt.py "${ARGS[@]}"
