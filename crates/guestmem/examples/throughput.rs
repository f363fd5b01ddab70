//! Measures reads of guest memory, beside a plain `memcpy` of as many bytes (which has its own slow case: see
//! `piece_len` in `shared.rs`).
//!
//! `cargo run --release -p schedrig-guestmem --example throughput`

use std::hint::black_box;
use std::time::{Duration, Instant};

use schedrig_guestmem::x86_64::Levels;
use schedrig_guestmem::{
    AddressSpace, CachedSpace, GuestPhys, GuestVirt, PhysMem, RamLayout, Search, SharedRam,
};
use testkit::{X86Page, X86Tables};

const MIB: u64 = 1 << 20;
/// The lengths of one read, in bytes: larger than the caches, or inside of them.
const LENGTHS: [usize; 3] = [64 << 10, 1 << 20, 32 << 20];
const PAGES: u64 = 32 << 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = tempfile::tempfile_in("/dev/shm")?;
    file.set_len(1024 * MIB)?;
    let ram = SharedRam::map(&file, RamLayout::split_below_4g(1024 * MIB, 1024 * MIB))?;
    let data = 64 * MIB;
    for page in 0..PAGES {
        ram.write(GuestPhys(data + (page << 12)), &[page as u8; 4096])?;
    }
    let mut tables = X86Tables::new(&ram, false, MIB);
    let (merged, scattered, large) = (0, 1 << 40, 2 << 40);
    for page in 0..PAGES {
        tables.map(merged + (page << 12), data + (page << 12), X86Page::K4, 0)?;
        // An odd factor and a power of two: every page once, none next to its neighbour.
        let frame = data + ((page * 4099 % PAGES) << 12);
        tables.map(scattered + (page << 12), frame, X86Page::K4, 0)?;
        if page % 512 == 0 {
            tables.map(large + (page << 12), data + (page << 12), X86Page::M2, 0)?;
        }
    }
    let space = AddressSpace::new(&ram, tables.cr3(), Levels::Four);

    for len in LENGTHS {
        let source = vec![3u8; len];
        let mut target = vec![0u8; len];
        let rounds = (512 * MIB) as usize / len;
        let copy = time(rounds, || target.copy_from_slice(black_box(&source)));
        let fresh = time(rounds, || drop(black_box(black_box(&source).clone())));
        println!(
            "{:>6} KiB  memcpy              {}",
            len >> 10,
            rate(len, copy, copy)
        );
        println!("            memcpy, new buffer  {}", rate(len, fresh, copy));
        let phys = time(rounds, || ram.read(GuestPhys(data), &mut target).unwrap_or(()));
        println!("            physical            {}", rate(len, phys, copy));
        for (name, at) in [
            ("2 MiB pages", large),
            ("4 KiB, joined", merged),
            ("4 KiB, apart", scattered),
        ] {
            let read = time(rounds, || {
                space.read(GuestVirt(at), &mut target).unwrap_or(());
            });
            println!("            {name:<19} {}", rate(len, read, copy));
        }
        let chunked = time(rounds, || {
            drop(black_box(space.read_chunked(GuestVirt(merged), len)));
        });
        println!(
            "            read_chunked        {} (new buffer)",
            rate(len, chunked, fresh)
        );
    }

    const WALKS: usize = 1 << 20;
    let at = |walk: usize| GuestVirt(scattered + ((walk as u64 * 7 % PAGES) << 12));
    let mut next = 0;
    let walk = time(WALKS, || {
        next += 1;
        black_box(space.translate(at(next))).is_ok()
    });
    let cached = CachedSpace::new(space);
    let plain_value = time(WALKS, || space.read_u64(GuestVirt(scattered + 8)));
    let cached_value = time(WALKS, || cached.read_u64(GuestVirt(scattered + 8)));
    println!("walk {walk:?}, read_u64 {plain_value:?}, read_u64 with a cache {cached_value:?}");
    let begin = Instant::now();
    let found = ram.pages_with_prefix(b"OSRELEASE=").count();
    println!(
        "pages_with_prefix over 1 GiB, 34 MiB of it data: {:?} ({found} found)",
        begin.elapsed()
    );
    let begin = Instant::now();
    let found = ram.find(b"OSRELEASE=", 1).count();
    println!("find over the same: {:?} ({found} found)", begin.elapsed());
    Ok(())
}

/// The mean time of a round, in the fastest of ten batches.
fn time<T>(rounds: usize, mut work: impl FnMut() -> T) -> Duration {
    let best = (0..10).map(|_| {
        let rounds = (rounds / 10).max(1);
        let begin = Instant::now();
        for _ in 0..rounds {
            black_box(work());
        }
        begin.elapsed() / rounds as u32
    });
    best.min().unwrap_or_default()
}

fn rate(len: usize, took: Duration, beside: Duration) -> String {
    let gib = len as f64 / took.as_secs_f64() / (1u64 << 30) as f64;
    let percent = 100.0 * beside.as_secs_f64() / took.as_secs_f64();
    format!("{gib:>6.1} GiB/s {percent:>4.0} %")
}
