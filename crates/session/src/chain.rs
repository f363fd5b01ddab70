//! An error with all its causes in one line.

/// The error's text and its causes', from the outermost in: `keep the record: rename …: no space left on device`.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::chain;

    #[derive(Debug, thiserror::Error)]
    #[error("keep the record")]
    struct Outer(#[source] io::Error);

    #[test]
    fn causes_follow_from_the_outermost_in() {
        assert_eq!(
            chain(&Outer(io::Error::other("disk on fire"))),
            "keep the record: disk on fire"
        );
    }
}
