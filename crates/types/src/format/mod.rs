//! PostgreSQL's text and binary formats.

/// Session settings that input and output depend on.
#[derive(Clone, Debug)]
pub struct FormatContext {
    /// TimeZone setting: an IANA name or a fixed offset as PostgreSQL accepts it.
    pub time_zone: String,
}
