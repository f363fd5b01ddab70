//! Prints what a kernel file says about itself: `kernel-info FILE [--unpacked OUT] [--map OUT] [SYMBOL…]`.
//! `--unpacked` writes the kernel as it was inside, `--map` the symbols as `/proc/kallsyms` shows them.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use schedrig_kimage::kallsyms::{self, Region};
use schedrig_kimage::{KernelImage, has_sched_ext};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let file = args
        .next()
        .ok_or("usage: kernel-info FILE [--unpacked OUT] [--map OUT] [SYMBOL…]")?;
    let start = Instant::now();
    let image = KernelImage::read(Path::new(&file))?;
    println!("release    {}", image.release());
    println!("banner     {}", image.banner());
    println!("built for  {}", image.architecture());
    println!("build id   {}", image.build_id());
    println!(
        "unpacked   {} bytes, _text at {:x?}",
        image.unpacked().len(),
        image.text_address()
    );
    println!("BTF        {} bytes", image.btf().map_or(0, <[u8]>::len));
    println!("PVH entry  {:x?}", image.pvh_entry());
    let unpacked = start.elapsed();
    let start = Instant::now();
    let symbols = image.symbols()?;
    println!("symbols    {}", symbols.len());
    let regions: Vec<Region<'_>> = image
        .segments()
        .map(|segment| Region {
            address: segment.address,
            bytes: segment.bytes,
        })
        .collect();
    println!(
        "kallsyms   {:x?}",
        kallsyms::decode(image.architecture(), &regions).map(|tables| tables.encoding)
    );
    println!("sched_ext  {}", has_sched_ext(&symbols));
    println!(
        "time       {unpacked:.2?} to open, {:.2?} for symbols",
        start.elapsed()
    );
    while let Some(name) = args.next() {
        if name == "--unpacked" {
            let out = args.next().ok_or("--unpacked needs a file")?;
            std::fs::write(out, image.unpacked())?;
            continue;
        }
        if name == "--map" {
            let mut out = BufWriter::new(File::create(args.next().ok_or("--map needs a file")?)?);
            for symbol in symbols.iter() {
                writeln!(out, "{:016x} {} {}", symbol.address, symbol.kind, symbol.name)?;
            }
            out.flush()?;
            continue;
        }
        let bytes = symbols
            .address_of(&name)
            .and_then(|address| image.bytes_at(address, 16));
        let bytes = bytes.unwrap_or_default().escape_ascii();
        for symbol in symbols.all(&name) {
            println!("{:016x} {} {name} {bytes}", symbol.address, symbol.kind);
        }
    }
    Ok(())
}
