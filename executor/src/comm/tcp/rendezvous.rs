//! How processes find each other: all call rank 0, which tells everyone where the others listen.

use super::Endpoint;
use super::frame::{Frame, Kind, decode_fault, encode_fault, number};
use crate::comm::{Fault, Problem, Task};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

type Streams = BTreeMap<u32, TcpStream>;

const PAUSE: Duration = Duration::from_millis(5);

/// What a rank says first.
struct Hello {
    rank: u32,
    ranks: u32,
    digest: u64,
    port: u16,
}

impl Hello {
    fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut bytes = Vec::new();
        bytes.extend(self.rank.to_le_bytes());
        bytes.extend(self.ranks.to_le_bytes());
        bytes.extend(self.digest.to_le_bytes());
        bytes.extend(self.port.to_le_bytes());
        Frame { kind: Kind::Hello, tag: 0, sequence: 0 }.write(stream, &bytes)
    }

    /// `None` where the caller is no rank of ours: a port scanner, an old process.
    fn read(stream: &mut TcpStream) -> Option<Self> {
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let (frame, bytes) = Frame::read(stream).ok()?;
        let is_hello = frame.kind == Kind::Hello && bytes.len() == 18;
        is_hello.then(|| Self {
            rank: number(&bytes[..4]) as u32,
            ranks: number(&bytes[4..8]) as u32,
            digest: number(&bytes[8..16]),
            port: number(&bytes[16..]) as u16,
        })
    }
}

struct Clock {
    start: Instant,
    limit: Duration,
}

impl Clock {
    fn left(&self) -> Option<Duration> {
        let left = self.limit.checked_sub(self.start.elapsed())?;
        (!left.is_zero()).then_some(left)
    }
}

fn system(what: &str) -> impl Fn(io::Error) -> Problem + '_ {
    move |error| Problem::System(format!("{what}: {error}"))
}

/// Connections to all other ranks.
pub fn meet(endpoint: &Endpoint) -> Result<Streams, Problem> {
    let clock = Clock { start: Instant::now(), limit: endpoint.limit };
    if endpoint.ranks == 1 {
        return Ok(Streams::new());
    }
    if endpoint.rank == 0 { host(endpoint, &clock) } else { call(endpoint, &clock) }
}

/// Rank 0: waits for everybody, then tells everybody's address.
fn host(endpoint: &Endpoint, clock: &Clock) -> Result<Streams, Problem> {
    let what = format!("cannot listen at {}", endpoint.meeting);
    let listener = TcpListener::bind(&endpoint.meeting).map_err(system(&what))?;
    let mut streams = Streams::new();
    let mut addresses = BTreeMap::new();
    while streams.len() + 1 < endpoint.ranks as usize {
        let missing = || Problem::Unsupported(missing(endpoint, &streams));
        let (mut stream, from) = accept(&listener, clock)?.ok_or_else(missing)?;
        let Some(hello) = Hello::read(&mut stream) else { continue };
        if let Err(problem) = check(endpoint, &hello) {
            streams.insert(hello.rank, stream);
            refuse(&mut streams, endpoint, &problem);
            return Err(problem);
        }
        addresses.insert(hello.rank, SocketAddr::new(from.ip(), hello.port));
        streams.insert(hello.rank, stream);
    }
    let lines: Vec<String> = addresses.iter().map(|(rank, at)| format!("{rank} {at}")).collect();
    for stream in streams.values_mut() {
        let table = Frame { kind: Kind::Table, tag: 0, sequence: 0 };
        table.write(stream, lines.join("\n").as_bytes()).map_err(system("cannot answer a rank"))?;
    }
    Ok(streams)
}

fn missing(endpoint: &Endpoint, streams: &Streams) -> String {
    let absent = (1..endpoint.ranks).filter(|rank| !streams.contains_key(rank));
    let absent: Vec<String> = absent.take(8).map(|rank| rank.to_string()).collect();
    let seconds = endpoint.limit.as_secs_f64();
    format!("no word from rank {} at {} in {seconds} s", absent.join(", "), endpoint.meeting)
}

