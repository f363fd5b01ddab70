//! Sizes and ages of what is kept on disk, for people.

use std::time::{Duration, SystemTime};

use indicatif::HumanDuration;

/// `9 KiB`, `3 MiB`: whole units, rounded up.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{} MiB", mib(bytes)),
    }
}

/// Whole MiB, rounded up.
pub(crate) fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// `3 hours ago`, of a time in seconds since 1970.
pub(crate) fn age(at_s: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    match now.saturating_sub(at_s) {
        0 => "now".to_owned(),
        seconds => format!("{} ago", HumanDuration(Duration::from_secs(seconds))),
    }
}
