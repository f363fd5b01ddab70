//! What a program's BPF object needs of a kernel, and what a kernel lacks of it.
//!
//! A loader such as libbpf compares the object with the kernel's BTF before it loads anything, and says what is missing in
//! its log; but a loader's program may swallow the log. Here the same comparison is made from outside:
//!
//! ```text
//!  program ──► embedded ──► BpfObject: symbols, BTF, .struct_ops ──┐
//!                                                kernel's BTF ─────┴──► Lack, …
//! ```
//!
//! Mirrors `bpf_object__resolve_ksyms_btf_id` and `bpf_map__init_kern_struct_ops` of `tools/lib/bpf/libbpf.c`, of which
//! it takes what can only be an error there: a symbol that is not weak, a member that is set.
#![forbid(unsafe_code)]

mod embedded;
mod lack;

pub use embedded::{BpfObject, embedded};
pub use lack::{Lack, lacks};

#[cfg(test)]
mod testing;
