//! The calibration of this machine as a file: read where there is one, added to, written.

use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::local::calibrated;
use crate::output::Output;
use crate::record;
use crate::render::json;
use crate::render::table::{Align, Table};
use cost_model::fit::{LocalConstant, LocalMachine};
use plan::calibration::{CALIBRATION_SCHEMA, CalibratedConstant, Calibration, Load};
use plan::record::MachineRecord;
use plan::units::{percent, significant};
use std::path::Path;

/// This machine.
pub fn here() -> MachineRecord {
    record::machine(&executor::machine::detect().cpu)
}

/// The calibration that will be written to `path`, as it is now: of this machine, or empty.
///
/// # Errors
/// A file that is something else.
pub fn existing(path: &str) -> Result<Calibration, Failure> {
    let machine = here();
    let known = match Path::new(path).is_file() {
        true => Some(calibrated::read(path)?),
        false => None,
    };
    let known = known.filter(|c| c.machine.fingerprint == machine.fingerprint);
    Ok(known.unwrap_or_else(|| Calibration {
        schema: CALIBRATION_SCHEMA.into(),
        made_by: concat!("meshwright ", env!("CARGO_PKG_VERSION")).into(),
        machine,
        loads: Vec::new(),
    }))
}

/// Where the calibration goes.
pub fn place(output: Option<&str>) -> String {
    output.filter(|path| *path != "-").map_or_else(calibrated::default_place, str::to_string)
}

/// A constant as it is written.
pub fn constant(known: &LocalConstant, value: f64, source: &str) -> CalibratedConstant {
    let name = known.name.to_string();
    // Six digits are more than any measurement has.
    let value = significant(value, 6).parse().unwrap_or(value);
    CalibratedConstant { name, value, source: source.to_string() }
}

/// Constants before and after, one line each.
pub fn changes(start: &LocalMachine, load: &Load) -> Table {
    let mut table = Table::new(&[
        ("CONSTANT", Align::Left),
        ("before", Align::Right),
        ("after", Align::Right),
        ("source", Align::Left),
    ]);
    for constant in &load.constants {
        let before = LocalConstant::named(&constant.name).map_or(f64::NAN, |k| k.of(start));
        let source = constant.source.split(':').next().unwrap_or_default().to_string();
        table.row([
            format!("  {}", constant.name),
            significant(before, 3),
            significant(constant.value, 3),
            source,
        ]);
    }
    table
}

/// Writes the calibration and says what it is good for.
pub fn write(
    path: &str,
    calibration: &Calibration,
    load: &Load,
    output: &mut Output,
) -> Result<(), Failure> {
    let value = serde_json::to_value(calibration)
        .map_err(|e| Failure::new(Exit::Bug, format!("a calibration is no JSON: {e}")))?;
    if let Some(folder) = Path::new(path).parent().filter(|f| !f.as_os_str().is_empty()) {
        let failed =
            |e| Failure::new(Exit::Failed, format!("cannot make {}: {e}", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    files::write(output, Some(path), &json::document(&value))?;
    if let Some(r) = load.residuals {
        output.note(&format!(
            "{} kinds of actions, median error {}, nine of ten within {}; whole steps {}",
            r.actions,
            percent(r.median),
            percent(r.p90),
            percent(r.steps),
        ));
    }
    Ok(())
}
