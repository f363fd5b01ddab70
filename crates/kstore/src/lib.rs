//! A kernel request becomes local files: cache and distribution packages.
