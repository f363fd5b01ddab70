//! `cargo schedrig kernel`: the kernels in the store.

use clap::{Args, Subcommand};
use kstore::{KernelRequest, Store};

use crate::exit::Exit;
use crate::page::outln;
use crate::progress::Line;

/// Fetch, list and remove kernels.
#[derive(Debug, Subcommand)]
pub(crate) enum Kernel {
    /// Fetch the newest kernel that matches a request, even if an older one is stored.
    Fetch(Fetch),
    /// List the stored kernels.
    List(List),
    /// Remove a stored kernel.
    Rm(Rm),
}

#[derive(Debug, Args)]
pub(crate) struct Fetch {
    /// `apt:<suite>[/<flavour>][=<version>]`, `path:<vmlinuz or directory>`, `host`.
    #[arg(default_value = schedrig::DEFAULT_KERNEL)]
    request: KernelRequest,
    /// Use a stored kernel that matches, if there is one.
    #[arg(long)]
    if_missing: bool,
    /// Print the files as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print the list as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Its release, the start of its name, or a request.
    which: String,
}

pub(crate) fn execute(kernel: &Kernel) -> anyhow::Result<Exit> {
    let store = Store::open_default()?;
    match kernel {
        Kernel::Fetch(arguments) => fetch(&store, arguments),
        Kernel::List(arguments) => list(&store, arguments),
        Kernel::Rm(arguments) => {
            let entry = store.remove(&arguments.which)?;
            outln!("removed {}", entry.release);
            Ok(Exit::Pass)
        }
    }
}

fn fetch(store: &Store, arguments: &Fetch) -> anyhow::Result<Exit> {
    let line = Line::new();
    let mut progress = |step| line.kernel(step);
    let kernel = if arguments.if_missing {
        store.resolve(&arguments.request, &mut progress)
    } else {
        store.refresh(&arguments.request, &mut progress)
    };
    line.done();
    let kernel = kernel?;
    if arguments.json {
        let config = kernel.config.as_ref().map(|path| path.display().to_string());
        let files = serde_json::json!({
            "request": kernel.request,
            "release": kernel.release,
            "build_id": kernel.build_id,
            "image": kernel.image,
            "vmlinux": kernel.vmlinux,
            "config": config,
        });
        outln!("{files:#}");
    } else {
        outln!("{}  build id {}", kernel.release, kernel.build_id);
        outln!("  image   {}", kernel.image.display());
        outln!("  vmlinux {}", kernel.vmlinux.display());
    }
    Ok(Exit::Pass)
}

fn list(store: &Store, arguments: &List) -> anyhow::Result<Exit> {
    let entries = store.list()?;
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&entries)?);
    } else if entries.is_empty() {
        outln!(
            "no kernels are stored; `cargo schedrig kernel fetch` fetches {}",
            schedrig::DEFAULT_KERNEL
        );
    } else {
        for entry in &entries {
            let requests = entry.requests.join(", ");
            outln!("{:40} {:12.12}  {requests}", entry.release, entry.build_id);
            if let Some(damage) = &entry.damage {
                outln!("    damaged: {damage}; a run that needs it fetches it again");
            }
        }
    }
    Ok(Exit::Pass)
}
