//! VMCOREINFO: what the kernel writes down about itself for whoever reads its memory after a crash
//! (Documentation/admin-guide/kdump/vmcoreinfo.rst). A page of `KEY=value` lines that begins with `OSRELEASE=`.

use guestmem::{GuestPhys, PhysMem, Search};

/// The page's length (`VMCOREINFO_BYTES`).
const LEN: usize = 4096;
/// How it begins.
const BEGIN: &[u8] = b"OSRELEASE=";

/// The text of one VMCOREINFO page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmCoreInfo {
    /// Where it was found.
    pub at: GuestPhys,
    text: String,
}

impl VmCoreInfo {
    /// All in this memory: a kernel has one, and pages that were used before it can hold others.
    pub fn find(mem: &dyn PhysMem) -> impl Iterator<Item = VmCoreInfo> {
        mem.pages_with_prefix(BEGIN).filter_map(|at| {
            let mut page = [0; LEN];
            mem.read(at, &mut page).ok()?;
            Some(VmCoreInfo::parse(at, &page))
        })
    }

    /// The page with these bytes.
    pub fn parse(at: GuestPhys, page: &[u8]) -> VmCoreInfo {
        let end = page.iter().position(|byte| *byte == 0).unwrap_or(page.len());
        VmCoreInfo {
            at,
            text: String::from_utf8_lossy(&page[..end]).into_owned(),
        }
    }

    /// The value of a line `key=value`.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    }

    /// A line `NUMBER(name)=-12`.
    pub fn number(&self, name: &str) -> Option<i64> {
        let text = self.value(&format!("NUMBER({name})"))?;
        // Most are decimal; kimage_voffset and TCR_EL1_T1SZ of arm64 are written as 0x….
        match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok().map(u64::cast_signed),
            None => text.parse().ok(),
        }
    }

    /// A line `SYMBOL(name)=ffffffff82a10000`: an address at run time.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.value(&format!("SYMBOL({name})"))?, 16).ok()
    }

    /// What KASLR added to link addresses (`KERNELOFFSET`).
    pub fn kernel_offset(&self) -> Option<u64> {
        u64::from_str_radix(self.value("KERNELOFFSET")?, 16).ok()
    }

    /// The release.
    pub fn release(&self) -> &str {
        self.value("OSRELEASE").unwrap_or_default()
    }

    /// The build id in hex; kernels before 5.9 do not tell it.
    pub fn build_id(&self) -> Option<&str> {
        self.value("BUILD-ID")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_by_what_they_are() {
        let mut page = b"OSRELEASE=7.2.13\nBUILD-ID=0123ab\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff8281a000\n\
            NUMBER(phys_base)=-555745280\nNUMBER(kimage_voffset)=0xffff800040000000\nKERNELOFFSET=1e00000\nNUMBER(x)=y\n"
            .to_vec();
        page.resize(LEN, 0);
        page.extend_from_slice(b"KEY=behind\n");
        let info = VmCoreInfo::parse(GuestPhys(0x1000), &page);
        assert_eq!(info.release(), "7.2.13");
        assert_eq!(info.build_id(), Some("0123ab"));
        assert_eq!(info.number("phys_base"), Some(-555_745_280));
        assert_eq!(
            info.number("kimage_voffset").map(i64::cast_unsigned),
            Some(0xffff_8000_4000_0000)
        );
        assert_eq!(info.number("x"), None);
        assert_eq!(info.symbol("swapper_pg_dir"), Some(0xffff_ffff_8281_a000));
        assert_eq!(info.kernel_offset(), Some(0x1e0_0000));
        assert_eq!(info.value("KEY"), None, "behind the NUL");
        assert_eq!(info.value("OSREL"), None, "half a key");
    }
}
