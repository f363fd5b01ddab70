//! How a command ends early: with an error that the host receives, or because the host cannot be reached.

use std::fmt::Display;
use std::io;

use spec::OpError;

use crate::door::DoorError;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command failed; its reply says so.
    #[error(transparent)]
    Op(#[from] OpError),
    /// A notice did not get through.
    #[error(transparent)]
    Door(#[from] DoorError),
}

/// A failed system call, as a map: `.map_err(system("write /a/b"))`.
pub(crate) fn system<E: Into<io::Error>>(doing: impl Display) -> impl FnOnce(E) -> OpError {
    move |error| {
        let error = error.into();
        let message = error.to_string();
        // The standard library ends its text with what the error number repeats.
        let message = message.split(" (os error").next().unwrap_or_default().to_owned();
        OpError::System {
            doing: doing.to_string(),
            errno: error.raw_os_error().unwrap_or(0),
            message,
            next: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_is_reported_once_with_its_number() {
        let error = system("open /x")(io::Error::from_raw_os_error(2));
        assert_eq!(error.to_string(), "open /x: No such file or directory (errno 2)");
    }
}
