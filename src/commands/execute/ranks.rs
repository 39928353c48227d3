//! What the ranks of a run are: threads of this process, or processes.

use super::processes;
use crate::catalog::Catalog;
use crate::cli::{ExecuteArgs, RankKind};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use executor::checkpoint::Checkpoint;
use executor::comm::{Endpoint, Fault, LinkPrice, Place, Tcp, Transport};
use executor::train::{Job, Links, Network, Outcome, RunError, StepReport, Watchdog};
use executor::train::{run_rank, run_threads};
use plan::document::Plan;
use plan::machine::{Cluster, LatencyLaw, Link};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// How long ranks wait for each other to start: a cluster starts them minutes apart.
const MEETING_LIMIT: Duration = Duration::from_secs(300);

/// What the ranks of a run are.
pub enum Ranks {
    /// Threads of this process.
    Threads,
    /// Processes that this one starts and watches.
    Started,
    /// This process is one of them.
    Process(Place),
}

impl Ranks {
    /// By flag, or by what launched this process.
    ///
    /// # Errors
    /// An environment that contradicts itself or the plan.
    pub fn find(flags: &ExecuteArgs, plan: &Plan) -> Result<Self, Failure> {
        let place = Place::find(&|name| std::env::var(name).ok())
            .map_err(|e| Failure::new(Exit::InvalidInput, e.to_string()).hint(THREADS_HINT))?;
        match (place, flags.ranks) {
            // A launcher that starts one process leaves the rest to us.
            (Some(place), _) if place.is_own() => Ok(Self::Process(place)),
            (Some(place), None | Some(RankKind::Processes)) if place.ranks > 1 => {
                match plan.decision.world_size {
                    ranks if ranks == place.ranks => Ok(Self::Process(place)),
                    ranks => Err(other_number(&place, plan, ranks)),
                }
            }
            (_, Some(RankKind::Processes)) => Ok(Self::Started),
            _ => Ok(Self::Threads),
        }
    }

    /// Whether this process speaks for the run.
    pub fn speaks(&self) -> bool {
        !matches!(self, Self::Process(place) if place.rank > 0)
    }

    /// Trains; of several processes, each its rank.
    pub fn run(
        &self,
        job: &Job,
        until: u64,
        from: Option<&Checkpoint>,
        observe: &(dyn Fn(&StepReport) + Sync),
    ) -> Result<Outcome, RunError> {
        let Self::Process(place) = self else { return run_threads(job, until, from, observe) };
        let endpoint = Endpoint {
            rank: place.rank,
            ranks: place.ranks,
            meeting: place.meeting.clone().unwrap_or_else(|| NEAR.to_string()),
            digest: job.digest(),
            limit: MEETING_LIMIT,
        };
        let tcp = Tcp::connect(&endpoint, Links::queues(&job.program, place.rank))?;
        let transport: Arc<dyn Transport> = Arc::new(tcp);
        if place.is_own() {
            processes::end_with_parent(&transport);
        }
        run_rank(job, &transport, until, from, observe)
    }

    /// Whether this rank reports a fault that all ranks end with: of the processes of a launcher,
    /// the one that noticed does.
    pub fn reports(&self, fault: &Fault) -> bool {
        match self {
            Self::Process(place) if !place.is_own() => fault.rank == place.rank,
            _ => true,
        }
    }
}

/// Where ranks meet whose launcher names no host: all are on this one.
const NEAR: &str = "127.0.0.1:29400";

const THREADS_HINT: &str = "--ranks threads runs all ranks here, whatever the environment says";

fn other_number(place: &Place, plan: &Plan, ranks: u32) -> Failure {
    let Place { launcher, ranks: started, .. } = place;
    Failure::new(
        Exit::InvalidInput,
        format!("{launcher} started {started} ranks, and plan {} is for {ranks}", plan.id),
    )
    .hint(format!("start {ranks} of them, or plan with --gpus {started}"))
    .hint(THREADS_HINT)
}

/// How long actions may wait, from their prices where the plan can be simulated.
pub fn watchdog(flags: &ExecuteArgs, timeline: Option<&plan::timeline::Timeline>) -> Watchdog {
    let least = Duration::try_from_secs_f64(flags.deadline.get()).unwrap_or(Duration::MAX);
    timeline.map_or_else(|| Watchdog::flat(least), |t| Watchdog::priced(least, t))
}

/// The network of a cluster.
///
/// # Errors
/// An unknown cluster.
pub fn network(
    catalog: &Catalog,
    name: &str,
    per_node: Option<NonZeroU64>,
) -> Result<Network, Failure> {
    network_of(&catalog.cluster(name)?, per_node)
}

/// The network of a cluster that is known.
///
/// # Errors
/// A cluster without nodes.
pub fn network_of(cluster: &Cluster, per_node: Option<NonZeroU64>) -> Result<Network, Failure> {
    let group = cluster.groups.first();
    let name = &cluster.name;
    let empty = || Failure::new(Exit::InvalidInput, format!("cluster {name} has no nodes"));
    let group = group.ok_or_else(empty)?;
    let inside = price(&group.intra);
    let between = group.inter.as_ref().map_or(inside, price);
    let given = per_node.map(|n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    let per_node = given.unwrap_or(group.devices_per_node);
    Ok(Network { per_node, inside, between })
}

fn price(link: &Link) -> LinkPrice {
    let latency = match &link.latency {
        LatencyLaw::Saturating { hop, .. } | LatencyLaw::PerHop { hop } => hop.value,
    };
    LinkPrice { latency, bandwidth: link.bandwidth.value }
}
