//! Numbers of programs against formulas from the literature.

use crate::properties::cases;
use crate::support::{Case, degrees, model};
use plan::exchange::Exchange;
use plan::mesh::Axis;
use plan::program::{
    BufferKind, DifferentTokens, Flaw, Granularity, LowerError, Op, Program, Purpose, Traffic,
    validate,
};
use plan::schedule::timetable::{Units, timetable};
use plan::schedule::{LocalSteps, ScheduleKind, Shape, csv, in_flight};
use plan::work::Pass;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Bytes that a rank of a class sends, of a valid program.
fn bytes(case: &Case, class: usize, traffic: Traffic) -> f64 {
    let program = case.lower().unwrap();
    assert_eq!(validate(&program), Ok(()));
    let ledger = &program.classes[class].ledger;
    ledger.iter().find(|e| e.traffic == traffic).map_or(0.0, |e| e.bytes.get())
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1.0)
}

/// Megatron (Shoeybi et al. 2019): four all-reduces of b·s·h per layer and micro-batch, two on the
/// way there and two on the way back. Narayanan et al. 2021, section 4.1: stages send b·s·h/t and
/// gather it. Stage 1 of 3 holds five layers of GPT-2: s = 1,024, h = 768, t = 2, four
/// micro-batches of one sequence, two bytes per element.
#[test]
fn tensor_and_pipeline_traffic_is_megatrons() {
    let case = Case::new(model("gpt2", 12), degrees(1, 2, 3));
    let element = case.model.spec.training.precision.compute.size() as f64;
    let (m, border) = (4.0, 1024.0 * 768.0 * element);
    let reduces = m * 5.0 * 4.0 * (2.0 * 0.5 * border);
    let gathers = m * 2.0 * (0.5 * border);
    let tensor = Traffic::Group(Purpose::Layer(Axis::Tensor));
    assert!(close(bytes(&case, 1, tensor), reduces + gathers));
    for pass in [Pass::Forward, Pass::Backward] {
        assert!(close(bytes(&case, 1, Traffic::Stage(pass)), m * border / 2.0));
    }
}

/// P parameters over n = 4 ranks, c bytes in compute format, w on the wire: all-reduce
/// 2(n − 1)/n·P·w, ZeRO 1 (n − 1)/n·P·(w + c). ZeRO 3 gathers twice and scatters once per
/// micro-batch, 3·m·P in all (Rajbhandari et al. 2019, section 7: 1.5 times data parallel for
/// m = 1); breadth-first does it once per step, whatever m (Lamy-Poirier 2021).
#[test]
fn gradient_traffic_is_that_of_zero() {
    let mut case = Case::new(model("gpt2", 12), degrees(4, 1, 1));
    let p = case.model.spec.training.precision;
    let (c, w) = (p.compute.size() as f64, p.wire_bytes as f64);
    let (parameters, m) = (case.model.parameters() as f64, 4.0);
    let replicas = Traffic::Group(Purpose::Replicas);
    let shared = 0.75 * parameters;
    assert!(close(bytes(&case, 0, replicas), 2.0 * shared * w));
    case.zero = 1;
    assert!(close(bytes(&case, 0, replicas), shared * (w + c)));
    case.zero = 2;
    assert!(close(bytes(&case, 0, replicas), shared * (m * w + c)));
    case.zero = 3;
    let per_micro_batch = bytes(&case, 0, replicas);
    assert!(close(per_micro_batch, shared * m * (w + 2.0 * c)));
    case.schedule = ScheduleKind::BreadthFirst;
    let per_step = bytes(&case, 0, replicas);
    assert!(close(per_step, shared * (w + 2.0 * c)));
    assert!(close(per_micro_batch / per_step, m));
}

