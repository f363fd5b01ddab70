//! One call's bytes: the request out of frozen guest memory, the answer into it.

use guestmem::{GuestVirt, VirtError};
use machine::{Call, Machine};
use wire::frame::{HEADER_LEN, MAX_PAYLOAD};
use wire::{Answer, MessageError, Request};

/// Bytes of the longest buffer of a program that is not trusted.
const MAX_OWN: u64 = (HEADER_LEN + MAX_PAYLOAD) as u64;

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
    call.registers
        .address_space(machine.memory())
        .read(call.buffer, &mut bytes)
        .map_err(|source| ExchangeError::Buffer {
            at: call.buffer,
            len: bytes.len(),
            source,
        })?;
    Ok(bytes)
}

/// Whether the calling program itself may write to the first `len` bytes of its buffer. A program that is not trusted may
/// name any address.
pub(crate) fn is_callers_own(machine: &dyn Machine, call: &Call, len: u64) -> bool {
    let space = call.registers.address_space(machine.memory());
    len <= call.capacity && len <= MAX_OWN && space.is_writable_by_user(call.buffer, len)
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
    call.registers
        .address_space(machine.memory())
        .write(call.buffer, bytes)
        .map_err(|source| ExchangeError::Buffer {
            at: call.buffer,
            len: bytes.len(),
            source,
        })
}
