//! Canonical encoding of programs, its digest, and the normal form of what they compute.
//!
//! Ranks agree on the digest before the first collective: a rank that runs another program is a
//! message then, and no hang. The encoding is a version byte, then every field in the order of the
//! types: integers little-endian, sizes as the bits of their `f64`, lists after their length.

use super::{
    Access, Action, Buffer, Channel, Charge, Class, Communicator, Element, Payload, Peers, Program,
    Size,
};
use std::fmt;

/// Version of the encoding.
const ENCODING: u8 = 1;

/// BLAKE3 of the canonical encoding of a program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Program {
    /// The digest that all ranks agree on.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut encoder = Encoder::new();
        encoder.byte(ENCODING);
        encoder.program(self);
        encoder.finish()
    }

    /// The digest of what the program computes, whatever the order and the waiting.
    ///
    /// In a valid program every version of every buffer has one writer, so the *set* of its
    /// actions, with the versions that they read and write, is a dataflow graph: two valid
    /// programs with the same set compute the same values.
    #[must_use]
    pub fn dataflow(&self) -> Digest {
        let mut encoder = Encoder::new();
        encoder.byte(ENCODING);
        for class in &self.classes {
            let mut all: Vec<Digest> = class
                .actions
                .iter()
                .map(|action| {
                    let mut one = Encoder::new();
                    one.dataflow(action);
                    one.finish()
                })
                .collect();
            all.sort_unstable();
            encoder.number(all.len() as u64);
            all.iter().for_each(|digest| encoder.bytes(&digest.0));
        }
        encoder.finish()
    }
}

struct Encoder(blake3::Hasher);

impl Encoder {
    fn new() -> Self {
        Self(blake3::Hasher::new())
    }

    fn finish(self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn byte(&mut self, byte: u8) {
        self.bytes(&[byte]);
    }

    fn number(&mut self, n: u64) {
        self.bytes(&n.to_le_bytes());
    }

    fn numbers(&mut self, all: &[u32]) {
        all.iter().for_each(|&n| self.number(u64::from(n)));
    }

    fn size(&mut self, size: Size) {
        self.number(size.max.get().to_bits());
        self.number(size.expected.get().to_bits());
    }

    /// Enums without a number of their own, by their names: these are part of the encoding.
    fn name(&mut self, value: impl fmt::Debug) {
        let text = format!("{value:?}");
        self.number(text.len() as u64);
        self.bytes(text.as_bytes());
    }

    fn list<T>(&mut self, all: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.number(all.len() as u64);
        all.iter().for_each(|item| each(self, item));
    }

    fn program(&mut self, p: &Program) {
        self.numbers(&[p.ranks, p.micro_batches, p.time_chunks, p.send_budget]);
        self.number(p.capacity.map_or(0, |c| c.get().to_bits()));
        self.list(&p.communicators, Self::communicator);
        self.list(&p.channels, Self::channel);
        self.list(&p.charges, Self::charge);
        self.list(&p.classes, Self::class);
    }

    fn communicator(&mut self, c: &Communicator) {
        self.name(c.purpose);
        self.numbers(&[c.size, c.stride, c.nodes]);
    }

    fn channel(&mut self, c: &Channel) {
        self.name(c.pass);
        self.numbers(&[c.from_stage, c.to_stage, c.from, c.to, u32::from(c.crosses_nodes)]);
    }

    /// Work is told by the text of its values, which is exact: floating-point numbers print such
    /// that they read back the same.
    fn charge(&mut self, charge: &Charge) {
        self.name(charge);
    }

    fn class(&mut self, class: &Class) {
        self.numbers(&[class.first_rank, class.ranks]);
        self.list(&class.stages, |e, stage| e.number(u64::from(*stage)));
        self.list(&class.buffers, Self::buffer);
        self.list(&class.actions, Self::action);
        self.number(class.arena.get().to_bits());
        self.list(&class.ledger, |e, entry| {
            e.name(entry.traffic);
            e.number(entry.bytes.get().to_bits());
        });
    }

    fn buffer(&mut self, b: &Buffer) {
        self.byte(b.kind as u8);
        self.size(b.size);
        self.element(b.element);
        self.byte(b.home as u8);
        self.numbers(&[b.versions, b.writes, u32::from(b.is_carried)]);
        self.number(b.offset.map_or(u64::MAX, |o| o.get().to_bits()));
    }

    fn element(&mut self, element: Element) {
        self.bytes(&match element {
            Element::Number(dtype) => [0, dtype as u8],
            Element::TokenId => [1, 0],
            Element::TaggedRow => [2, 0],
            Element::Mixed => [3, 0],
        });
    }

    fn action(&mut self, action: &Action) {
        self.dataflow(action);
        self.byte(action.lane as u8);
        self.list(&action.waits, |e, token| e.number(u64::from(token.0)));
        self.number(action.signals.map_or(u64::MAX, |token| u64::from(token.0)));
    }

    /// Everything but when it runs.
    fn dataflow(&mut self, action: &Action) {
        self.name(action.op);
        self.name(action.cause);
        let at = action.at;
        self.numbers(&[at.stage, at.part, action.cadence.every, action.cadence.offset]);
        let span = at.layers.map_or([u32::MAX; 2], |span| [span.first, span.last]);
        self.numbers(&span);
        self.number(at.micro_batch.map_or(u64::MAX, u64::from));
        self.number(u64::from(action.charge.0));
        self.peers(action.peers);
        self.list(&action.reads, Self::access);
        self.list(&action.writes, Self::access);
    }

    fn access(&mut self, access: &Access) {
        self.number(u64::from(access.buffer.0));
        self.bytes(&access.version.to_le_bytes());
    }

    fn peers(&mut self, peers: Peers) {
        match peers {
            Peers::Nobody => self.byte(0),
            Peers::Group { communicator, sequence, collective, payload } => {
                self.byte(1);
                self.numbers(&[communicator.0, sequence]);
                self.name(collective);
                self.payload(payload);
            }
            Peers::Channel { channel, payload } => {
                self.byte(2);
                self.number(u64::from(channel.0));
                self.payload(payload);
            }
        }
    }

    fn payload(&mut self, payload: Payload) {
        self.size(payload.size);
        self.element(payload.element);
    }
}
