//! A scenario shown: as the file that means it, and as the test that is it.

mod rust;
#[cfg(test)]
mod tests;
mod toml;

pub use self::rust::rust;
pub use self::toml::toml;
