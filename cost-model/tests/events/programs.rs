//! Programs made by hand from orders of passes: no model, no prices, only times.

use plan::program::{
    Access, Action, At, Buffer, BufferId, BufferKind, Cadence, Cause, Channel, ChannelId, Charge,
    ChargeId, Class, Communicator, CommunicatorId, Element, Home, Lane, Op, Payload, Peers,
    Program, Purpose, Size, Token,
};
use plan::schedule::{Order, Slot, Task};
use plan::units::{Bytes, Seconds};
use plan::work::{CollectiveOp, Pass};

/// Times of one virtual stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stage {
    /// Forward pass.
    pub forward: f64,
    /// Gradients of inputs.
    pub input: f64,
    /// Gradients of weights.
    pub weight: f64,
    /// Message to the next stage, and its gradient back.
    pub send: (f64, f64),
    /// Reduction of gradients after the last backward pass.
    pub reduce: f64,
}

/// A program and the time of each of its charges.
#[derive(Clone, Debug)]
pub struct Timed {
    /// The program.
    pub program: Program,
    /// By charge.
    pub charges: Vec<Seconds>,
}

const KINDS: usize = 7;

/// Which charge of a stage.
#[derive(Clone, Copy)]
enum Kind {
    Forward = 1,
    Input,
    Weight,
    Both,
    Down,
    Up,
    Reduce,
}

fn charge(stage: u32, kind: Kind) -> ChargeId {
    ChargeId(stage * KINDS as u32 + kind as u32)
}

/// Where a list of actions is being made.
#[derive(Default)]
struct List {
    class: Class,
    tokens: u32,
}

impl List {
    fn add(&mut self, op: Op, lane: Lane, charge: ChargeId, at: At) -> &mut Action {
        let token = Token(self.tokens);
        self.tokens += 1;
        self.class.actions.push(Action {
            op,
            at,
            cadence: Cadence::EACH_STEP,
            lane,
            peers: Peers::Nobody,
            reads: vec![],
            writes: vec![],
            waits: vec![],
            signals: Some(token),
            charge,
            cause: Cause::Model,
        });
        self.class.actions.last_mut().unwrap()
    }
}

/// An order as a program of `replicas` ranks per pipeline rank: passes, messages, and where a
/// stage has one a reduction over replicas. `order` must not wait in a circle.
pub fn pipeline(order: &Order, stages: &[Stage], replicas: u32) -> Timed {
    let mut builder = Builder::new(order, stages, replicas);
    builder.place_all();
    builder.finish()
}

struct Builder<'a> {
    order: &'a Order,
    stages: &'a [Stage],
    replicas: u32,
    lists: Vec<List>,
    home: Vec<usize>,
    channels: Vec<Channel>,
    /// Token of each forward pass and each pass that hands a gradient back, on its rank.
    done: Vec<[Vec<Option<Token>>; 2]>,
    /// When each of them ends, were messages free.
    ends: Vec<[Vec<f64>; 2]>,
    /// Token of each message that has arrived.
    arrived: Vec<[Vec<Option<Token>>; 2]>,
}

impl<'a> Builder<'a> {
    fn new(order: &'a Order, stages: &'a [Stage], replicas: u32) -> Self {
        let m = order.iter().flatten().map(|s| s.micro_batch as usize + 1).max().unwrap();
        let mut home = vec![0; stages.len()];
        for (rank, slots) in order.iter().enumerate() {
            slots.iter().for_each(|s| home[s.stage as usize] = rank);
        }
        let none = || vec![[vec![None; m], vec![None; m]]; stages.len()];
        let lists = (0u32..)
            .zip(order)
            .map(|(rank, _)| List {
                class: Class { first_rank: rank * replicas, ranks: replicas, ..Class::default() },
                tokens: 0,
            })
            .collect();
        Self {
            order,
            stages,
            replicas,
            lists,
            home,
            channels: vec![],
            done: none(),
            ends: vec![[vec![0.0; m], vec![0.0; m]]; stages.len()],
            arrived: none(),
        }
    }

    /// Places slots in the order of their ends, were messages free; messages with their senders, so
    /// that both ends of all lie in one common order.
    fn place_all(&mut self) {
        let mut next = vec![0; self.order.len()];
        let mut free = vec![0.0; self.order.len()];
        while let Some((end, rank, slot)) = self.first_to_end(&next, &free) {
            let waits = self.input(&slot).unwrap();
            self.pass(rank, &slot, waits);
            let (s, b) = (slot.stage as usize, slot.micro_batch as usize);
            match slot.task {
                Task::Forward => self.ends[s][0][b] = end,
                Task::BackwardWeight => {}
                _ => self.ends[s][1][b] = end,
            }
            free[rank] = end;
            next[rank] += 1;
        }
        for (rank, slots) in self.order.iter().enumerate() {
            assert_eq!(next[rank], slots.len(), "the order waits in a circle");
        }
    }

