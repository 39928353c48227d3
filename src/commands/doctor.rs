//! What was detected, and where each setting came from.

use crate::catalog::{Catalog, Kind};
use crate::cli::Format;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::local;
use crate::output::Output;
use crate::render::json;
use crate::render::number::counted;
use crate::settings::{Origin, Settings};
use crate::style::{Canvas, Role};
use executor::machine::{self, GpuLink, GpuProbe, Machine};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// One line of the answer, and what to do about it.
struct Check {
    name: &'static str,
    found: String,
    hint: Option<String>,
}

/// Looks around.
pub fn run(settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let machine = machine::detect();
    let catalog = Catalog::from_environment()?;
    let checks = [
        config(settings),
        processor(&machine),
        memory(&machine),
        gpus(&catalog, &machine),
        local_cluster(&catalog, &machine),
        solver(),
        data(&catalog)?,
    ];
    let text = match settings.format {
        Format::Json => json::document(&as_json(settings, &checks)),
        _ => screen(settings, &checks, &output.out),
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

fn screen(settings: &Settings, checks: &[Check], canvas: &Canvas) -> String {
    let mut text = String::new();
    for check in checks {
        let name = canvas.paint(Role::Accent, &format!("{:<10}", check.name));
        let _infallible = writeln!(text, "{name} {}", check.found);
        if let Some(hint) = &check.hint {
            let _infallible =
                writeln!(text, "{:<10} {} {hint}", "", canvas.paint(Role::Accent, "hint:"));
        }
    }
    text.push('\n');
    for setting in &settings.all {
        let _infallible =
            writeln!(text, "{:<10} {:<16} {}", setting.name, setting.value, setting.origin);
    }
    canvas.text(&text)
}

fn as_json(settings: &Settings, checks: &[Check]) -> Value {
    let settings: Vec<Value> = settings
        .all
        .iter()
        .map(|s| json!({"name": s.name, "value": s.value, "origin": s.origin.to_string()}))
        .collect();
    let checks: Vec<Value> = checks
        .iter()
        .map(|check| {
            let mut entry = json!({"name": check.name, "found": check.found});
            if let Some(hint) = &check.hint {
                entry["hint"] = hint.clone().into();
            }
            entry
        })
        .collect();
    json!({"schema": "meshwright.doctor/1", "settings": settings, "checks": checks})
}

fn config(settings: &Settings) -> Check {
    let lines: Vec<String> = settings
        .files
        .iter()
        .map(|file| {
            let from_here = |origin: &Origin| *origin == Origin::File(file.path.clone());
            let set: Vec<String> = settings
                .all
                .iter()
                .filter(|s| from_here(&s.origin))
                .map(|s| format!("{} = {}", s.name, s.value))
                .collect();
            let set = if set.is_empty() { "nothing that applies".into() } else { set.join(", ") };
            format!("{}: {set}", file.path)
        })
        .collect();
    let found = if lines.is_empty() { "no configuration file".into() } else { lines.join("; ") };
    Check { name: "config", found, hint: None }
}

fn processor(machine: &Machine) -> Check {
    let cpu = &machine.cpu;
    let name = cpu.name.as_deref().unwrap_or("unnamed processor");
    let clock = cpu
        .cycles_per_second
        .map_or_else(|| "clock unknown".to_string(), |hz| format!("{:.2} GHz", hz / 1e9));
    let cores = counted(cpu.cores as usize, "core", "cores");
    let found = format!("{name}, {cores}, {clock}, {}", cpu.simd.name());
    Check { name: "processor", found, hint: None }
}

fn memory(machine: &Machine) -> Check {
    let found = match (machine.available_memory, machine.total_memory) {
        (Some(available), Some(total)) => format!("{available} available of {total}"),
        (Some(size), None) | (None, Some(size)) => size.to_string(),
        (None, None) => "unknown".to_string(),
    };
    Check { name: "memory", found, hint: None }
}

fn gpus(catalog: &Catalog, machine: &Machine) -> Check {
    let check = |found: String, hint: Option<String>| Check { name: "GPUs", found, hint };
    match &machine.gpus {
        GpuProbe::NoDriver => {
            check("none: there is no nvidia-smi here; planning needs none".into(), None)
        }
        GpuProbe::Failed(said) => check(format!("nvidia-smi failed: {said}"), None),
        GpuProbe::Found(gpus, _) if gpus.is_empty() => {
            check("none: nvidia-smi lists no GPU; planning needs none".into(), None)
        }
        GpuProbe::Found(gpus, link) => {
            let link = match link {
                Some(GpuLink::Alone) => String::new(),
                Some(GpuLink::Nvlink { links }) => format!(", {links} NVLinks or more per pair"),
                Some(GpuLink::Pcie) => ", PCIe".to_string(),
                None => ", links unknown".to_string(),
            };
            let found = format!("{} × {}, {}{link}", gpus.len(), gpus[0].name, gpus[0].memory);
            let known = local::known_device(catalog, &gpus[0]);
            check(found, known.err().map(|failure| failure.headline().to_string()))
        }
    }
}

fn local_cluster(catalog: &Catalog, machine: &Machine) -> Check {
    let (found, hint) = match local::cluster(catalog, machine) {
        Ok(cluster) => {
            let group = &cluster.groups[0];
            let peaks: Vec<String> = group
                .device
                .peak
                .iter()
                .map(|(dtype, rate)| format!("{} {dtype} ({})", rate.value, rate.grade.word()))
                .collect();
            let memory = group.device.memory.value;
            (format!("{}; each {memory}, {}", cluster.label, peaks.join(", ")), None)
        }
        Err(failure) => ("cannot be planned for".to_string(), Some(failure.headline().to_string())),
    };
    Check { name: "local", found, hint }
}

fn solver() -> Check {
    Check { name: "solver", found: "microlp, built in".to_string(), hint: None }
}

fn data(catalog: &Catalog) -> Result<Check, Failure> {
    let mut counts = Vec::new();
    for kind in Kind::ALL {
        let n = catalog.all(kind)?.len();
        counts.push(counted(n, kind.singular(), kind.folder()));
    }
    let own = std::env::var("MESHWRIGHT_SCENARIOS").ok().filter(|folder| !folder.is_empty());
    let own = own.map_or_else(String::new, |folder| format!("; own ones in {folder}"));
    Ok(Check { name: "data", found: counts.join(", ") + &own, hint: None })
}
