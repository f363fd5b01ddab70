//! The watches of a backend that has three debug registers for them (contracts B6 to B9).
//!
//! ```text
//!  owner: arm ─► tag ─► request (Release) ─► any armed ─► kick every vCPU
//!                            │
//!  vCPU:  any armed? ─► requests (Acquire) ─► its debug registers 1 to 3
//! ```
//!
//! Register 0 is the backend's own. A slot is free while its request is 0; freeing it clears the request first, so that
//! who sees a request may read the tag.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use guestmem::GuestVirt;

/// Watches that a user may have at once.
pub const USER_SLOTS: usize = 3;

/// From here on kernels that KASLR moves are linked.
const MOVED_BY_KASLR: u64 = 0xffff_8000_0000_0000;

/// What a debug register watches must lie at a multiple of this many bytes.
const ALIGNMENT: u64 = 4;

/// Symbols for which a warning is remembered. Beyond, none is given.
const MAX_WARNED: usize = 1024;

/// The debug register of a user's watch: 1 to 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserSlot(usize);

/// Three watches. The owner arms and frees them; vCPUs read them at any time.
#[derive(Debug, Default)]
pub struct Slots {
    requests: [AtomicU64; USER_SLOTS],
    any_armed: AtomicBool,
    /// Its lock is held while a slot is armed or freed.
    tags: Mutex<[String; USER_SLOTS]>,
}

/// A watch that is armed: kick the vCPUs now ([`kick_all`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Armed {
    /// Its register.
    pub slot: UserSlot,
    /// What is watched.
    pub at: GuestVirt,
}

/// A watch that is not armed. No slot was touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArmError {
    /// All are in use.
    #[error("the debug registers 1..{USER_SLOTS} are all in use; remove a watch, {USER_SLOTS} are the most")]
    AllInUse,
    /// The kernel has no such symbol.
    #[error("the kernel has no symbol `{symbol}`")]
    NoSymbol {
        /// Its name.
        symbol: String,
    },
    /// It was not told how far the kernel was moved, and this symbol is moved with it.
    #[error(
        "`{symbol}` is linked at {link:#x}, and how far KASLR moved the kernel is not known; set kaslr=false, or wait \
         until the guest has told where its kernel lies"
    )]
    NotSlid {
        /// Its name.
        symbol: String,
        /// Its link address.
        link: u64,
        /// Is this the first time that this is told? Then it is worth a warning.
        warn: bool,
    },
    /// It has no address.
    #[error("`{symbol}` is at address 0: it is no place in memory")]
    AtZero {
        /// Its name.
        symbol: String,
    },
    /// A debug register cannot watch it.
    #[error("`{symbol}` lies at {at}, which is no multiple of {ALIGNMENT}; a debug register cannot watch it")]
    Unaligned {
        /// Its name.
        symbol: String,
        /// Where it lies.
        at: GuestVirt,
    },
}

/// For which symbols it was warned. One for a process: a warning that comes with every test is read by nobody.
#[derive(Debug, Default)]
pub struct Warned(Mutex<BTreeSet<(String, u64)>>);

static WARNED: Warned = Warned::new();

impl Warned {
    /// For none.
    pub const fn new() -> Warned {
        Warned(Mutex::new(BTreeSet::new()))
    }

    /// The one of this process.
    pub fn of_the_process() -> &'static Warned {
        &WARNED
    }

    /// Is it the first time for this symbol?
    fn first(&self, symbol: &str, link: u64) -> bool {
        let mut warned = locked(&self.0);
        warned.len() < MAX_WARNED && warned.insert((symbol.to_owned(), link))
    }
}

impl UserSlot {
    /// The number of its debug register.
    pub fn register(self) -> usize {
        self.0 + 1
    }

    /// The slot of a debug register, if it is a user's.
    pub fn of_register(register: usize) -> Option<UserSlot> {
        let index = register.checked_sub(1)?;
        (index < USER_SLOTS).then_some(UserSlot(index))
    }
}

impl Slots {
    /// Watches a symbol in the first free slot. `link` finds its link address, `slide` is how far the kernel was moved, 0
    /// where that is not known or nothing.
    ///
    /// # Errors
    /// [`ArmError`], the first of its variants that holds. Then no slot is touched.
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

    /// Frees a slot; the next watch may get it. Kick the vCPUs then, too.
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

    /// Is any of them armed?
    pub fn any_armed(&self) -> bool {
        self.any_armed.load(Ordering::Acquire)
    }

    /// What each is to watch; `None` for a free one.
    pub fn requests(&self) -> [Option<GuestVirt>; USER_SLOTS] {
        let read = |request: &AtomicU64| request.load(Ordering::Acquire);
        self.requests
            .each_ref()
            .map(read)
            .map(|at| (at != 0).then_some(GuestVirt(at)))
    }

    /// The tag of a slot that is armed.
    pub fn tag(&self, slot: UserSlot) -> Option<String> {
        let tags = locked(&self.tags);
        let armed = self.requests[slot.0].load(Ordering::Acquire) != 0;
        armed.then(|| tags[slot.0].clone())
    }
}

/// A vCPU's thread, as far as it must be told of new watches.
pub trait Kick {
    /// Does it run?
    fn is_alive(&self) -> bool;
    /// Makes its next entry into the guest return at once.
    fn request_exit(&self);
    /// Interrupts it, if it is in the guest.
    fn signal(&self);
}

/// Makes every vCPU look at its watches: first all are asked to return, then all are interrupted, so that none enters the
/// guest again unasked. The first one, which may be gone before the others, only if it is alive now.
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

/// What is behind the lock is whole after every step, so a holder that panicked has not spoiled it.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
