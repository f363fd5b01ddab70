//! Frames that are recorded as evidence (contracts D11, F6).

use record::EventKind;
use wire::FrameKind;

/// Bytes of a payload that the record holds.
const MAX_PAYLOAD: usize = 4096;

/// What a program has sent, as the record has it: text as text, other bytes in hex.
pub(super) fn event(kind: FrameKind, payload: &[u8], intact: bool) -> EventKind {
    let shown = &payload[..payload.len().min(MAX_PAYLOAD)];
    let mut text = match std::str::from_utf8(shown) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => shown.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if shown.len() < payload.len() {
        text += &format!(" (truncated after {MAX_PAYLOAD} of {} bytes)", payload.len());
    }
    EventKind::Sent {
        frame: letters(kind),
        payload: text,
        intact,
    }
}

/// The four letters of a kind.
pub(super) fn letters(kind: FrameKind) -> String {
    String::from_utf8_lossy(&kind.word().to_le_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_recorded_as_text_and_other_bytes_in_hex() {
        let check = |payload: &[u8], expect: &str| {
            let EventKind::Sent { frame, payload, .. } = event(FrameKind::PayloadMetrics, payload, true)
            else {
                panic!("not sent");
            };
            assert_eq!((frame.as_str(), payload.as_str()), ("PMET", expect));
        };
        check(b"{\"ops\": 42}", "{\"ops\": 42}");
        check(b"", "");
        check(b"a\n", "610a");
        check(&[0xff, 0], "ff00");
        let long = vec![b'x'; MAX_PAYLOAD + 1];
        let shown = format!("{} (truncated after 4096 of 4097 bytes)", "x".repeat(MAX_PAYLOAD));
        check(&long, &shown);
    }
}
