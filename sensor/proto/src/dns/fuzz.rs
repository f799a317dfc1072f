//! A message, and a stream whole and cut, for fuzzing.

use super::{
    Limits, MAX_ADDRESSES, MAX_ALIASES, MAX_NAME, MAX_RECORDS, Message, Record, Stats, Stream, address_of, answer,
};

/// The messages of a stream that comes in these pieces.
pub(super) fn messages<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Stats) {
    let (mut stream, mut stats, mut seen) = (Stream::new(), Stats::default(), Vec::new());
    for piece in pieces {
        stream.feed(&limits, &mut stats, piece, &mut |message| seen.push(message.to_vec()));
        assert!(stream.held() <= 2 * (limits.message_bytes + 16), "{} bytes held", stream.held());
    }
    stream.finish(&mut stats);
    (seen, stats)
}

/// A message, and the bytes of a stream, of which the first says where to cut.
#[doc(hidden)]
pub fn fuzz_dns(data: &[u8]) {
    if let Some(answer) = answer(data) {
        assert!(answer.name.len() <= MAX_NAME && answer.addresses.len() <= MAX_ADDRESSES, "over a limit");
    }
    if let Some(message) = Message::read(data) {
        let name = message.name();
        if let Some(address) = address_of(name.as_str()) {
            assert!(address.is_ipv4() == name.as_str().ends_with(".in-addr.arpa"), "of the other version");
        }
        assert_eq!(name.as_str().len(), name.as_bytes().len(), "a name that is no text");
        assert!(!name.as_bytes().iter().any(u8::is_ascii_uppercase), "a name in upper case");
        let mut records = message.records();
        let mut count = 0;
        for record in &mut records {
            count += 1;
            match record {
                Record::Service(service) => {
                    assert!(service.alpn().count() + service.addresses().count() <= data.len(), "more than there is");
                }
                Record::Pointer(pointer) => {
                    let name = pointer.name();
                    assert!(name.is_none_or(|name| name.as_bytes().is_ascii()), "a name that is no text");
                }
                Record::Address(_) => {}
            }
        }
        assert!(count <= usize::from(MAX_RECORDS) && (message.is_response() || count == 0), "{count} records");
        assert!(usize::from(records.left_out()) <= usize::from(u16::MAX) + MAX_ALIASES, "left out");
    }
    let Some((&cut, wire)) = data.split_first() else { return };
    let limits = Limits { message_bytes: 600 };
    let whole = messages(limits, [wire]);
    assert_eq!(whole, messages(limits, wire.chunks(1)), "byte by byte");
    let (head, tail) = wire.split_at(usize::from(cut).min(wire.len()));
    assert_eq!(whole, messages(limits, [head, tail]), "cut at {cut}");
}