fn check(endpoint: &Endpoint, hello: &Hello) -> Result<(), Problem> {
    let Endpoint { ranks, digest, .. } = *endpoint;
    if hello.ranks != ranks || hello.rank == 0 || hello.rank >= ranks {
        let theirs = format!("rank {} of {}", hello.rank, hello.ranks);
        let text = format!("{theirs} called where {ranks} ranks meet; check the launch command");
        return Err(Problem::Unsupported(text));
    }
    if hello.digest != digest {
        let (peer, theirs) = (hello.rank, hello.digest);
        return Err(Problem::OtherProgram { peer, ours: digest, theirs });
    }
    Ok(())
}

fn refuse(streams: &mut Streams, endpoint: &Endpoint, problem: &Problem) {
    let task = Task::Other("meeting the other ranks");
    let words = encode_fault(&Fault::new(endpoint.rank, task, problem.clone()));
    for stream in streams.values_mut() {
        // Who cannot be told will notice that the connection closes.
        let _ = Frame { kind: Kind::Abort, tag: 0, sequence: 0 }.write(stream, &words);
    }
}

/// The other ranks: call rank 0, then the lower ranks, and are called by the higher ones.
fn call(endpoint: &Endpoint, clock: &Clock) -> Result<Streams, Problem> {
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let listener = TcpListener::bind(any).map_err(system("cannot listen"))?;
    let port = listener.local_addr().map_err(system("cannot listen"))?.port();
    let Endpoint { rank, ranks, digest, .. } = *endpoint;
    let hello = Hello { rank, ranks, digest, port };
    let mut first = dial(&endpoint.meeting, clock)?;
    hello.write(&mut first).map_err(system("cannot greet rank 0"))?;
    let table = table(&mut first, clock)?;
    let mut streams = Streams::from([(0, first)]);
    for (&peer, &address) in table.range(..rank) {
        let mut stream = dial(&address.to_string(), clock)?;
        hello.write(&mut stream).map_err(system("cannot greet a rank"))?;
        streams.insert(peer, stream);
    }
    while streams.len() + 1 < ranks as usize {
        let missing = || Problem::Unsupported(missing(endpoint, &streams));
        let (mut stream, _) = accept(&listener, clock)?.ok_or_else(missing)?;
        let Some(hello) = Hello::read(&mut stream) else { continue };
        check(endpoint, &hello)?;
        streams.insert(hello.rank, stream);
    }
    Ok(streams)
}

fn table(stream: &mut TcpStream, clock: &Clock) -> Result<BTreeMap<u32, SocketAddr>, Problem> {
    let left = clock.left().unwrap_or(PAUSE);
    stream.set_read_timeout(Some(left)).map_err(system("cannot wait for rank 0"))?;
    let (frame, bytes) = Frame::read(stream).map_err(|_| Problem::Gone { peer: 0 })?;
    if frame.kind == Kind::Abort {
        return Err(Problem::Told(decode_fault(&bytes).to_string()));
    }
    let line = |line: &str| {
        let (rank, address) = line.split_once(' ')?;
        Some((rank.parse().ok()?, address.parse().ok()?))
    };
    let text = String::from_utf8_lossy(&bytes);
    let table: Option<_> = text.lines().map(line).collect();
    table.ok_or(Problem::Damaged { from: 0, what: "no table of addresses" })
}

/// Connects, trying again until the limit: rank 0 may start last.
fn dial(address: &str, clock: &Clock) -> Result<TcpStream, Problem> {
    loop {
        let attempt = address.to_socket_addrs().and_then(|mut found| {
            let first = found.next().ok_or(io::ErrorKind::NotFound)?;
            TcpStream::connect_timeout(&first, clock.left().unwrap_or(PAUSE))
        });
        match (attempt, clock.left()) {
            (Ok(stream), _) => return Ok(stream),
            (Err(error), None) => {
                return Err(system(&format!("cannot reach a rank at {address}"))(error));
            }
            (Err(_), Some(_)) => std::thread::sleep(PAUSE),
        }
    }
}

/// The next caller; `None` at the limit.
fn accept(
    listener: &TcpListener,
    clock: &Clock,
) -> Result<Option<(TcpStream, SocketAddr)>, Problem> {
    listener.set_nonblocking(true).map_err(system("cannot listen"))?;
    while clock.left().is_some() {
        match listener.accept() {
            Ok((stream, from)) => {
                stream.set_nonblocking(false).map_err(system("cannot take a call"))?;
                return Ok(Some((stream, from)));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(error) => return Err(system("cannot take a call")(error)),
        }
    }
    Ok(None)
}
