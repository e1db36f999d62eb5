//! The types of system columns: oid and its relatives, xid, tid, pg_lsn.

use super::integer::{leading_unsigned, out_of_range, syntax_error, trim_spaces, write_unsigned};
use crate::data_type::DataType;
use crate::error::{PgError, PgResult};

/// oidin: a number; what fits into 32 bits, with a sign too.
pub(super) fn parse_oid(text: &str) -> PgResult<u32> {
    let Some((negative, value, rest)) = leading_unsigned(text, 10) else {
        return Err(syntax_error("oid", text));
    };
    if !trim_spaces(rest).is_empty() {
        return Err(syntax_error("oid", text));
    }
    let fits = if negative { value <= 1 << 31 } else { value < 1 << 32 };
    if !fits {
        return Err(out_of_range("oid", text));
    }
    Ok(if negative { (value as u32).wrapping_neg() } else { value as u32 })
}

/// xidin and cidin: as much of a C number as there is.
pub(super) fn parse_xid(text: &str) -> u64 {
    match leading_unsigned(text, 0) {
        None => 0,
        Some((negative, value, _)) => {
            let value = u64::try_from(value).unwrap_or(u64::MAX);
            if negative { value.wrapping_neg() } else { value }
        }
    }
}

/// regclass and its kin where the text needs no catalog: an oid, or `-` for none.
pub(super) fn parse_registered(data_type: DataType, text: &str) -> PgResult<u32> {
    if text == "-" {
        return Ok(0);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_oid(text);
    }
    Err(PgError::unsupported(format!("{data_type} by name here")))
}

/// tid: (block,offset), held as block << 16 | offset.
pub(super) fn parse_tid(text: &str) -> PgResult<u64> {
    let number = |part: &str| {
        let digits = part.trim_start();
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u32>().ok()).flatten()
    };
    let inner = text.trim_start().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let parsed = inner.and_then(|inner| {
        let (block, offset) = inner.split_once(',')?;
        Some((number(block)?, u16::try_from(number(offset)?).ok()?))
    });
    let (block, offset) = parsed.ok_or_else(|| syntax_error("tid", text))?;
    Ok(u64::from(block) << 16 | u64::from(offset))
}

pub(super) fn write_tid(value: u64, out: &mut Vec<u8>) {
    out.push(b'(');
    write_unsigned(value >> 16, out);
    out.push(b',');
    write_unsigned(value & 0xffff, out);
    out.push(b')');
}

/// pg_lsn: two hex numbers of up to eight digits.
pub(super) fn parse_lsn(text: &str) -> PgResult<u64> {
    let half = |digits: &str| {
        let valid = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        valid.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
    };
    text.split_once('/')
        .and_then(|(high, low)| Some(half(high)? << 32 | half(low)?))
        .ok_or_else(|| syntax_error("pg_lsn", text))
}

pub(super) fn write_lsn(value: u64, out: &mut Vec<u8>) {
    let hex = |value: u64, out: &mut Vec<u8>| {
        let mut started = false;
        for shift in (0..32).step_by(4).rev() {
            let digit = (value >> shift & 15) as u8;
            started |= digit != 0 || shift == 0;
            if started {
                out.push(if digit < 10 { b'0' + digit } else { b'A' + digit - 10 });
            }
        }
    };
    hex(value >> 32, out);
    out.push(b'/');
    hex(value & 0xffff_ffff, out);
}
