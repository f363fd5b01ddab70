//! Where a kernel lies: what KASLR did to it, and where its page tables are.
//!
//! ```text
//!  link address ──+ slide──► virtual address ──┬─ image:      − text.virt + text.phys      (x86: phys_base)
//!                                              ├─ direct map: − direct.virt + direct.phys  (x86: page_offset_base)
//!                                              └─ anything:   walk from the kernel's own top-level table
//! ```
//!
//! Nothing of that is told by one source alone. What VMCOREINFO says, what a search for the banner and a walk of the
//! tables find, and what a caller knows ([`Hints`]: the agent's report, a vCPU's registers) must agree.

use std::fmt;

use guestmem::{AddressSpace, GuestPhys, GuestVirt, Linear, MemError, PageTables, PhysMem, Search};
use kimage::Arch;

use super::vmcoreinfo::VmCoreInfo;
use super::{placement_aarch64, placement_x86_64};
use crate::DebugInfo;

/// Where a kernel lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// What KASLR added to link addresses; wraps.
    pub slide: u64,
    /// The map of the kernel's image.
    pub text: Linear,
    /// The map of all RAM.
    pub direct: Linear,
    /// The kernel's page tables (`init_mm.pgd`).
    pub tables: PageTables,
}

/// What a caller knows of a kernel's place; all of it is checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hints {
    /// The address of `_text` at run time, say from the guest's `/proc/kallsyms`.
    pub text: Option<GuestVirt>,
    /// A vCPU's CR3, as the register holds it: of a task or of the kernel.
    pub cr3: Option<u64>,
}

/// A way in which a kernel's place is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The kernel's VMCOREINFO page.
    VmCoreInfo,
    /// A search for its banner, and its page tables.
    Banner,
    /// A walk from a vCPU's CR3.
    Registers,
    /// What the guest's `/proc/kallsyms` says.
    Report,
}

