//! The messages of the top-level `proto/` as Rust types, and nothing else: no logic.
//!
//! What each one means stands in the `.proto` files. Only `rpc` uses these types.

/// Package `meridian.v1`.
pub mod v1 {
    // Generated: neither its layout nor its documentation is ours.
    #![allow(clippy::all, rustdoc::all)]
    include!(concat!(env!("OUT_DIR"), "/meridian.v1.rs"));
}
