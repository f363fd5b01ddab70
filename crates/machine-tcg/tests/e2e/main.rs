//! Machines on a real kernel: what a run promises, how it can end, what the guest sees of its shape.

mod calls;
mod ends;
mod program;
mod support;
mod topology;
