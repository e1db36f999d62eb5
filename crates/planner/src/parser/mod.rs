//! Statement text to [`crate::ast`].

pub mod keywords;
pub(crate) mod lexer;

/// Height of a statement's tree at most: deeper ones are refused with 54001.
pub const DEPTH_MAX: u32 = 2000;
