//! Constants that are guesses, so that nobody takes them for facts; and how much of the step each
//! carries.

use crate::answer::{Planned, detail_of};
use crate::request::Request;
use cost_model::{Profile, Stack};
use plan::corpus::Corpus;
use plan::machine::{LatencyLaw, Link, NodeGroup};
use plan::report::Assumption;
use plan::units::{Bytes, BytesPerSecond, FlopsPerSecond, Seconds, significant};
use plan::{Grade, Sourced};

pub(super) fn assumptions(request: &Request<'_>) -> Vec<Assumption> {
    let mut all = Vec::new();
    Guesses::of(request).visit(&mut |what, guess| {
        all.push(Assumption { what, source: guess.source().into() });
    });
    all
}

/// A guess with its value and what hangs on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighed {
    /// What it is.
    pub what: String,
    /// Its value, with its unit.
    pub value: String,
    /// Why it has this value.
    pub source: String,
    /// How much longer the step of the plan is where the value is a tenth smaller: 0.03 is 3 %.
    /// Absent where the plan cannot be priced with it.
    pub weight: Option<f64>,
}

/// Every guess with the value that is taken and how much of the step hangs on it, most first. The
/// plan stays as it is; whether another one would win is not asked.
#[must_use]
pub fn weighed(request: &Request<'_>, planned: &Planned) -> Vec<Weighed> {
    let guesses = Guesses::of(request);
    let mut all = Vec::new();
    guesses.clone().visit(&mut |what, guess| {
        let (value, source) = (guess.text(), guess.source().to_string());
        all.push(Weighed { what, value, source, weight: None });
    });
    for (place, one) in all.iter_mut().enumerate() {
        one.weight = guesses.clone().weight(request, planned, place);
    }
    let key = |w: &Weighed| w.weight.map_or(-1.0, f64::abs);
    all.sort_by(|a, b| key(b).total_cmp(&key(a)));
    all
}

/// What [`weighed`] multiplies each value with.
const SMALLER: f64 = 0.9;

/// A constant of unknown quality.
trait Guess {
    fn grade(&self) -> Grade;
    fn source(&self) -> &str;
    fn text(&self) -> String;
    fn scale(&mut self, by: f64);
}

/// A number that can be made smaller, and shown.
trait Number: Copy {
    fn times(self, by: f64) -> Self;
    fn shown(self) -> String;
}

impl Number for f64 {
    fn times(self, by: f64) -> Self {
        self * by
    }

    fn shown(self) -> String {
        significant(self, 3)
    }
}

macro_rules! quantities {
    ($($quantity:ty),*) => {
        $(impl Number for $quantity {
            fn times(self, by: f64) -> Self {
                self * by
            }

            fn shown(self) -> String {
                self.to_string()
            }
        })*
    };
}

quantities!(Bytes, BytesPerSecond, FlopsPerSecond, Seconds);

impl<T: Number> Guess for Sourced<T> {
    fn grade(&self) -> Grade {
        self.grade
    }

    fn source(&self) -> &str {
        &self.source
    }

    fn text(&self) -> String {
        self.value.shown()
    }

    fn scale(&mut self, by: f64) {
        self.value = self.value.times(by);
    }
}

/// Everything that may hold guesses.
#[derive(Clone)]
struct Guesses {
    group: Option<NodeGroup>,
    stack: Stack,
    corpus: Option<Corpus>,
}

type Visitor<'a> = &'a mut dyn FnMut(String, &mut dyn Guess);

impl Guesses {
    fn of(request: &Request<'_>) -> Self {
        Self {
            group: request.cluster.groups.first().cloned(),
            stack: request.profile.stack().clone(),
            corpus: request.corpus.cloned(),
        }
    }

    /// All guesses, in a fixed order.
    fn visit(&mut self, visitor: Visitor<'_>) {
        let mut add = |what: String, guess: &mut dyn Guess| {
            if guess.grade() == Grade::Assumed {
                visitor(what, guess);
            }
        };
        if let Some(group) = &mut self.group {
            of_group(group, &mut add);
        }
        of_stack(&mut self.stack, &mut add);
        if let Some(corpus) = &mut self.corpus {
            let name = corpus.name.clone();
            add(format!("{name}: vocabulary prefactor"), &mut corpus.prefactor);
            add(format!("{name}: vocabulary exponent"), &mut corpus.exponent);
        }
    }

    /// How much longer the step is with the guess at `place` a tenth smaller.
    fn weight(mut self, request: &Request<'_>, planned: &Planned, place: usize) -> Option<f64> {
        let mut next = 0;
        self.visit(&mut |_, guess| {
            if next == place {
                guess.scale(SMALLER);
            }
            next += 1;
        });
        let group = self.group?;
        let profile = Profile::new(&group.device, &group, &self.stack).ok()?;
        let corpus = self.corpus.as_ref();
        let mut cluster = request.cluster.clone();
        *cluster.groups.first_mut()? = group;
        let asked = Request { profile: &profile, corpus, cluster: &cluster, ..*request };
        let step = detail_of(&asked, &planned.solution)?.step.value;
        Some(step / planned.detail.step.value - 1.0)
    }
}

fn of_group(group: &mut NodeGroup, add: Visitor<'_>) {
    let d = &mut group.device;
    let label = d.label.clone();
    let name = |what: &str| format!("{label}: {what}");
    add(name("memory"), &mut d.memory);
    add(name("memory bandwidth"), &mut d.memory_bandwidth);
    add(name("matrix-product efficiency"), &mut d.gemm.efficiency);
    add(name("tile penalty"), &mut d.gemm.tile_penalty);
    for (dtype, law) in &mut d.gemm.formats {
        add(name(&format!("{dtype} matrix-product efficiency")), &mut law.efficiency);
        add(name(&format!("{dtype} tile penalty")), &mut law.tile_penalty);
    }
    add(name("gap between kernels"), &mut d.gemm.kernel_gap);
    add(name("streaming efficiency"), &mut d.stream_efficiency);
    for (dtype, peak) in &mut d.peak {
        add(name(&format!("{dtype} peak")), peak);
    }
    if let Some(law) = &mut d.recurrent {
        add(name("recurrent step overhead"), &mut law.step_overhead);
        add(name("recurrent weight reads"), &mut law.weight_read_efficiency);
    }
    of_link("inside a node", &mut group.intra, add);
    if let Some(inter) = &mut group.inter {
        of_link("between nodes", inter, add);
    }
}

fn of_link(place: &str, link: &mut Link, add: Visitor<'_>) {
    add(format!("{place}: bandwidth of {}", link.label), &mut link.bandwidth);
    let hop = match &mut link.latency {
        LatencyLaw::Saturating { base, ramp, hop, .. } => {
            add(format!("{place}: latency"), base);
            add(format!("{place}: latency ramp"), ramp);
            hop
        }
        LatencyLaw::PerHop { hop } => hop,
    };
    add(format!("{place}: latency per hop"), hop);
}

fn of_stack(stack: &mut Stack, add: Visitor<'_>) {
    let label = stack.name.clone();
    let name = |what: &str| format!("{label}: {what}");
    add(name("sustained efficiency"), &mut stack.compute.derate);
    add(name("contention"), &mut stack.overlap.contention);
    add(name("hidden messages between stages"), &mut stack.overlap.send);
    add(name("launch time"), &mut stack.host.launch);
    add(name("jitter"), &mut stack.host.jitter);
    add(name("context memory"), &mut stack.memory.context);
    add(name("communicator memory"), &mut stack.memory.communicators);
    add(name("fragmentation"), &mut stack.memory.fragmentation);
    add(name("spread of runs"), &mut stack.residual.above);
}
