//! The formulas.

use super::Formula;

pub(super) const ALL: &[Formula] = &[
    Formula {
        id: "attention.flash",
        title: "attention that keeps no scores",
        equation: "t = ½ᶜ·(1 | 2.5)·4·B·a·q·s·d / (φ·s/(s + s½)·head(d)·occ·P) + gaps",
        letters: "B sequences, a local heads, q queries, s keys, d head width, c causal, φ \
                  fraction of the peak P that the kernel reaches (forward | backward), s½ keys \
                  at half speed, occ part of the multiprocessors in use",
        source: "arXiv:2307.08691, arXiv:2407.08608; fractions are data of the device",
        test: "flash_attention_by_hand",
    },
    Formula {
        id: "attention.occupancy",
        title: "processors that few heads keep busy",
        equation: "occ = n/(⌈n/SM⌉·SM), or n/(n + n½); n = B·a·⌈q/128⌉",
        letters: "n blocks of 128 queries, SM multiprocessors, n½ blocks at half speed where a \
                  kernel is known to fill the device slowly",
        source: "SimuMax kernel tables for A100 and B200",
        test: "few_heads_leave_processors_idle",
    },
    Formula {
        id: "attention.unfused",
        title: "attention with scores in memory",
        equation: "t = (1 | 2)·(gemm(q, s, d) + gemm(q, d, s)) + B·a·q·s·x/(e·BW) + 2·gap",
        letters: "x bytes per score of softmax and dropout (forward | backward), e fraction of \
                  the memory bandwidth BW that those kernels reach; other letters as in \
                  attention.flash",
        source: "arXiv:2205.05198, section 4",
        test: "unfused_attention_matches_an_independent_program",
    },
    Formula {
        id: "comm.all_reduce.node",
        title: "all-reduce inside a node",
        equation: "t = (a₀ + a₁·S/(S + S₁))·min(1, n/8 + ¼) + 2(n − 1)/n·S/B",
        letters: "S bytes, n ranks, a₀ time of an empty message, a₁ ramp, S₁ size at half the \
                  ramp, B bus bandwidth; links without a fitted law pay 2(n − 1) hops instead",
        source: "fitted to nccl-tests sweeps (stas00/ml-engineering@744d01e)",
        test: "node_law_by_hand",
    },
    Formula {
        id: "comm.all_to_all",
        title: "all-to-all",
        equation: "t = base + S·(k − 1)/k/N + S/k·(g − 1)/g/(e·B)",
        letters: "S bytes per rank, k nodes, g ranks per node, N one device's share of the \
                  network cards, B bus bandwidth inside a node, e what small messages reach of \
                  it",
        source: "every rank sends each other rank its part over the shortest path",
        test: "all_to_all_by_hand",
    },
    Formula {
        id: "comm.dispatch",
        title: "tokens to their experts and back",
        equation: "t = base + max(S·d(k)·(k − 1)/k/N, S·d(n)·(g − 1)/g/(e·B)), \
                   d(x) = x·(1 − (1 − 1/x)ᶜ)/c",
        letters: "S bytes per rank with all copies, c experts per token, n ranks, k nodes, g ranks \
                  per node, d part of the copies that travels when a row goes once to each place \
                  (1 where the library sends every copy, as comm.all_to_all), other letters as \
                  there",
        source: "deepseek-ai/DeepEP README: a row travels once per node; balanced routing",
        test: "rows_travel_once_per_node",
    },
    Formula {
        id: "comm.flat-shards",
        title: "sharded weights over every device's own card",
        equation: "t = base + (n − 1)·h_out + S·(n − 1)/n / N",
        letters: "S bytes of the whole tensor, n ranks, h_out time of a hop between nodes, N one \
                  device's share of the network cards",
        source: "arXiv:2104.04473 table 2, ZeRO 3: 15.7 GB/s per device",
        test: "flat_shards_take_one_card_each",
    },
    Formula {
        id: "comm.gather.node",
        title: "all-gather and reduce-scatter inside a node",
        equation: "t = (0.7·a₀ + 0.6·a₁·S/(S + S₁))·min(1, n/8 + ¼) + (n − 1)/n·S/B",
        letters: "S bytes of the whole tensor; other letters as in comm.all_reduce.node",
        source: "fitted to nccl-tests sweeps (stas00/ml-engineering@744d01e)",
        test: "collectives_match_an_independent_program",
    },
    Formula {
        id: "comm.ring",
        title: "rings over all rails between nodes",
        equation: "t = base + r·((n − k)·hᵢ + (k − 1)·hₒ + k·q) + \
                   r·(n − 1)/n·S/min(B, g·N)",
        letters: "S bytes, n ranks, k nodes, g = n/k, r 2 for all-reduce and 1 else, hᵢ and hₒ \
                  hops inside and between nodes, q what threads of the library add per node, B \
                  bus bandwidth inside, N one device's share of the network cards",
        source: "NVIDIA/nccl@5067397 src/graph/tuning.cc",
        test: "collectives_match_an_independent_program",
    },
    Formula {
        id: "comm.send",
        title: "point-to-point message",
        equation: "t = base + S/N between nodes, base + S/(e·B) inside",
        letters: "S bytes, N one device's share of the network cards, B bus bandwidth inside a \
                  node, e what one pair reaches of it",
        source: "latency and bandwidth of one message; constants of the stack",
        test: "a_message_pays_its_base_and_the_wire",
    },
    Formula {
        id: "comm.tree",
        title: "all-reduce by trees between nodes",
        equation: "t = base + 2·((g − 1)·hᵢ + log₂k·hₒ) + \
                   max(2(n − 1)/n·S/B, min(k/2, 2)·S/(g·N))/e",
        letters: "e bandwidth of a tree relative to a ring; other letters as in comm.ring",
        source: "NVIDIA/nccl@5067397 src/graph/tuning.cc",
        test: "collectives_match_an_independent_program",
    },
    Formula {
        id: "comm.wire",
        title: "bytes that one rank sends",
        equation: "2(n − 1)/n·S for all-reduce, (n − 1)/n·S else",
        letters: "S bytes of the whole tensor, n ranks",
        source: "Patarasuk and Yuan 2009, doi:10.1016/j.jpdc.2008.09.002",
        test: "wire_bytes_by_hand",
    },
    Formula {
        id: "exchange.wire",
        title: "embedding exchange, bytes that one rank sends",
        equation: "(G−1)K(Db+4) | (G−1)U₁(Db+4) | (G−1)4K + 2(G−1)/G·UDb | 2(G−1)/G·VDb | \
                   (G−1)/G·K(2Db+4)",
        letters: "gather | dedup-gather | unique | dense | sharded; G ranks, K tokens per rank, \
                  D width, b bytes per element, U different tokens of all ranks, U₁ of one, V \
                  vocabulary",
        source: "arXiv:1810.10045 for the first three",
        test: "word_model_traffic_matches_its_published_form",
    },
    Formula {
        id: "gemm.alignment",
        title: "rows that do not start on 16 bytes",
        equation: "speed × 1 | 0.65 | 0.5 for n and k multiples of 16 B | even | odd",
        letters: "n, k columns of the result and contracted extent",
        source: "stas00/ml-engineering@744d01e: 272.7 against 398 TFLOP/s on H100",
        test: "misaligned_extents_are_slower",
    },
    Formula {
        id: "gemm.blocks",
        title: "matrix product by one thread of a processor",
        equation: "t = gap + 2b(k + k₀)·(m̂n̂ + 64c(m̂ + n̂))/(η·P)",
        letters: "b, k batch and depth, m̂, n̂ extents rounded up to 8, k₀ what the result costs \
                  to write, c what operands cost to pack, η sustained part of the peak P of a core",
        source: "the structure of a packed product (Goto and van de Geijn, ACM TOMS 34(3), 2008); \
                 constants are measured by `calibrate --node`",
        test: "blocks_by_hand",
    },
    Formula {
        id: "gemm.roofline",
        title: "matrix product under two roofs",
        equation: "t = max(2bmnk/(η·P), size·b·(mk + kn + mn)/(e·BW))",
        letters: "b, m, n, k extents, η and e parts of the peak P and of the memory bandwidth BW",
        source: "Hestness, Ardalani and Diamos, PPoPP 2019: η = 0.8, e = 0.7",
        test: "the_roofline_knows_two_roofs_only",
    },
    Formula {
        id: "gemm.tiles",
        title: "matrix product by tiles and waves",
        equation: "t = gap + min over tile, split of max(⌈b⌈m/Tₘ⌉⌈n/Tₙ⌉σ/SM⌉·2TₘTₙ(k/σ + k₀)·\
                   (1 + 64c(1/Tₘ + 1/Tₙ))·SM/(ηP), bytes/W)",
        letters: "b, m, n, k extents, Tₘ, Tₙ tile, σ split of k, SM multiprocessors, k₀ \
                  prologue, c penalty of small tiles, η sustained part of the peak P, W \
                  streaming bandwidth",
        source: "fitted to baidu-research/DeepBench results/train",
        test: "gemm_matches_an_independent_program",
    },
    Formula {
        id: "host.copy",
        title: "copy between device and host",
        equation: "t = S/H",
        letters: "S bytes, H host link in one direction",
        source: "data of the device",
        test: "a_host_copy_takes_the_host_link",
    },
    Formula {
        id: "host.launch",
        title: "a device that waits for its host",
        equation: "t = ∛(t_device³ + t_host³), t_host = kernels·t_launch + operators·t_operator + \
                   collectives·(t_collective + n·√k·t_staged)",
        letters: "kernels launched, t_launch host time of one launch, t_operator of what the \
                  framework does around an operator; n ranks on k nodes; t_staged counts while \
                  stages of a pipeline on different nodes exchange messages",
        source: "data of the stack",
        test: "a_scan_launches_its_body_per_step",
    },
    Formula {
        id: "host.lists",
        title: "states sharded as lists of pieces",
        equation: "t = piece·tensors·replicas",
        letters: "tensors of a stage, each cut into a slice per replica; piece time of the host \
                  per slice",
        source: "huggingface/nanotron@069c21c src/nanotron/distributed.py; data of the stack",
        test: "lists_cost_a_call_per_tensor_and_replica",
    },
    Formula {
        id: "kernel.stream",
        title: "kernel bound by memory bandwidth",
        equation: "t = elements·x·size/2/(e·BW) + kernels·gap",
        letters: "x bytes per 16-bit element, e·BW memory bandwidth that streaming kernels \
                  sustain, gap time between kernels on the device",
        source: "bytes counted tensor by tensor; data of the stack",
        test: "pointwise_traffic_by_hand",
    },
    Formula {
        id: "memory.device",
        title: "what a device shows as used",
        equation: "M = (states + buffers + max(q·A + R, U))·(1 + f) + context + communicators",
        letters: "q micro-batches in flight, A activations that each keeps, R what exists only \
                  while a layer runs, U what exists only during the update, f what the allocator \
                  reserves beyond tensors; communicators only of several devices",
        source: "arXiv:2205.05198 for A, arXiv:1910.02054 for states; data of the stack",
        test: "what_is_usable_is_what_would_be_occupied",
    },
    Formula {
        id: "optimizer.update",
        title: "optimizer update",
        equation: "t = parameters·x/(e·BW) + kernels·gap + fixed",
        letters: "parameters of this rank, x bytes per parameter of the rule, fixed what a step \
                  costs whatever its size; other letters as in kernel.stream",
        source: "bytes counted tensor by tensor; data of the stack",
        test: "an_update_moves_bytes_per_parameter",
    },
    Formula {
        id: "overlap.bucket",
        title: "buckets of gradients that hold computation up",
        equation: "t = wait·⌈S/bucket⌉·log₂ nodes",
        letters: "S bytes of gradients on the wire, bucket bytes summed at once, wait time per \
                  bucket and doubling of the nodes",
        source: "data of the stack, fitted to runs on 2 to 32 nodes",
        test: "each_bucket_waits_for_all_nodes",
    },
    Formula {
        id: "overlap.data",
        title: "gradient reduction beside the backward pass",
        equation: "t = max(X − window, max(tail, late)·X) + γ/2·min(X, window)",
        letters: "X time of the reduction, window backward time beside which it runs, tail part \
                  of the last bucket, late part of the input table, γ contention",
        source: "arXiv:2006.15704; constants of the stack",
        test: "exposed_gradients_by_hand",
    },
    Formula {
        id: "overlap.sharded",
        title: "layer with sharded parameters",
        equation: "t = F ⊕ AG + B ⊕ (AG + RS), C ⊕ X = max(C, X) + γ·min(C, X)",
        letters: "F, B forward and backward computation, AG gather, RS reduce-scatter, γ \
                  contention",
        source: "arXiv:2304.11277; γ fitted to mosaicml/llm-foundry@8c8dd48",
        test: "sharded_layers_by_hand",
    },
    Formula {
        id: "overlap.stragglers",
        title: "step of several nodes",
        equation: "t = T·(1 + jitter·log₂ nodes) + skew",
        letters: "T step of equally fast nodes; jitter and skew of the stack, skew 0 on one node",
        source: "fitted to runs of one to 64 nodes; data of the stack",
        test: "several_nodes_wait_for_the_last",
    },
    Formula {
        id: "overlap.together",
        title: "communication beside computation",
        equation: "t = max(C, X) + γ·min(C, X)",
        letters: "C computation, X communication, γ contention",
        source: "fitted to mosaicml/llm-foundry@8c8dd48",
        test: "overlap_by_hand",
    },
    Formula {
        id: "scan.gradient",
        title: "weight gradient of a recurrent matrix",
        equation: "t = gemm(m, n, k·T) | T·(gemm(m, n, k) + p·m·n·size/(ν·e·BW))",
        letters: "batched over time | unrolled; T steps, p passes over the sum in memory per \
                  step, ν what additions of 16 bit reach of the bandwidth",
        source: "NVIDIA/sentiment-discovery@17bcf05 for the unrolled form",
        test: "unrolled_gradients_pay_for_accumulation",
    },
    Formula {
        id: "scan.step",
        title: "steps that run one after the other",
        equation: "t = T·(t_step + t_host + Σ body), a product at least k·n·size/(e_w·BW)",
        letters: "T steps, t_step overhead of a step, t_host wait of a loop of the host, \
                  e_w·BW bandwidth at which weights are read \
                  again in each step",
        source: "fitted to baidu-research/DeepBench results/train",
        test: "a_scan_pays_overhead_and_body_once_per_step",
    },
    Formula {
        id: "training.allocation",
        title: "loss of a Transformer over parameters and tokens",
        equation: "L = E + A·N^−α + B·D^−β",
        letters: "N parameters, D tokens; E 1.8172, A 482.01, B 2085.43, α 0.3478, β 0.3658",
        source: "arXiv:2404.10102, the data of arXiv:2203.15556 fitted again",
        test: "loss_and_tokens_are_inverses",
    },
    Formula {
        id: "training.critical-batch",
        title: "steps to a loss over the batch",
        equation: "S = (E_min/B)·(1 + B/B_crit), B_crit = 2·10⁸·L^(−1/0.21) tokens",
        letters: "B tokens per step, E_min tokens that tiny batches need, L loss in nats per token",
        source: "arXiv:1812.06162 section 2.2; B_crit over L: arXiv:2001.08361 table 5",
        test: "twice_the_steps_and_twice_the_tokens_at_the_critical_batch",
    },
    Formula {
        id: "training.energy",
        title: "electricity of a run",
        equation: "E = T·(n·u·P + nodes·P_rest)·PUE",
        letters: "T wall clock, n devices of rated power P drawn to the share u, P_rest of the \
                  rest \
                  of a node, PUE of the building",
        source: "definition",
        test: "a_hand_computed_run",
    },
    Formula {
        id: "training.goodput",
        title: "share of the wall clock that trains",
        equation: "g = 1/(1 + δ/τ + (τ/2 + δ + R)/M), τ = √(2·δ·M) − δ",
        letters: "δ pause for a checkpoint, τ between checkpoints, R restart, M mean time between \
                  interruptions of the job",
        source: "Young 1974, Daly 2006, to first order",
        test: "no_other_interval_loses_less",
    },
    Formula {
        id: "vocabulary.heaps",
        title: "different tokens among many",
        equation: "U(N) = min(V, N, a·N^β)",
        letters: "N tokens, V vocabulary, a and β of the corpus",
        source: "Heaps 1978; β = 0.64 in arXiv:1810.10045",
        test: "a_power_law_is_found_again",
    },
];
