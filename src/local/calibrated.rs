//! What was measured on this machine, laid over what ships.
//!
//! The calibration is the file that `MESHWRIGHT_CALIBRATION` names, else `meshwright.cal.json` in
//! the working folder, else `meshwright/local.cal.json` in the user's configuration folder.

use super::STACK;
use crate::catalog::LOCAL;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::record;
use cost_model::fit::{LocalConstant, LocalMachine};
use cost_model::stack::Stack;
use plan::Sourced;
use plan::calibration::{CALIBRATION_SCHEMA, Calibration, Load};
use plan::estimate::Grade;
use plan::machine::Cluster;
use std::path::PathBuf;

/// The variable that names the file, or turns it off.
pub const VARIABLE: &str = "MESHWRIGHT_CALIBRATION";
/// The word that turns it off.
const OFF: &str = "off";
/// The file in the working folder.
const HERE: &str = "meshwright.cal.json";

/// A calibration that was found.
pub struct Found {
    /// Where.
    pub path: String,
    /// What it says.
    pub calibration: Calibration,
}

/// The calibration of this machine. `None` where there is none, or it is turned off.
///
/// # Errors
/// A file that cannot be read.
pub fn find() -> Result<Option<Found>, Failure> {
    match place() {
        None => Ok(None),
        Some(path) => Ok(Some(Found { calibration: read(&path)?, path })),
    }
}

fn place() -> Option<String> {
    match std::env::var(VARIABLE).ok().filter(|v| !v.is_empty()) {
        Some(word) if word == OFF => None,
        Some(path) => Some(path),
        None => {
            let user = user_file().filter(|path| path.is_file());
            let here = PathBuf::from(HERE);
            let found = Some(here).filter(|path| path.is_file()).or(user);
            found.map(|path| path.display().to_string())
        }
    }
}

/// Where a calibration is written that nobody names a file for.
#[must_use]
pub fn default_place() -> String {
    let named = std::env::var(VARIABLE).ok().filter(|v| !v.is_empty() && v != OFF);
    named.unwrap_or_else(|| {
        user_file().map_or_else(|| HERE.to_string(), |path| path.display().to_string())
    })
}

fn user_file() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = variable("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let folder = folder.or_else(|| variable("HOME").map(|home| home.join(".config")));
    folder.map(|folder| folder.join("meshwright/local.cal.json"))
}

/// Reads a calibration.
///
/// # Errors
/// Says which file, and what is wrong with it.
pub fn read(path: &str) -> Result<Calibration, Failure> {
    let text = files::read(path)?;
    let broken = |why: String| {
        Failure::new(Exit::InvalidInput, format!("{path} is no calibration: {why}"))
            .hint("`meshwright calibrate --node` writes one")
            .hint(format!("{VARIABLE}={OFF} plans without"))
    };
    let mut reader = serde_json::Deserializer::from_str(&text);
    let calibration: Calibration =
        serde_path_to_error::deserialize(&mut reader).map_err(|e| broken(e.to_string()))?;
    if calibration.schema != CALIBRATION_SCHEMA {
        return Err(broken(format!("its schema is {}", calibration.schema)));
    }
    let constants = calibration.loads.iter().flat_map(|load| &load.constants);
    match constants.into_iter().find(|c| LocalConstant::named(&c.name).is_none()) {
        Some(unknown) => Err(broken(format!("`{}` is no constant of a machine", unknown.name))),
        None => Ok(calibration),
    }
}

/// Whether a cluster is the cores of this machine.
#[must_use]
pub fn is_of_cores(cluster: &Cluster) -> bool {
    cluster.name == LOCAL && cluster.default_stack.as_deref() == Some(STACK)
}

/// Lays the calibration of this machine over a cluster of its cores and its software. Says in words
/// where the constants are from; `None` where nothing applies.
///
/// # Errors
/// A file that cannot be read.
pub fn apply(
    cluster: &mut Cluster,
    stack: &mut Stack,
    ranks: u32,
) -> Result<Option<String>, Failure> {
    if cluster.name != LOCAL || stack.name != STACK {
        return Ok(None);
    }
    let Some(found) = find()? else { return Ok(None) };
    let here = record::machine(&executor::machine::detect().cpu);
    if found.calibration.machine.fingerprint != here.fingerprint {
        let other = &found.calibration.machine.processor;
        return Ok(Some(format!("{} is of another machine ({other}), not used", found.path)));
    }
    let Some(load) = found.calibration.load(ranks) else { return Ok(None) };
    if let Some(group) = cluster.groups.first_mut() {
        let mut machine = LocalMachine { group: group.clone(), stack: stack.clone() };
        lay(&mut machine, load);
        (*group, *stack) = (machine.group, machine.stack);
    }
    stack.name = LOCAL.into();
    stack.label = format!("Meshwright's executor, as measured on this machine ({})", found.path);
    Ok(Some(format!("constants from {}; {VARIABLE}={OFF} plans without", found.path)))
}

/// Lays constants over a machine.
pub fn lay(machine: &mut LocalMachine, load: &Load) {
    for constant in &load.constants {
        if let Some(known) = LocalConstant::named(&constant.name) {
            let (grade, source) = graded(&constant.source);
            known.set(machine, constant.value, grade, source);
        }
    }
    if let Some(residuals) = load.residuals {
        let band = residuals.p90.max(2.0 * residuals.steps).clamp(0.02, 0.9);
        let words = "what nine of ten kinds of actions are off by, or twice what steps are";
        let side = Sourced::new(band, Grade::Fitted, words);
        machine.stack.residual.below = side.clone();
        machine.stack.residual.above = side;
    }
}

/// A source's grade and the whole text.
fn graded(source: &str) -> (Grade, &str) {
    let word = source.split(':').next().unwrap_or_default();
    let known = [("measured", Grade::Measured), ("fitted", Grade::Fitted)];
    let grade = known.into_iter().find(|(name, _)| *name == word).map(|(_, grade)| grade);
    (grade.unwrap_or(Grade::Assumed), source)
}
