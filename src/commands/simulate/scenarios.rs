//! Steps that are not as planned: jitter, other links, stragglers, failures.

use super::{Simulated, failed};
use crate::cli::{Change, ChangeKind, SimulateArgs};
use crate::diagnostics::Failure;
use crate::render::number::grouped;
use cost_model::Profile;
use cost_model::events::{
    Failures, Fold, Noise, Prepared, checkpoint_interval, goodput, percentile,
};
use plan::document::Plan;
use plan::machine::{Cluster, LatencyLaw, Link};
use plan::timeline::{Goodput, Jitter, WhatIf};
use plan::units::{BytesPerSecond, Seconds};
use plan::{Grade, Sourced};
use planner::request::Request;

impl Simulated<'_> {
    /// Steps with jitter, where some was asked for.
    pub(super) fn jitter(
        &self,
        calm: f64,
        flags: &SimulateArgs,
    ) -> Result<Option<Jitter>, Failure> {
        let noise = Noise { common: flags.jitter, rank: flags.rank_jitter, seed: flags.seed };
        if noise.common == 0.0 && noise.rank == 0.0 {
            return Ok(None);
        }
        let fold = Fold::classes(&self.priced.program);
        let prepared = self.priced.prepared_period(fold).map_err(failed)?;
        let (mut steps, mut waits) = (Vec::new(), Vec::new());
        for step in 0..u64::from(flags.steps) {
            let draw = noise.draw(step, prepared.fold());
            let alone = match noise.rank == 0.0 {
                true => calm,
                false => self.slowed(&prepared, draw.ranks)?.get(),
            };
            steps.push(alone * draw.common);
            waits.push(1.0 - calm / alone);
        }
        Ok(Some(Jitter {
            steps: u32::from(flags.steps),
            common: noise.common,
            rank: noise.rank,
            seed: noise.seed,
            median_seconds: percentile(&steps, 0.5),
            p95_seconds: percentile(&steps, 0.95),
            straggler_wait: percentile(&waits, 0.5),
        }))
    }

    /// The step under each change by itself.
    pub(super) fn what_if(&self, calm: f64, flags: &SimulateArgs) -> Result<Vec<WhatIf>, Failure> {
        flags.what_if.iter().map(|change| self.changed(calm, change)).collect()
    }

    fn changed(&self, calm: f64, change: &Change) -> Result<WhatIf, Failure> {
        let (seconds, closed_form, assumes) = match change.kind {
            ChangeKind::Straggler { rank, factor } => {
                (self.straggling(rank, factor)?, None, "its computation alone is slower".into())
            }
            kind => self.on_other_links(kind)?,
        };
        Ok(WhatIf {
            change: change.text.clone(),
            assumes,
            seconds: seconds.get(),
            slower: seconds.get() / calm - 1.0,
            closed_form_seconds: closed_form.map(Seconds::get),
        })
    }

    fn straggling(&self, rank: u32, factor: f64) -> Result<Seconds, Failure> {
        let program = &self.priced.program;
        if rank >= program.ranks {
            let ranks = grouped(program.ranks.into());
            return Err(Failure::usage(format!("there is no rank {rank}"))
                .hint(format!("the plan has {ranks} ranks, counted from 0")));
        }
        let fold = Fold::around(program, &[rank]);
        let prepared = self.priced.prepared_period(fold).map_err(failed)?;
        let mut slowdown = vec![1.0; prepared.fold().len()];
        if let Some(instance) = prepared.fold().instance(program, rank) {
            slowdown[instance as usize] = factor;
        }
        self.slowed(&prepared, slowdown)
    }

    /// The mean step of a period with slow ranks.
    fn slowed(&self, period: &Prepared<'_>, slowdown: Vec<f64>) -> Result<Seconds, Failure> {
        let whole = period.run_slowed(slowdown).map_err(failed)?.makespan();
        Ok(whole / self.priced.period() as f64)
    }

    /// Step, closed form and what is assumed.
    fn on_other_links(
        &self,
        kind: ChangeKind,
    ) -> Result<(Seconds, Option<Seconds>, String), Failure> {
        let mut cluster = self.request.cluster.clone();
        let assumes = change_links(&mut cluster, kind)?;
        let group = cluster.groups.first().ok_or_else(|| failed("the cluster has no nodes"))?;
        let stack = self.request.profile.stack();
        let profile = Profile::new(&group.device, group, stack).map_err(failed)?;
        let request = Request { cluster: &cluster, profile: &profile, ..*self.request };
        let priced = self.priced.under(&request, &self.solution);
        let step = priced.makespan().map_err(failed)?;
        Ok((step, self.closed_form(&request), assumes))
    }
}

/// Changes the links of all nodes; says what that assumes.
fn change_links(cluster: &mut Cluster, kind: ChangeKind) -> Result<String, Failure> {
    let mut assumes = String::new();
    for group in &mut cluster.groups {
        let devices = f64::from(group.devices_per_node.max(1));
        let (link, rate, said) = match kind {
            ChangeKind::Intra(rate) => {
                group.intra.pair_bandwidth = None;
                (Some(&mut group.intra), rate, format!("{rate} per device inside a node"))
            }
            ChangeKind::Cards(all) => {
                let share = all / devices;
                let said = format!("line rate, {share} for each of {devices} devices of a node");
                (group.inter.as_mut(), share, said)
            }
            ChangeKind::Link(rate) => {
                (group.inter.as_mut(), rate, format!("{rate} per device between nodes"))
            }
            ChangeKind::Hop(hop) => {
                let link = group.inter.as_mut().ok_or_else(one_node)?;
                set_hop(link, hop);
                assumes = format!("{hop} per hop between nodes");
                continue;
            }
            ChangeKind::Straggler { .. } => continue,
        };
        set_bandwidth(link.ok_or_else(one_node)?, rate);
        assumes = said;
    }
    Ok(assumes)
}

fn one_node() -> Failure {
    Failure::usage("the cluster has no network between nodes that could be another one")
}

fn set_bandwidth(link: &mut Link, rate: BytesPerSecond) {
    link.bandwidth = Sourced::new(rate, Grade::Assumed, "--what-if");
}

fn set_hop(link: &mut Link, time: Seconds) {
    let new = Sourced::new(time, Grade::Assumed, "--what-if");
    match &mut link.latency {
        LatencyLaw::Saturating { hop, .. } | LatencyLaw::PerHop { hop } => *hop = new,
    }
}

/// What failures leave of the time, where they were asked for. Nothing about them is guessed.
pub(super) fn failures(plan: &Plan, flags: &SimulateArgs) -> Result<Option<Goodput>, Failure> {
    let Some(device_mtbf) = flags.mtbf else { return Ok(None) };
    let (Some(checkpoint), Some(restart)) = (flags.checkpoint, flags.restart) else {
        return Err(Failure::usage("--mtbf needs --checkpoint and --restart")
            .hint("--checkpoint is how long saving stops training, --restart how long a failure"));
    };
    let devices = plan.decision.world_size;
    let all = Failures { device_mtbf, devices, checkpoint, restart };
    let interval = checkpoint_interval(&all);
    Ok(Some(Goodput {
        mtbf_seconds: all.mtbf().get(),
        interval_seconds: interval.get(),
        goodput: goodput(&all, interval),
    }))
}
