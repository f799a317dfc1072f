//! Writers of every dialect, for tests.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

use crate::{Notice, Options, Reader};
use net::{LinkType, Timestamp};
use proptest::prelude::*;
use std::io::{Cursor, Write};

/// A frame as it was written, or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) ts: Timestamp,
    pub(crate) link: LinkType,
    pub(crate) data: Vec<u8>,
    pub(crate) wire_len: u32,
}

impl Written {
    /// Times fall within what 32 bits of seconds hold.
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let link = prop::sample::select(&[0_u16, 1, 101, 108, 113, 228, 229, 276, 147][..]);
        let data = prop::collection::vec(any::<u8>(), 0..200);
        (0..i64::from(u32::MAX), 0..1_000_000_000_i64, link, data, 0..3000_u32).prop_map(
            |(seconds, nanos, link, data, more)| {
                let wire_len = u32::try_from(data.len()).unwrap() + more;
                Self { ts: Timestamp::new(seconds, nanos), link: LinkType::from_number(link), data, wire_len }
            },
        )
    }
}

/// Reads a file from memory.
pub(crate) fn read_memory(file: Vec<u8>) -> (Vec<Written>, Vec<Notice>) {
    read_all(
        &mut Reader::from_sources(vec![("memory".to_owned(), Box::new(Cursor::new(file)))], &Options::default())
            .unwrap(),
    )
}

pub(crate) fn read_all(reader: &mut Reader) -> (Vec<Written>, Vec<Notice>) {
    let mut frames = Vec::new();
    while let Some(batch) = reader.next_batch().unwrap() {
        frames.extend(batch.iter().map(|f| Written {
            ts: f.ts,
            link: f.link,
            data: f.data.to_vec(),
            wire_len: f.wire_len,
        }));
    }
    let notices = reader.notices().collect();
    (frames, notices)
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

pub(crate) fn pcap_header(magic: u32, big: bool, version: (u16, u16), snaplen: u32, network: u32) -> Vec<u8> {
    let mut out = number(big, magic);
    let half = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    out.extend(half(version.0));
    out.extend(half(version.1));
    out.extend([0; 8]);
    out.extend(number(big, snaplen));
    out.extend(number(big, network));
    out
}

fn number(big: bool, n: u32) -> Vec<u8> {
    if big { n.to_be_bytes().to_vec() } else { n.to_le_bytes().to_vec() }
}

/// A classic pcap file; the link type is that of the first frame.
pub(crate) fn pcap(frames: &[Written], nanos: bool, big: bool) -> Vec<u8> {
    let link = frames.first().map_or(LinkType::Ethernet, |f| f.link);
    let magic = if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut out = pcap_header(magic, big, (2, 4), 65_535, u32::from(link.number()));
    for f in frames {
        let part = f.ts.0.rem_euclid(Timestamp::SECOND) / if nanos { 1 } else { 1000 };
        let fields = [f.ts.seconds(), part, i64::try_from(f.data.len()).unwrap(), i64::from(f.wire_len)];
        out.extend(fields.into_iter().flat_map(|n| number(big, u32::try_from(n).unwrap())));
        out.extend(&f.data);
    }
    out
}

/// Writes pcapng block by block.
pub(crate) struct Ng {
    big: bool,
    out: Vec<u8>,
}

impl Ng {
    pub(crate) fn new(big: bool) -> Self {
        Self { big, out: Vec::new() }
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.out.extend(bytes);
        self
    }

    pub(crate) fn block(mut self, kind: u32, body: &[u8]) -> Self {
        let padded = body.len().next_multiple_of(4);
        let len = u32::try_from(padded + 12).unwrap();
        self.out.extend(number(self.big, kind));
        self.out.extend(number(self.big, len));
        self.out.extend(body);
        self.out.extend(vec![0; padded - body.len()]);
        self.out.extend(number(self.big, len));
        self
    }

    pub(crate) fn section(self) -> Self {
        self.block_of_section(1)
    }

    pub(crate) fn block_of_section(self, major: u16) -> Self {
        let mut body = number(self.big, 0x1a2b_3c4d);
        body.extend(self.half(major));
        body.extend([0; 2]);
        body.extend([0xff; 8]);
        self.block(0x0a0d_0d0a, &body)
    }

    pub(crate) fn interface(self, link: u16, snaplen: u32, resolution: Option<u8>, offset: Option<i64>) -> Self {
        let mut body = self.half(link).to_vec();
        body.extend([0; 2]);
        body.extend(number(self.big, snaplen));
        if let Some(resolution) = resolution {
            body.extend(self.half(9));
            body.extend(self.half(1));
            body.extend([resolution, 0, 0, 0]);
        }
        if let Some(offset) = offset {
            body.extend(self.half(14));
            body.extend(self.half(8));
            body.extend(if self.big { offset.to_be_bytes() } else { offset.to_le_bytes() });
        }
        self.block(1, &body)
    }

    pub(crate) fn packet(self, interface: u32, units: u64, data: &[u8], wire_len: u32) -> Self {
        let mut body = number(self.big, interface);
        body.extend(self.packet_fields(units, data, wire_len));
        self.block(6, &body)
    }

    pub(crate) fn obsolete(self, interface: u16, units: u64, data: &[u8], wire_len: u32) -> Self {
        let mut body = self.half(interface).to_vec();
        body.extend(self.half(0xffff));
        body.extend(self.packet_fields(units, data, wire_len));
        self.block(2, &body)
    }

    pub(crate) fn simple(self, wire_len: u32, data: &[u8]) -> Self {
        let mut body = number(self.big, wire_len);
        body.extend(data);
        self.block(3, &body)
    }

    fn half(&self, n: u16) -> [u8; 2] {
        if self.big { n.to_be_bytes() } else { n.to_le_bytes() }
    }

    fn packet_fields(&self, units: u64, data: &[u8], wire_len: u32) -> Vec<u8> {
        let mut out = number(self.big, u32::try_from(units >> 32).unwrap());
        out.extend(number(self.big, u32::try_from(units & 0xffff_ffff).unwrap()));
        out.extend(number(self.big, u32::try_from(data.len()).unwrap()));
        out.extend(number(self.big, wire_len));
        out.extend(data);
        out
    }
}

/// A pcapng file with an interface per link type, in the given resolution (a power of ten).
pub(crate) fn pcapng(frames: &[Written], resolution: u8, big: bool) -> Vec<u8> {
    let mut links = Vec::new();
    let mut ng = Ng::new(big).section();
    for f in frames {
        let id = links.iter().position(|l| *l == f.link).unwrap_or(links.len());
        if id == links.len() {
            links.push(f.link);
            ng = ng.interface(f.link.number(), 0, Some(resolution), None).block(0x0bad, b"between");
        }
        let unit = 10_i64.pow(u32::from(9 - resolution));
        ng = ng.packet(u32::try_from(id).unwrap(), u64::try_from(f.ts.0 / unit).unwrap(), &f.data, f.wire_len);
    }
    ng.done()
}
