//! A deterministic test rig for Linux process schedulers.
