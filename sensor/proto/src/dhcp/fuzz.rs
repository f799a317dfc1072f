//! A message of either version, as it is and wrapped, for fuzzing.

use super::{MAX_CLIENT, MAX_LEASES, MAX_NAME, Message, v4, v6};

/// What a relay makes of a message (RFC 8415 §9), if there is room.
pub(super) fn relayed(message: &[u8]) -> Option<Vec<u8>> {
    let len = u16::try_from(message.len()).ok()?.to_be_bytes();
    Some([&[12, 0][..], &[0; 32], &[0, 9], &len, message].concat())
}

/// Reads a message as both versions.
#[doc(hidden)]
pub fn fuzz_dhcp(data: &[u8]) {
    let check = |message: &Message| {
        assert!(message.leases.len() <= MAX_LEASES && message.client.len() <= MAX_CLIENT, "over a limit");
        if let Some(name) = &message.name {
            let usual = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
            assert!((1..=MAX_NAME).contains(&name.len()) && name.chars().all(usual), "a name that is none");
        }
    };
    if let Some(message) = v4::read(data) {
        check(&message);
        // Padding says nothing.
        assert_eq!(v4::read(&[data, &[0; 3]].concat()).as_ref(), Some(&message), "padded");
    }
    if let Some(message) = v6::read(data) {
        check(&message);
        // Nor does a relay, unless there is one too many.
        let relay = relayed(data).filter(|_| !matches!(data.first(), Some(12 | 13)));
        if let Some(relay) = relay {
            assert_eq!(v6::read(&relay).as_ref(), Some(&message), "relayed");
        }
    }
}
