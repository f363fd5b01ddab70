//! `kernel <request> [<store>]`: fetches the kernel of a request, showing progress and how long it took.

use std::time::Instant;

use schedrig_kstore::{KernelRequest, Store};

fn main() {
    if let Err(error) = run() {
        eprint!("error: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            eprint!(": {error}");
            cause = error.source();
        }
        eprintln!();
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let request: KernelRequest = arguments
        .next()
        .ok_or("usage: kernel <request> [<store>]")?
        .parse()?;
    let store = match arguments.next() {
        Some(directory) => Store::open(directory)?,
        None => Store::open_default()?,
    };
    let begin = Instant::now();
    let kernel = store.resolve(&request, &mut |step| {
        eprintln!("{:6.2} s {step:?}", begin.elapsed().as_secs_f64());
    })?;
    println!("{kernel:#?}\nin {:.3} s", begin.elapsed().as_secs_f64());
    for entry in store.list()? {
        println!(
            "{}  {} bytes  {:?}  {:?}",
            entry.id, entry.bytes, entry.requests, entry.damage
        );
    }
    Ok(())
}
