use super::*;
use crate::float::Float;
use proptest::prelude::*;
use std::net::TcpListener;
use std::sync::Arc;

const TAG: Tag = Tag(1);
const LIMIT: Duration = Duration::from_secs(20);

fn call(limit: Duration) -> Call {
    Call { task: Task::Other("testing"), limit }
}

fn everybody(ranks: u32) -> Vec<u32> {
    (0..ranks).collect()
}

fn threads(ranks: u32) -> Vec<Arc<dyn Transport>> {
    let all = Threads::all(ranks, |rank| Group::queues(rank, &everybody(ranks), TAG));
    all.into_iter().map(|t| Arc::new(t) as Arc<dyn Transport>).collect()
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn endpoint(rank: u32, ranks: u32, meeting: &str) -> Endpoint {
    Endpoint { rank, ranks, meeting: meeting.to_string(), digest: 9, limit: LIMIT }
}

/// Runs every rank over TCP, each on its own thread with its own sockets.
fn over_tcp<R: Send>(ranks: u32, run: impl Fn(Arc<dyn Transport>) -> R + Sync) -> Vec<R> {
    let meeting = free_address();
    let start = |rank: u32| {
        let queues = Group::queues(rank, &everybody(ranks), TAG);
        Arc::new(Tcp::connect(&endpoint(rank, ranks, &meeting), queues).unwrap())
    };
    std::thread::scope(|scope| {
        let spawn = |rank| {
            scope.spawn({
                let run = &run;
                let start = &start;
                move || run(start(rank))
            })
        };
        let handles: Vec<_> = (0..ranks).map(spawn).collect();
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    })
}

fn over_threads<R: Send>(ranks: u32, run: impl Fn(Arc<dyn Transport>) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let spawn = |t| {
            scope.spawn({
                let run = &run;
                move || run(t)
            })
        };
        let handles: Vec<_> = threads(ranks).into_iter().map(spawn).collect();
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    })
}

fn group(transport: Arc<dyn Transport>, ranks: u32) -> Group {
    Group::new(transport, everybody(ranks), TAG).unwrap()
}

/// Values whose sum depends on the order.
fn values(rank: usize, n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7 + rank * 13) as f32).sin() * 10f32.powi((rank as i32) * 3)).collect()
}

fn expected(ranks: usize, n: usize) -> Vec<f32> {
    let add = |mut sum: Vec<f32>, rank: usize| {
        sum.iter_mut().zip(values(rank, n)).for_each(|(a, b)| *a += b);
        sum
    };
    (1..ranks).fold(values(0, n), add)
}

fn everything(transport: Arc<dyn Transport>, ranks: u32, n: usize) -> (Vec<f32>, Ledger) {
    let group = group(transport, ranks);
    let (call, place) = (call(LIMIT), group.place());
    let mut data = values(place, n);
    group.all_reduce(Elements::F32(&mut data), Reduction::Sum, &call).unwrap();
    let ledger = group.ledger();
    let mut parts = values(place, n);
    group.reduce_scatter(Elements::F32(&mut parts), &call).unwrap();
    group.all_gather(Elements::F32(&mut parts), &call).unwrap();
    assert!(parts == data);
    let mut most = [place as f64, -(place as f64)];
    group.all_reduce(Elements::F64(&mut most), Reduction::Max, &call).unwrap();
    assert_eq!(most, [f64::from(ranks - 1), 0.0]);
    let mut root = values(place, n);
    group.broadcast(Elements::F32(&mut root), 1, &call).unwrap();
    assert_eq!(root, values(1, n));
    let messages = (0..ranks).map(|to| vec![place as u8; to as usize]).collect();
    let got = group.all_to_all(messages, &call).unwrap();
    assert!(got.iter().enumerate().all(|(from, m)| *m == vec![from as u8; place]));
    let next = (place + 1) % ranks as usize;
    group.send(next, vec![7; 5], &call).unwrap();
    let before = (place + ranks as usize - 1) % ranks as usize;
    assert_eq!(group.receive(before, 5, &call).unwrap(), [7; 5]);
    (data, ledger)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn threads_reduce_in_the_order_of_ranks(ranks in 2u32..6, n in 0usize..40) {
        let all = over_threads(ranks, |t| everything(t, ranks, n).0);
        prop_assert!(all.iter().all(|data| *data == expected(ranks as usize, n)));
    }
}

#[test]
fn tcp_gives_the_same_bits() {
    let all = over_tcp(3, |t| everything(t, 3, 1000).0);
    assert!(all.iter().all(|data| *data == expected(3, 1000)));
}

