//! Measured values, and their printing.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};

/// One measured value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    /// The name: `benchmark.value`.
    pub(crate) name: &'static str,
    /// The unit, also of the peer's value.
    pub(crate) unit: &'static str,
    /// The median of the samples.
    pub(crate) value: f64,
    /// The smallest sample.
    pub(crate) low: f64,
    /// The greatest sample.
    pub(crate) high: f64,
    /// The number of samples.
    pub(crate) samples: usize,
    /// The value of another implementation.
    pub(crate) peer: Option<Peer>,
}

/// The value that a figure is compared with, measured on the same machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Peer {
    /// The peer's name.
    pub(crate) name: &'static str,
    /// The peer's value, in the figure's unit.
    pub(crate) value: f64,
}

/// The time that `what` takes, in milliseconds.
pub(crate) fn millis<T>(what: impl FnOnce() -> Result<T>) -> Result<f64> {
    let begin = Instant::now();
    black_box(what()?);
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

impl Figure {
    /// The figure of these samples.
    ///
    /// # Errors
    /// Without any sample.
    pub(crate) fn of(name: &'static str, unit: &'static str, mut samples: Vec<f64>) -> Result<Figure> {
        samples.sort_by(f64::total_cmp);
        let middle = samples
            .get(samples.len() / 2)
            .with_context(|| format!("{name} was not measured"))?;
        let low = samples.first().unwrap_or(middle);
        let high = samples.last().unwrap_or(middle);
        Ok(Figure {
            name,
            unit,
            value: *middle,
            low: *low,
            high: *high,
            samples: samples.len(),
            peer: None,
        })
    }

    /// The ratio of the figure's value to the peer's.
    fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().map(|peer| self.value / peer.value)
    }
}

/// The figures as a table.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut text = format!(
        "{:<24}{:>12} {:<10}{:>12}{:>12}{:>4}  peer\n",
        "name", "value", "unit", "low", "high", "n"
    );
    for figure in figures {
        let Figure {
            name,
            unit,
            value,
            low,
            high,
            samples,
            ..
        } = figure;
        let peer = match (&figure.peer, figure.ratio()) {
            (Some(peer), Some(ratio)) => format!("{} {:.3}, ratio {ratio:.2}", peer.name, peer.value),
            _ => "-".to_owned(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{name:<24}{value:>12.3} {unit:<10}{low:>12.3}{high:>12.3}{samples:>4}  {peer}"
        );
    }
    text
}

/// The figures as JSON: an array of objects.
pub(crate) fn json(figures: &[Figure]) -> String {
    let objects: Vec<_> = figures
        .iter()
        .map(|figure| {
            serde_json::json!({
                "name": figure.name,
                "unit": figure.unit,
                "value": figure.value,
                "low": figure.low,
                "high": figure.high,
                "samples": figure.samples,
                "peer": figure.peer.as_ref().map(|peer| serde_json::json!({ "name": peer.name, "value": peer.value })),
                "ratio": figure.ratio(),
            })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::from(objects))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_with_its_spread() {
        let figure = Figure::of("a.b", "s", vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!(
            (figure.low, figure.value, figure.high, figure.samples),
            (1.0, 2.0, 3.0, 3)
        );
        assert!(Figure::of("a.b", "s", Vec::new()).is_err());
    }

    #[test]
    fn a_peer_is_shown_with_the_ratio() {
        let plain = Figure::of("a.b", "s", vec![2.0]).unwrap();
        assert!(table(std::slice::from_ref(&plain)).trim_end().ends_with('-'));
        let figure = Figure {
            peer: Some(Peer {
                name: "other",
                value: 8.0,
            }),
            ..plain
        };
        assert!(table(std::slice::from_ref(&figure)).contains("other 8.000, ratio 0.25"));
        let json: serde_json::Value = serde_json::from_str(&json(&[figure])).unwrap();
        assert_eq!(json[0]["ratio"], 0.25);
        assert_eq!(json[0]["peer"]["name"], "other");
    }
}
