//! The benchmarks of `cargo xtask bench`: a separate program, since it depends on the product and xtask must not.
//!
//! A benchmark is a function that returns figures; [`BENCHES`] lists them all.
#![forbid(unsafe_code)]

mod boot;
mod btf;
mod calls;
mod figure;
mod fork;
mod memory;
mod observe;
mod runs;
mod snapshot;
mod warm;

use anyhow::{Result, bail};
use clap::Parser;

use figure::Figure;

/// Measures, and prints each figure with its unit, its spread and its peer's value, if it has a peer.
#[derive(Debug, Parser)]
struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Samples of each figure; the median is reported.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    samples: u32,
    /// Only benchmarks whose name contains this.
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Takes the number of samples.
type Bench = fn(u32) -> Result<Vec<Figure>>;

const BENCHES: &[(&str, Bench)] = &[
    ("boot", boot::measure),
    ("btf", btf::measure),
    ("calls", calls::measure),
    ("fork", fork::measure),
    ("memory", memory::measure),
    ("observe", observe::measure),
    ("run", runs::measure),
    ("snapshot", snapshot::measure),
    ("warm", warm::measure),
];

fn main() -> Result<()> {
    let args = Args::parse();
    let wanted = |name: &str| args.name.as_ref().is_none_or(|part| name.contains(part.as_str()));
    let chosen: Vec<_> = BENCHES.iter().filter(|(name, _)| wanted(name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
        bail!("no such benchmark; benchmarks: {}", names.join(", "));
    }
    let mut figures = Vec::new();
    for (name, bench) in chosen {
        eprintln!("measuring {name}");
        figures.extend(bench(args.samples)?);
    }
    print!(
        "{}",
        if args.json {
            figure::json(&figures)
        } else {
            figure::table(&figures)
        }
    );
    Ok(())
}
