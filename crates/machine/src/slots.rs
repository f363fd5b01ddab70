//! The watches of a backend that has three debug registers for them (contracts B6 to B9).
//!
//! ```text
//!  owner: arm ─► tag ─► request (Release) ─► any armed ─► kick every vCPU
//!                            │
//!  vCPU:  any armed? ─► requests (Acquire) ─► its debug registers 1 to 3
//! ```
//!
//! Register 0 is the backend's own. A slot is free while its request is 0. Freeing a slot clears the request first, so a
//! reader that has seen a request may read the tag.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use guestmem::GuestVirt;

/// Watches that a user may set at a time.
pub const USER_SLOTS: usize = 3;

/// The lowest link address of a kernel that KASLR moves.
const MOVED_BY_KASLR: u64 = 0xffff_8000_0000_0000;

/// Bytes of which a watched address must be a multiple.
const ALIGNMENT: u64 = 4;

/// Symbols for which a warning is remembered; there is no warning for further ones.
const MAX_WARNED: usize = 1024;

/// The debug register of a user's watch: 1 to 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserSlot(usize);

/// Three watches. The owner arms and frees them; vCPUs read them at any time.
#[derive(Debug, Default)]
pub struct Slots {
    requests: [AtomicU64; USER_SLOTS],
    any_armed: AtomicBool,
    /// The lock is held while a slot is armed or freed.
    tags: Mutex<[String; USER_SLOTS]>,
}

/// A watch that is armed: kick the vCPUs now ([`kick_all`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Armed {
    /// The watch's debug register.
    pub slot: UserSlot,
    /// The watched address.
    pub at: GuestVirt,
}

/// A watch could not be armed. No slot has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArmError {
    /// All slots are in use.
    #[error("the debug registers 1..{USER_SLOTS} are all in use; remove a watch, {USER_SLOTS} are the most")]
    AllInUse,
    /// The kernel has no such symbol.
    #[error("the kernel has no symbol `{symbol}`")]
    NoSymbol {
        /// The symbol's name.
        symbol: String,
    },
    /// The kernel's slide is not known, and the symbol moves with the kernel.
    #[error(
        "`{symbol}` is linked at {link:#x}, and the slide of KASLR is not known; set kaslr=false, or wait until the guest \
         has reported where its kernel lies"
    )]
    NotSlid {
        /// The symbol's name.
        symbol: String,
        /// The symbol's link address.
        link: u64,
        /// Whether this is the first such error for the symbol, which is worth a warning.
        warn: bool,
    },
    /// The symbol is at address 0.
    #[error("`{symbol}` is at address 0, which is no place in memory")]
    AtZero {
        /// The symbol's name.
        symbol: String,
    },
    /// A debug register cannot watch the address.
    #[error("`{symbol}` lies at {at}, which is no multiple of {ALIGNMENT}; a debug register cannot watch it")]
    Unaligned {
        /// The symbol's name.
        symbol: String,
        /// The symbol's address in the guest.
        at: GuestVirt,
    },
}

/// The symbols that a warning was given for. One for a process, so that a warning does not come with every test.
#[derive(Debug, Default)]
pub struct Warned(Mutex<BTreeSet<(String, u64)>>);

static WARNED: Warned = Warned::new();

impl Warned {
    /// No symbols.
    pub const fn new() -> Warned {
        Warned(Mutex::new(BTreeSet::new()))
    }

    /// The set of this process.
    pub fn of_the_process() -> &'static Warned {
        &WARNED
    }

    /// Whether this is the first time for the symbol.
    fn first(&self, symbol: &str, link: u64) -> bool {
        let mut warned = locked(&self.0);
        warned.len() < MAX_WARNED && warned.insert((symbol.to_owned(), link))
    }
}

impl UserSlot {
    /// The number of the debug register.
    pub fn register(self) -> usize {
        self.0 + 1
    }

    /// The slot of a debug register; `None` for one that is not a user's.
    pub fn of_register(register: usize) -> Option<UserSlot> {
        let index = register.checked_sub(1)?;
        (index < USER_SLOTS).then_some(UserSlot(index))
    }
}

