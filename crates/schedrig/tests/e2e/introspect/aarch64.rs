//! Debian's aarch64 kernels, read from a host of any architecture. What decides where such a kernel lies: the size of
//! its pages, what its CPU has of the 52 address bits that it is built for, and KASLR, which until 6.14 moves the direct
//! map too.

use super::booted::compare;
use super::plain::Shape;

const STANDARD: &str = "apt:sid/cloud-arm64";
const LONGTERM: &str = "apt:bookworm-backports/cloud-arm64";
const PAGES_OF_16_KIB: &str = "apt:sid/arm64-16k";

/// Pointer authentication by its slow standard algorithm takes half of the time.
const BITS_52: &str = "max,pauth-impdef=on";
const BITS_48: &str = "neoverse-n1";

fn guest(kernel: &'static str, cpu: &'static str, args: &'static str) -> Shape {
    Shape {
        architecture: "arm64",
        kernel,
        cpu,
        ram_mib: 512,
        args,
    }
}

#[test]
fn the_standard_kernel_with_52_address_bits() {
    compare(&guest(STANDARD, BITS_52, ""), true);
}

#[test]
fn the_standard_kernel_with_48_address_bits() {
    compare(&guest(STANDARD, BITS_48, ""), true);
}

#[test]
fn the_standard_kernel_where_it_was_linked() {
    compare(&guest(STANDARD, BITS_48, "nokaslr"), false);
}

#[test]
fn the_longterm_kernel_with_52_address_bits() {
    compare(&guest(LONGTERM, BITS_52, ""), true);
}

#[test]
fn the_longterm_kernel_with_48_address_bits() {
    compare(&guest(LONGTERM, BITS_48, ""), true);
}

#[test]
fn the_kernel_with_pages_of_16_kib() {
    compare(&guest(PAGES_OF_16_KIB, BITS_52, ""), true);
    compare(&guest(PAGES_OF_16_KIB, BITS_48, ""), true);
}
