//! Community ID v1: one name for a flow across tools.

use crate::{End, FiveTuple, Transport};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use std::net::IpAddr;

/// The Community ID (version 1) of a flow: `1:` and base64 of a SHA-1 over `seed` and both ends, the lower end first,
/// so that both directions give the same. `seed` is 0 unless several sensors agree on another.
pub fn community_id(tuple: &FiveTuple, seed: u16) -> String {
    let (key, _) = tuple.key();
    let mut hash = Sha1::new();
    hash.update(seed.to_be_bytes());
    for end in [key.low, key.high] {
        address(&mut hash, end);
    }
    let protocol = match tuple.transport {
        Transport::Tcp => 6,
        Transport::Udp => 17,
    };
    hash.update([protocol, 0]);
    hash.update(key.low.port().to_be_bytes());
    hash.update(key.high.port().to_be_bytes());
    let mut id = String::from("1:");
    STANDARD.encode_string(hash.finalize(), &mut id);
    id
}

fn address(hash: &mut Sha1, end: End) {
    match end.ip() {
        IpAddr::V4(ip) => hash.update(ip.octets()),
        IpAddr::V6(ip) => hash.update(ip.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::community_id;
    use crate::{FiveTuple, Transport, Tunnel};

    #[test]
    fn ids_are_those_of_the_published_baseline_in_both_directions() {
        let v6 = ("[2001:470:e5bf:dead:4957:2174:e82c:4887]:63943", "[2607:f8b0:400c:c03::1a]:25");
        let v4 = ("128.232.110.120:34855", "66.35.250.204:80");
        let dns = ("192.168.1.52:54585", "8.8.8.8:53");
        for (transport, (a, b), seed, want) in [
            (Transport::Tcp, v4, 0, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            (Transport::Tcp, v4, 1, "1:3V71V58M3Ksw/yuFALMcW0LAHvc="),
            (Transport::Tcp, v6, 0, "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="),
            (Transport::Tcp, v6, 1, "1:eJYTW6AOzFLlSUoESovMjnu7rMw="),
            (Transport::Udp, dns, 0, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            (Transport::Udp, dns, 1, "1:Q9We8WO3piVF8yEQBNJF4uiSVrI="),
        ] {
            let end = |text: &str| text.parse::<std::net::SocketAddr>().unwrap().into();
            let (src, dst) = (end(a), end(b));
            let tuple = |src, dst| FiveTuple { src, dst, transport, tunnel: Tunnel::NONE };
            assert_eq!(community_id(&tuple(src, dst), seed), want, "{a}");
            assert_eq!(community_id(&tuple(dst, src), seed), want, "{b}");
        }
    }
}