    /// Of the next slots of all ranks whose inputs are there, the one that ends first.
    fn first_to_end(&self, next: &[usize], free: &[f64]) -> Option<(f64, usize, Slot)> {
        let mut best: Option<(f64, usize, Slot)> = None;
        for (rank, slots) in self.order.iter().enumerate() {
            let slot = slots.get(next[rank]).copied();
            let Some(slot) = slot.filter(|slot| self.input(slot).is_some()) else { continue };
            let end = free[rank].max(self.arrives(&slot)) + self.time(&slot);
            if best.is_none_or(|b| end < b.0) {
                best = Some((end, rank, slot));
            }
        }
        best
    }

    fn arrives(&self, slot: &Slot) -> f64 {
        let (s, b) = (slot.stage as usize, slot.micro_batch as usize);
        match slot.task {
            Task::Forward => s.checked_sub(1).map_or(0.0, |from| self.ends[from][0][b]),
            Task::BackwardWeight => 0.0,
            _ => self.ends.get(s + 1).map_or(0.0, |next| next[1][b]),
        }
    }

    fn time(&self, slot: &Slot) -> f64 {
        let stage = &self.stages[slot.stage as usize];
        match slot.task {
            Task::Forward => stage.forward,
            Task::Backward => stage.input + stage.weight,
            Task::BackwardInput => stage.input,
            Task::BackwardWeight => stage.weight,
        }
    }

    /// What a slot waits for besides its lane; `None` where that is not there yet.
    fn input(&self, slot: &Slot) -> Option<Vec<Token>> {
        let (s, b) = (slot.stage as usize, slot.micro_batch as usize);
        let (direction, from) = match slot.task {
            Task::Forward => (0, s.checked_sub(1)),
            Task::BackwardWeight => return Some(vec![]),
            _ => (1, Some(s + 1).filter(|&next| next < self.stages.len())),
        };
        match from {
            Some(from) if self.home[from] != self.home[s] => {
                self.arrived[s][direction][b].map(|token| vec![token])
            }
            Some(from) => self.done[from][direction][b].map(|_| vec![]),
            None if direction == 1 => self.done[s][0][b].map(|_| vec![]),
            None => Some(vec![]),
        }
    }

    fn pass(&mut self, rank: usize, slot: &Slot, waits: Vec<Token>) {
        let (op, kind) = match slot.task {
            Task::Forward => (Op::Forward, Kind::Forward),
            Task::Backward => (Op::Backward, Kind::Both),
            Task::BackwardInput => (Op::BackwardInput, Kind::Input),
            Task::BackwardWeight => (Op::BackwardWeight, Kind::Weight),
        };
        let action = self.lists[rank].add(op, Lane::Compute, charge(slot.stage, kind), at(slot));
        action.waits = waits;
        let token = action.signals.unwrap();
        let (s, b) = (slot.stage as usize, slot.micro_batch as usize);
        match slot.task {
            Task::Forward => self.done[s][0][b] = Some(token),
            Task::BackwardWeight => return,
            _ => self.done[s][1][b] = Some(token),
        }
        let (to, pass) = match slot.task {
            Task::Forward => (Some(slot.stage + 1), Pass::Forward),
            _ => (slot.stage.checked_sub(1), Pass::Backward),
        };
        if let Some(to) = to.filter(|&to| (to as usize) < self.stages.len()) {
            self.message(slot, to, pass, token);
        }
    }

    fn message(&mut self, slot: &Slot, to: u32, pass: Pass, token: Token) {
        let (from_rank, to_rank) = (self.home[slot.stage as usize], self.home[to as usize]);
        if from_rank == to_rank {
            return;
        }
        let id = self.channel(slot.stage, to, pass);
        let payload = Payload { size: Size::ZERO, element: Element::Mixed };
        let kind = if pass == Pass::Forward { Kind::Down } else { Kind::Up };
        let edge = charge(slot.stage.min(to), kind);
        let send = self.lists[from_rank].add(Op::Send(pass), Lane::sending(pass), edge, at(slot));
        send.peers = Peers::Channel { channel: id, payload };
        send.waits = vec![token];
        send.cause = Cause::Pipeline;
        let at = At { stage: to, ..at(slot) };
        let list = &mut self.lists[to_rank];
        let receive = list.add(Op::Receive(pass), Lane::receiving(pass), ChargeId(0), at);
        receive.peers = Peers::Channel { channel: id, payload };
        receive.cause = Cause::Pipeline;
        let direction = if pass == Pass::Forward { 0 } else { 1 };
        self.arrived[to as usize][direction][slot.micro_batch as usize] = receive.signals;
    }