/// The table of sail-sg/zero-bubble-pipeline-parallelism@3a91d0c README.md (p stages, m
/// micro-batches, F = B = W), relative to 1F1B: time lost (p − 1)/m, a third of it for ZB1P, none
/// for ZB2P and ZBV; activations 1, 1, 2, 1; messages 1, 1, 1, 2. ZB1P is H1 and ZB2P is H2, which
/// holds 2p − 1 of the 2p.
#[test]
fn zero_bubble_loses_holds_and_sends_as_published() {
    use ScheduleKind as K;
    let (p, m) = (4u32, 12u32);
    let table = [
        (K::OneForwardOneBackward, 1, f64::from(p - 1) / f64::from(m), 1.0, 1.0),
        (K::ZeroBubbleH1, 1, f64::from(p - 1) / f64::from(3 * m), 1.0, 1.0),
        (K::ZeroBubbleH2, 1, 0.0, f64::from(2 * p - 1) / f64::from(p), 1.0),
        (K::ZeroBubbleV, 2, 0.0, 1.0, 2.0),
    ];
    let mut plain = 0.0;
    for (kind, chunks, lost, held, sent) in table {
        let shape = Shape { kind, ranks: p, micro_batches: m, chunks };
        let order = shape.order().unwrap();
        let times = timetable(&shape, &order, Units::EVEN).unwrap();
        // Whole backward passes end together; halves fill up what is left on each rank.
        let waits = match kind.splits_backward() {
            false => times.makespan - times.busy(0),
            true => (0..p as usize).map(|rank| times.gaps(rank)).max().unwrap(),
        };
        let work = f64::from(3 * m * chunks);
        assert!(close(waits as f64 / work, lost), "{kind:?}: {waits} of {work}");
        let most = order.iter().map(|slots| in_flight(slots)).max().unwrap();
        assert!(close(f64::from(most) / f64::from(chunks * p), held), "{kind:?}: {most}");
        let mut case = Case::new(model("gpt2", 14), degrees(1, 1, p));
        (case.schedule, case.chunks, case.micro_batches) = (kind, chunks, m);
        let messages = bytes(&case, 1, Traffic::Stage(Pass::Forward));
        if plain == 0.0 {
            plain = messages;
        }
        assert!(close(messages / plain, sent), "{kind:?}: {messages}");
    }
}

/// Patwary et al. 2018 (arXiv:1810.10045): gather moves Θ(GKD), unique Θ(GK + UD). G = 4 ranks
/// with K = 4·1,024 tokens, D = 768, V = 50,257; own and all different tokens as given.
#[test]
fn exchange_traffic_grows_as_published() {
    let mut case = Case::new(model("gpt2", 2), degrees(4, 1, 2));
    let wire = case.model.spec.training.precision.wire_bytes as f64;
    let (g, k, row) = (4.0, 4096.0, 768.0 * wire);
    let (own, all) = (900.0, 2500.0);
    case.facts.different = Some(DifferentTokens { own, all });
    let mut of = |exchange| {
        case.exchange = Some(exchange);
        bytes(&case, 0, Traffic::Group(Purpose::Exchange))
    };
    assert!(close(of(Exchange::Gather), (g - 1.0) * k * (row + 4.0)));
    assert!(close(of(Exchange::DedupGather), (g - 1.0) * own * (row + 4.0)));
    assert!(close(of(Exchange::Unique), (g - 1.0) * k * 4.0 + 1.5 * all * row));
    assert!(close(of(Exchange::Sharded), 0.75 * k * (2.0 * row + 4.0)));
    assert!(close(of(Exchange::Dense), 0.0));
}

/// Replicas that meet every H steps send 1/H of what they would send every step, whatever the
/// fragments (Douillard et al. 2023): 4 bytes per parameter and period against w per step.
#[test]
fn local_steps_divide_traffic_by_their_period() {
    let mut case = Case::new(model("gpt2", 12), degrees(4, 1, 1));
    let wire = case.model.spec.training.precision.wire_bytes as f64;
    let each_step = bytes(&case, 0, Traffic::Group(Purpose::Replicas));
    for fragments in [1, 3] {
        case.settings.local = Some(LocalSteps { every: 100, fragments, delay: 2 });
        let period = bytes(&case, 0, Traffic::Group(Purpose::Outer));
        assert!(close(period / 100.0, each_step / 100.0 * 4.0 / wire), "{period} {each_step}");
    }
}