impl Slots {
    /// Watches a symbol in the first free slot. `link` returns its link address; `slide` is how far KASLR moved the kernel, 0
    /// where it did not or where that is not known.
    ///
    /// # Errors
    /// [`ArmError`], the first of its variants that holds. No slot has changed then.
    pub fn arm(
        &self,
        tag: &str,
        symbol: &str,
        link: impl FnOnce(&str) -> Option<u64>,
        slide: u64,
        warned: &Warned,
    ) -> Result<Armed, ArmError> {
        let mut tags = locked(&self.tags);
        let free = self.requests.iter().zip(tags.iter_mut()).enumerate();
        let (index, (request, place)) = free
            .into_iter()
            .find(|(_, (request, _))| request.load(Ordering::Acquire) == 0)
            .ok_or(ArmError::AllInUse)?;
        let named = || symbol.to_owned();
        let link = link(symbol).ok_or_else(|| ArmError::NoSymbol { symbol: named() })?;
        if slide == 0 && link >= MOVED_BY_KASLR {
            return Err(ArmError::NotSlid {
                symbol: named(),
                link,
                warn: warned.first(symbol, link),
            });
        }
        let at = GuestVirt(link).wrapping_add(slide);
        if at.0 == 0 {
            return Err(ArmError::AtZero { symbol: named() });
        }
        if !at.0.is_multiple_of(ALIGNMENT) {
            return Err(ArmError::Unaligned { symbol: named(), at });
        }
        tag.clone_into(place);
        request.store(at.0, Ordering::Release);
        self.any_armed.store(true, Ordering::Release);
        let slot = UserSlot(index);
        Ok(Armed { slot, at })
    }

    /// Frees a slot for the next watch. Kick the vCPUs afterwards, too.
    pub fn free(&self, slot: UserSlot) {
        let mut tags = locked(&self.tags);
        self.requests[slot.0].store(0, Ordering::Release);
        tags[slot.0].clear();
        let any = self
            .requests
            .iter()
            .any(|request| request.load(Ordering::Acquire) != 0);
        self.any_armed.store(any, Ordering::Release);
    }

    /// Whether any slot is armed.
    pub fn any_armed(&self) -> bool {
        self.any_armed.load(Ordering::Acquire)
    }

    /// The address that each slot watches; `None` for a free one.
    pub fn requests(&self) -> [Option<GuestVirt>; USER_SLOTS] {
        let read = |request: &AtomicU64| request.load(Ordering::Acquire);
        self.requests
            .each_ref()
            .map(read)
            .map(|at| (at != 0).then_some(GuestVirt(at)))
    }

    /// The tag of an armed slot.
    pub fn tag(&self, slot: UserSlot) -> Option<String> {
        let tags = locked(&self.tags);
        let armed = self.requests[slot.0].load(Ordering::Acquire) != 0;
        armed.then(|| tags[slot.0].clone())
    }
}

/// A vCPU's thread, which must notice new watches.
pub trait Kick {
    /// Whether it runs.
    fn is_alive(&self) -> bool;
    /// Makes its next entry into the guest return at once.
    fn request_exit(&self);
    /// Interrupts it, if it is in the guest.
    fn signal(&self);
}

/// Makes every vCPU read the requests: first all are asked to leave the guest, then all are interrupted, so that none enters
/// the guest again without having read them. `first`, which may end before the others, only if it is alive now.
pub fn kick_all<V: Kick>(others: &[V], first: &V) {
    let first = first.is_alive().then_some(first);
    for vcpu in others.iter().filter(|vcpu| vcpu.is_alive()).chain(first) {
        vcpu.request_exit();
    }
    fence(Ordering::Release);
    for vcpu in others.iter().chain(first) {
        vcpu.signal();
    }
}

impl fmt::Display for UserSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "debug register {}", self.register())
    }
}

/// The value behind the lock is consistent after every step, so a holder's panic has not broken it.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
