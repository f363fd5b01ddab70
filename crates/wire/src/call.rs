//! The call: one instruction that stops the whole machine until the host has answered.
//!
//! | register | at the call |
//! |---|---|
//! | `rdi` | address of the buffer: the request frame now, the answer frame after |
//! | `rsi` | length of the request frame in bytes |
//! | `rdx` | capacity of the buffer in bytes |
//!
//! On a machine that does not know the call the instruction does nothing, and the buffer still holds the
//! request: that is how the agent learns that nobody listens.

/// `nopl 0x47495253(%rax,%rax,1)`: an 8-byte NOP whose displacement spells `SRIG`.
pub const INSTRUCTION: [u8; 8] = [0x0f, 0x1f, 0x84, 0x00, b'S', b'R', b'I', b'G'];

/// The agent's buffer: one frame with the largest payload that the two sides use.
pub const BUFFER_LEN: usize = 1 << 20;

/// The most bytes of a file in one message, so that the message fits the buffer with room for its other fields.
pub const MAX_CHUNK: usize = BUFFER_LEN - 8 * 1024;