/// Each of 4 members sends 3 parts of a quarter of 400 bytes, twice.
#[test]
fn an_all_reduce_sends_what_a_ring_sends() {
    for (_, ledger) in over_threads(4, |t| everything(t, 4, 100)) {
        assert_eq!(ledger, Ledger { sent: 2 * 3 * 100, calls: 1, network: Duration::ZERO });
    }
    let fake = Fake::new(0, 4);
    let call = call(LIMIT);
    fake.all_reduce(f32::elements(&mut [0.0; 100]), Reduction::Sum, &call).unwrap();
    assert_eq!(fake.ledger().sent, 600);
}

#[test]
fn parts_cover_everything_once() {
    for (n, of) in [(10, 3), (2, 5), (0, 4)] {
        let all: Vec<usize> = (0..of).flat_map(|i| part(n, of, i)).collect();
        assert_eq!(all, (0..n).collect::<Vec<_>>());
    }
}

#[test]
fn who_waits_too_long_ends_all() {
    let faults = over_threads(3, |t| {
        let group = group(t, 3);
        // Rank 2 waits for what rank 0 never sends; the others wait for rank 2.
        let limit = Duration::from_millis(if group.place() == 2 { 50 } else { 20_000 });
        let from = if group.place() == 2 { 0 } else { 2 };
        group.receive(from, 4, &call(limit)).unwrap_err()
    });
    assert!(faults.iter().all(|fault| *fault == faults[0]));
    let text = faults[0].to_string();
    assert!(
        text.starts_with("rank 2, in testing: nothing came from rank 0 within 0.05 s"),
        "{text}"
    );
    assert!(text.contains("last seen in"), "{text}");
}

#[test]
fn a_message_of_another_size_ends_all() {
    let faults = over_threads(2, |t| {
        let group = group(t, 2);
        match group.place() {
            0 => group
                .send(1, vec![0; 3], &call(LIMIT))
                .and_then(|()| group.receive(1, 1, &call(LIMIT)).map(|_| ())),
            _ => group.receive(0, 4, &call(LIMIT)).map(|_| ()),
        }
        .unwrap_err()
    });
    assert_eq!(faults[0], faults[1]);
    assert_eq!(faults[0].problem, Problem::Mismatch { from: 0, expected: 4, got: 3 });
}

#[test]
fn a_process_that_dies_ends_the_others() {
    let faults = over_tcp(3, |t| {
        if t.rank() == 1 {
            // Ends without a word, as a killed process would.
            t.abort(Fault::new(1, Task::Other("dying"), Problem::Panicked("boom".into())));
            return t.fault().unwrap();
        }
        t.receive(1, TAG, &call(LIMIT)).unwrap_err()
    });
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert!(
        texts.iter().all(|t| t == "rank 1, in dying: it stopped on an internal error: boom"),
        "{texts:?}"
    );
}

#[test]
fn ranks_with_other_programs_do_not_start() {
    let meeting = free_address();
    let connect = |rank: u32| {
        let digest = u64::from(rank);
        Tcp::connect(&Endpoint { digest, ..endpoint(rank, 2, &meeting) }, []).map(|_| ())
    };
    let (a, b) = std::thread::scope(|scope| {
        let other = scope.spawn(|| connect(1).unwrap_err());
        (connect(0).unwrap_err(), other.join().unwrap())
    });
    assert_eq!(a.problem, Problem::OtherProgram { peer: 1, ours: 0, theirs: 1 });
    assert!(b.to_string().contains("another program"), "{b}");
}

#[test]
fn a_missing_rank_is_named() {
    let meeting = free_address();
    let limit = Duration::from_millis(60);
    let fault = Tcp::connect(&Endpoint { limit, ..endpoint(0, 2, &meeting) }, []).map(|_| ());
    let text = fault.unwrap_err().to_string();
    assert!(text.contains("no word from rank 1"), "{text}");
}

/// 2 messages of 0.01 s and 1000 bytes at 100 kB/s: at least 40 ms.
#[test]
fn a_delayed_group_takes_its_time() {
    let price = LinkPrice {
        latency: plan::units::Seconds::new(0.01),
        bandwidth: plan::units::BytesPerSecond::new(100_000.0),
    };
    let times = over_threads(2, |t| {
        let group = Delay::new(Arc::new(group(t, 2)), price);
        let start = std::time::Instant::now();
        let mut data = vec![1.0f32; 500];
        group.all_reduce(Elements::F32(&mut data), Reduction::Sum, &call(LIMIT)).unwrap();
        assert!(data.iter().all(|&v| v == 2.0));
        start.elapsed()
    });
    assert!(times.iter().all(|t| *t >= Duration::from_millis(40)), "{times:?}");
}
