// SPDX-License-Identifier: GPL-2.0-or-later
//! Why the kernel ended the scheduler: the record that `ops.exit` sends, as laid out in `bpf/exit_record.h`.

use std::fmt;

use thiserror::Error;

const REASON_AT: usize = 16;
const REASON_LEN: usize = 128;
const MESSAGE_AT: usize = REASON_AT + REASON_LEN;
const MESSAGE_LEN: usize = 1024;
const RECORD_LEN: usize = MESSAGE_AT + MESSAGE_LEN;

/// The first value of `enum scx_exit_kind` that means an error (`SCX_EXIT_ERROR`).
const FIRST_ERROR: u64 = 1024;

/// The contents of the kernel's `struct scx_exit_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExitRecord {
    /// `enum scx_exit_kind`.
    pub(crate) kind: u64,
    /// Code given by the caller that ended the scheduler; 0 if none.
    pub(crate) code: i64,
    /// The kernel's text for the kind, such as "runnable task stall".
    pub(crate) reason: String,
    /// The kernel's details, such as "spin\[123\] failed to run for 5.016s"; may be empty.
    pub(crate) message: String,
}

/// The ring buffer delivered no exit record: BPF program and user space were not built together.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("parse the exit record: {len} bytes instead of {RECORD_LEN}; rebuild scx_baton")]
pub(crate) struct ExitRecordError {
    len: usize,
}

impl ExitRecord {
    /// Reads a `struct exit_record`.
    ///
    /// # Errors
    /// [`ExitRecordError`] if `bytes` is shorter than a record.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ExitRecordError> {
        let error = || ExitRecordError { len: bytes.len() };
        let (kind, rest) = bytes.split_first_chunk::<8>().ok_or_else(error)?;
        let (code, _) = rest.split_first_chunk::<8>().ok_or_else(error)?;
        Ok(Self {
            kind: u64::from_ne_bytes(*kind),
            code: i64::from_ne_bytes(*code),
            reason: c_text(bytes.get(REASON_AT..MESSAGE_AT).ok_or_else(error)?),
            message: c_text(bytes.get(MESSAGE_AT..RECORD_LEN).ok_or_else(error)?),
        })
    }

    /// Whether the scheduler failed, as opposed to being unregistered on request.
    pub(crate) fn is_error(&self) -> bool {
        self.kind >= FIRST_ERROR
    }
}

/// `kind=error_stall reason="runnable task stall" msg="spin[123] failed to run for 5.016s"`
impl fmt::Display for ExitRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kind_name(self.kind) {
            Some(name) => write!(f, "kind={name}")?,
            None => write!(f, "kind={}", self.kind)?,
        }
        if self.code != 0 {
            write!(f, " code={}", self.code)?;
        }
        write!(f, " reason={:?} msg={:?}", self.reason, self.message)
    }
}

/// The kernel's name in `enum scx_exit_kind`, without `SCX_EXIT_`; kinds newer than v7.3 have no name here.
fn kind_name(kind: u64) -> Option<&'static str> {
    Some(match kind {
        0 => "none",
        1 => "done",
        64 => "unreg",
        65 => "unreg_bpf",
        66 => "unreg_kern",
        67 => "sysrq",
        68 => "parent",
        69 => "parent_kill",
        1024 => "error",
        1025 => "error_bpf",
        1026 => "error_stall",
        1027 => "error_reenq",
        1028 => "error_rescue",
        _ => return None,
    })
}

/// Text up to the first NUL, or all of it.
fn c_text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u64, code: i64, reason: &[u8], message: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; RECORD_LEN];
        bytes[..8].copy_from_slice(&kind.to_ne_bytes());
        bytes[8..16].copy_from_slice(&code.to_ne_bytes());
        bytes[REASON_AT..REASON_AT + reason.len()].copy_from_slice(reason);
        bytes[MESSAGE_AT..MESSAGE_AT + message.len()].copy_from_slice(message);
        bytes
    }

    #[test]
    fn a_stall_is_an_error_and_names_its_task() {
        let bytes = record(
            1026,
            0,
            b"runnable task stall",
            b"spin[123] failed to run for 5.016s",
        );
        let exit = ExitRecord::parse(&bytes).unwrap();
        assert!(exit.is_error());
        assert_eq!(
            exit.to_string(),
            r#"kind=error_stall reason="runnable task stall" msg="spin[123] failed to run for 5.016s""#
        );
    }

    #[test]
    fn only_kinds_from_1024_on_are_errors() {
        for (kind, is_error) in [
            (0, false),
            (64, false),
            (69, false),
            (1023, false),
            (1024, true),
            (9999, true),
        ] {
            assert_eq!(
                ExitRecord::parse(&record(kind, 0, b"", b"")).unwrap().is_error(),
                is_error,
                "kind {kind}"
            );
        }
    }

    #[test]
    fn an_unknown_kind_and_a_code_are_shown_as_numbers() {
        let exit = ExitRecord::parse(&record(77, -3, b"r", b"")).unwrap();
        assert_eq!(exit.to_string(), r#"kind=77 code=-3 reason="r" msg="""#);
    }

    #[test]
    fn a_text_without_nul_fills_its_field() {
        let exit = ExitRecord::parse(&record(64, 0, &[b'r'; REASON_LEN], &[b'm'; MESSAGE_LEN])).unwrap();
        assert_eq!((exit.reason.len(), exit.message.len()), (REASON_LEN, MESSAGE_LEN));
    }

    #[test]
    fn a_short_record_is_refused_with_its_length() {
        for len in [0, 7, 15, MESSAGE_AT, RECORD_LEN - 1] {
            assert_eq!(ExitRecord::parse(&vec![0; len]), Err(ExitRecordError { len }));
        }
    }
}
