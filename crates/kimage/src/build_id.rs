//! The GNU build id: the linker's hash of a kernel, by which everything derived from the kernel is named.

use std::fmt;
use std::str::FromStr;

/// A GNU build id (`NT_GNU_BUILD_ID`), 1 to [`BuildId::MAX_LEN`] bytes; kernels have 20 (SHA-1).
///
/// Shown and parsed as lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildId {
    /// Unused bytes are zero, so that the derived comparisons hold.
    bytes: [u8; BuildId::MAX_LEN],
    len: u8,
}

/// Why bytes or text are not a build id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildIdError {
    /// Empty, or longer than any linker writes.
    #[error("a build id has 1 to {} bytes, not {len}", BuildId::MAX_LEN)]
    Length {
        /// The number of bytes given.
        len: usize,
    },
    /// The text is not an even number of hexadecimal digits.
    #[error("'{text}' is not a build id: expected pairs of hexadecimal digits")]
    NotHex {
        /// The text given.
        text: String,
    },
}

impl BuildId {
    /// The longest id a linker writes, in bytes (`--build-id=0x…` apart): SHA-256.
    pub const MAX_LEN: usize = 32;

    /// A build id of these bytes.
    ///
    /// # Errors
    /// [`BuildIdError::Length`] unless there are 1 to [`BuildId::MAX_LEN`] bytes.
    pub fn from_bytes(id: &[u8]) -> Result<BuildId, BuildIdError> {
        let mut bytes = [0; BuildId::MAX_LEN];
        match bytes.get_mut(..id.len()) {
            Some(target) if !id.is_empty() => target.copy_from_slice(id),
            _ => return Err(BuildIdError::Length { len: id.len() }),
        }
        Ok(BuildId {
            bytes,
            len: id.len() as u8,
        })
    }

    /// The id's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildId({self})")
    }
}

impl FromStr for BuildId {
    type Err = BuildIdError;

    fn from_str(text: &str) -> Result<BuildId, BuildIdError> {
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|value| value as u8);
        let bytes: Option<Vec<u8>> = text
            .as_bytes()
            .chunks(2)
            .map(|pair| match *pair {
                [high, low] => Some(digit(high)? << 4 | digit(low)?),
                _ => None,
            })
            .collect();
        BuildId::from_bytes(&bytes.ok_or_else(|| BuildIdError::NotHex {
            text: text.to_owned(),
        })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_and_parses_hex() {
        let id = BuildId::from_bytes(&[0x7f, 0x76, 0xf3, 0x0a]).unwrap();
        assert_eq!(id.to_string(), "7f76f30a");
        assert_eq!("7F76f30a".parse(), Ok(id));
    }

    #[test]
    fn refuses_what_is_no_id() {
        for text in ["7f7", "xy", "7f 6", "é"] {
            assert_eq!(
                text.parse::<BuildId>(),
                Err(BuildIdError::NotHex { text: text.into() })
            );
        }
        assert_eq!("".parse::<BuildId>(), Err(BuildIdError::Length { len: 0 }));
        assert_eq!(
            "00".repeat(33).parse::<BuildId>(),
            Err(BuildIdError::Length { len: 33 })
        );
    }

    #[test]
    fn trailing_zeros_count() {
        let (short, long) = (
            BuildId::from_bytes(&[1]).unwrap(),
            BuildId::from_bytes(&[1, 0]).unwrap(),
        );
        assert_ne!(short, long);
    }
}
