//! The `state` file: small, and needed to read the others.
//!
//! ```text
//!  0  "SRSAVE"      6 bytes
//!  6  u16 version   VERSION
//!  8  u32 length    of the payload
//! 12  u32 CRC32     of the payload
//! 16  payload       State, in postcard
//! ```

use serde::{Deserialize, Serialize};
use tcg_channel::{Cause, Report, Values};

use super::ram::Pages;

const MAGIC: &[u8; 6] = b"SRSAVE";
const VERSION: u16 = 2;
const HEADER: usize = 16;

/// The description of a save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Size of guest RAM, holes included.
    pub(super) memory_bytes: u64,
    /// Its pages that are in `ram`.
    pub(super) pages: Pages,
    device_len: u64,
    device_crc: u32,
    /// Everything that the guest wrote to its console up to the call.
    pub(super) console: Vec<u8>,
    registers: Values,
}

impl State {
    /// The state of a machine that is frozen in `call`.
    pub(super) fn new(
        memory_bytes: u64,
        pages: Pages,
        device: &[u8],
        console: Vec<u8>,
        call: &Report,
    ) -> State {
        State {
            memory_bytes,
            pages,
            device_len: device.len() as u64,
            device_crc: crc32fast::hash(device),
            console,
            registers: call.registers,
        }
    }

    /// The bytes of the file.
    pub(super) fn encode(&self) -> Result<Vec<u8>, String> {
        let payload = postcard::to_stdvec(self).map_err(|error| error.to_string())?;
        let len = u32::try_from(payload.len()).map_err(|error| error.to_string())?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(len.to_le_bytes());
        bytes.extend(crc32fast::hash(&payload).to_le_bytes());
        bytes.extend(payload);
        Ok(bytes)
    }

    /// The state in the bytes of a file, or what is wrong with them.
    pub(super) fn decode(bytes: &[u8]) -> Result<State, String> {
        let (header, payload) = bytes
            .split_at_checked(HEADER)
            .ok_or_else(|| format!("it has {} bytes", bytes.len()))?;
        let [version, len, crc] = [
            u64::from(u16::from_le_bytes([header[6], header[7]])),
            u64::from(word(header, 8)),
            u64::from(word(header, 12)),
        ];
        if !header.starts_with(MAGIC) {
            return Err("it does not begin with SRSAVE".to_owned());
        }
        if version != u64::from(VERSION) {
            return Err(format!("it has version {version}; this program reads {VERSION}"));
        }
        if payload.len() as u64 != len {
            return Err(format!(
                "it has {} bytes after its header, which says {len}",
                payload.len()
            ));
        }
        if u64::from(crc32fast::hash(payload)) != crc {
            return Err("its checksum differs".to_owned());
        }
        let state: State = postcard::from_bytes(payload).map_err(|error| error.to_string())?;
        state.pages.check(state.memory_bytes)?;
        Ok(state)
    }

    /// Checks that this is the device state that was saved; else returns what is wrong.
    pub(super) fn check_device(&self, device: &[u8]) -> Result<(), String> {
        if device.len() as u64 != self.device_len {
            return Err(format!(
                "it has {} bytes instead of {}",
                device.len(),
                self.device_len
            ));
        }
        if crc32fast::hash(device) != self.device_crc {
            return Err("its checksum differs".to_owned());
        }
        Ok(())
    }

    /// The call that the machine was saved in.
    pub(super) fn call(&self) -> Report {
        Report {
            cause: Cause::Call,
            registers: self.registers,
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|word| word.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> State {
        let call = Report {
            cause: Cause::Call,
            registers: std::array::from_fn(|index| index as u64),
        };
        State::new(1 << 20, Pages::default(), b"device", b"booted\n".to_vec(), &call)
    }

    #[test]
    fn a_state_reads_as_it_was_written() {
        let state = state();
        let read = State::decode(&state.encode().unwrap()).unwrap();
        assert_eq!(read, state);
        assert_eq!(read.call().registers[5], 5);
        assert!(read.check_device(b"device").is_ok());
        assert!(read.check_device(b"devise").is_err());
        assert!(read.check_device(b"dev").is_err());
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_found(at: prop::sample::Index, by in 1u8..) {
            let mut bytes = state().encode().unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            prop_assert!(State::decode(&bytes).is_err(), "byte {at}");
        }

        #[test]
        fn any_cut_is_found_and_nothing_panics(len: prop::sample::Index, tail: Vec<u8>) {
            let whole = state().encode().unwrap();
            let mut bytes = whole[..len.index(whole.len())].to_vec();
            prop_assert!(State::decode(&bytes).is_err());
            bytes.extend(tail);
            let _ = State::decode(&bytes);
        }
    }
}
