//! Kernel files as bytes: bzImage, ELF, kallsyms, build id, BTF.
