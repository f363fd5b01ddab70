//! Operations on a kernel: batches of reads and writes (contracts A1 to A28).