/// One list per pipeline stage, however many ranks: 405 B parameters on 16,384 of them.
#[test]
fn ranks_that_do_the_same_share_a_list() {
    let mut case = Case::new(model("llama3-405b", 126), degrees(128, 8, 16));
    case.sequence_parallel = true;
    case.zero = 1;
    case.settings.granularity = Granularity::Stage;
    let mut listed = Vec::new();
    for micro_batches in [16, 32, 48] {
        case.micro_batches = micro_batches;
        let program = case.lower().unwrap();
        assert_eq!(validate(&program), Ok(()));
        assert_eq!((program.ranks, program.classes.len()), (16_384, 16));
        assert_eq!(program.actions(), program.listed_actions() as u64 * 1024);
        listed.push(program.listed_actions());
    }
    assert_eq!(listed[2] - listed[1], listed[1] - listed[0], "linear in micro-batches");
}

/// Seen from the list: activations of each block live from their forward pass to the last pass
/// that needs them.
fn blocks_in_flight(program: &Program, class: usize) -> usize {
    let class = &program.classes[class];
    let mut uses: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for (i, action) in class.actions.iter().enumerate().filter(|(_, a)| a.is_pass()) {
        for access in action.accesses() {
            if class.buffers[access.buffer.0 as usize].kind == BufferKind::Saved {
                uses.entry(access.buffer.0).or_insert((i, i)).1 = i;
            }
        }
    }
    let alive = |i: usize| uses.values().filter(|(from, to)| (*from..=*to).contains(&i)).count();
    (0..class.actions.len()).map(alive).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// In-flight micro-batches of the order are what the program keeps in memory.
    #[test]
    fn memory_holds_what_is_in_flight(mut case in cases()) {
        prop_assume!(case.schedule != ScheduleKind::Ouroboros);
        case.settings.granularity = Granularity::Stage;
        case.settings.offload = false;
        let program = case.lower().unwrap();
        let order = case.shape().order().unwrap();
        for (class, slots) in order.iter().enumerate() {
            prop_assert_eq!(blocks_in_flight(&program, class), in_flight(slots) as usize);
        }
    }

    /// The arena is what lives at once and some more: the gaps that stay between buffers of very
    /// different sizes, and what messages and collectives take while they are under way: with ZeRO
    /// 2 and 3 a second gradient, and a gap as large. Few large buffers, as here, leave the widest
    /// gaps.
    #[test]
    fn arenas_are_tight(case in cases()) {
        for class in case.lower().unwrap().classes {
            let (live, arena) = (class.live_peak().get(), class.arena.get());
            let gradients = class.buffers.iter().filter(|b| b.kind == BufferKind::Gradient);
            let second = gradients.map(|b| b.size.max.get()).fold(0.0, f64::max);
            let second = if case.zero > 1 { second } else { 0.0 };
            let most = 2.0 * (live + second);
            prop_assert!(arena >= live && arena <= most, "{} for {}", arena, live);
        }
    }

    /// A schedule that went out as a table and came back is the same program.
    #[test]
    fn an_order_of_ones_own_is_taken(mut case in cases()) {
        let program = case.lower().unwrap();
        let table = csv::write(&case.shape().order().unwrap());
        case.settings.order = Some(csv::read(&table).unwrap());
        prop_assert_eq!(case.lower().unwrap().digest(), program.digest());
    }
}

/// Module k of K works on what is K − k steps old.
#[test]
fn staleness_is_reported() {
    let mut case = Case::new(model("gpt2", 6), degrees(1, 1, 3));
    assert_eq!(case.lower().unwrap().staleness(), 0);
    case.schedule = ScheduleKind::Ouroboros;
    assert_eq!(case.lower().unwrap().staleness(), 3);
}

