//! The layout of a machine's RAM in guest physical space, and in the files that back it.
//!
//! ```text
//! guest physical   0 ──── low          4 GiB ─────────────────────►
//!                  │node 0│   devices  │node 0│  node 1  │  node 2  │
//!                  └──────┘            └──────┴──────────┴──────────┘
//! file                0                   0        1          2
//! ```

use crate::GuestPhys;

/// Where RAM continues after its low part; the addresses in between are for devices.
const FOUR_GIB: u64 = 1 << 32;

/// A contiguous piece of guest RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// The first guest address.
    pub start: GuestPhys,
    /// Length in bytes.
    pub len: u64,
    /// The number of the backing file, from 0.
    pub file: usize,
    /// The region's offset in that file, in bytes.
    pub file_offset: u64,
}

impl Region {
    /// Whether `at` lies in the region.
    pub fn contains(&self, at: GuestPhys) -> bool {
        at.0 >= self.start.0 && at.0 - self.start.0 < self.len
    }
}

/// RAM or a gap at a guest physical address, with its length in bytes from there (never 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch {
    /// RAM, up to the end of its region.
    Ram(u64),
    /// No RAM, up to the next region.
    Gap(u64),
}

impl Stretch {
    /// The length in bytes.
    pub fn bytes(self) -> u64 {
        match self {
            Stretch::Ram(bytes) | Stretch::Gap(bytes) => bytes,
        }
    }

    /// The stretch that begins at `at`, given the regions, lowest first.
    pub(crate) fn at(regions: &[Region], at: GuestPhys) -> Stretch {
        let above = regions.partition_point(|region| region.start <= at);
        let here = above.checked_sub(1).map(|index| &regions[index]);
        match here.filter(|region| region.contains(at)) {
            Some(region) => Stretch::Ram(region.len - (at.0 - region.start.0)),
            None => Stretch::Gap(match regions.get(above) {
                Some(next) => next.start.0 - at.0,
                None => (u64::MAX - at.0).max(1),
            }),
        }
    }
}

/// Why regions cannot be a machine's RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A region has no bytes.
    #[error("the RAM region at {start} is empty")]
    Empty {
        /// The region's first guest address.
        start: GuestPhys,
    },
    /// A region exceeds guest physical space, or the largest file.
    #[error("the RAM region of {len} bytes at {start} wraps around")]
    Wraps {
        /// The region's first guest address.
        start: GuestPhys,
        /// Length in bytes.
        len: u64,
    },
    /// A region begins before the preceding one ends: they overlap, or are not lowest first.
    #[error("the RAM region at {start} begins before the preceding one ends")]
    Overlap {
        /// The later region's first guest address.
        start: GuestPhys,
    },
}

/// The layout of a machine's RAM in guest physical space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RamLayout {
    regions: Vec<Region>,
}

impl RamLayout {
    /// RAM of `len` bytes that is split below 4 GiB: at most `low` bytes from address 0, the rest from 4 GiB.
    /// One file backs all of it.
    pub fn split_below_4g(len: u64, low: u64) -> RamLayout {
        RamLayout::numa(&[len], low)
    }

    /// RAM of several NUMA nodes, one after the other, with the hole below 4 GiB. Each node has a file of its
    /// own; a node that the hole splits has two regions.
    pub fn numa(nodes: &[u64], low: u64) -> RamLayout {
        let low = low.min(FOUR_GIB);
        let (mut regions, mut at) = (Vec::new(), 0u64);
        for (file, &node) in nodes.iter().enumerate() {
            let mut done = 0;
            while done < node {
                if at == low {
                    at = FOUR_GIB;
                }
                let space = if at < low { low - at } else { u64::MAX };
                let len = (node - done).min(space);
                regions.push(Region {
                    start: GuestPhys(at),
                    len,
                    file,
                    file_offset: done,
                });
                at = at.saturating_add(len);
                done += len;
            }
        }
        RamLayout { regions }
    }

