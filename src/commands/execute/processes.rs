//! Ranks as processes of this host: started, watched and ended by this one.

use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::output::Output;
use executor::comm::{Fault, Place, Problem, Task, Transport};
use std::io::{self, Read};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long the others have to end by themselves after one has failed.
const GRACE: Duration = Duration::from_secs(15);

const PAUSE: Duration = Duration::from_millis(20);

/// A rank that this process started.
struct Rank {
    child: Child,
    /// What it says; rank 0 talks for itself.
    words: Option<JoinHandle<String>>,
    end: Option<ExitStatus>,
}

/// Starts one process per rank with the arguments of this one, and waits for them.
///
/// # Errors
/// A process that cannot be started, or a rank that failed where rank 0 cannot say so.
pub fn run(ranks: u32, output: &Output) -> Result<Exit, Failure> {
    let meeting = free_port().map_err(|e| failed(format!("no port is free on this host: {e}")))?;
    let mut all = Vec::new();
    for rank in 0..ranks {
        match start(&Place::own(rank, ranks, meeting.clone())) {
            Ok(started) => all.push(started),
            Err(error) => {
                end(&mut all);
                return Err(failed(format!("rank {rank} cannot be started: {error}")));
            }
        }
    }
    wait(&mut all);
    report(all, output)
}

fn failed(text: String) -> Failure {
    Failure::new(Exit::Failed, text)
}

/// Somebody may take the port before rank 0 does; then rank 0 says so.
fn free_port() -> io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn start(place: &Place) -> io::Result<Rank> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    #[cfg(unix)]
    if let Some(name) = name {
        // The name may be the command: `execute plan.json`.
        std::os::unix::process::CommandExt::arg0(&mut command, name);
    }
    command.args(arguments).envs(place.variables()).stdin(Stdio::piped());
    if place.rank > 0 {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
    }
    let mut child = command.spawn()?;
    let words = child.stderr.take().map(|mut stream| {
        thread::spawn(move || {
            let mut words = Vec::new();
            // What was read until it broke is what there is.
            let _ = stream.read_to_end(&mut words);
            String::from_utf8_lossy(&words).into_owned()
        })
    });
    Ok(Rank { child, words, end: None })
}

/// Waits until all have ended; once one has failed, the others have to end soon.
fn wait(ranks: &mut [Rank]) {
    let mut since: Option<Instant> = None;
    loop {
        for rank in ranks.iter_mut().filter(|rank| rank.end.is_none()) {
            rank.end = rank.child.try_wait().ok().flatten();
            if rank.end.is_some_and(|end| !end.success()) {
                since.get_or_insert_with(Instant::now);
            }
        }
        if ranks.iter().all(|rank| rank.end.is_some()) {
            return;
        }
        if since.is_some_and(|since| since.elapsed() > GRACE) {
            return end(ranks);
        }
        thread::sleep(PAUSE);
    }
}

/// Ends ranks that have not ended by themselves.
fn end(ranks: &mut [Rank]) {
    for rank in ranks.iter_mut().filter(|rank| rank.end.is_none()) {
        // One that has ended in this moment needs no ending.
        let _ = rank.child.kill();
        rank.end = rank.child.wait().ok();
    }
}

/// Rank 0 has said what went wrong, unless it was ended from outside: then another has to.
fn report(ranks: Vec<Rank>, output: &Output) -> Result<Exit, Failure> {
    let ends: Vec<Option<ExitStatus>> = ranks.iter().map(|rank| rank.end).collect();
    let is_good = |end: &Option<ExitStatus>| end.is_some_and(|end| end.success());
    if ends.iter().all(is_good) {
        return Ok(Exit::Done);
    }
    let pids: Vec<u32> = ranks.iter().map(|rank| rank.child.id()).collect();
    let words = ranks.into_iter().filter_map(|rank| rank.words?.join().ok());
    let words: Vec<String> = words.filter(|words| !words.trim().is_empty()).collect();
    let code = ends[0].and_then(|end| end.code());
    if code.is_none_or(|code| code == 0)
        && let Some(words) = words.first()
    {
        output.tell(words.trim_end());
    }
    for (rank, (end, pid)) in ends.iter().zip(pids).enumerate() {
        if let Some(signal) = end.and_then(signal) {
            output.note(&format!("rank {rank} (process {pid}) was ended by signal {signal}"));
        }
    }
    let known = |exit: &Exit| code == Some(i32::from(exit.code())) && code != Some(0);
    Ok(Exit::ALL.into_iter().find(known).unwrap_or(Exit::Failed))
}

#[cfg(unix)]
fn signal(end: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&end)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// Ends this rank when the process that started it is gone: its end of the pipe closes then. The
/// connections are watched, not held: a rank that has finished has to let go of them to say so.
pub fn end_with_parent(transport: &Arc<dyn Transport>) {
    let transport = Arc::downgrade(transport);
    thread::spawn(move || {
        let mut nothing = [0];
        while io::stdin().read(&mut nothing).is_ok_and(|read| read > 0) {}
        let Some(transport) = transport.upgrade() else { return };
        let problem = Problem::System("the process that started the ranks is gone".into());
        transport.abort(Fault::new(transport.rank(), Task::Other("training"), problem));
    });
}
