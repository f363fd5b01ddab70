//! The deterministic backend: QEMU TCG driven through a plugin.
