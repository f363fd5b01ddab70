//! End-to-end tests: a real kernel, a real scheduler, a real verdict. They need QEMU 10, the network or cached
//! kernels, and `scx_baton` built (`cargo xtask test` sees to all three).

mod determinism;
mod fairness;
mod misbehaviour;
mod stage;
mod surface;
mod symbols;
mod topology;
