//! What is printed, and how wide the page is.
//!
//! `println!` panics where its reader has gone, as `head` does. Here a reader that has gone is no error: the command ends as
//! it would have. Any other failure is told at the end, and is in the exit code.

use std::fmt::Arguments;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// Why standard output could not be written to, the first time.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints to standard output.
macro_rules! out {
    ($($text:tt)*) => { $crate::page::print(format_args!($($text)*)) };
}

/// Prints a line to standard output.
macro_rules! outln {
    ($($text:tt)*) => { $crate::page::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints a line to standard error.
macro_rules! note {
    ($($text:tt)*) => { $crate::page::print_error(format_args!("{}\n", format_args!($($text)*))) };
}

pub(crate) use {note, out, outln};

/// Prints to standard output.
pub(crate) fn print(text: Arguments<'_>) {
    let mut out = io::stdout().lock();
    let printed = out.write_fmt(text).and_then(|()| out.flush());
    if let Err(error) = printed
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        FAILED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    }
}

/// Prints to standard error. Where that cannot be written to, nobody can be told.
pub(crate) fn print_error(text: Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// Why something that was to be printed was not; `None` where all was, or its reader has gone.
pub(crate) fn failed() -> Option<io::Error> {
    FAILED.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Columns of the terminal; where standard output is none, as many as a report takes at the most.
pub(crate) fn width() -> usize {
    let terminal = console::Term::stdout();
    match terminal.size_checked() {
        Some((_, columns)) if terminal.is_term() => columns.into(),
        _ => report::text::WIDTH,
    }
}
