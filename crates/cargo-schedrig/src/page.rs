//! How wide the page is on which a report is printed.

/// Columns of the terminal; where standard output is none, as many as a report takes at the most.
pub(crate) fn width() -> usize {
    let terminal = console::Term::stdout();
    match terminal.size_checked() {
        Some((_, columns)) if terminal.is_term() => columns.into(),
        _ => report::text::WIDTH,
    }
}
