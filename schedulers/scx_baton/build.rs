// SPDX-License-Identifier: GPL-2.0-or-later
//! Compiles `src/bpf/baton.bpf.c` and generates its skeleton, the Rust types through which user space loads it.
//!
//! Only a clang that knows the BPF target is needed: libbpf-cargo brings libbpf's headers, and `sched_ext.h` takes the
//! place of `vmlinux.h`. Debian installs clang under its versioned name alone, so several names are tried.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use libbpf_cargo::SkeletonBuilder;

const SOURCE_DIR: &str = "src/bpf";

/// The oldest clang whose BPF output is known to load (`preserve_access_index` on all records, 64-bit enum values).
const OLDEST_CLANG: u32 = 17;
const NEWEST_CLANG: u32 = 22;

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed={SOURCE_DIR}");
    println!("cargo::rerun-if-env-changed=BPF_CLANG");
    println!("cargo::rerun-if-env-changed=PATH");

    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set: run this through cargo")?);
    SkeletonBuilder::new()
        .source(Path::new(SOURCE_DIR).join("baton.bpf.c"))
        .clang(find_clang()?)
        .clang_args(["-mcpu=v3", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"])
        .build_and_generate(out.join("baton.skel.rs"))
}

/// `$BPF_CLANG` if it is set, else the first of `clang`, `clang-22` … `clang-17` that is new enough.
fn find_clang() -> Result<String> {
    if let Ok(clang) = env::var("BPF_CLANG") {
        return match clang_version(&clang) {
            Some(version) if version >= OLDEST_CLANG => Ok(clang),
            Some(version) => bail!(
                "BPF_CLANG={clang} is clang {version}, older than {OLDEST_CLANG}: run `cargo xtask setup`, then unset it or point it to a newer one"
            ),
            None => bail!(
                "BPF_CLANG={clang} does not run or is no clang: unset it, or run `cargo xtask setup` to install one"
            ),
        };
    }
    let versioned = (OLDEST_CLANG..=NEWEST_CLANG)
        .rev()
        .map(|version| format!("clang-{version}"));
    std::iter::once("clang".to_owned())
        .chain(versioned)
        .find(|name| clang_version(name).is_some_and(|version| version >= OLDEST_CLANG))
        .with_context(|| {
            format!(
                "no clang {OLDEST_CLANG} or newer for BPF found (tried clang, clang-{NEWEST_CLANG} to clang-{OLDEST_CLANG}): run `cargo xtask setup`, or set BPF_CLANG"
            )
        })
}

/// Major version printed by `name --version` ("Debian clang version 19.1.7 (3~deb12u1)" → 19).
fn clang_version(name: &str) -> Option<u32> {
    let output = Command::new(name).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, rest) = text.split_once("clang version ")?;
    rest.split('.').next()?.parse().ok()
}
