//! Small known pieces of work, timed on this machine: as many threads do the same at once as ranks
//! would, because they share caches, memory and sometimes the units of a core.
//!
//! Times are of the processor's work for the thread where the system counts it, so that other
//! programs disturb them little, and the lower quartile of several rounds, so that they disturb
//! them less.

use crate::comm::Transport;
use crate::comm::{Call, Communicator, Elements, Fault, Group, Reduction, Tag, Task, Threads};
use crate::gemm::{limit_threads, product};
use crate::matrix::Matrix;
use crate::record::busy;
use plan::units::{Bytes, BytesPerSecond, Seconds};
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// Rounds of a measurement.
const ROUNDS: usize = 9;
/// A collective that lasts longer than this many times its work was disturbed, if it lasts longer
/// by more than threads take to wake up.
const DISTURBED: f64 = 3.0;
const WAKE_UPS: f64 = 200e-6;
/// A round lasts about this long.
const ROUND: Duration = Duration::from_millis(6);

/// Runs `work` on so many threads at once, each with its number.
pub fn together<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(threads.max(1));
    let run = |number: usize| {
        limit_threads(1);
        barrier.wait();
        work(number)
    };
    std::thread::scope(|scope| {
        let spawn = |number| scope.spawn(move || run(number));
        let handles: Vec<_> = (0..threads.max(1)).map(spawn).collect();
        handles.into_iter().filter_map(|handle| handle.join().ok()).collect()
    })
}

/// Time of one call on each of so many threads.
#[must_use]
pub fn timed(threads: usize, work: impl Fn() + Sync) -> Seconds {
    let times = together(threads, |_| {
        work();
        let once = stopwatch(&work);
        let calls = (ROUND.as_secs_f64() / once.max(1e-9)).ceil().clamp(1.0, 1e6);
        let round = || stopwatch(|| (0..calls as u32).for_each(|_| work())) / calls;
        lower_quartile((0..ROUNDS).map(|_| round()).collect())
    });
    Seconds::new(times.iter().sum::<f64>() / times.len().max(1) as f64)
}

fn stopwatch(work: impl FnOnce()) -> f64 {
    let (wall, before) = (Instant::now(), busy());
    work();
    let worked = busy().zip(before).map(|(now, before)| now.saturating_sub(before));
    worked.unwrap_or(wall.elapsed()).as_secs_f64()
}

/// The number below which a quarter of all lie.
#[must_use]
pub fn lower_quartile(all: Vec<f64>) -> f64 {
    below(all, 4)
}

/// The number below which a tenth of all lie: for what several threads do together, which any of
/// them can disturb.
#[must_use]
pub fn lower_decile(all: Vec<f64>) -> f64 {
    below(all, 10)
}

fn below(mut all: Vec<f64>, part: usize) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / part).copied().unwrap_or(f64::NAN)
}

/// Time of a product `m × k` by `k × n` on each of so many threads.
#[must_use]
pub fn product_time(threads: usize, [m, n, k]: [usize; 3]) -> Seconds {
    let (a, b) = (filled(m, k), filled(k, n));
    timed(threads, || {
        black_box(product::<f32>(black_box(a.view()), black_box(b.view())));
    })
}

fn filled(rows: usize, cols: usize) -> Matrix<f32> {
    let mut matrix = Matrix::zeros(rows, cols);
    let values = matrix.data_mut().iter_mut().enumerate();
    values.for_each(|(i, x)| *x = (i % 17) as f32 * 0.01);
    matrix
}

/// Memory that each of so many threads reads and writes per second in a copy of this size.
#[must_use]
pub fn copy_rate(threads: usize, size: Bytes) -> BytesPerSecond {
    let elements = (size.get() / 4.0) as usize;
    let rates = together(threads, |_| {
        let from = vec![1.0f32; elements];
        let mut to = vec![0.0f32; elements];
        let once = |to: &mut Vec<f32>| to.copy_from_slice(black_box(&from));
        once(&mut to);
        let round = |_| stopwatch(|| once(black_box(&mut to)));
        2.0 * 4.0 * elements as f64 / lower_quartile((0..ROUNDS).map(round).collect())
    });
    BytesPerSecond::new(rates.iter().sum::<f64>() / rates.len().max(1) as f64)
}

/// Time of an all-reduce of so many bytes by ranks that are threads.
///
/// # Errors
/// A rank failed.
pub fn all_reduce_time(ranks: u32, size: Bytes) -> Result<Seconds, Fault> {
    let members: Vec<u32> = (0..ranks).collect();
    let queues = |rank| Group::queues(rank, &members, Tag(0));
    let all = Threads::all(ranks, queues);
    let call = Call { task: Task::Other("measuring"), limit: Duration::from_secs(60) };
    let run = |rank: usize| -> Result<(f64, f64), Fault> {
        let transport: Arc<dyn Transport> = Arc::new(all[rank].clone());
        let Some(group) = Group::new(transport, members.clone(), Tag(0)) else {
            return Ok((0.0, 0.0));
        };
        let mut data = vec![1.0f32; (size.get() / 4.0) as usize];
        let (mut clock, mut work) = (Vec::new(), Vec::new());
        for _ in 0..8 * ROUNDS {
            let start = Instant::now();
            let mut result = Ok(());
            work.push(stopwatch(|| {
                result = group.all_reduce(Elements::F32(&mut data), Reduction::Max, &call);
            }));
            clock.push(start.elapsed().as_secs_f64());
            result?;
        }
        Ok((lower_decile(clock), lower_quartile(work)))
    };
    let times: Result<Vec<(f64, f64)>, Fault> = together(ranks as usize, run).into_iter().collect();
    let most = |(a, b): (f64, f64), (x, y): (f64, f64)| (a.max(x), b.max(y));
    let (clock, work) = times?.into_iter().fold((0.0, 0.0), most);
    // Members wait for each other, so other programs disturb this more than anything else here;
    // where they do, the work of a member is the better witness.
    let is_disturbed = clock > DISTURBED * work && clock - work > WAKE_UPS;
    Ok(Seconds::new(if is_disturbed { work } else { clock }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_takes_some_time() {
        assert!(product_time(1, [32, 32, 32]) > Seconds::ZERO);
        assert!(all_reduce_time(2, Bytes::new(4096.0)).unwrap() > Seconds::ZERO);
        assert!(copy_rate(2, Bytes::new(1e6)) > BytesPerSecond::ZERO);
        assert_eq!(together(3, |n| n).into_iter().sum::<usize>(), 3);
    }

    #[test]
    fn a_quarter_lies_below_the_lower_quartile() {
        assert_eq!(lower_quartile(vec![4.0, 1.0, 3.0, 2.0]), 2.0);
        assert_eq!(lower_decile((0..30).map(f64::from).collect()), 3.0);
        assert!(lower_quartile(Vec::new()).is_nan());
    }
}
