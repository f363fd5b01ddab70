//! A prompt for queries: at a terminal with a line editor, else a query a line.

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};
use schedrig::Query;

use crate::page::note;
use crate::query;

const HELP: &str = "An empty line or Ctrl-D goes on.";

/// Reads queries until the input ends or a line is empty, and has each answered.
pub(crate) fn serve(place: &str, mut answer: impl FnMut(&Query)) {
    note!("{place}. Queries: {}. {HELP}", Query::HELP);
    let mut editor = match Editor::<(), MemHistory>::with_history(Config::default(), MemHistory::new()) {
        Ok(editor) => editor,
        Err(error) => {
            note!("error: the terminal cannot be used: {error}");
            return;
        }
    };
    loop {
        let line = match editor.readline("schedrig> ") {
            Ok(line) if !line.trim().is_empty() => line,
            Ok(_) | Err(ReadlineError::Eof | ReadlineError::Interrupted) => return,
            // What was read of it is gone, and the next line is another.
            Err(ReadlineError::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                note!("error: a query is UTF-8 text");
                continue;
            }
            Err(error) => {
                note!("error: read a query: {error}");
                return;
            }
        };
        // That it is not in the history is no reason not to answer.
        let _ = editor.add_history_entry(&line);
        match query::parse(&[line]) {
            Ok(queries) => queries.iter().for_each(&mut answer),
            Err(error) => note!("error: {error}"),
        }
    }
}