/// A kernel's place was not found.
#[derive(Debug, thiserror::Error)]
pub enum PlacementError {
    /// Neither VMCOREINFO nor the banner.
    #[error(
        "no kernel {release} (build id {build_id}) in this memory{}; look once it has booted, with the file that it was booted from",
        .found.as_deref().map(|found| format!(", but one that says it is {found}")).unwrap_or_default()
    )]
    NotFound {
        /// The kernel that was looked for.
        release: String,
        /// Its build id.
        build_id: String,
        /// Another kernel that is there.
        found: Option<String>,
    },
    /// Two ways lead to two places.
    #[error(
        "{one} and {other} disagree about {what}: {of_one:#x} and {of_other:#x}; is the memory of one moment, and of one kernel?"
    )]
    Disagree {
        /// What about: `the slide`.
        what: &'static str,
        /// A way.
        one: Way,
        /// Another way.
        other: Way,
        /// What the one found.
        of_one: u64,
        /// What the other found.
        of_other: u64,
    },
    /// The kernel lacks a symbol.
    #[error("this kernel has no symbol {0}, without which its place cannot be found")]
    NoSymbol(&'static str),
    /// A variable that places the kernel cannot be read.
    #[error("{variable} cannot be read {by}: {reason}; steps: {steps}")]
    Unreadable {
        /// The variable.
        variable: &'static str,
        /// The way.
        by: Way,
        /// Why not.
        reason: String,
        /// What was done up to there.
        steps: String,
    },
    /// VMCOREINFO has no such line, or a strange one.
    #[error("VMCOREINFO at {at} has no good line {line}")]
    NoLine {
        /// Where it is.
        at: GuestPhys,
        /// The line's key.
        line: &'static str,
    },
    /// Physical memory cannot be read where the kernel should be.
    #[error("the kernel's {what} is not in RAM")]
    NotRam {
        /// What was looked for.
        what: &'static str,
        /// The failed access.
        #[source]
        source: MemError,
    },
    /// The page tables' parameters are wrong (aarch64).
    #[error("the kernel's page tables cannot be walked")]
    Tables(#[from] guestmem::aarch64::TcrError),
}

impl Placement {
    /// Finds the kernel in this memory, in every way that there is.
    ///
    /// # Errors
    /// [`PlacementError`] when it is not there, or two ways lead to two places.
    pub fn find(info: &DebugInfo, mem: &dyn PhysMem, hints: &Hints) -> Result<Placement, PlacementError> {
        let (way, placement) = Placement::confirmed(info, mem)?;
        if let Some(text) = hints.text {
            let link = symbol(info, "_text")?;
            agree(
                "the slide",
                (way, placement.slide),
                (Way::Report, text.0.wrapping_sub(link)),
            )?;
        }
        if let (Some(cr3), PageTables::X86_64 { levels, .. }) = (hints.cr3, placement.tables) {
            let tables = PageTables::X86_64 { cr3, levels };
            placement.confirm_tables(info, mem, way, tables, Way::Registers)?;
        }
        Ok(placement)
    }

    /// By VMCOREINFO, or if there is none by the banner, and confirmed by the kernel's own tables.
    fn confirmed(info: &DebugInfo, mem: &dyn PhysMem) -> Result<(Way, Placement), PlacementError> {
        let (mut wrong, mut other) = (None, None);
        for told in Placement::told(info, mem) {
            let placement = match told {
                // Of another kernel that was here before, or still is.
                Err(error @ PlacementError::NotFound { .. }) => {
                    other = other.or(Some(error));
                    continue;
                }
                told => told,
            };
            let confirmed = placement.and_then(|placement| {
                placement.confirm(info, mem, Way::VmCoreInfo)?;
                Ok(placement)
            });
            match confirmed {
                Ok(placement) => return Ok((Way::VmCoreInfo, placement)),
                // Perhaps of an earlier boot of this kernel.
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        if let Some(error) = wrong {
            return Err(error);
        }
        // Not written yet, or overwritten: the slow way.
        match Placement::of_banner(info, mem) {
            Ok(placement) => {
                placement.confirm(info, mem, Way::Banner)?;
                Ok((Way::Banner, placement))
            }
            Err(error @ PlacementError::NotFound { .. }) => Err(other.unwrap_or(error)),
            Err(error) => Err(error),
        }
    }

    /// As the kernel's VMCOREINFO tells it.
    ///
    /// # Errors
    /// [`PlacementError`] when there is none of this kernel, or it does not tell enough.
    pub fn of_vmcoreinfo(info: &DebugInfo, mem: &dyn PhysMem) -> Result<Placement, PlacementError> {
        let mut other = None;
        for told in Placement::told(info, mem) {
            match told {
                Err(error @ PlacementError::NotFound { .. }) => other = other.or(Some(error)),
                told => return told,
            }
        }
        Err(other.unwrap_or_else(|| not_found(info, None)))
    }

    /// What each VMCOREINFO in this memory tells; [`PlacementError::NotFound`] for one of another kernel.
    fn told<'a>(
        info: &'a DebugInfo,
        mem: &'a dyn PhysMem,
    ) -> impl Iterator<Item = Result<Placement, PlacementError>> + 'a {
        let wanted = info.build_id.to_string();
        VmCoreInfo::find(mem).map(move |found| {
            let same = match found.build_id() {
                Some(id) => id == wanted,
                None => found.release() == info.release,
            };
            if !same {
                let id = found.build_id().unwrap_or("unknown");
                let found = format!("{} (build id {id})", found.release());
                return Err(not_found(info, Some(found)));
            }
            if info.arch() == Arch::Aarch64 {
                placement_aarch64::of_vmcoreinfo(info, &found)
            } else {
                placement_x86_64::of_vmcoreinfo(info, mem, &found)
            }
        })
    }

    /// By a search for the kernel's banner through all of RAM, and a look at its page tables.
    ///
    /// # Errors
    /// [`PlacementError::NotFound`] when nothing fits.
    pub fn of_banner(info: &DebugInfo, mem: &dyn PhysMem) -> Result<Placement, PlacementError> {
        let banner = symbol(info, "linux_banner")?;
        let of_text = if info.arch() == Arch::Aarch64 {
            placement_aarch64::of_text
        } else {
            placement_x86_64::of_text
        };
        mem.find(info.banner.as_bytes(), 1)
            .find_map(|at| of_text(info, mem, GuestVirt(banner), at))
            .ok_or_else(|| not_found(info, None))
    }

    /// A link address at run time. Per-CPU templates, which are offsets on older kernels, do not move (contract A16).
    pub fn slid(&self, link: u64) -> GuestVirt {
        const TEMPLATES_END: u64 = 1 << 48;
        GuestVirt(if link < TEMPLATES_END {
            link
        } else {
            link.wrapping_add(self.slide)
        })
    }

    /// The banner must be where this placement says, and so must the tables lead there.
    fn confirm(&self, info: &DebugInfo, mem: &dyn PhysMem, way: Way) -> Result<(), PlacementError> {
        let link = symbol(info, "linux_banner")?;
        let at = self
            .text
            .translate(self.slid(link))
            .unwrap_or(GuestPhys(u64::MAX));
        let mut there = vec![0; info.banner.len()];
        mem.read(at, &mut there)
            .map_err(|source| PlacementError::NotRam {
                what: "banner",
                source,
            })?;
        if there != info.banner.as_bytes() {
            let found = String::from_utf8_lossy(&there).into_owned();
            return Err(not_found(info, Some(format!("\"{found}\""))));
        }
        self.confirm_tables(info, mem, way, self.tables, Way::Banner)
    }

    fn confirm_tables(
        &self,
        info: &DebugInfo,
        mem: &dyn PhysMem,
        way: Way,
        tables: PageTables,
        other: Way,
    ) -> Result<(), PlacementError> {
        let space = AddressSpace::with_tables(mem, tables);
        let image = self.slid(symbol(info, "linux_banner")?);
        let in_image = self.text.translate(image).map_or(u64::MAX, |at| at.0);
        // The same byte once more, by way of the direct map.
        let direct = self
            .direct
            .virt
            .wrapping_add(in_image.wrapping_sub(self.direct.phys));
        for (what, at) in [("the image's place", image), ("the direct map's place", direct)] {
            let found = space.translate(at).map_err(|error| PlacementError::Unreadable {
                variable: "linux_banner",
                by: other,
                reason: error.to_string(),
                steps: format!("{what} by {way}: {at}, then a walk of {tables:x?}"),
            })?;
            agree(what, (way, in_image), (other, found.at.0))?;
        }
        Ok(())
    }
}

/// The link address of a symbol without which nothing goes.
pub(super) fn symbol(info: &DebugInfo, name: &'static str) -> Result<u64, PlacementError> {
    info.symbols
        .address_of(name)
        .ok_or(PlacementError::NoSymbol(name))
}

pub(super) fn agree(what: &'static str, one: (Way, u64), other: (Way, u64)) -> Result<(), PlacementError> {
    if one.1 == other.1 {
        return Ok(());
    }
    Err(PlacementError::Disagree {
        what,
        one: one.0,
        other: other.0,
        of_one: one.1,
        of_other: other.1,
    })
}

fn not_found(info: &DebugInfo, found: Option<String>) -> PlacementError {
    PlacementError::NotFound {
        release: info.release.clone(),
        build_id: info.build_id.to_string(),
        found,
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::VmCoreInfo => "VMCOREINFO",
            Way::Banner => "the banner's place and the kernel's page tables",
            Way::Registers => "the page tables of a vCPU's CR3",
            Way::Report => "the guest's own /proc/kallsyms",
        })
    }
}
