//! The same model in two stages, or over a tensor-parallel group.

use super::*;
use crate::comm::{
    Call, Communicator, Elements, Fault, Group, Reduction, Tag, Task, Threads, Transport,
};
use crate::float::Float;
use crate::ops::across::Across;
use std::sync::Arc;
use std::time::Duration;

/// As [`run`], with the chain cut before layer `cut`.
pub fn in_two(
    model: &Model,
    cut: usize,
    weights: &[f64],
    batch: &MicroBatch,
    recompute: bool,
) -> (f64, Vec<f64>, Carries<f64>) {
    let layers = model.layers() as usize;
    let stages = [0..cut, cut..layers].map(|chain| Stage::new(model, chain, (0, 1)).unwrap());
    let [a, b] = &stages;
    let (wa, wb) = weights.split_at(a.elements());
    let all = first_carries(&whole(model), weights, batch);
    let mut ca = Carries(all.0[..cut].to_vec());
    let mut cb = Carries(all.0[cut..].to_vec());
    let again = |_: usize| recompute;
    let (out, ka) = a.forward(wa, batch, &Alone, None, &mut ca, &again).unwrap();
    let Output::Activation(x) = out else { panic!("the first stage has no head") };
    let (out, kb) = b.forward(wb, batch, &Alone, Some(x), &mut cb, &again).unwrap();
    let Output::Loss(loss) = out else { panic!("the second stage has the head") };
    let mut gradients = vec![0.0; weights.len()];
    let (ga, gb) = gradients.split_at_mut(a.elements());
    let mut back = b.start(batch.sequences);
    let (dx, left) = b.backward(wb, batch, &Alone, kb, None, &mut back).unwrap();
    b.add(wb, batch, left, gb);
    let mut back = a.start(batch.sequences);
    let (_, left) = a.backward(wa, batch, &Alone, ka, dx, &mut back).unwrap();
    a.add(wa, batch, left, ga);
    ca.0.extend(cb.0);
    (loss * batch.scale, gradients, ca)
}

struct Ranks(Group);

const CALL: Call = Call { task: Task::Other("testing"), limit: Duration::from_secs(60) };

impl Across<f64> for Ranks {
    fn place(&self) -> usize {
        self.0.place()
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn gather(&self, parts: &mut [f64]) -> Result<(), Fault> {
        self.0.all_gather(Elements::F64(parts), &CALL)
    }

    fn scatter(&self, parts: &mut [f64]) -> Result<(), Fault> {
        self.0.reduce_scatter(Elements::F64(parts), &CALL)
    }

    fn exchange(&self, messages: Vec<Vec<f64>>) -> Result<Vec<Vec<f64>>, Fault> {
        let encode = |values: Vec<f64>| {
            let mut bytes = Vec::new();
            f64::write(&values, &mut bytes);
            bytes
        };
        let came = self.0.all_to_all(messages.into_iter().map(encode).collect(), &CALL)?;
        let decode = |bytes: Vec<u8>| {
            let mut values = vec![0.0; bytes.len() / f64::BYTES];
            f64::read(&bytes, &mut values);
            values
        };
        Ok(came.into_iter().map(decode).collect())
    }

    fn sum(&self, values: &mut [f64]) -> Result<(), Fault> {
        self.0.all_reduce(Elements::F64(values), Reduction::Sum, &CALL)
    }

    fn max(&self, values: &mut [f64]) -> Result<(), Fault> {
        self.0.all_reduce(Elements::F64(values), Reduction::Max, &CALL)
    }
}

/// Parameters as a rank holds them, with their gradients.
type Parts = Vec<(Parameter, Vec<f64>)>;

/// Loss, and gradients with their parameters, of every rank of a tensor-parallel group.
pub fn over_tensor(model: &Model, ranks: u32, batch: &MicroBatch) -> Vec<(f64, Parts)> {
    let members: Vec<u32> = (0..ranks).collect();
    let all = Threads::all(ranks, |rank| Group::queues(rank, &members, Tag(0)));
    let one = |transport: Threads| {
        let transport: Arc<dyn Transport> = Arc::new(transport);
        let group = Ranks(Group::new(transport, members.clone(), Tag(0)).unwrap());
        let place = (group.0.place(), ranks as usize);
        let stage = Stage::new(model, 0..model.layers() as usize, place).unwrap();
        let weights: Vec<f64> = stage.initial(7);
        let mut carries = stage.start(batch.sequences);
        let fixed = vec![0.125; weights.len()];
        stage.forward(&fixed, batch, &group, None, &mut carries, &|_| false).unwrap();
        let (out, kept) =
            stage.forward(&weights, batch, &group, None, &mut carries, &|_| false).unwrap();
        let Output::Loss(loss) = out else { panic!("the last layer is a head") };
        let mut back = stage.start(batch.sequences);
        let (_, left) = stage.backward(&weights, batch, &group, kept, None, &mut back).unwrap();
        let mut gradients = vec![0.0; stage.elements()];
        stage.add(&weights, batch, left, &mut gradients);
        let parts = stage.placed().map(|(p, at)| (p.clone(), gradients[at].to_vec())).collect();
        (loss * batch.scale, parts)
    };
    std::thread::scope(|scope| {
        let spawn = |t| scope.spawn(|| one(t));
        let handles: Vec<_> = all.into_iter().map(spawn).collect();
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    })
}

/// Every element of a part is that element of the whole.
pub fn compare_parts(
    stage: &Stage,
    gradients: &[f64],
    parts: &[(Parameter, Vec<f64>)],
    name: &str,
) {
    for ((whole, place), (part, values)) in stage.placed().zip(parts) {
        let all = &gradients[place];
        let most = all.iter().fold(1e-9f64, |m, g| m.max(g.abs()));
        assert_eq!(whole.name, part.name);
        assert_eq!(part.len(), values.len());
        for (index, value) in part.indices().zip(values) {
            let error = (all[index] - value).abs();
            assert!(error <= 1e-12 * most, "{name} {}: {} {value}", part.name, all[index]);
        }
    }
}
