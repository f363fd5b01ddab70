//! Test doubles: fake memory, page-table writers, a scripted machine.
