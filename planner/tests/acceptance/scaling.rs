//! Published scaling of recurrent models: multiplicative LSTMs on DGX-1V (Puri et al. 2018,
//! arXiv:1808.01371), word and character models on Titan X (Patwary et al. 2019, arXiv:1810.10045).

use crate::world::{World, fastest, model};
use cost_model::memory::Zero;
use plan::exchange::Exchange;
use plan::lower::Recompute;
use plan::model::{Batch, Model, ModelSpec, Precision};
use planner::request::Pins;

/// Data parallel, nothing sharded or repeated, the gradient of the table summed with the others.
fn as_published(sequences: u64) -> Pins {
    Pins {
        tp: Some(1),
        pp: Some(1),
        zero: Some(Zero::Off),
        recompute: Some(Recompute::None),
        exchange: Some(Exchange::Dense),
        micro_sequences: Some(sequences),
        ..Pins::default()
    }
}

fn seconds(model: &ModelSpec, cluster: &str, gpus: u32) -> f64 {
    let world = World::new(model, cluster, Some("pytorch-rnn-unrolled"));
    let Batch::PerDevice(sequences) = model.training.batch else { panic!("a batch per device") };
    let planned = fastest(&world.request(gpus, as_published(sequences))).unwrap();
    planned.detail.step.value.get()
}

/// Model, cluster, and the published speed-up on each number of devices.
type Curve = (&'static str, &'static str, [(u32, f64); 4]);

/// Times one device, as NVIDIA/sentiment-discovery@17bcf05 `figures/distributed_scalability.png`
/// shows them: 4,096 cells over InfiniBand and over two ports of 10 Gbit/s, 8,192 over InfiniBand.
const SPEED_UPS: [Curve; 3] = [
    ("mlstm4096", "dgx1v", [(16, 13.5), (32, 27.4), (64, 55.7), (128, 109.1)]),
    ("mlstm4096", "dgx1v-ethernet", [(16, 11.7), (32, 23.5), (64, 45.7), (128, 92.6)]),
    ("mlstm8192", "dgx1v", [(16, 15.7), (32, 31.3), (64, 61.3), (128, 120.9)]),
];

/// Points of efficiency. The chart is read to 0.5 % of its axis; neighbouring points of one curve
/// differ by up to 2 points without a reason in the wiring. The curve of 8,192 cells contradicts
/// the
/// others on few nodes: a step four times as long loses a third of the seconds.
fn allowed(name: &str) -> f64 {
    if name == "mlstm8192" { 4.5 } else { 3.0 }
}

