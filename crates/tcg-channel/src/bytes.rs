//! Little-endian integers in a packet.

pub(crate) fn put(packet: &mut [u8], at: usize, value: &[u8]) {
    packet[at..at + value.len()].copy_from_slice(value);
}

pub(crate) fn u16_at(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(packet.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(packet: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(packet.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn u64_at(packet: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(packet.get(at..at + 8)?.try_into().ok()?))
}