    fn channel(&mut self, from_stage: u32, to_stage: u32, pass: Pass) -> ChannelId {
        let (from, to) = (self.home[from_stage as usize], self.home[to_stage as usize]);
        let (from, to) = (from as u32, to as u32);
        let channel = Channel { from_stage, to_stage, pass, from, to, crosses_nodes: true };
        let found = self.channels.iter().position(|c| *c == channel);
        let index = found.unwrap_or_else(|| {
            self.channels.push(channel);
            self.channels.len() - 1
        });
        ChannelId(index as u32)
    }

    fn finish(mut self) -> Timed {
        for (s, _) in (0u32..).zip(self.stages).filter(|(_, stage)| stage.reduce > 0.0) {
            let list = &mut self.lists[self.home[s as usize]];
            let is_last = |a: &&Action| a.at.stage == s && a.lane == Lane::Compute;
            let last = list.class.actions.iter().rev().find(is_last).and_then(|a| a.signals);
            let at = At { stage: s, ..At::default() };
            let op = Op::Reduce(CollectiveOp::AllReduce);
            let reduce = list.add(op, Lane::Data, charge(s, Kind::Reduce), at);
            reduce.waits = last.into_iter().collect();
            reduce.cause = Cause::DataParallel;
            reduce.peers = group(0, s);
        }
        let m = self.done[0][0].len() as u32;
        let charges = times(self.stages);
        let program = Program {
            ranks: self.order.len() as u32 * self.replicas,
            micro_batches: m,
            time_chunks: 1,
            send_budget: u32::MAX,
            capacity: None,
            communicators: vec![replicas(self.replicas)],
            channels: self.channels,
            charges: vec![Charge::Free; charges.len()],
            classes: self.lists.into_iter().map(|list| list.class).collect(),
        };
        Timed { program, charges }
    }
}

fn at(slot: &Slot) -> At {
    At { stage: slot.stage, micro_batch: Some(slot.micro_batch), ..At::default() }
}

fn replicas(size: u32) -> Communicator {
    Communicator { purpose: Purpose::Replicas, size, stride: 1, nodes: size }
}

fn group(communicator: u32, sequence: u32) -> Peers {
    Peers::Group {
        communicator: CommunicatorId(communicator),
        sequence,
        collective: CollectiveOp::AllReduce,
        payload: Payload { size: Size::ZERO, element: Element::Mixed },
    }
}

fn times(stages: &[Stage]) -> Vec<Seconds> {
    let each = |s: &Stage| {
        [s.forward, s.input, s.weight, s.input + s.weight, s.send.0, s.send.1, s.reduce]
    };
    let all = std::iter::once(0.0).chain(stages.iter().flat_map(each));
    all.map(Seconds::new).collect()
}

/// What two programs of one rank have in common.
pub struct Single {
    list: List,
    charges: Vec<Seconds>,
}

impl Single {
    /// A rank that has `replicas − 1` like it.
    pub fn new(replicas: u32) -> Self {
        let class = Class { ranks: replicas, ..Class::default() };
        Self { list: List { class, tokens: 0 }, charges: vec![Seconds::ZERO] }
    }

    /// Adds an action; its token.
    pub fn add(&mut self, op: Op, lane: Lane, time: f64, waits: &[Token]) -> Token {
        self.charges.push(Seconds::new(time));
        let charge = ChargeId(self.charges.len() as u32 - 1);
        let sequence = self.charges.len() as u32;
        let action = self.list.add(op, lane, charge, At::default());
        action.waits = waits.to_vec();
        if lane != Lane::Compute {
            action.peers = group(0, sequence);
        }
        action.signals.unwrap()
    }

    /// The action that was added last.
    pub fn last(&mut self) -> &mut Action {
        self.list.class.actions.last_mut().unwrap()
    }

    /// A buffer of one version.
    pub fn buffer(&mut self, kind: BufferKind, size: f64, is_carried: bool) -> BufferId {
        self.list.class.buffers.push(Buffer {
            kind,
            size: Size::exact(Bytes::new(size)),
            element: Element::Mixed,
            home: Home::Device,
            versions: 1,
            writes: 1,
            is_carried,
            offset: None,
        });
        BufferId(self.list.class.buffers.len() as u32 - 1)
    }

    /// The program.
    pub fn finish(self) -> Timed {
        let ranks = self.list.class.ranks;
        let program = Program {
            ranks,
            micro_batches: 1,
            time_chunks: 1,
            send_budget: u32::MAX,
            capacity: None,
            communicators: vec![replicas(ranks)],
            channels: vec![],
            charges: vec![Charge::Free; self.charges.len()],
            classes: vec![self.list.class],
        };
        Timed { program, charges: self.charges }
    }
}

/// A version of a buffer.
pub fn access(buffer: BufferId, version: i32) -> Access {
    Access { buffer, version }
}

/// Weights of sharded states are gathered along this axis.
pub const GATHER: Cause = Cause::Zero(3);
