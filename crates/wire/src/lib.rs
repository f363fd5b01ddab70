//! Messages between guest and host, and the frames that carry them.
//!
//! *Architecture invariant:* this crate knows bytes and messages. It does not know how a frame is transported; only
//! [`call`] names the registers, because both ends must agree on them.
//!
//! The guest's agent is the caller: it puts a frame into its buffer and makes a *call*, and the machine stands
//! still until the host has put the answer into the same buffer.
//!
//! ```text
//! agent                                   host
//! Hello / Notice / Reply  ── call ──►     read frame
//!                         ◄── answer ──   Ack / Command / Refused
//!
//! any program                             host
//! SnapshotRequest, KernelOpRequest, …     their replies
//! phases, metrics, …      ── call ──►     Ack, or Refused with the reason
//! ```
//!
//! A [`Hello`] and a [`Reply`] are answered by the next [`Command`], a [`Notice`] by `Ack` at once. A frame
//! that cannot be decoded is answered by `Refused` with the reason at once.
#![forbid(unsafe_code)]

pub mod call;
pub mod frame;
mod kernel_op_frame;
mod kind;
mod message;
mod payload;
pub mod scenario;
pub mod snapshot;
pub mod text;

pub use frame::{Frame, FrameError, Received};
pub use kernel_op_frame::{KernelOpFrame, MAX_REQUEST};
pub use kind::{FrameKind, Sender};
pub use message::{Answer, Command, Hello, MessageError, Notice, PROTOCOL_VERSION, Reply, Request, Stream};
pub use payload::PayloadLength;
pub use spec::kernel_op;
