//! (documentation to come)
