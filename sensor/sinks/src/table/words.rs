//! Numbers and names as people read them.

use crate::safe::safe;
use detect::{Classification, Confidence};
use std::collections::BTreeMap;

/// `1,203`.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 packet`, `1,203 packets`.
pub(super) fn count(n: u64, what: &str) -> String {
    format!("{} {what}{}", number(n), if n == 1 { "" } else { "s" })
}

/// `57 MB`, in powers of a thousand, two digits at least and three at most.
pub(super) fn bytes(n: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (unit, name) in units {
        if n >= unit {
            let tenths = n / (unit / 10);
            return if tenths >= 100 {
                format!("{} {name}", tenths / 10)
            } else {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            };
        }
    }
    format!("{n} byte{}", if n == 1 { "" } else { "s" })
}

/// `3 shadow, 1 portal`: most first, nothing of zero.
pub(super) fn list(map: &BTreeMap<String, u64>, name: impl Fn(&str) -> String) -> String {
    let mut items: Vec<(&String, u64)> = map.iter().map(|(k, n)| (k, *n)).filter(|i| i.1 > 0).collect();
    items.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
    let items: Vec<String> = items.iter().map(|&(key, n)| format!("{} {}", number(n), name(key))).collect();
    items.join(", ")
}

/// The name of a counter, as words.
pub(super) fn reason(key: &str) -> String {
    safe(key).replace('_', " ")
}

/// Where the bytes are that were not looked into.
pub(super) fn uninspected(key: &str) -> String {
    let known = match key {
        "tls" => "inside TLS",
        "connect_tls" => "inside TLS through a proxy",
        "http2" => "of HTTP/2",
        "quic" => "inside QUIC",
        "dns" => "of name servers, not understood",
        "dhcp" => "of DHCP, not understood",
        "ssh" => "inside SSH",
        "unknown" => "of unknown protocols",
        "out_of_sync" => "of HTTP after its place was lost",
        "websocket" => "of WebSocket after its place was lost",
        "preamble" => "before a first message",
        "udp" => "in UDP",
        "not_tcp_udp" => "neither TCP nor UDP",
        "not_ip" => "of frames that are not IP",
        "fragment" => "in IP fragments",
        "truncated" => "of packets cut within their headers",
        "bad_checksum" => "under a wrong checksum",
        "out_of_window" => "out of place in their flow",
        _ => return format!("({})", reason(key)),
    };
    known.to_owned()
}

/// Whether packets are missing because the user said so.
pub(super) fn left_out_as_asked(key: &str) -> bool {
    matches!(key, "outside_time_window" | "filtered_out")
}

/// What a counter of reassembly says of content that was missed or is in doubt. The other counters tell of how a
/// capture looks.
pub(super) fn missed(key: &str, n: u64) -> Option<String> {
    Some(match key {
        "gap_bytes" => format!("{} that the capture lacks", bytes(n)),
        "cut_segments" => format!("{} cut short when captured", count(n, "segment")),
        "flows_midstream" => format!("{} without a beginning", count(n, "flow")),
        "flows_evicted" => format!("{} given up for room", count(n, "flow")),
        "overlap_conflicts" => format!("{} with different content", count(n, "overlap")),
        "after_fin_bytes" => format!("{} after an end of stream", bytes(n)),
        _ => return None,
    })
}

/// The transport, as the specification spells it.
pub(super) fn transport(name: &str) -> &'static str {
    match name {
        "streamable_http" => "streamable HTTP",
        "http_sse" => "HTTP+SSE",
        "websocket" => "WebSocket",
        _ => "unknown",
    }
}

/// A classification in words.
pub(super) fn name(classification: Classification) -> &'static str {
    match classification {
        Classification::Portal => "portal",
        Classification::Sanctioned => "sanctioned",
        Classification::SanctionedDirect => "sanctioned direct",
        Classification::Published => "published",
        Classification::Denied => "denied",
        Classification::Shadow => "shadow",
        Classification::LookAlike => "look-alike",
        Classification::Unknown => "unknown",
    }
}

/// A confidence in words.
pub(super) fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Possible => "possible",
        Confidence::Likely => "likely",
        Confidence::Confirmed => "confirmed",
    }
}

/// The escape that colours a classification.
pub(super) fn colour(classification: Classification) -> Option<&'static str> {
    match classification {
        Classification::Denied | Classification::Shadow => Some("\x1b[1;31m"),
        Classification::SanctionedDirect => Some("\x1b[33m"),
        Classification::Published | Classification::Sanctioned | Classification::Portal => Some("\x1b[32m"),
        Classification::LookAlike | Classification::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_read_well() {
        for (n, want) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(n), want);
        }
        for (n, want) in [
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (57_412_000, "57 MB"),
            (9_990_000, "9.9 MB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(n), want);
        }
        assert_eq!(count(1, "packet"), "1 packet");
        assert_eq!(count(2_000, "packet"), "2,000 packets");
    }
}
