//! `/system`: records of the cluster as a whole. Replicated, versioned and routed like rows.
//!
//! In sort order:
//!
//! ```text
//! /system/allocator/<name>      a counter that ids are taken from: range, node, store, table ...
//! /system/config/<start key>    what is wanted of the ranges of a span: see the crate `placement`
//! /system/liveness/<node id>    the liveness record of a node
//! /system/node/<node id>        addresses and attributes of a node
//! /system/record/<name>         any other named record: cluster version, cluster id
//! /system/setting/<name>        a cluster setting
//! ```

use crate::encoding::{self, Decoder, KeyError};
use crate::{Key, NodeId, Span, prefix};

pub(crate) const AREA_ALLOCATOR: u8 = b'a';
pub(crate) const AREA_CONFIG: u8 = b'c';
pub(crate) const AREA_LIVENESS: u8 = b'l';
pub(crate) const AREA_NODE: u8 = b'n';
pub(crate) const AREA_RECORD: u8 = b'r';
pub(crate) const AREA_SETTING: u8 = b's';

/// All system records.
pub const SPAN: Span =
    Span { start: Key::from_static(&[prefix::SYSTEM]), end: Key::from_static(&[prefix::TABLE]) };

fn named(area: u8, name: &str) -> Key {
    let mut out = vec![prefix::SYSTEM, area];
    encoding::put_bytes_terminated(&mut out, name.as_bytes());
    Key::from(out)
}

fn by_node(area: u8, node: NodeId) -> Key {
    let mut out = vec![prefix::SYSTEM, area];
    encoding::put_u32(&mut out, node.get());
    Key::from(out)
}

/// The counter that ids of one kind are taken from.
pub fn allocator(name: &str) -> Key {
    named(AREA_ALLOCATOR, name)
}

/// What is wanted of the ranges of the span that begins with a key.
pub fn config(start: &[u8]) -> Key {
    let mut out = vec![prefix::SYSTEM, AREA_CONFIG];
    encoding::put_bytes_terminated(&mut out, start);
    Key::from(out)
}

/// The configurations of all spans.
pub fn config_span() -> Span {
    Span::prefix(vec![prefix::SYSTEM, AREA_CONFIG])
}

/// Takes the key of a configuration apart: the first key of its span.
pub fn parse_config(key: &[u8]) -> Result<Key, KeyError> {
    let mut decoder = Decoder::new(key);
    for expected in [prefix::SYSTEM, AREA_CONFIG] {
        let byte = decoder.take_u8()?;
        if byte != expected {
            return Err(KeyError::Invalid(byte));
        }
    }
    let start = decoder.take_bytes_terminated()?;
    decoder.finish()?;
    Ok(Key::copy_from(&start))
}

/// A number that changes with every change of a configuration: eight bytes, big-endian.
pub fn config_version() -> Key {
    record("config-version")
}

/// The liveness record of a node.
pub fn liveness(node: NodeId) -> Key {
    by_node(AREA_LIVENESS, node)
}

/// The liveness records of all nodes.
pub fn liveness_span() -> Span {
    Span::prefix(vec![prefix::SYSTEM, AREA_LIVENESS])
}

/// Addresses and attributes of a node.
pub fn node(node: NodeId) -> Key {
    by_node(AREA_NODE, node)
}

/// Takes the key of a node's record apart.
pub fn parse_node(key: &[u8]) -> Result<NodeId, KeyError> {
    let mut decoder = Decoder::new(key);
    for expected in [prefix::SYSTEM, AREA_NODE] {
        let byte = decoder.take_u8()?;
        if byte != expected {
            return Err(KeyError::Invalid(byte));
        }
    }
    let id = decoder.take_u32()?;
    decoder.finish()?;
    Ok(NodeId(id))
}

/// The records of all nodes.
pub fn node_span() -> Span {
    Span::prefix(vec![prefix::SYSTEM, AREA_NODE])
}

/// Any other record of the cluster, by name.
pub fn record(name: &str) -> Key {
    named(AREA_RECORD, name)
}

/// A cluster setting.
pub fn setting(name: &str) -> Key {
    named(AREA_SETTING, name)
}

/// Takes the key of a cluster setting apart.
pub fn parse_setting(key: &[u8]) -> Result<String, KeyError> {
    let mut decoder = Decoder::new(key);
    for expected in [prefix::SYSTEM, AREA_SETTING] {
        let byte = decoder.take_u8()?;
        if byte != expected {
            return Err(KeyError::Invalid(byte));
        }
    }
    let name = decoder.take_bytes_terminated()?;
    decoder.finish()?;
    String::from_utf8(name).map_err(|_| KeyError::Invalid(AREA_SETTING))
}

/// All cluster settings.
pub fn setting_span() -> Span {
    Span::prefix(vec![prefix::SYSTEM, AREA_SETTING])
}
