//! The shared object that QEMU loads: calls and hooks.
