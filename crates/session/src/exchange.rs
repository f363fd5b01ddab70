//! One call's bytes: the request out of frozen guest memory, the answer into it.

use guestmem::{AddressSpace, GuestVirt, VirtError};
use machine::{Call, Machine};
use wire::frame::{HEADER_LEN, MAX_PAYLOAD};
use wire::{Answer, MessageError, Request};

/// A page of the guest has 2 to this power bytes.
const PAGE_BITS: u32 = 12;
/// The longest buffer of a program that is not trusted.
const MOST_OWN: u64 = (HEADER_LEN + MAX_PAYLOAD) as u64;

/// A call that could not be understood or answered.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The lengths that the guest names are impossible.
    #[error("the guest names a request of {len} bytes in a buffer of {capacity}")]
    Length {
        /// The request's length.
        len: u64,
        /// The buffer's length.
        capacity: u64,
    },
    /// The buffer cannot be read or written.
    #[error("the guest's buffer of {len} bytes at {at}")]
    Buffer {
        /// Its address.
        at: GuestVirt,
        /// The bytes to copy.
        len: usize,
        /// Where the copy ended.
        #[source]
        source: VirtError,
    },
    /// The bytes are not a request.
    #[error("the guest's request")]
    Request(#[source] MessageError),
    /// Our answer cannot be encoded.
    #[error("encode the answer")]
    Answer(#[source] MessageError),
    /// Our answer does not fit.
    #[error(
        "the answer of {len} bytes does not fit the guest's buffer of {capacity}; this is a defect of schedrig"
    )]
    TooLong {
        /// The answer's length.
        len: usize,
        /// The buffer's.
        capacity: u64,
    },
}

/// The agent's request, of a machine that is frozen in `call`.
pub(crate) fn request(machine: &dyn Machine, call: &Call) -> Result<Request, ExchangeError> {
    Request::decode(&frame(machine, call)?).map_err(ExchangeError::Request)
}

/// The bytes that the caller has put into its buffer.
pub(crate) fn frame(machine: &dyn Machine, call: &Call) -> Result<Vec<u8>, ExchangeError> {
    let Call { len, capacity, .. } = *call;
    if len > capacity || len > (HEADER_LEN + MAX_PAYLOAD) as u64 {
        return Err(ExchangeError::Length { len, capacity });
    }
    let mut bytes = vec![0; len as usize];
    space(machine, call)
        .read(call.buffer, &mut bytes)
        .map_err(|source| ExchangeError::Buffer {
            at: call.buffer,
            len: bytes.len(),
            source,
        })?;
    Ok(bytes)
}

/// Is the buffer the calling program's own, at its beginning and at its end? A program that is not trusted may name any
/// address.
pub(crate) fn is_callers_own(machine: &dyn Machine, call: &Call, len: u64) -> bool {
    let is_own = |at: GuestVirt| {
        let (cr3, levels) = (call.registers.cr3, call.registers.paging_levels());
        guestmem::x86_64::is_writable_by_user(machine.memory(), cr3, levels, at)
    };
    let Some(last) = len
        .checked_sub(1)
        .and_then(|last| call.buffer.0.checked_add(last))
    else {
        return false;
    };
    let pages = (call.buffer.0 >> PAGE_BITS)..=(last >> PAGE_BITS);
    len <= call.capacity
        && len <= MOST_OWN
        && pages.into_iter().all(|page| is_own(GuestVirt(page << PAGE_BITS)))
}

/// Puts the answer where the guest finds it when it is resumed.
pub(crate) fn answer(machine: &dyn Machine, call: &Call, answer: &Answer) -> Result<(), ExchangeError> {
    let bytes = answer.encode().map_err(ExchangeError::Answer)?;
    put(machine, call, &bytes)
}

/// Puts a whole frame there.
pub(crate) fn put(machine: &dyn Machine, call: &Call, bytes: &[u8]) -> Result<(), ExchangeError> {
    if bytes.len() as u64 > call.capacity {
        return Err(ExchangeError::TooLong {
            len: bytes.len(),
            capacity: call.capacity,
        });
    }
    space(machine, call)
        .write(call.buffer, bytes)
        .map_err(|source| ExchangeError::Buffer {
            at: call.buffer,
            len: bytes.len(),
            source,
        })
}

fn space<'m>(machine: &'m dyn Machine, call: &Call) -> AddressSpace<'m> {
    AddressSpace::new(
        machine.memory(),
        call.registers.cr3,
        call.registers.paging_levels(),
    )
}
