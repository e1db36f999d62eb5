//! The bytes of the protocol: what the client sends ([`decode`]) and what the server answers ([`encode`]).
//!
//! Own code rather than `pgwire`'s codec, which on this path makes an owned `String` or `Bytes` of every field, decodes SQL with
//! `from_utf8_lossy`, and unwinds on some malformed lengths. Here a decoded message is a view into the input buffer whose every
//! length was checked once, and an encoded one is appended to the output buffer; neither allocates. `pgwire` still serves the
//! tests as an independent reader of what we write.

pub(crate) mod decode;
pub(crate) mod encode;

pub use decode::{Bind, FormatList, ParameterValues};
