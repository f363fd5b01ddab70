//! Guest memory from the outside: addresses, volatile copies, page walks.
