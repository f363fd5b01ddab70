//! End-to-end tests: a real kernel, a real scheduler, a real verdict. They need QEMU 10, the network or cached
//! kernels, and `scx_baton` built (`cargo xtask test` sees to all three).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod alarms;
mod asking;
mod determinism;
mod fairness;
mod forks;
mod introspect;
mod misbehaviour;
mod observe;
mod ops;
mod processes;
mod programs;
mod replay;
mod repro;
mod saves;
mod seeds;
mod settings;
mod stage;
mod surface;
mod symbols;
mod topology;
mod verdicts;
mod warm;
