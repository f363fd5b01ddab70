//! When periodic snapshots are taken (contracts F1 and F2).
