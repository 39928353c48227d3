//! Ranks as processes, on one node or several: one TCP connection between every two ranks.
//!
//! A thread per connection moves what arrives into the mailbox, so that a sender never waits for
//! the receiver's program. A connection that ends without a farewell ends all ranks.

mod frame;
mod rendezvous;

use super::mailbox::undeclared;
use super::{Call, Fault, Mailbox, Problem, Tag, Task, Transport};
use frame::{Frame, Kind};
use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Who this process is and where the ranks meet.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// This rank.
    pub rank: u32,
    /// Ranks in total.
    pub ranks: u32,
    /// Host and port where rank 0 listens and the others call.
    pub meeting: String,
    /// Digest of the program: all ranks must run the same one.
    pub digest: u64,
    /// How long to wait for the others.
    pub limit: Duration,
}

/// One rank's connections.
pub struct Tcp {
    inner: Arc<Inner>,
    readers: Vec<JoinHandle<()>>,
}

struct Inner {
    rank: u32,
    mailbox: Mailbox,
    links: BTreeMap<u32, Link>,
    task: Mutex<Task>,
    /// Whether this rank has said farewell.
    is_leaving: AtomicBool,
    /// Connections whose other end has said farewell or is gone.
    ended: AtomicUsize,
}

struct Link {
    writer: Mutex<Writer>,
    /// The same connection, to cut it while somebody writes.
    handle: TcpStream,
}

struct Writer {
    stream: TcpStream,
    sequence: u64,
}

/// How long a farewell may take when ranks end because of a fault.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long ranks that have finished wait for each other.
const FAREWELL: Duration = Duration::from_secs(10);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tcp {
    /// Meets the other ranks, checks that all run the same program, and connects to each.
    ///
    /// # Errors
    /// A rank is missing, another runs another program, the system refuses a connection.
    pub fn connect(
        endpoint: &Endpoint,
        queues: impl IntoIterator<Item = (u32, Tag)>,
    ) -> Result<Self, Fault> {
        let task = Task::Other("meeting the other ranks");
        let fail = |problem| Fault::new(endpoint.rank, task, problem);
        let streams = rendezvous::meet(endpoint).map_err(fail)?;
        let mut links = BTreeMap::new();
        let mut sources = Vec::new();
        for (peer, stream) in streams {
            let (link, source) =
                Link::new(stream).map_err(|e| fail(Problem::System(e.to_string())))?;
            links.insert(peer, link);
            sources.push((peer, source));
        }
        let inner = Arc::new(Inner {
            rank: endpoint.rank,
            mailbox: Mailbox::new(endpoint.rank, queues),
            links,
            task: Mutex::new(task),
            is_leaving: AtomicBool::new(false),
            ended: AtomicUsize::new(0),
        });
        let read = |(peer, source)| {
            let inner = inner.clone();
            std::thread::spawn(move || inner.read(peer, source))
        };
        let readers = sources.into_iter().map(read).collect();
        Ok(Self { inner, readers })
    }
}

impl Link {
    fn new(stream: TcpStream) -> io::Result<(Self, TcpStream)> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(None)?;
        let (handle, source) = (stream.try_clone()?, stream.try_clone()?);
        Ok((Self { writer: Mutex::new(Writer { stream, sequence: 0 }), handle }, source))
    }
}

impl Writer {
    fn write(&mut self, kind: Kind, tag: u32, payload: &[u8], limit: Duration) -> io::Result<()> {
        self.stream.set_write_timeout(Some(limit.max(Duration::from_millis(1))))?;
        let frame = Frame { kind, tag, sequence: self.sequence };
        self.sequence += 1;
        frame.write(&mut self.stream, payload)
    }
}

