#![forbid(unsafe_code)]
//! kstore
pub mod deb;
mod progress;
mod request;
pub use progress::Progress;
pub use request::{AptRequest, DEFAULT_FLAVOUR, KernelRequest, RequestError};
