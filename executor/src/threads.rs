//! Helpers of a rank: threads that take pieces of its work.
//!
//! A rank may use a bounded number of threads. Which of them does a piece is not fixed, so pieces
//! must not share what they write, and must not depend on how many there are: then the number of
//! threads does not change a bit of any result.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How often a thread looks for something to do before it goes to sleep: some twenty microseconds,
/// what waking up takes.
const PATIENCE: usize = 400;

/// Below this many elements, a piece of simple arithmetic is not worth a thread of its own.
const WORTH_A_THREAD: usize = 16 << 10;

thread_local! {
    static THREADS: Cell<usize> = const { Cell::new(1) };
    static TEAM: RefCell<Option<Team>> = const { RefCell::new(None) };
}

/// How many threads work started by this thread may use; 1 until said otherwise.
pub fn limit_threads(threads: usize) {
    THREADS.set(threads.max(1));
    TEAM.take();
}

/// How many threads work started by this thread may use.
#[must_use]
pub fn threads() -> usize {
    THREADS.get()
}

/// Rows per piece, for `rows` rows of `width` elements each: a few pieces per thread, so that a
/// thread that is held up holds up little, and none that is too small.
#[must_use]
pub fn rows_per_piece(rows: usize, width: usize) -> usize {
    let most = rows * width / WORTH_A_THREAD;
    let pieces = if threads() == 1 { 1 } else { (4 * threads()).min(most).max(1) };
    rows.div_ceil(pieces).max(1)
}

/// Does `work` on every piece, on all threads that this one may use.
pub fn run_each<P: Send>(pieces: Vec<P>, work: impl Fn(P) + Sync) {
    if threads() == 1 || pieces.len() < 2 {
        pieces.into_iter().for_each(work);
        return;
    }
    let pieces: Vec<Mutex<Option<P>>> = pieces.into_iter().map(|p| Mutex::new(Some(p))).collect();
    let next = AtomicUsize::new(0);
    let take = || {
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            lock(piece).take().into_iter().for_each(&work);
        }
    };
    let threads = threads();
    // What a piece starts itself runs on its own thread.
    THREADS.set(1);
    let mut team = TEAM.take().unwrap_or_else(|| Team::new(threads - 1));
    let is_whole = team.run(&take);
    TEAM.set(Some(team));
    THREADS.set(threads);
    assert!(is_whole, "a helper panicked");
}