impl Inner {
    /// Moves what arrives into the mailbox until the connection ends.
    fn read(&self, peer: u32, mut source: TcpStream) {
        let mut expected = 0;
        let problem = loop {
            match Frame::read(&mut source) {
                Ok((frame, _)) if frame.sequence != expected => {
                    let what = "a message is missing or came twice";
                    break Some(Problem::Damaged { from: peer, what });
                }
                Ok((Frame { kind: Kind::Data, tag, .. }, payload)) => {
                    if !self.mailbox.put(peer, Tag(tag), payload) {
                        break Some(undeclared(peer, Tag(tag)));
                    }
                }
                Ok((Frame { kind: Kind::Abort, .. }, payload)) => {
                    self.mailbox.end(&frame::decode_fault(&payload));
                    break None;
                }
                Ok((Frame { kind: Kind::Farewell, .. }, _)) => break None,
                Ok(_) => break Some(Problem::Damaged { from: peer, what: "unknown kind" }),
                Err(frame::Broken::Damaged(what)) => {
                    break Some(Problem::Damaged { from: peer, what });
                }
                Err(frame::Broken::Closed) => {
                    let is_expected = self.is_leaving.load(Ordering::SeqCst);
                    break (!is_expected).then_some(Problem::Gone { peer });
                }
            }
            expected += 1;
        };
        if let Some(problem) = problem {
            let task = *lock(&self.task);
            self.fail(Fault::new(self.rank, task, problem));
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
    }

    /// Ends this rank, and tells the others.
    fn fail(&self, fault: Fault) {
        if self.mailbox.fault().is_some() {
            return;
        }
        self.mailbox.end(&fault);
        let words = frame::encode_fault(&fault);
        for link in self.links.values() {
            match link.writer.try_lock() {
                Ok(mut writer) => {
                    // The other end may be what is broken; then it needs no telling.
                    let _ = writer.write(Kind::Abort, 0, &words, LAST_WORDS);
                }
                Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => {
                    let _ = link.handle.shutdown(Shutdown::Both);
                }
            }
        }
    }

    fn note(&self, task: Task) {
        *lock(&self.task) = task;
    }

    fn fault_or(&self, fault: Fault) -> Fault {
        self.fail(fault.clone());
        self.mailbox.fault().unwrap_or(fault)
    }
}

impl Transport for Tcp {
    fn rank(&self) -> u32 {
        self.inner.rank
    }

    fn send(&self, to: u32, tag: Tag, message: Vec<u8>, call: &Call) -> Result<(), Fault> {
        self.inner.note(call.task);
        if let Some(fault) = self.inner.mailbox.fault() {
            return Err(fault);
        }
        let fail = |problem| self.inner.fault_or(Fault::new(self.inner.rank, call.task, problem));
        let link = self.inner.links.get(&to).ok_or_else(|| fail(undeclared(to, tag)))?;
        let written = lock(&link.writer).write(Kind::Data, tag.0, &message, call.limit);
        written.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                let waited_ms = call.limit.as_millis() as u64;
                fail(Problem::Late { from: to, waited_ms, its_task: None })
            }
            _ => fail(Problem::Gone { peer: to }),
        })
    }

    fn receive(&self, from: u32, tag: Tag, call: &Call) -> Result<Vec<u8>, Fault> {
        self.inner.note(call.task);
        self.inner.mailbox.take(from, tag, call).map_err(|fault| self.inner.fault_or(fault))
    }

    fn abort(&self, fault: Fault) {
        self.inner.fail(fault);
    }

    fn fault(&self) -> Option<Fault> {
        self.inner.mailbox.fault()
    }
}

impl Drop for Tcp {
    /// Says farewell, and waits until the others have: a connection that is closed before its data
    /// is read loses it.
    fn drop(&mut self) {
        let inner = &self.inner;
        let fault = inner.mailbox.fault();
        inner.is_leaving.store(true, Ordering::SeqCst);
        let limit = if fault.is_some() { LAST_WORDS } else { FAREWELL };
        // A fault is passed on, so that nobody takes the end of this rank for the cause.
        let (kind, words) = match &fault {
            Some(fault) => (Kind::Abort, frame::encode_fault(fault)),
            None => (Kind::Farewell, Vec::new()),
        };
        for link in inner.links.values() {
            if let Ok(mut writer) = link.writer.try_lock() {
                let _ = writer.write(kind, 0, &words, LAST_WORDS);
            }
            let _ = link.handle.shutdown(Shutdown::Write);
        }
        let start = Instant::now();
        while inner.ended.load(Ordering::SeqCst) < inner.links.len() && start.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(2));
        }
        for link in inner.links.values() {
            let _ = link.handle.shutdown(Shutdown::Both);
        }
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}
