//! Messages on a connection: a head, the payload, and a checksum of both.

use crate::comm::{Fault, Problem};
use std::io::{ErrorKind, Read, Write};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who calls, when ranks meet.
    Hello,
    /// Addresses of all ranks.
    Table,
    /// A message of a program.
    Data,
    /// A rank has failed.
    Abort,
    /// A rank has finished.
    Farewell,
}

const KINDS: [Kind; 5] = [Kind::Hello, Kind::Table, Kind::Data, Kind::Abort, Kind::Farewell];

/// Head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Queue.
    pub tag: u32,
    /// Number on this connection, from 0.
    pub sequence: u64,
}

/// Why there is no next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The connection ended.
    Closed,
    /// What came is not a message.
    Damaged(&'static str),
}

const MAGIC: [u8; 4] = *b"MWR1";
const HEAD: usize = 29;

/// More than any message of a program: a damaged length must not fill the memory.
const LONGEST: u64 = 1 << 36;

/// Memory grows with what arrives, not with what is announced.
const STRIDE: usize = 1 << 24;

impl Frame {
    /// Writes head and payload.
    pub fn write(self, stream: &mut impl Write, payload: &[u8]) -> std::io::Result<()> {
        let mut head = self.head(payload.len() as u64);
        let sum = checksum(&head[..HEAD - 4], payload);
        head[HEAD - 4..].copy_from_slice(&sum.to_le_bytes());
        stream.write_all(&head)?;
        stream.write_all(payload)?;
        stream.flush()
    }

    fn head(self, len: u64) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&MAGIC);
        head[4] = self.kind as u8;
        head[5..9].copy_from_slice(&self.tag.to_le_bytes());
        head[9..17].copy_from_slice(&self.sequence.to_le_bytes());
        head[17..25].copy_from_slice(&len.to_le_bytes());
        head
    }

    /// Reads the next message.
    pub fn read(stream: &mut impl Read) -> Result<(Self, Vec<u8>), Broken> {
        let mut head = [0; HEAD];
        fill(stream, &mut head)?;
        if head[..4] != MAGIC {
            return Err(Broken::Damaged("it does not start as one"));
        }
        let kind = *KINDS.get(head[4] as usize).ok_or(Broken::Damaged("unknown kind"))?;
        let (tag, sequence) = (number(&head[5..9]) as u32, number(&head[9..17]));
        let len = number(&head[17..25]);
        if len > LONGEST {
            return Err(Broken::Damaged("impossible length"));
        }
        let mut payload = Vec::new();
        while (payload.len() as u64) < len {
            let start = payload.len();
            payload.resize((len as usize).min(start + STRIDE), 0);
            fill(stream, &mut payload[start..])?;
        }
        if u64::from(checksum(&head[..HEAD - 4], &payload)) != number(&head[HEAD - 4..]) {
            return Err(Broken::Damaged("wrong checksum"));
        }
        Ok((Self { kind, tag, sequence }, payload))
    }
}

fn fill(stream: &mut impl Read, buffer: &mut [u8]) -> Result<(), Broken> {
    let mut read = 0;
    while read < buffer.len() {
        match stream.read(&mut buffer[read..]) {
            Ok(0) => return Err(Broken::Closed),
            Ok(n) => read += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(Broken::Closed),
        }
    }
    Ok(())
}

/// Little-endian number of up to 8 bytes.
pub fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte))
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(head);
    sum.update(payload);
    sum.finalize()
}

/// A fault as other ranks report it.
pub fn encode_fault(fault: &Fault) -> Vec<u8> {
    let words = format!("{}\0{}", fault.task, fault.problem);
    [&fault.rank.to_le_bytes()[..], words.as_bytes()].concat()
}

/// Reads [`encode_fault`]; what is not readable is reported as far as it is.
pub fn decode_fault(bytes: &[u8]) -> Fault {
    let (rank, words) = bytes.split_at(bytes.len().min(4));
    let words = String::from_utf8_lossy(words);
    let (task, problem) = words.split_once('\0').unwrap_or(("an unknown action", &words));
    let problem = Problem::Told(problem.to_string());
    Fault { rank: number(rank) as u32, task: task.to_string(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Task;
    use proptest::prelude::*;

    fn written(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let frame = Frame { kind: Kind::Data, tag: 7, sequence: 3 };
        frame.write(&mut bytes, payload).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn a_message_comes_back(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = written(&payload);
            let (frame, read) = Frame::read(&mut &bytes[..]).unwrap();
            prop_assert_eq!((frame.tag, frame.sequence, read), (7, 3, payload));
        }

        #[test]
        fn a_flipped_bit_is_noticed(at in 0usize..(HEAD + 20), bit in 0u8..8) {
            let mut bytes = written(&[5; 20]);
            bytes[at] ^= 1 << bit;
            prop_assert!(Frame::read(&mut &bytes[..]).is_err());
        }

        #[test]
        fn a_cut_message_is_noticed(len in 0usize..(HEAD + 20)) {
            let bytes = written(&[5; 20]);
            prop_assert_eq!(Frame::read(&mut &bytes[..len]), Err(Broken::Closed));
        }
    }

    #[test]
    fn a_fault_keeps_its_words() {
        let fault = Fault::new(3, Task::Other("resting"), Problem::Gone { peer: 5 });
        assert_eq!(decode_fault(&encode_fault(&fault)).to_string(), fault.to_string());
    }
}
