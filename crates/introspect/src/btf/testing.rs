//! A writer of small BTF sections.
