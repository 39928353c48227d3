//! Records of runs: made from what a run left, written, and read again.

mod samples;
mod summary;

pub use samples::{append, read_samples};
pub use summary::charged;

use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::fingerprint;
use executor::bench;
use executor::machine::{Cpu, ProcessMemory, process_memory};
use executor::train::{Job, Outcome};
use plan::document::Plan;
use plan::program::{Granularity, Program, Settings};
use plan::record::{
    Canary, MachineRecord, MemoryRecord, Provenance, RUN_RECORD_SCHEMA, RunRecord, StepRecord,
};
use plan::units::Bytes;

/// Extents of the product of the canary: 96 KiB of operands.
const CANARY_PRODUCT: [usize; 3] = [96, 128, 128];
/// Bytes of the copy of the canary: more than most caches.
const CANARY_COPY: Bytes = Bytes::new(16e6);

/// What is known before a run.
pub struct Before {
    canary: Canary,
    memory: ProcessMemory,
}

impl Before {
    /// Runs the canary and looks at the process.
    #[must_use]
    pub fn look(ranks: u32) -> Self {
        Self { canary: canary(ranks), memory: process_memory() }
    }
}

/// What a small known piece of work takes now, on as many threads as there are ranks.
#[must_use]
pub fn canary(ranks: u32) -> Canary {
    let threads = ranks.max(1) as usize;
    let rate = bench::copy_rate(threads, CANARY_COPY);
    Canary {
        product_seconds: bench::product_time(threads, CANARY_PRODUCT).get(),
        copy_seconds: (CANARY_COPY * 2.0 / rate).get(),
    }
}

/// The processor as records name it.
#[must_use]
pub fn machine(cpu: &Cpu) -> MachineRecord {
    let processor = cpu.name.clone().unwrap_or_else(|| "an unnamed processor".into());
    let vectors = cpu.simd.name().to_string();
    let fingerprint = fingerprint::of(&(&processor, cpu.cores, &vectors));
    MachineRecord { fingerprint, processor, cores: cpu.cores, vectors }
}

/// The record of a run.
#[must_use]
pub fn record(plan: &Plan, job: &Job, outcome: &Outcome, before: &Before) -> RunRecord {
    let step = |s: &executor::train::StepReport| StepRecord {
        step: s.step,
        loss: s.loss,
        norm: s.norm,
        seconds: s.time.as_secs_f64(),
    };
    RunRecord {
        schema: RUN_RECORD_SCHEMA.into(),
        made_by: concat!("meshwright ", env!("CARGO_PKG_VERSION")).into(),
        provenance: provenance(job),
        plan: plan.clone(),
        mode: job.recording.mode,
        steps: outcome.steps.iter().map(step).collect(),
        actions: summary::actions(&job.program, &outcome.samples),
        memory: memory(job, before),
        traffic: summary::traffic(job, outcome),
        canary: before.canary,
        samples: None,
    }
}

fn provenance(job: &Job) -> Provenance {
    Provenance {
        program: digest(&job.program),
        command: command(std::env::args().collect()),
        seed: job.recipe.seed,
        machine: machine(&executor::machine::detect().cpu),
        ranks: job.program.ranks,
        threads_per_rank: u32::try_from(job.recipe.threads).unwrap_or(u32::MAX),
    }
}

/// Digest of a program, whatever memory was free when it was lowered.
#[must_use]
pub fn digest(program: &Program) -> String {
    Program { capacity: None, ..program.clone() }.digest().to_string()
}

/// How programs are lowered that are run, and recorded.
#[must_use]
pub fn lowering() -> Settings {
    Settings { granularity: Granularity::Layer, ..Settings::default() }
}

/// That a record is one of a plan, whose program is `program`.
///
/// # Errors
/// What it records instead.
pub fn belongs(
    path: &str,
    record: &RunRecord,
    plan: &Plan,
    program: &Program,
) -> Result<(), Failure> {
    if record.plan.id != plan.id {
        let what = format!("{path} records plan {}, not plan {}", record.plan.id, plan.id);
        return Err(Failure::new(Exit::InvalidInput, what)
            .hint("name the plan that was run; its record says which command ran it"));
    }
    if record.provenance.program != digest(program) {
        let what = format!("{path} records another program of plan {}", plan.id);
        return Err(Failure::new(Exit::InvalidInput, what)
            .evidence(format!("recorded by {}", record.made_by))
            .hint("run it again: this version lowers the plan differently"));
    }
    Ok(())
}

/// The words of the command; of the program itself only its name.
fn command(mut words: Vec<String>) -> Vec<String> {
    if let Some(first) = words.first_mut() {
        *first = "meshwright".into();
    }
    words
}

fn memory(job: &Job, before: &Before) -> MemoryRecord {
    let classes = job.program.classes.iter();
    let arenas: Bytes = classes.map(|c| c.arena * f64::from(c.ranks)).sum();
    MemoryRecord {
        arena_bytes: arenas.get(),
        before_bytes: before.memory.now.map(Bytes::get),
        peak_bytes: process_memory().peak.map(Bytes::get),
    }
}

/// Reads a record.
///
/// # Errors
/// Says which file, and what is wrong with it.
pub fn read(path: &str) -> Result<RunRecord, Failure> {
    let text = files::read(path)?;
    let name = files::shown(path);
    let broken =
        |why: String| Failure::new(Exit::InvalidInput, format!("{name} is no record: {why}"));
    let hint = "`meshwright execute plan.json --record run.json` writes one";
    let mut reader = serde_json::Deserializer::from_str(&text);
    let record: RunRecord = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| broken(error.to_string()).hint(hint))?;
    match record.schema == RUN_RECORD_SCHEMA {
        true => Ok(record),
        false => Err(broken(format!("its schema is {}", record.schema))
            .hint(format!("this version reads {RUN_RECORD_SCHEMA}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn records_do_not_say_where_the_program_lies() {
        let words = ["some/folder/meshwright", "execute", "plan.json"].map(str::to_string);
        assert_eq!(command(words.to_vec()), ["meshwright", "execute", "plan.json"]);
    }
}
