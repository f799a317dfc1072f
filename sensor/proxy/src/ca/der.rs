//! Writes the little DER (X.690) that a leaf certificate is made of.
//!
//! Not by `rcgen`, which writes the issuer's name anew from what it understood of it: names with a repeated attribute
//! (`DC=example, DC=com`, as company CAs have) come out as others, and no client finds the chain.

use time::OffsetDateTime;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// An element of `tag` that holds `parts` one behind the other.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    if let Ok(short @ 0..0x80) = u8::try_from(length) {
        out.push(short);
    } else {
        let bytes = length.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let significant = bytes.get(zeros..).unwrap_or_default();
        // Eight at most.
        out.push(0x80 | u8::try_from(significant.len()).unwrap_or_default());
        out.extend_from_slice(significant);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// A point of time, in seconds since 1970 (RFC 5280 section 4.1.2.5: two digits of a year before 2050, four from then
/// on). The last second of the year 9999 stands for what lies beyond.
pub(super) fn time(unix: i64) -> Vec<u8> {
    const LAST: i64 = 253_402_300_799;
    let at = OffsetDateTime::from_unix_timestamp(unix.clamp(0, LAST)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let rest =
        format!("{:02}{:02}{:02}{:02}{:02}Z", u8::from(at.month()), at.day(), at.hour(), at.minute(), at.second());
    let year = at.year();
    if year < 2050 {
        element(UTC_TIME, &[format!("{:02}", year % 100).as_bytes(), rest.as_bytes()])
    } else {
        element(GENERALIZED_TIME, &[format!("{year:04}").as_bytes(), rest.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_form() {
        for (length, head) in [
            (0_usize, &b"\x04\x00"[..]),
            (127, b"\x04\x7f"),
            (128, b"\x04\x81\x80"),
            (255, b"\x04\x81\xff"),
            (256, b"\x04\x82\x01\x00"),
            (65_536, b"\x04\x83\x01\x00\x00"),
        ] {
            let out = element(OCTET_STRING, &[&vec![7; length]]);
            assert!(out.starts_with(head) && out.len() == head.len() + length, "{length}");
        }
        assert_eq!(element(SEQUENCE, &[b"\x05\x00", b"", b"\x01\x01\xff"]), b"\x30\x05\x05\x00\x01\x01\xff");
    }

    #[test]
    fn years_from_2050_on_have_four_digits() {
        assert_eq!(time(0), b"\x17\x0d700101000000Z");
        assert_eq!(time(2_524_607_999), b"\x17\x0d491231235959Z");
        assert_eq!(time(2_524_608_000), b"\x18\x0f20500101000000Z");
        assert_eq!(time(i64::MAX), b"\x18\x0f99991231235959Z");
        assert_eq!(time(i64::MIN), time(0));
    }
}
