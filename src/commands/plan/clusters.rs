//! Several clusters and GPU counts: one table, one figure.

use super::sweep::{Told, answer, tell};
use super::value;
use crate::catalog::Catalog;
use crate::cli::PlanArgs;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::figures::{Width, cost};
use crate::files;
use crate::local::calibrated;
use crate::output::Output;
use crate::question::Question;
use crate::render::clusters;
use crate::render::number::{counted, grouped};
use crate::settings::Settings;
use plan::machine::Cluster;
use plan::report::{ClusterRow, SweepRow};
use plan::units::count;
use planner::report::Cost;
use planner::request::Objective;
use serde_json::{Value, json};

/// Names of clusters, where several are named: separated by commas, but for a file with commas in
/// its name.
#[must_use]
pub fn names(settings: &Settings) -> Option<Vec<String>> {
    let (text, _) = settings.cluster.as_ref()?;
    if !text.contains(',') || files::is_there(text) {
        return None;
    }
    Some(text.split(',').map(|name| name.trim().to_string()).collect())
}

/// What is swept over.
struct Sweep<'a> {
    catalog: &'a Catalog,
    flags: &'a PlanArgs,
    settings: &'a Settings,
    /// Name and parameters of the model, once it is read.
    model: Option<(String, f64)>,
    objective: Objective,
}

/// Plans for each cluster and count.
///
/// # Errors
/// Names of clusters that there are not, and what no single one of them could be asked either.
pub fn run(
    names: &[String],
    flags: &PlanArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    refuse(names, flags)?;
    let catalog = Catalog::from_environment()?;
    let objective = flags.search.goal.objective.of_planner();
    let mut sweep = Sweep { catalog: &catalog, flags, settings, model: None, objective };
    let mut sweeps: Vec<(String, Vec<SweepRow>)> = Vec::new();
    let clusters = names.iter().map(|name| catalog.cluster(name));
    // All names are looked up before the first is planned for.
    let clusters = clusters.collect::<Result<Vec<Cluster>, Failure>>()?;
    for (name, cluster) in names.iter().zip(clusters) {
        // An alias and its cluster are one.
        if sweeps.iter().all(|(old, _)| *old != cluster.name) {
            let rows = sweep.on(name, &cluster, output)?;
            sweeps.push((cluster.name, rows));
        }
    }
    let rows = planner::report::clusters(sweeps, objective);
    sweep.told(&rows, settings, output)
}

/// What is asked of one cluster only.
fn refuse(names: &[String], flags: &PlanArgs) -> Result<(), Failure> {
    if names.iter().any(String::is_empty) {
        return Err(Failure::usage("a name is missing between the commas of --cluster")
            .hint("-c hgx-h100,dgx-a100 names two clusters"));
    }
    let objective = flags.search.goal.objective.of_planner();
    if flags.training.is_run() || objective == Objective::TimeToLoss {
        return Err(Failure::usage("a run to a loss takes one cluster, not several")
            .hint("ask once per cluster; -q prints one line each"));
    }
    match flags.dry_run {
        true => Err(Failure::usage("--dry-run shows one question; name one cluster")),
        false => Ok(()),
    }
}

impl Sweep<'_> {
    /// The counts on one cluster; those that it does not have say so.
    fn on(
        &mut self,
        name: &str,
        cluster: &Cluster,
        output: &mut Output,
    ) -> Result<Vec<SweepRow>, Failure> {
        // Ranks beyond the cores of this machine share them.
        let most = cluster.capacity().filter(|_| !calibrated::is_of_cores(cluster));
        let counts = self.flags.gpus.counts();
        let there = counts.partition_point(|gpus| most.is_none_or(|most| *gpus <= most));
        let (there, beyond) = counts.split_at(there);
        let mut answers = Vec::new();
        if !there.is_empty() {
            let mut settings = self.settings.clone();
            if let Some((cluster, _)) = &mut settings.cluster {
                *cluster = name.to_string();
            }
            let question = Question::resolve_for(self.catalog, self.flags, &settings, there)?;
            self.say(&question, output);
            for &gpus in there {
                answers.push((gpus, answer(&question, gpus, self.flags)?));
            }
        }
        let has = grouped(most.unwrap_or_default().into());
        answers.extend(beyond.iter().map(|gpus| (*gpus, Err(format!("it has {has} GPUs")))));
        Ok(planner::report::sweep(&answers, self.objective))
    }

    /// What is said of the model once.
    fn say(&mut self, question: &Question, output: &mut Output) {
        if self.model.is_none() {
            question.notes.iter().for_each(|note| output.note(note));
            let model = &question.model;
            self.model = Some((model.spec.name.clone(), model.parameters() as f64));
        }
    }

    fn told(
        &self,
        rows: &[ClusterRow],
        settings: &Settings,
        output: &mut Output,
    ) -> Result<Exit, Failure> {
        let model = self.model.as_ref().map_or(self.flags.model.as_str(), |(name, _)| name);
        if let Some(path) = &self.flags.svg {
            let drawing = cost::cost(model, rows, Width::Wide).file();
            files::write(output, Some(path), &drawing)?;
        }
        let objective = self.objective.name();
        let told = Told {
            json: as_json(model, objective, rows)?,
            facts: clusters::facts(rows),
            screen: clusters::screen(&self.headline(rows), rows, objective, &output.out),
        };
        tell(&told, settings, output)?;
        let fits = rows.iter().any(|row| row.row.seconds.is_some());
        Ok(if fits { Exit::Done } else { Exit::NoPlan })
    }

    fn headline(&self, rows: &[ClusterRow]) -> String {
        let counts = self.flags.gpus.counts();
        let clusters = counted(rows.len() / counts.len().max(1), "cluster", "clusters");
        let model = match &self.model {
            Some((name, parameters)) => format!("{name}, {} parameters", count(*parameters)),
            None => self.flags.model.clone(),
        };
        let counts = counted(counts.len(), "GPU count", "GPU counts");
        format!("{model}, on {counts} of {clusters}; best by {}", self.objective.name())
    }
}

fn as_json(model: &str, objective: &str, rows: &[ClusterRow]) -> Result<Value, Failure> {
    Ok(json!({
        "schema": "meshwright.clusters/1",
        "model": model,
        "objective": objective,
        "cost": Cost::of(rows).name(),
        "rows": value(&rows)?,
    }))
}
