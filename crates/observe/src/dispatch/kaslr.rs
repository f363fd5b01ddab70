//! Where the guest says that its kernel lies (contracts D3 to D5).
//!
//! ```text
//!   slide = _text in the guest − _text in the kernel's file
//! ```
//!
//! What a guest says is a claim. A slide is believed only if both addresses are where kernels are, the kernel was moved
//! up, and no further than its architecture moves it. Who says it first is believed: another slide later is a loud error.

use std::sync::atomic::{AtomicU64, Ordering};

use kimage::Arch;
use wire::phase::KernelAddresses;

/// Where the kernel's half begins with page tables of four levels; no kernel is linked below.
const KERNEL_HALF: u64 = 0xffff_8000_0000_0000;

/// How far x86-64 moves its kernel at the most: `KERNEL_IMAGE_SIZE`.
const MOST_X86_64: u64 = 1 << 30;

/// How far aarch64 does: anywhere. It is more than the half has room for.
const MOST_AARCH64: u64 = 1 << 48;

/// The kernel that the host has as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkedKernel {
    /// The link address of `_text`.
    pub text: u64,
    /// What it is built for.
    pub arch: Arch,
}

/// A slide that is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlideError {
    /// The kernel's file has its text elsewhere.
    #[error("the kernel is linked at {link:#x}, below {KERNEL_HALF:#x}")]
    LinkedLow {
        /// The link address.
        link: u64,
    },
    /// The guest has it elsewhere.
    #[error("the guest's kernel lies at {runtime:#x}, below {KERNEL_HALF:#x}")]
    LiesLow {
        /// Where it lies.
        runtime: u64,
    },
    /// It would have been moved down.
    #[error("the guest's kernel lies at {runtime:#x}, below its link address {link:#x}")]
    MovedDown {
        /// Where it lies.
        runtime: u64,
        /// The link address.
        link: u64,
    },
    /// It would have been moved further than it can be.
    #[error("the guest's kernel would be moved by {slide:#x}, more than {most:#x}")]
    TooFar {
        /// How far.
        slide: u64,
        /// The most.
        most: u64,
    },
    /// The guest has said otherwise before.
    #[error(
        "the guest says that its kernel was moved by {other:#x}, and before that by {first:#x}, which stays"
    )]
    Diverged {
        /// What it said first.
        first: u64,
        /// What it says now.
        other: u64,
    },
}

/// The guest has told another physical address of its kernel before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the guest says that its kernel lies at physical {other:#x}, and before that at {first:#x}, which stays"
)]
pub struct MovedKernel {
    /// What it said first.
    pub first: u64,
    /// What it says now.
    pub other: u64,
}

/// How far a kernel with `_text` at `runtime` was moved.
///
/// # Errors
/// [`SlideError`] for what no kernel does.
pub fn slide(kernel: &LinkedKernel, runtime: u64) -> Result<u64, SlideError> {
    let link = kernel.text;
    let most = match kernel.arch {
        Arch::X86_64 => MOST_X86_64,
        Arch::Aarch64 => MOST_AARCH64,
    };
    if link < KERNEL_HALF {
        return Err(SlideError::LinkedLow { link });
    }
    if runtime < KERNEL_HALF {
        return Err(SlideError::LiesLow { runtime });
    }
    match runtime.checked_sub(link) {
        None => Err(SlideError::MovedDown { runtime, link }),
        Some(slide) if slide > most => Err(SlideError::TooFar { slide, most }),
        Some(slide) => Ok(slide),
    }
}

/// A number that is told once and may be read from other threads meanwhile: one more than it, or 0 for none. The
/// greatest number of all is taken for the one before it.
#[derive(Debug, Default)]
pub struct Once(AtomicU64);

/// What became of a number that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    First,
    Again,
    Other { first: u64 },
}

impl Once {
    /// The number, if it was told.
    pub fn get(&self) -> Option<u64> {
        self.0.load(Ordering::Acquire).checked_sub(1)
    }