#[test]
fn a_lost_message_is_named() {
    let case = Case::new(model("gpt2", 2), degrees(1, 1, 2));
    let mut program = case.lower().unwrap();
    let list = &mut program.classes[0].actions;
    let sends = |op: Op| matches!(op, Op::Send(_) | Op::WaitSend(_));
    let first = list.iter().position(|a| sends(a.op)).unwrap();
    let lost = list.remove(first);
    let wait = list.iter().position(|a| a.op == Op::WaitSend(Pass::Forward) && a.at == lost.at);
    list.remove(wait.unwrap());
    for entry in &mut program.classes[0].ledger {
        if entry.traffic == Traffic::Stage(Pass::Forward) {
            entry.bytes = entry.bytes * 0.75;
        }
    }
    let flaw = validate(&program).unwrap_err();
    let said = flaw.to_string();
    assert!(matches!(flaw, Flaw::OtherMessage { .. } | Flaw::Hangs { .. }), "{said}");
    assert!(said.contains("rank 1") && said.contains("Receive F"), "{said}");
}

#[test]
fn an_arena_that_does_not_fit_is_named() {
    let mut case = Case::new(model("gpt2", 12), degrees(1, 1, 1));
    case.facts.capacity = Some(plan::units::Bytes::new(1e9));
    let flaw = validate(&case.lower().unwrap()).unwrap_err();
    assert!(matches!(flaw, Flaw::Capacity { rank: 0, .. }), "{flaw}");
}

#[test]
fn plans_that_contradict_themselves_are_refused() {
    let case = Case::new(model("gpt2", 6), degrees(2, 1, 2));
    let lower = |change: &dyn Fn(&mut plan::document::Decision)| {
        let mut decision = case.decision();
        change(&mut decision);
        plan::program::lower(&case.model, &decision, &case.facts, &case.settings).unwrap_err()
    };
    use LowerError as E;
    assert!(matches!(lower(&|d| d.world_size = 5), E::Degrees { .. }));
    assert!(matches!(lower(&|d| d.degrees.ep = 3), E::Degrees { .. }));
    assert!(matches!(lower(&|d| d.chunks = 2), E::NoSuchSchedule { .. }));
    assert!(matches!(lower(&|d| d.batch.micro_batches = u32::MAX), E::TooLarge { .. }));
    assert!(matches!(lower(&|d| d.stages[1].layers.first = 1), E::Layers { stage: 1, .. }));
    assert!(matches!(lower(&|d| d.stages[1].layers.last = 99), E::Layers { stage: 1, .. }));
    assert!(matches!(lower(&|d| _ = d.stages.pop()), E::Stages { listed: 1, .. }));
    assert!(matches!(lower(&|d| d.stages[0].pipeline_rank = 1), E::Home { stage: 0, .. }));
    assert!(matches!(lower(&|d| d.stages[0].zero = 4), E::Zero { zero: 4, .. }));
    assert!(matches!(lower(&|d| d.stages[0].recompute.clear()), E::Recompute { .. }));
    assert!(matches!(lower(&|d| d.batch.time_chunks = 2), E::Unsupported { .. }));
    // Five ranks cannot share twelve heads.
    let error = lower(&|d| (d.degrees.tp, d.degrees.dp, d.world_size) = (5, 2, 20));
    assert!(matches!(error, E::Indivisible(_)), "{error}");
}

#[test]
fn orders_that_are_not_of_the_plan_are_refused() {
    let mut case = Case::new(model("gpt2", 6), degrees(1, 1, 2));
    case.micro_batches = 1;
    let mut with = |table: &str| {
        case.settings.order = Some(csv::read(table).unwrap());
        case.lower()
    };
    assert!(with("0F0,0B0\n1F0,1B0\n").is_ok());
    assert!(with("0F0,0I0,0W0\n1F0,1I0,1W0\n").is_ok(), "halves are as good");
    assert!(matches!(with("0F0\n1F0,1B0\n"), Err(LowerError::OtherOrder { .. })));
    assert!(matches!(with("1F0,1B0\n0F0,0B0\n"), Err(LowerError::OtherOrder { .. })));
    assert!(matches!(with("0B0,0F0\n1F0,1B0\n"), Err(LowerError::Order(_))));
}
