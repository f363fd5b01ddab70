//! Guest code that both sides recognise.

/// How a kernel function that ftrace can trace begins: `endbr64`; the NOPs that a kernel puts in its place
/// (`gen_endbr_poison`); the NOP that ftrace may replace by its call, with which BPF programs begin, too.
///
/// Only there can a hook be set after the guest's first instruction.
pub const FUNCTION_ENTRIES: [&[u8]; 4] = [
    b"\xf3\x0f\x1e\xfa",
    b"\x0f\x1f\x40\xd6",
    b"\x66\x0f\x1f\x00",
    b"\x0f\x1f\x44\x00\x00",
];