    pub(super) fn tell(&self, number: u64) -> Told {
        let biased = number.saturating_add(1);
        match self
            .0
            .compare_exchange(0, biased, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Told::First,
            Err(told) if told == biased => Told::Again,
            Err(told) => Told::Other { first: told - 1 },
        }
    }
}

/// Where the kernel lies, as far as the guest has told. Other threads may read it at any time.
#[derive(Debug, Default)]
pub struct Addresses {
    /// The physical address of its image. Zero is one.
    pub physical: Once,
    /// The address of its variable `page_offset_base`.
    pub page_offset_base: Once,
    /// How far it was moved. Zero is a slide: KASLR is off.
    pub slide: Once,
}

/// What was learned for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Learned {
    /// The physical address.
    pub physical: Option<u64>,
    /// The slide.
    pub slide: Option<u64>,
}

impl Addresses {
    /// Takes what the guest says. A part that it does not say is left alone; without a kernel's file there is no slide.
    pub(super) fn learn(
        &self,
        told: &KernelAddresses,
        kernel: Option<&LinkedKernel>,
    ) -> (Learned, Result<(), MovedKernel>, Result<(), SlideError>) {
        let mut learned = Learned::default();
        if told.page_offset_base != 0 {
            let _ = self.page_offset_base.tell(told.page_offset_base);
        }
        let moved = match told
            .physical
            .map(|physical| (physical, self.physical.tell(physical)))
        {
            Some((other, Told::Other { first })) => Err(MovedKernel { first, other }),
            Some((physical, Told::First)) => {
                learned.physical = Some(physical);
                Ok(())
            }
            Some((_, Told::Again)) | None => Ok(()),
        };
        let (Some(kernel), Some(runtime)) = (kernel, told.text) else {
            return (learned, moved, Ok(()));
        };
        let slid = slide(kernel, runtime).and_then(|slide| match self.slide.tell(slide) {
            Told::First => {
                learned.slide = Some(slide);
                Ok(())
            }
            Told::Again => Ok(()),
            Told::Other { first } => Err(SlideError::Diverged { first, other: slide }),
        });
        (learned, moved, slid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: u64 = 0xffff_ffff_8100_0000;
    const GIB: u64 = 1 << 30;

    fn kernel(text: u64) -> LinkedKernel {
        let arch = Arch::X86_64;
        LinkedKernel { text, arch }
    }

    fn told(text: Option<u64>) -> KernelAddresses {
        KernelAddresses {
            physical: None,
            page_offset_base: 0,
            text,
        }
    }

    /// D4: every gate, at its edge.
    #[test]
    fn a_slide_passes_every_gate_or_is_not_believed() {
        let check = |link: u64, runtime: u64, expect: Result<u64, SlideError>| {
            assert_eq!(slide(&kernel(link), runtime), expect, "{link:#x} {runtime:#x}");
        };
        check(LINK, LINK, Ok(0));
        check(LINK, LINK + 0x1e0_0000, Ok(0x1e0_0000));
        // (l), (a): the first address of the kernel's half is one.
        check(KERNEL_HALF, KERNEL_HALF, Ok(0));
        check(
            KERNEL_HALF - 1,
            KERNEL_HALF,
            Err(SlideError::LinkedLow {
                link: KERNEL_HALF - 1,
            }),
        );
        let runtime = KERNEL_HALF - 1;
        check(KERNEL_HALF, runtime, Err(SlideError::LiesLow { runtime }));
        // (b)
        let runtime = LINK - 1;
        check(LINK, runtime, Err(SlideError::MovedDown { runtime, link: LINK }));
        // (c): a GiB is just possible.
        let link = KERNEL_HALF;
        check(link, link + GIB, Ok(GIB));
        let (slide, most) = (GIB + 1, GIB);
        check(link, link + slide, Err(SlideError::TooFar { slide, most }));
    }

    /// D4: aarch64 moves its kernel further; 2^48 is more than the kernel's half has room for, so nothing is too far.
    #[test]
    fn aarch64_moves_its_kernel_further() {
        let kernel = LinkedKernel {
            text: KERNEL_HALF,
            arch: Arch::Aarch64,
        };
        assert_eq!(slide(&kernel, KERNEL_HALF + GIB + 1), Ok(GIB + 1));
        assert_eq!(slide(&kernel, u64::MAX), Ok(u64::MAX - KERNEL_HALF));
        const { assert!(u64::MAX - KERNEL_HALF < MOST_AARCH64) };
    }

    /// D4: a guest that does not say where `_text` is has told no slide, and no wrong one.
    #[test]
    fn without_a_runtime_address_there_is_no_slide() {
        let addresses = Addresses::default();
        let found = addresses.learn(&told(None), Some(&kernel(LINK)));
        assert_eq!(found, (Learned::default(), Ok(()), Ok(())));
        assert_eq!(addresses.learn(&told(Some(LINK)), None).2, Ok(()));
        assert_eq!(addresses.slide.get(), None);
    }

    /// D5: the first one stays; the same again is silent, another one is an error.
    #[test]
    fn the_first_slide_stays() {
        let addresses = Addresses::default();
        let learn = |by: u64| {
            let (learned, _, slid) = addresses.learn(&told(Some(LINK + by)), Some(&kernel(LINK)));
            (learned.slide, slid)
        };
        assert_eq!(learn(0x20_0000), (Some(0x20_0000), Ok(())));
        assert_eq!(learn(0x20_0000), (None, Ok(())));
        let (first, other) = (0x20_0000, 0);
        assert_eq!(learn(0), (None, Err(SlideError::Diverged { first, other })));
        assert_eq!(addresses.slide.get(), Some(0x20_0000));
    }

    /// D5: a slide of nothing is told as one, and is no absence.
    #[test]
    fn a_slide_of_zero_is_published() {
        let addresses = Addresses::default();
        let (learned, ..) = addresses.learn(&told(Some(LINK)), Some(&kernel(LINK)));
        assert_eq!(learned.slide, Some(0));
        assert_eq!(addresses.slide.get(), Some(0));
        assert_eq!(addresses.slide.0.load(Ordering::Relaxed), 1);
    }

    /// D5: of many at once one is the first.
    #[test]
    fn of_many_threads_one_is_the_first() {
        let once = Once::default();
        let firsts = std::thread::scope(|scope| {
            let tellers: Vec<_> = (0..4)
                .map(|number| {
                    let once = &once;
                    scope.spawn(move || once.tell(number) == Told::First)
                })
                .collect();
            tellers
                .into_iter()
                .filter_map(|teller| teller.join().unwrap().then_some(()))
                .count()
        });
        assert_eq!(firsts, 1);
        assert!(once.get().is_some_and(|number| number < 4));
    }

    /// D3: physical zero is an address; another one later is an error and changes nothing.
    #[test]
    fn a_physical_address_of_zero_is_published() {
        let addresses = Addresses::default();
        let at = |physical: Option<u64>| {
            let told = KernelAddresses {
                physical,
                page_offset_base: LINK,
                text: None,
            };
            let (learned, moved, _) = addresses.learn(&told, None);
            (learned.physical, moved)
        };
        assert_eq!(at(None), (None, Ok(())));
        assert_eq!(addresses.physical.get(), None);
        assert_eq!(at(Some(0)), (Some(0), Ok(())));
        assert_eq!(addresses.physical.0.load(Ordering::Relaxed), 1);
        let (first, other) = (0, 4096);
        assert_eq!(at(Some(4096)), (None, Err(MovedKernel { first, other })));
        assert_eq!(addresses.physical.get(), Some(0));
        assert_eq!(addresses.page_offset_base.get(), Some(LINK));
    }
}
