//! What the tables of all views have in common.

use comfy_table::{CellAlignment, Table, presets};

/// A table without lines.
pub(crate) fn plain() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table
}

/// Numbers are compared by their last digits: aligns `columns` at their right.
pub(crate) fn align_right(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Blanks before each line of a table.
pub(crate) const INDENT: usize = 2;

/// The table's text, indented, without blanks at the ends of lines.
pub(crate) fn indented(table: &Table) -> String {
    table
        .to_string()
        .lines()
        .map(|line| format!("{:INDENT$}{}", "", line.trim_end()))
        .collect::<Vec<_>>()
        .join("\n")
}