#[test]
fn published_speed_ups_are_within_three_points() {
    let mut wrong = Vec::new();
    for (name, cluster, points) in SPEED_UPS {
        let alone = seconds(&model(name), cluster, 1);
        for (gpus, published) in points {
            let efficiency = alone / seconds(&model(name), cluster, gpus);
            let off = 100.0 * (efficiency - published / f64::from(gpus));
            println!(
                "{name} on {gpus} of {cluster}: {:.1} %, {off:+.1} points",
                100.0 * efficiency
            );
            if off.abs() > allowed(name) {
                wrong.push(format!("{name} on {gpus} of {cluster}: {off:+.1} points"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("; "));
}

/// Hours per epoch of 38.27·10⁹ characters on 8 devices: 256 sequences each at 16 bit took 17 by
/// the
/// text and 19.4 by a chart of the same repository, 128 took 30.7, and 77.9 at 32 bit. The
/// constants
/// know the first two only.
#[test]
fn published_hours_per_epoch_are_within_a_tenth() {
    let mixed = model("mlstm4096").training.precision;
    let single = Precision {
        compute: plan::Dtype::Fp32,
        weight_bytes: 4,
        gradient_bytes: 4,
        optimizer_bytes: 8,
        wire_bytes: 4,
    };
    for (sequences, precision, hours) in
        [(256, mixed, 17.0), (256, mixed, 19.4), (128, mixed, 30.7), (128, single, 77.9)]
    {
        let mut spec = model("mlstm4096");
        spec.training.batch = Batch::PerDevice(sequences);
        spec.training.precision = precision;
        let steps = 38.27e9 / (8.0 * sequences as f64 * 256.0);
        let predicted = seconds(&spec, "dgx1v", 8) * steps / 3600.0;
        let error = predicted / hours - 1.0;
        println!("{sequences} sequences, {}: {predicted:.1} h against {hours}", precision.compute);
        assert!(error.abs() <= 0.10, "{sequences} sequences: {predicted:.1} h against {hours}");
    }
}

/// 1,000 bytes per parameter and micro-batch at the streaming 0.8 · 0.9 TB/s of V100, and a gap of
/// 2 µs for each of the 3 kinds' casts; products of 32 bit need no casts.
#[test]
fn casts_move_their_bytes_in_every_micro_batch() {
    let spec = model("mlstm4096");
    let step = |spec: &ModelSpec, bytes: f64| {
        let mut world = World::new(spec, "dgx1v", Some("pytorch-rnn-unrolled"));
        world.stack.optimizer.cast_bytes.value = bytes;
        let world = World::on(spec, world.cluster, &world.stack);
        let planned = fastest(&world.request(1, as_published(128))).unwrap();
        assert_eq!(planned.solution.configuration.micro_batches, 2);
        planned.detail.step.value.get()
    };
    let added = step(&spec, 1000.0) - step(&spec, 0.0);
    let by_hand = 2.0 * 1000.0 * Model::build(&spec).unwrap().parameters() as f64 / 0.72e12;
    assert!((added - by_hand).abs() < 2.0 * 3.0 * 2e-6 + 1e-9, "{added} against {by_hand}");
    let mut single = spec;
    single.training.precision.compute = plan::Dtype::Fp32;
    assert_eq!(step(&single, 1000.0), step(&single, 0.0));
}

/// 8 devices: 7 gradients in and 7 weights out over one link instead of 2 · 7/8 of one. Latency
/// grows with the bytes, by less than 1 ms.
#[test]
fn one_device_that_holds_the_variables_is_the_bottleneck() {
    let spec = model("mlstm4096");
    let gradients = |central: bool| {
        let mut world = World::new(&spec, "dgx1v", Some("pytorch-rnn-unrolled"));
        world.stack.collective.central.value = central;
        let world = World::on(&spec, world.cluster, &world.stack);
        let planned = fastest(&world.request(8, as_published(256))).unwrap();
        planned.detail.ranks[0].sync.gradients_total.get()
    };
    let (ring, central) = (gradients(false), gradients(true));
    assert!(central < 8.0 * ring && central > 8.0 * (ring - 1e-3), "{central} against {ring}");
}

/// The best plan with data parallelism alone, whose batch grows with the number of devices.
fn replicas(name: &str, gpus: u32) -> f64 {
    let world = World::shipped(name, "titanx-fdr");
    let pins = Pins { tp: Some(1), pp: Some(1), ..Pins::default() };
    fastest(&world.request(gpus, pins)).unwrap().detail.step.value.get()
}

/// Language Modeling at Scale, abstract: from 8 to 64 devices a pass over the data is 6.7 times
/// faster (characters) and 6.3 times (words); 32 times the data on 32 times the devices takes 1.25
/// times as long (Tieba, 6 to 192). Per device the batch is the same, so that the first two are 8
/// over what a step gets longer. Nothing is fitted to these. The word model's exchange is taken for
/// slower than it was.
#[test]
fn language_models_scale_as_published() {
    let longer = |name, few, many| replicas(name, many) / replicas(name, few);
    let tieba = longer("rhn-tieba", 6, 192);
    let characters = 8.0 / longer("rhn-char", 8, 64);
    let words = 8.0 / longer("word-lm-1b", 8, 64);
    println!("Tieba {tieba:.2} (1.25), characters {characters:.2} (6.7), words {words:.2} (6.3)");
    assert!((tieba / 1.25 - 1.0).abs() < 0.05, "{tieba}");
    assert!((characters / 6.7 - 1.0).abs() < 0.05, "{characters}");
    assert!((words / 6.3 - 1.0).abs() < 0.25, "{words}");
}
