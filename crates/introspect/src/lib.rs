//! A guest kernel from the outside.
//!
//! Architecture invariant: this crate reads memory and kernel files that it is given. It knows no virtual machine, and
//! it hard-codes no layout: what a kernel lacks is told as absent, never guessed.
#![forbid(unsafe_code)]

pub mod btf;
