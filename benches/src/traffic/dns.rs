//! Questions to a name server, over UDP (RFC 1035).

use testkit::Rng;

/// A question and its answer, at `us` and a little later.
pub(super) fn lookup(rng: &mut Rng, us: u64) -> [(u64, Vec<u8>); 2] {
    let id = rng.next_u64() as u16;
    let client = [10, 60, rng.below(250) as u8, 1 + rng.below(250) as u8];
    let port = 1024 + rng.below(60_000) as u16;
    let labels = [rng.word(9), "vendor".to_owned(), "example".to_owned()];
    let mut name = Vec::new();
    for label in &labels {
        name.push(label.len() as u8);
        name.extend_from_slice(label.as_bytes());
    }
    name.push(0);
    let message = |flags: u16, answers: u16| {
        let mut out = Vec::new();
        for word in [id, flags, 1, answers, 0, 0] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(&name);
        out.extend_from_slice(&[0, 1, 0, 1]);
        out
    };
    let mut answer = message(0x8180, 1);
    answer.extend_from_slice(&[0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4]);
    answer.extend_from_slice(&[203, 0, 113, rng.below(250) as u8]);
    let server = ([192, 0, 2, 53], 53);
    let question = frame((client, port), server, &message(0x0100, 0));
    [(us, question), (us + 300, frame(server, (client, port), &answer))]
}

/// A datagram in an Ethernet frame, without the checksum that IPv4 leaves optional (RFC 768).
fn frame(from: ([u8; 4], u16), to: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    let mut out = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let mut ip = vec![0x45, 0];
    ip.extend_from_slice(&(20 + length).to_be_bytes());
    ip.extend_from_slice(&[0, 1, 0, 0, 64, 17, 0, 0]);
    ip.extend_from_slice(&from.0);
    ip.extend_from_slice(&to.0);
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(&ip);
    for word in [from.1, to.1, length, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(payload);
    out
}
