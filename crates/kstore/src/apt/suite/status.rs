//! apt's status stream (`APT::Status-Fd`), as percentages.

/// A line handler that reports each new percentage; apt prints the same one many times a second.
pub(super) fn on_percent(mut report: impl FnMut(f32)) -> impl FnMut(&str) {
    let mut last = None;
    move |line| {
        let percent = status_percent(line);
        if let Some(percent) = percent.filter(|_| percent != last) {
            last = Some(percent);
            report(percent);
        }
    }
}

/// The percentage in a line of apt's status stream: `dlstatus:<item>:<percent>:<text>`.
fn status_percent(line: &str) -> Option<f32> {
    let (_, rest) = line.strip_prefix("dlstatus:")?.split_once(':')?;
    let percent: f32 = rest.split(':').next()?.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_percentages_are_reported_once() {
        let mut reported = Vec::new();
        let mut on_line = on_percent(|percent| reported.push(percent));
        for line in [
            "dlstatus:1:10:x",
            "noise",
            "dlstatus:1:10:x",
            "dlstatus:2:20:x",
            "dlstatus:2:20:y",
        ] {
            on_line(line);
        }
        drop(on_line);
        assert_eq!(reported, [10.0, 20.0]);
    }

    #[test]
    fn percentages_are_taken_from_download_status_only() {
        let check = |line: &str, expect: Option<f32>| assert_eq!(status_percent(line), expect, "{line}");
        check("dlstatus:2:15.7327:Retrieving file 2 of 2", Some(15.7327));
        check("dlstatus:2:100.0000:x", Some(100.0));
        check("dlstatus:2:150:x", None);
        check("dlstatus:2", None);
        check("pmstatus:dpkg:10:x", None);
        check("Get:1 sid InRelease", None);
    }
}