/// The results of `work` on every piece, in the order of the pieces.
#[must_use]
pub fn map_each<P: Send, R: Send>(pieces: Vec<P>, work: impl Fn(P) -> R + Sync) -> Vec<R> {
    let results: Vec<Mutex<Option<R>>> = pieces.iter().map(|_| Mutex::new(None)).collect();
    run_each(pieces.into_iter().zip(&results).collect(), |(piece, result)| {
        *lock(result) = Some(work(piece));
    });
    let values =
        results.into_iter().map(|r| r.into_inner().unwrap_or_else(PoisonError::into_inner));
    values.flatten().collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all threads of a team do at once.
#[derive(Clone, Copy)]
struct Work(*const (dyn Fn() + Sync));

// SAFETY: what it points to may be shared, and `Team::run` keeps it until all have finished.
#[expect(unsafe_code, reason = "helpers outlive the borrow of what they are given")]
unsafe impl Send for Work {}

#[derive(Default)]
struct Board {
    /// Counts what was put up; helpers remember what they have done.
    turn: AtomicU64,
    /// Helpers that have not finished the present turn.
    busy: AtomicUsize,
    panicked: AtomicBool,
    work: Mutex<Option<Work>>,
    put_up: Condvar,
    finished: Condvar,
}

struct Team {
    board: Arc<Board>,
    helpers: Vec<JoinHandle<()>>,
}

impl Team {
    fn new(helpers: usize) -> Self {
        let board = Arc::new(Board::default());
        let start = |_| {
            let board = board.clone();
            std::thread::spawn(move || board.help())
        };
        Self { helpers: (0..helpers).map(start).collect(), board }
    }

    /// Runs `work` on every thread of the team and on this one. Returns whether no helper panicked.
    fn run(&mut self, work: &(dyn Fn() + Sync)) -> bool {
        let erased = std::ptr::from_ref(work);
        // SAFETY: only the lifetime changes. `finish` does not return, or unwind, before every
        // helper has finished, so nobody uses the pointer after this borrow.
        #[expect(unsafe_code, reason = "helpers outlive the borrow of what they are given")]
        let erased = unsafe {
            std::mem::transmute::<*const (dyn Fn() + Sync), *const (dyn Fn() + Sync + 'static)>(
                erased,
            )
        };
        self.board.busy.store(self.helpers.len(), Ordering::Relaxed);
        self.board.put_up(Some(Work(erased)));
        let own = catch_unwind(AssertUnwindSafe(work));
        self.board.wait();
        if let Err(panic) = own {
            std::panic::resume_unwind(panic);
        }
        !self.board.panicked.load(Ordering::Relaxed)
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.board.put_up(None);
        // A helper catches its panics.
        self.helpers.drain(..).for_each(|helper| drop(helper.join()));
    }
}

impl Board {
    /// New work for all helpers; none means that they may go.
    fn put_up(&self, work: Option<Work>) {
        let mut place = lock(&self.work);
        *place = work;
        self.turn.fetch_add(1, Ordering::Release);
        self.put_up.notify_all();
    }

    fn help(&self) {
        for done in 0.. {
            let is_new = || self.turn.load(Ordering::Acquire) > done;
            patiently(is_new);
            let mut place = lock(&self.work);
            while !is_new() {
                place = self.put_up.wait(place).unwrap_or_else(PoisonError::into_inner);
            }
            let Some(Work(work)) = *place else { return };
            drop(place);
            // SAFETY: `Team::run` waits until `busy` is 0 before it gives the borrow back.
            #[expect(unsafe_code, reason = "helpers outlive the borrow of what they are given")]
            let work = unsafe { &*work };
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            if self.busy.fetch_sub(1, Ordering::Release) == 1 {
                drop(lock(&self.work));
                self.finished.notify_all();
            }
        }
    }

    /// Until every helper has finished.
    fn wait(&self) {
        let is_done = || self.busy.load(Ordering::Acquire) == 0;
        patiently(is_done);
        let mut place = lock(&self.work);
        while !is_done() {
            place = self.finished.wait(place).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn patiently(is_so: impl Fn() -> bool) {
    for _ in 0..PATIENCE {
        if is_so() {
            return;
        }
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once() {
        for threads in [1, 2, 4] {
            limit_threads(threads);
            for pieces in [0, 1, 3, 100] {
                let mut seen = vec![0; pieces];
                for _ in 0..50 {
                    run_each(seen.iter_mut().collect(), |n| *n += 1);
                }
                assert_eq!(seen, vec![50; pieces]);
                let squares = map_each((0..pieces).collect(), |n| n * n);
                assert_eq!(squares, (0..pieces).map(|n| n * n).collect::<Vec<_>>());
            }
        }
        limit_threads(1);
    }

    #[test]
    fn a_panic_comes_back() {
        limit_threads(3);
        let failed = |at: usize| {
            let run = || run_each((0..8).collect(), |n| assert!(n != at, "piece {n}"));
            catch_unwind(AssertUnwindSafe(run)).is_err()
        };
        assert!((0..8).all(failed));
        limit_threads(1);
        assert!(!failed(9));
    }

    #[test]
    fn pieces_of_pieces_run_where_they_are() {
        limit_threads(2);
        let inner = |_: usize| map_each(vec![1, 2, 3], |_| std::thread::current().id());
        for ids in map_each(vec![0, 1], inner) {
            assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
        }
        limit_threads(1);
    }
}
