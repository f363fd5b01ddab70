//! Guest-host framing and messages.
