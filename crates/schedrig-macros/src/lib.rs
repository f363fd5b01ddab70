//! The `#[schedrig::test]` attribute.
//!
//! It turns a host function that takes a rig into a plain `#[test]`, so that `cargo test` and `cargo nextest` run
//! it like any other:
//!
//! ```text
//! #[schedrig::test(topology = "1n2l2c1t")]        #[test]
//! fn shares(rig: &mut Rig) -> Outcome { … }   →   fn shares() { fn body(rig: …) { … }  run_declared(…, body) }
//! ```
#![forbid(unsafe_code)]

use proc_macro::TokenStream;
use quote::quote;
use spec::{Nanos, Topology};
use syn::parse::Parser as _;
use syn::{ItemFn, LitBool, LitInt, LitStr, parse_macro_input};

/// The attribute's arguments; only the topology is required.
#[derive(Default)]
struct Arguments {
    /// The names of those that were given.
    given: Vec<String>,
    topology: Option<LitStr>,
    scheduler: Option<LitStr>,
    kernel: Option<LitStr>,
    seed: Option<LitInt>,
    memory: Option<LitInt>,
    attach: Option<LitStr>,
    attach_within: Option<LitStr>,
    snapshots: Option<LitInt>,
    auto_repro: Option<LitBool>,
    monitor: Option<LitBool>,
}

/// A test on a machine of its own.
///
/// | argument | meaning |
/// |---|---|
/// | `topology = "1n2l2c1t"` | the machine's shape; required |
/// | `scheduler = "scx_baton --ignore-weight"` | the scheduler's program and arguments; EEVDF if left out |
/// | `kernel = "apt:sid"` | the kernel request |
/// | `seed = 7` | the seed; 1 if left out |
/// | `memory = 1024` | guest RAM in MiB |
/// | `attach = "fresh"` | the scheduler is attached in the run itself, not once for all runs; `"step"`: by the body (`Rig::attach`) |
/// | `attach_within = "120s"` | how long the scheduler may take to attach, in guest time |
/// | `snapshots = 3` | snapshots taken during the workers' first run, evenly over its time |
/// | `auto_repro = false` | a failed run is not executed again to trace the calls that led to the failure |
/// | `monitor = false` | the runqueues are not sampled |
///
/// The function takes `&mut Rig` and returns `Outcome`.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let mut found = Arguments::default();
    let parser = syn::meta::parser(|meta| found.parse(&meta));
    if let Err(error) = parser.parse(arguments) {
        return error.to_compile_error().into();
    }
    let function = parse_macro_input!(function as ItemFn);
    expand(&found, &function)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

impl Arguments {
    fn parse(&mut self, meta: &syn::meta::ParseNestedMeta<'_>) -> syn::Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        if self.given.contains(&name) {
            return Err(meta.error(format!("`{name}` is given twice")));
        }
        self.given.push(name.clone());
        match name.as_str() {
            "topology" => self.topology = Some(meta.value()?.parse()?),
            "scheduler" => self.scheduler = Some(meta.value()?.parse()?),
            "kernel" => self.kernel = Some(meta.value()?.parse()?),
            "seed" => self.seed = Some(meta.value()?.parse()?),
            "memory" => self.memory = Some(meta.value()?.parse()?),
            "attach" => self.attach = Some(meta.value()?.parse()?),
            "attach_within" => self.attach_within = Some(meta.value()?.parse()?),
            "snapshots" => self.snapshots = Some(meta.value()?.parse()?),
            "auto_repro" => self.auto_repro = Some(meta.value()?.parse()?),
            "monitor" => self.monitor = Some(meta.value()?.parse()?),
            _ => {
                return Err(meta.error(
                    "unknown argument; arguments: `topology`, `scheduler`, `kernel`, `seed`, `memory`, `attach`, `attach_within`, \
                     `snapshots`, `auto_repro`, `monitor`",
                ));
            }
        }
        Ok(())
    }
}

impl Arguments {
    /// Checks the values that can be checked without a machine.
    fn check(&self, topology: &LitStr) -> syn::Result<()> {
        let wrong =
            |at: &dyn quote::ToTokens, error: &dyn std::fmt::Display| Err(syn::Error::new_spanned(at, error));
        if let Err(error) = topology.value().parse::<Topology>() {
            return wrong(topology, &error);
        }
        if let Some(kernel) = &self.kernel
            && !KERNELS.iter().any(|begin| kernel.value().starts_with(begin))
        {
            return wrong(
                kernel,
                &"a kernel is `apt:SUITE[/FLAVOUR][=VERSION]`, `path:FILE` or `host`",
            );
        }
        if let Some(memory) = &self.memory
            && !memory
                .base10_parse::<u32>()
                .is_ok_and(|mib| MEMORY_MIB.contains(&mib))
        {
            let (least, most) = (MEMORY_MIB.start(), MEMORY_MIB.end());
            return wrong(memory, &format!("memory is {least} to {most} MiB"));
        }
        if let Some(attach) = &self.attach
            && !["once", "fresh", "step"].contains(&attach.value().as_str())
        {
            return wrong(
                attach,
                &"a scheduler is attached `once` for all runs, `fresh` in each, or by a `step` of the body",
            );
        }
        if let Some(within) = &self.attach_within
            && let Err(error) = within.value().parse::<Nanos>()
        {
            return wrong(within, &error);
        }
        Ok(())
    }
}

/// What requests for kernels begin with.
const KERNELS: [&str; 3] = ["apt:", "path:", "host"];

/// What a guest can have.
const MEMORY_MIB: std::ops::RangeInclusive<u32> = 256..=65_536;

fn expand(arguments: &Arguments, function: &ItemFn) -> syn::Result<proc_macro2::TokenStream> {
    let name = &function.sig.ident;
    let Some(topology) = &arguments.topology else {
        return Err(syn::Error::new(
            name.span(),
            "missing argument: write `topology = \"1n2l2c1t\"`, or another shape",
        ));
    };
    arguments.check(topology)?;
    let mut body = function.clone();
    body.attrs.clear();
    body.vis = syn::Visibility::Inherited;
    let attributes = &function.attrs;
    let scheduler = option(arguments.scheduler.as_ref());
    let kernel = option(arguments.kernel.as_ref());
    let seed = option(arguments.seed.as_ref());
    let memory = option(arguments.memory.as_ref());
    let attach = option(arguments.attach.as_ref());
    let attach_within = option(arguments.attach_within.as_ref());
    let snapshots = option(arguments.snapshots.as_ref());
    let auto_repro = option(arguments.auto_repro.as_ref());
    let monitor = option(arguments.monitor.as_ref());
    Ok(quote! {
        #(#attributes)*
        #[test]
        fn #name() {
            #body
            let declared = ::schedrig::Declared {
                name: concat!(module_path!(), "::", stringify!(#name)),
                topology: #topology,
                scheduler: #scheduler,
                kernel: #kernel,
                seed: #seed,
                memory: #memory,
                attach: #attach,
                attach_within: #attach_within,
                snapshots: #snapshots,
                auto_repro: #auto_repro,
                monitor: #monitor,
            };
            ::schedrig::run_declared(&declared, #name);
        }
    })
}

fn option<T: quote::ToTokens>(value: Option<&T>) -> proc_macro2::TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}
