//! Constants that are guesses, so that nobody takes them for facts.

use crate::request::Request;
use plan::machine::{LatencyLaw, Link, NodeGroup};
use plan::report::Assumption;
use plan::{Grade, Sourced};

pub(super) fn assumptions(request: &Request<'_>) -> Vec<Assumption> {
    let mut list = Guesses(Vec::new());
    if let Some(group) = request.cluster.groups.first() {
        list.of_group(group);
    }
    list.of_stack(request);
    if let Some(corpus) = request.corpus {
        list.add(format!("{}: vocabulary prefactor", corpus.name), &corpus.prefactor);
        list.add(format!("{}: vocabulary exponent", corpus.name), &corpus.exponent);
    }
    list.0
}

struct Guesses(Vec<Assumption>);

impl Guesses {
    fn add<T>(&mut self, what: String, value: &Sourced<T>) {
        if value.grade == Grade::Assumed {
            self.0.push(Assumption { what, source: value.source.clone() });
        }
    }

    fn of_group(&mut self, group: &NodeGroup) {
        let d = &group.device;
        let name = |what: &str| format!("{}: {what}", d.label);
        self.add(name("memory"), &d.memory);
        self.add(name("memory bandwidth"), &d.memory_bandwidth);
        self.add(name("matrix-product efficiency"), &d.gemm.efficiency);
        self.add(name("tile penalty"), &d.gemm.tile_penalty);
        for (dtype, law) in &d.gemm.formats {
            self.add(name(&format!("{dtype} matrix-product efficiency")), &law.efficiency);
            self.add(name(&format!("{dtype} tile penalty")), &law.tile_penalty);
        }
        self.add(name("gap between kernels"), &d.gemm.kernel_gap);
        self.add(name("streaming efficiency"), &d.stream_efficiency);
        for (dtype, peak) in &d.peak {
            self.add(name(&format!("{dtype} peak")), peak);
        }
        if let Some(law) = &d.recurrent {
            self.add(name("recurrent step overhead"), &law.step_overhead);
            self.add(name("recurrent weight reads"), &law.weight_read_efficiency);
        }
        self.of_link("inside a node", &group.intra);
        if let Some(inter) = &group.inter {
            self.of_link("between nodes", inter);
        }
    }

    fn of_link(&mut self, place: &str, link: &Link) {
        self.add(format!("{place}: bandwidth of {}", link.label), &link.bandwidth);
        let hop = match &link.latency {
            LatencyLaw::Saturating { base, ramp, hop, .. } => {
                self.add(format!("{place}: latency"), base);
                self.add(format!("{place}: latency ramp"), ramp);
                hop
            }
            LatencyLaw::PerHop { hop } => hop,
        };
        self.add(format!("{place}: latency per hop"), hop);
    }

    fn of_stack(&mut self, request: &Request<'_>) {
        let stack = request.profile.stack();
        let name = |what: &str| format!("{}: {what}", stack.name);
        self.add(name("sustained efficiency"), &stack.compute.derate);
        self.add(name("contention"), &stack.overlap.contention);
        self.add(name("hidden messages between stages"), &stack.overlap.send);
        self.add(name("launch time"), &stack.host.launch);
        self.add(name("jitter"), &stack.host.jitter);
        self.add(name("context memory"), &stack.memory.context);
        self.add(name("communicator memory"), &stack.memory.communicators);
        self.add(name("fragmentation"), &stack.memory.fragmentation);
        self.add(name("spread of runs"), &stack.residual.above);
    }
}
