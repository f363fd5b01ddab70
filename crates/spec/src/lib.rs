//! Plain data that host and guest share: topology, cgroups, workers, units.
