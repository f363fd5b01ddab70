//! x86-64 kernels booted as a bootloader would: moved by KASLR, with RAM on both sides of 4 GiB, and with the five levels
//! of page tables that the rig's own machines do not have.

use super::booted::compare;
use super::plain::Shape;
use crate::stage::{LONGTERM, NEWEST, STANDARD};

fn guest(kernel: &'static str, cpu: &'static str, ram_mib: u64) -> Shape {
    Shape {
        architecture: "amd64",
        kernel,
        cpu,
        ram_mib,
        args: "",
    }
}

#[test]
fn the_standard_kernel_in_1_gib() {
    compare(&guest(STANDARD, "max,la57=off", 1 << 10), true);
}

#[test]
fn the_longterm_kernel_in_6_gib() {
    compare(&guest(LONGTERM, "max,la57=off", 6 << 10), true);
}

#[test]
fn the_newest_kernel_in_6_gib_with_five_levels() {
    compare(&guest(NEWEST, "max,la57=on", 6 << 10), true);
}
