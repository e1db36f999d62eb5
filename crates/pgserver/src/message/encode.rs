//! Encoding of backend messages, each appended to the output buffer.

use types::error::PgError;

use crate::cancel::CancelKey;
use crate::session::{ColumnDescription, ColumnFormats, Format, Notification, TransactionStatus};

/// Appends a message of type `kind` whose body `write` appends.
fn message(out: &mut Vec<u8>, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = begin(out, kind);
    write(out);
    end(out, start);
}

/// Begins a message whose length is not known yet; returns where, for [`end`].
pub(crate) fn begin(out: &mut Vec<u8>, kind: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[kind, 0, 0, 0, 0]);
    start
}

/// Ends the message begun at `start`. Its length counts itself but not the type byte.
pub(crate) fn end(out: &mut [u8], start: usize) {
    let length = (out.len() - start - 1) as u32;
    out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
}

fn cstring(out: &mut Vec<u8>, text: &str) {
    // A zero byte inside would end the string early and put the client out of step.
    match text.find('\0') {
        None => out.extend_from_slice(text.as_bytes()),
        Some(zero) => out.extend_from_slice(&text.as_bytes()[..zero]),
    }
    out.push(0);
}

/// The messages that consist of their type alone.
#[derive(Clone, Copy)]
pub(crate) enum Bare {
    ParseComplete = b'1' as isize,
    BindComplete = b'2' as isize,
    CloseComplete = b'3' as isize,
    NoData = b'n' as isize,
    EmptyQueryResponse = b'I' as isize,
    PortalSuspended = b's' as isize,
    CopyDone = b'c' as isize,
}

pub(crate) fn bare(out: &mut Vec<u8>, message: Bare) {
    out.extend_from_slice(&[message as isize as u8, 0, 0, 0, 4]);
}

pub(crate) fn ready_for_query(out: &mut Vec<u8>, status: TransactionStatus) {
    out.extend_from_slice(&[b'Z', 0, 0, 0, 5, status.byte()]);
}

pub(crate) fn authentication(out: &mut Vec<u8>, code: i32, data: &[u8]) {
    message(out, b'R', |out| {
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(data);
    });
}

pub(crate) fn backend_key_data(out: &mut Vec<u8>, key: &CancelKey) {
    message(out, b'K', |out| {
        out.extend_from_slice(&key.process_id().to_be_bytes());
        out.extend_from_slice(key.secret());
    });
}

pub(crate) fn negotiate_protocol_version(out: &mut Vec<u8>, version: u32, unknown_options: &[String]) {
    message(out, b'v', |out| {
        out.extend_from_slice(&version.to_be_bytes());
        out.extend_from_slice(&(unknown_options.len() as i32).to_be_bytes());
        for option in unknown_options {
            cstring(out, option);
        }
    });
}

pub(crate) fn parameter_status(out: &mut Vec<u8>, name: &str, value: &str) {
    message(out, b'S', |out| {
        cstring(out, name);
        cstring(out, value);
    });
}

pub(crate) fn notification(out: &mut Vec<u8>, notification: &Notification) {
    message(out, b'A', |out| {
        out.extend_from_slice(&notification.process_id.to_be_bytes());
        cstring(out, &notification.channel);
        cstring(out, &notification.payload);
    });
}

pub(crate) fn parameter_description(out: &mut Vec<u8>, types: &[u32]) {
    message(out, b't', |out| {
        out.extend_from_slice(&(types.len() as u16).to_be_bytes());
        for oid in types {
            out.extend_from_slice(&oid.to_be_bytes());
        }
    });
}

pub(crate) fn row_description(out: &mut Vec<u8>, columns: &[ColumnDescription], formats: &ColumnFormats) {
    message(out, b'T', |out| {
        out.extend_from_slice(&(columns.len() as u16).to_be_bytes());
        for (index, column) in columns.iter().enumerate() {
            cstring(out, &column.name);
            out.extend_from_slice(&column.table_oid.to_be_bytes());
            out.extend_from_slice(&column.attribute_number.to_be_bytes());
            out.extend_from_slice(&column.type_oid.to_be_bytes());
            out.extend_from_slice(&column.type_size.to_be_bytes());
            out.extend_from_slice(&column.type_modifier.to_be_bytes());
            out.extend_from_slice(&formats.column(index).code().to_be_bytes());
        }
    });
}

/// CommandComplete with a tag of the form `verb`, or `verb count`, or `INSERT 0 count`.
pub(crate) fn command_complete(out: &mut Vec<u8>, verb: &str, row_count: Option<u64>) {
    message(out, b'C', |out| {
        out.extend_from_slice(verb.as_bytes());
        if let Some(count) = row_count {
            // INSERT once told the OID of the row; the zero is what is left of it.
            out.extend_from_slice(if verb == "INSERT" { b" 0 " } else { b" " });
            decimal(out, count);
        }
        out.push(0);
    });
}

/// Appends `number` in decimal: the formatting machinery would cost more than the rest of the message.
fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// CopyInResponse (`G`) or CopyOutResponse (`H`).
pub(crate) fn copy_response(out: &mut Vec<u8>, kind: u8, format: Format, column_count: usize) {
    message(out, kind, |out| {
        out.push(format.code() as u8);
        out.extend_from_slice(&(column_count as u16).to_be_bytes());
        for _ in 0..column_count {
            out.extend_from_slice(&format.code().to_be_bytes());
        }
    });
}

/// ErrorResponse (`E`) or NoticeResponse (`N`). The position is taken to count characters: see [`locate`].
pub(crate) fn error(out: &mut Vec<u8>, kind: u8, error: &PgError) {
    let fields = error.fields();
    message(out, kind, |out| {
        let mut field = |code: u8, value: &str| {
            out.push(code);
            cstring(out, value);
        };
        field(b'S', fields.severity.as_str());
        field(b'V', fields.severity.as_str());
        field(b'C', fields.code.as_str());
        field(b'M', &fields.message);
        if let Some(position) = fields.position {
            field(b'P', &(u64::from(position) + 1).to_string());
        }
        let optional = [
            (b'D', &fields.detail),
            (b'H', &fields.hint),
            (b'W', &fields.context),
            (b's', &fields.schema),
            (b't', &fields.table),
            (b'c', &fields.column),
            (b'd', &fields.data_type),
            (b'n', &fields.constraint),
        ];
        for (code, value) in optional {
            if let Some(value) = value {
                field(code, value);
            }
        }
        out.push(0);
    });
}

/// Turns the position of an error in `text` from bytes into characters, both from 0.
pub(crate) fn locate(mut error: PgError, text: &str) -> PgError {
    if let Some(position) = &mut error.fields_mut().position {
        let byte = *position as usize;
        *position = text.char_indices().take_while(|(at, _)| *at < byte).count() as u32;
    }
    error
}