    /// RAM in these regions, lowest first.
    pub fn from_regions(regions: Vec<Region>) -> Result<RamLayout, LayoutError> {
        let mut free = 0;
        for &Region {
            start,
            len,
            file_offset,
            ..
        } in &regions
        {
            if len == 0 {
                return Err(LayoutError::Empty { start });
            }
            if start.0 < free {
                return Err(LayoutError::Overlap { start });
            }
            free = match (start.checked_add(len), file_offset.checked_add(len)) {
                (Some(end), Some(_)) => end.0,
                _ => return Err(LayoutError::Wraps { start, len }),
            };
        }
        Ok(RamLayout { regions })
    }

    /// The regions, lowest first.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Bytes of RAM in all.
    pub fn total(&self) -> u64 {
        self.regions.iter().map(|region| region.len).sum()
    }

    /// The number of files that back the RAM.
    pub fn files(&self) -> usize {
        let needed = |region: &Region| region.file.saturating_add(1);
        self.regions.iter().map(needed).max().unwrap_or(0)
    }

    /// The stretch that begins at `at`: RAM of one region, or a gap.
    pub fn stretch(&self, at: GuestPhys) -> Stretch {
        Stretch::at(&self.regions, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn shape(layout: &RamLayout) -> Vec<(u64, u64, usize, u64)> {
        let one = |region: &Region| (region.start.0, region.len, region.file, region.file_offset);
        layout.regions().iter().map(one).collect()
    }

    #[test]
    fn small_ram_is_one_region() {
        assert_eq!(RamLayout::split_below_4g(MIB, 2 * MIB).regions().len(), 1);
        assert_eq!(RamLayout::split_below_4g(MIB, MIB).regions().len(), 1);
    }

    #[test]
    fn a_node_that_the_hole_splits_has_two_regions_in_its_file() {
        assert_eq!(
            shape(&RamLayout::numa(&[MIB, 3 * MIB, MIB], 2 * MIB)),
            [
                (0, MIB, 0, 0),
                (MIB, MIB, 1, 0),
                (FOUR_GIB, 2 * MIB, 1, MIB),
                (FOUR_GIB + 2 * MIB, MIB, 2, 0),
            ]
        );
    }

    #[test]
    fn a_node_boundary_at_the_hole_makes_no_empty_region() {
        assert_eq!(
            shape(&RamLayout::numa(&[MIB, MIB], MIB)),
            [(0, MIB, 0, 0), (FOUR_GIB, MIB, 1, 0)]
        );
    }

    #[test]
    fn a_node_without_memory_has_no_region() {
        assert_eq!(
            shape(&RamLayout::numa(&[MIB, 0, MIB], 4 * MIB)),
            [(0, MIB, 0, 0), (MIB, MIB, 2, 0)]
        );
    }

    #[test]
    fn a_stretch_ends_where_its_region_does_and_a_gap_at_the_next() {
        let layout = RamLayout::numa(&[MIB, MIB], 2 * MIB);
        let check = |at, expect| assert_eq!(layout.stretch(GuestPhys(at)), expect);
        check(0, Stretch::Ram(MIB));
        check(MIB - 1, Stretch::Ram(1));
        check(MIB, Stretch::Ram(MIB));
        check(2 * MIB, Stretch::Gap(u64::MAX - 2 * MIB));
        check(u64::MAX, Stretch::Gap(1));
        let split = RamLayout::split_below_4g(2 * MIB, MIB);
        assert_eq!(
            split.stretch(GuestPhys(MIB + 7)),
            Stretch::Gap(FOUR_GIB - MIB - 7)
        );
    }

    #[test]
    fn regions_that_no_machine_has_are_refused() {
        let region = |start, len| Region {
            start: GuestPhys(start),
            len,
            file: 0,
            file_offset: 0,
        };
        let check = |regions, expect| assert_eq!(RamLayout::from_regions(regions), Err(expect));
        let start = GuestPhys(9);
        check(vec![region(9, 0)], LayoutError::Empty { start });
        check(vec![region(0, 10), region(9, 1)], LayoutError::Overlap { start });
        check(vec![region(10, 1), region(9, 1)], LayoutError::Overlap { start });
        check(
            vec![region(9, u64::MAX)],
            LayoutError::Wraps { start, len: u64::MAX },
        );
        assert!(RamLayout::from_regions(vec![region(0, 10), region(10, 1)]).is_ok());
    }
}
