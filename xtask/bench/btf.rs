//! A kernel's types: parsing them, and resolving nested paths to members, compared with a plain library and with
//! `bpftool`.
//!
//! ```text
//! btf.load      bytes in memory ─► types for queries                peer: btf-rs
//! btf.lookup    10,000 nested paths ─► offset and type              peer: btf-rs, by resolving ids and names
//! btf.layout    a kernel's file ─► the layout of task_struct        peer: `bpftool btf dump`
//! ```

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use btf_rs::Type;
use introspect::btf::Btf;
use kimage::KernelImage;

use crate::boot;
use crate::figure::{Figure, Peer, millis};

/// Paths that schedulers' tests use; some through anonymous unions, arrays and structs in structs.
const PATHS: [(&str, &str); 10] = [
    ("task_struct", "se.vruntime"),
    ("task_struct", "se.avg.load_avg"),
    ("task_struct", "scx.dsq_list.node.next"),
    ("task_struct", "thread_info.cpu"),
    ("task_struct", "sched_info.run_delay"),
    ("rq", "cfs.load.weight"),
    ("rq", "cfs.avg.util_avg"),
    ("rq", "scx.local_dsq.nr"),
    ("rq", "rq_sched_info.pcount"),
    ("sched_domain", "name"),
];
const LOOKUPS: usize = 10_000;

pub(crate) fn measure(samples: u32) -> Result<Vec<Figure>> {
    let kernel = boot::kernel()?;
    let image = KernelImage::read(&kernel.files.vmlinux)?;
    let bytes = image.require_btf()?;
    let ours = Btf::parse(bytes)?;
    let theirs = btf_rs::Btf::from_bytes(bytes)?;
    for (structure, path) in PATHS {
        let (mine, other) = (
            ours.offset_of(structure, path)?,
            plainly(&theirs, structure, path)?,
        );
        ensure!(mine == other, "{structure}.{path}: {mine} and {other}");
    }

    let mut times: [Vec<f64>; 6] = Default::default();
    for _ in 0..samples {
        let sample = [
            millis(|| Ok(Btf::parse(black_box(bytes))?))?,
            millis(|| Ok(btf_rs::Btf::from_bytes(black_box(bytes))?))?,
            millis(|| lookups(|structure, path| Ok(ours.offset_of(structure, path)?)))?,
            millis(|| lookups(|structure, path| plainly(&theirs, structure, path)))?,
            millis(|| {
                let image = KernelImage::read(&kernel.files.vmlinux)?;
                let btf = Btf::parse(image.require_btf()?)?;
                let members = btf.members(btf.structure("task_struct")?);
                black_box(members.count());
                Ok(())
            })?,
            bpftool(&kernel.files.vmlinux)?.unwrap_or(f64::NAN),
        ];
        for (times, time) in times.iter_mut().zip(sample) {
            times.push(time);
        }
    }
    let [load, load_peer, lookup, lookup_peer, layout, layout_peer] = times;
    Ok(vec![
        beside("btf.load", load, "btf-rs", load_peer)?,
        beside("btf.lookup", lookup, "btf-rs", lookup_peer)?,
        beside("btf.layout", layout, "bpftool", layout_peer)?,
    ])
}

fn beside(name: &'static str, ours: Vec<f64>, peer: &'static str, theirs: Vec<f64>) -> Result<Figure> {
    let theirs = Figure::of(peer, "ms", theirs)?;
    Ok(Figure {
        peer: theirs.value.is_finite().then_some(Peer {
            name: peer,
            value: theirs.value,
        }),
        ..Figure::of(name, "ms", ours)?
    })
}

fn lookups(find: impl Fn(&str, &str) -> Result<u64>) -> Result<()> {
    for (structure, path) in PATHS.iter().cycle().take(LOOKUPS) {
        black_box(find(structure, path)?);
    }
    Ok(())
}

/// The offset in bytes, resolved with the peer library, which offers ids and names.
fn plainly(btf: &btf_rs::Btf, structure: &str, path: &str) -> Result<u64> {
    let types = btf.resolve_types_by_name(structure)?;
    let mut at = types
        .into_iter()
        .find(|found| matches!(found, Type::Struct(_)))
        .with_context(|| format!("no struct {structure}"))?;
    let mut bits = 0;
    for name in path.split('.') {
        let (offset, found) =
            member(btf, &at, name)?.with_context(|| format!("{structure} has no {path}"))?;
        bits += offset;
        at = found;
    }
    Ok(u64::from(bits) / 8)
}

fn member(btf: &btf_rs::Btf, of: &Type, name: &str) -> Result<Option<(u32, Type)>> {
    let (Type::Struct(structure) | Type::Union(structure)) = of else {
        bail!("{name} is looked up in a type without members");
    };
    for member in &structure.members {
        let found = btf.resolve_name(member)?;
        if found == name {
            return Ok(Some((
                member.bit_offset(),
                resolved(btf, btf.resolve_chained_type(member)?)?,
            )));
        }
        if found.is_empty() {
            let inner = resolved(btf, btf.resolve_chained_type(member)?)?;
            if let Some((offset, found)) = self::member(btf, &inner, name)? {
                return Ok(Some((member.bit_offset() + offset, found)));
            }
        }
    }
    Ok(None)
}

/// The type without typedefs and qualifiers.
fn resolved(btf: &btf_rs::Btf, mut at: Type) -> Result<Type> {
    loop {
        at = match &at {
            Type::Typedef(inner) => btf.resolve_chained_type(inner)?,
            Type::Volatile(inner) | Type::Const(inner) => btf.resolve_chained_type(inner)?,
            _ => return Ok(at),
        };
    }
}

/// The time of the tool, in ms; `None` if it is not installed.
fn bpftool(vmlinux: &std::path::Path) -> Result<Option<f64>> {
    let begin = Instant::now();
    let status = Command::new("bpftool")
        .args(["btf", "dump", "file"])
        .arg(vmlinux)
        .args(["format", "c"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let took = begin.elapsed().as_secs_f64() * 1e3;
    match status {
        Ok(status) => {
            ensure!(status.success(), "bpftool: {status}");
            Ok(Some(took))
        }
        Err(_) => Ok(None),
    }
}
