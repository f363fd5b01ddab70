//! Reading the memory of a booted, frozen guest.
//!
//! ```text
//! memory.chunked    32 MiB of the direct map by `read_chunked`, GiB/s     peer: memcpy of as much into a new buffer
//! memory.walks      walks of the kernel's page tables, 1/s                  peer: by arithmetic, where that is possible
//! memory.find       the kernel found in memory, ms
//! ```

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use introspect::{DebugInfo, GuestKernel, Hints, Placement};
use kimage::KernelImage;

use crate::boot;
use crate::figure::{Figure, Peer};

const MIB: usize = 1 << 20;
const LEN: usize = 32 * MIB;
const WALKS: u64 = 100_000;

pub(crate) fn measure(samples: u32) -> Result<Vec<Figure>> {
    let kernel = boot::kernel()?;
    let info = DebugInfo::of_kernel(&KernelImage::read(&kernel.files.vmlinux)?)?;
    let session = boot::booted(&kernel)?;
    let memory = session.memory();

    let mut find = Vec::new();
    for _ in 0..samples {
        let begin = Instant::now();
        black_box(Placement::find(&info, memory, &Hints::default())?);
        find.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    let place = Placement::find(&info, memory, &Hints::default())?;
    let guest = GuestKernel::frozen(&info, memory, place);
    let live = GuestKernel::live(&info, memory, place);
    let from = guest.page_offset().wrapping_add(64 * MIB as u64);
    let mapped = guest.symbol("_text")?;

    let source = vec![3u8; LEN];
    let (mut chunked, mut copied, mut walked, mut remembered) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..samples {
        copied.push(rate(|| Ok(black_box(black_box(&source).clone())))?);
        chunked.push(rate(|| Ok(guest.read_chunked(from, LEN)?))?);
        walked.push(walks(|page| {
            black_box(live.space().translate(mapped.wrapping_add(page))?);
            Ok(())
        })?);
        remembered.push(walks(|page| {
            black_box(guest.translate(mapped.wrapping_add(page))?);
            Ok(())
        })?);
    }
    session.finish();
    let memcpy = Figure::of("memcpy", "GiB/s", copied)?;
    let remembered = Figure::of("remembered", "1/s", remembered)?;
    Ok(vec![
        Figure {
            peer: Some(Peer {
                name: "memcpy",
                value: memcpy.value,
            }),
            ..Figure::of("memory.chunked", "GiB/s", chunked)?
        },
        Figure {
            peer: Some(Peer {
                name: "by arithmetic",
                value: remembered.value,
            }),
            ..Figure::of("memory.walks", "1/s", walked)?
        },
        Figure::of("memory.find", "ms", find)?,
    ])
}

/// GiB per second of reads of `LEN` bytes.
fn rate(mut read: impl FnMut() -> Result<Vec<u8>>) -> Result<f64> {
    const ROUNDS: usize = 8;
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        let bytes = black_box(read()?);
        anyhow::ensure!(bytes.len() == LEN, "{} bytes", bytes.len());
    }
    Ok((ROUNDS * LEN) as f64 / begin.elapsed().as_secs_f64() / f64::from(1 << 30))
}

/// Walks per second, each to another page.
fn walks(mut walk: impl FnMut(u64) -> Result<()>) -> Result<f64> {
    /// Bytes of the kernel's text.
    const PAGES: u64 = 4096;
    let begin = Instant::now();
    for walked in 0..WALKS {
        walk((walked * 61 % PAGES) << 12).context("walk")?;
    }
    Ok(WALKS as f64 / begin.elapsed().as_secs_f64())
}
