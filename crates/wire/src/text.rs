//! Texts in frames.

pub use spec::text::cut;

/// The text in a field of fixed size: up to its first NUL, or all of it. What is not UTF-8 is replaced.
pub(crate) fn of_field(field: &[u8]) -> String {
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
