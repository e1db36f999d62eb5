//! The stored bytes of memberships and their changes. They are in logs and on disks: they do not change.
//!
//! ```text
//! ConfChange     := version=1:u8 transition:u8 count:u32 { kind:u8 id:u64 }* context:rest
//! Configuration  := version=1:u8 auto_leave:u8 voters outgoing learners learners_next
//!                   each: count:u32 { id:u64 }*
//! ```
//!
//! Numbers are little-endian. Lists have at most [`LIST_MAX`] members.

use bytes::{Buf, Bytes};
use thiserror::Error;

use crate::ReplicaId;
use crate::configuration::{Change, ConfChange, Configuration, Transition};

/// The version both formats begin with.
const VERSION: u8 = 1;

/// The most members a list may have. Far above any sensible group; a bound for hostile input.
pub const LIST_MAX: usize = 1024;

/// A change of one replica: its kind and its id.
const CHANGE_BYTES: usize = 9;

/// Bytes that no version of this crate has written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("unknown format version {0}")]
    UnknownVersion(u8),
    #[error("the bytes end too early")]
    Truncated,
    #[error("invalid {0}")]
    Invalid(&'static str),
}

impl ConfChange {
    /// The payload of an entry of kind `ConfChange`.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(6 + CHANGE_BYTES * self.changes.len() + self.context.len());
        out.push(VERSION);
        out.push(match self.transition {
            Transition::Auto => 0,
            Transition::JointImplicit => 1,
            Transition::JointExplicit => 2,
        });
        out.extend_from_slice(&(self.changes.len() as u32).to_le_bytes());
        for change in &self.changes {
            let (kind, id) = match change {
                Change::AddVoter(id) => (0u8, id),
                Change::AddLearner(id) => (1, id),
                Change::Remove(id) => (2, id),
            };
            out.push(kind);
            out.extend_from_slice(&id.0.to_le_bytes());
        }
        out.extend_from_slice(&self.context);
        Bytes::from(out)
    }

    pub fn decode(bytes: &Bytes) -> Result<ConfChange, DecodeError> {
        let mut input = bytes.clone();
        read_version(&mut input)?;
        let transition = match read_u8(&mut input)? {
            0 => Transition::Auto,
            1 => Transition::JointImplicit,
            2 => Transition::JointExplicit,
            _ => return Err(DecodeError::Invalid("transition")),
        };
        let count = read_count(&mut input)?;
        // A count alone takes no memory: what it counts must be there.
        let mut changes = Vec::with_capacity(count.min(input.remaining() / CHANGE_BYTES));
        for _ in 0..count {
            let kind = read_u8(&mut input)?;
            let id = read_id(&mut input)?;
            changes.push(match kind {
                0 => Change::AddVoter(id),
                1 => Change::AddLearner(id),
                2 => Change::Remove(id),
                _ => return Err(DecodeError::Invalid("change")),
            });
        }
        Ok(ConfChange { changes, transition, context: input })
    }
}

impl Configuration {
    /// The bytes to store with the applied state.
    pub fn encode(&self) -> Bytes {
        let lists = [&self.voters, &self.outgoing, &self.learners, &self.learners_next];
        let mut out = vec![VERSION, u8::from(self.auto_leave)];
        for list in lists {
            out.extend_from_slice(&(list.len() as u32).to_le_bytes());
            for id in list {
                out.extend_from_slice(&id.0.to_le_bytes());
            }
        }
        Bytes::from(out)
    }

    pub fn decode(bytes: &[u8]) -> Result<Configuration, DecodeError> {
        let mut input = Bytes::copy_from_slice(bytes);
        read_version(&mut input)?;
        let auto_leave = match read_u8(&mut input)? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Invalid("auto_leave")),
        };
        let mut lists: [Vec<ReplicaId>; 4] = Default::default();
        for list in &mut lists {
            for _ in 0..read_count(&mut input)? {
                let id = read_id(&mut input)?;
                if list.last().is_some_and(|last| *last >= id) {
                    return Err(DecodeError::Invalid("order of members"));
                }
                list.push(id);
            }
        }
        if input.has_remaining() {
            return Err(DecodeError::Invalid("length"));
        }
        let [voters, outgoing, learners, learners_next] = lists;
        Ok(Configuration { voters, outgoing, learners, learners_next, auto_leave })
    }
}

fn read_version(input: &mut Bytes) -> Result<(), DecodeError> {
    match read_u8(input)? {
        VERSION => Ok(()),
        other => Err(DecodeError::UnknownVersion(other)),
    }
}

fn read_u8(input: &mut Bytes) -> Result<u8, DecodeError> {
    input.try_get_u8().map_err(|_| DecodeError::Truncated)
}

fn read_id(input: &mut Bytes) -> Result<ReplicaId, DecodeError> {
    let id = ReplicaId(input.try_get_u64_le().map_err(|_| DecodeError::Truncated)?);
    if id == ReplicaId::ZERO { Err(DecodeError::Invalid("replica id")) } else { Ok(id) }
}

fn read_count(input: &mut Bytes) -> Result<usize, DecodeError> {
    let count = input.try_get_u32_le().map_err(|_| DecodeError::Truncated)? as usize;
    if count > LIST_MAX { Err(DecodeError::Invalid("count")) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> Vec<ReplicaId> {
        ids.iter().copied().map(ReplicaId).collect()
    }

    #[test]
    fn the_bytes_of_a_change_are_frozen() {
        let change = ConfChange {
            changes: vec![Change::AddVoter(ReplicaId(2)), Change::Remove(ReplicaId(0x0102))],
            transition: Transition::JointExplicit,
            context: Bytes::from_static(b"ctx"),
        };
        let bytes = change.encode();
        let expected: &[u8] =
            &[1, 2, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 2, 1, 0, 0, 0, 0, 0, 0, b'c', b't', b'x'];
        assert_eq!(bytes, expected);
        assert_eq!(ConfChange::decode(&bytes), Ok(change));
    }

    #[test]
    fn the_bytes_of_a_configuration_are_frozen() {
        let configuration = Configuration {
            voters: ids(&[1, 2]),
            outgoing: ids(&[3]),
            learners: ids(&[]),
            learners_next: ids(&[3]),
            auto_leave: true,
        };
        let bytes = configuration.encode();
        let mut expected = vec![1, 1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([0, 0, 0, 0]);
        expected.extend([1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes, expected);
        assert_eq!(Configuration::decode(&bytes), Ok(configuration));
    }

    #[test]
    fn broken_bytes_are_refused() {
        let good = Configuration::of_voters(ids(&[1, 2])).encode();
        for length in 0..good.len() {
            assert!(Configuration::decode(&good[..length]).is_err(), "cut to {length}");
        }
        assert_eq!(Configuration::decode(&[9, 0]), Err(DecodeError::UnknownVersion(9)));
        let huge = Bytes::from_static(&[1, 0, 255, 255, 255, 255]);
        assert_eq!(ConfChange::decode(&huge), Err(DecodeError::Invalid("count")));
        let nobody = Bytes::from_static(&[1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(ConfChange::decode(&nobody), Err(DecodeError::Invalid("replica id")));
    }
}
