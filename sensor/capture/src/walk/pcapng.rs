//! pcapng: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-04.html>.

use super::{Fields, Found, MAX_BLOCK, MAX_FRAME, MAX_INTERFACES, Next, Order, Secrets};
use crate::notice::NoticeCode;
use net::{LinkType, Timestamp};

/// Type of a Section Header Block, the same in both byte orders (§4.1).
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Type and length before a block's body, length again after it.
const FRAMING: usize = 12;

/// Block types that are looked into.
mod block {
    pub(super) const INTERFACE: u32 = 1;
    pub(super) const PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const ENHANCED_PACKET: u32 = 6;
    pub(super) const SECRETS: u32 = 10;
}

/// Byte order of the section that this block opens, if it does.
pub(super) fn section_order(head: &[u8; FRAMING]) -> Option<Order> {
    match head {
        [.., 0x4d, 0x3c, 0x2b, 0x1a] => Some(Order::Little),
        [.., 0x1a, 0x2b, 0x3c, 0x4d] => Some(Order::Big),
        _ => None,
    }
}

/// What one unit of an interface's time stamps is (option `if_tsresol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many nanoseconds.
    Nanos(i64),
    /// So many make a nanosecond.
    PerNano(u64),
    /// 2 to the minus so many seconds.
    Binary(u32),
}

impl Unit {
    const MICROSECOND: Self = Self::Nanos(1000);

    /// From the option: the upper bit chooses between powers of 2 and of 10.
    fn from_option(resolution: u8) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        if resolution & 0x80 != 0 {
            return Self::Binary(exponent);
        }
        match exponent {
            0..=9 => Self::Nanos(10_i64.pow(9 - exponent)),
            // From 10^-29 s on a nanosecond has more units than a time stamp can count.
            _ => Self::PerNano(10_u64.checked_pow(exponent - 9).unwrap_or(u64::MAX)),
        }
    }

    fn nanos(self, units: u64) -> i64 {
        match self {
            Self::Nanos(n) => i64::try_from(units).unwrap_or(i64::MAX).saturating_mul(n),
            Self::PerNano(n) => i64::try_from(units / n).unwrap_or(i64::MAX),
            Self::Binary(exponent) => {
                i64::try_from((u128::from(units) * 1_000_000_000) >> exponent).unwrap_or(i64::MAX)
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    snaplen: u32,
    unit: Unit,
    /// Nanoseconds to add (option `if_tsoffset`).
    offset: i64,
}

impl Interface {
    /// §4.2. Options that do not fit end the list, as there is no next one to be found.
    fn parse(mut fields: Fields<'_>) -> Option<Self> {
        let (link, _reserved, snaplen) = (fields.u16()?, fields.u16()?, fields.u32()?);
        let mut interface = Self { link: LinkType::from_number(link), snaplen, unit: Unit::MICROSECOND, offset: 0 };
        while let (Some(code), Some(len)) = (fields.u16(), fields.u16()) {
            let Some(value) = fields.bytes(usize::from(len)) else { break };
            match (code, value) {
                (0, _) => break,
                (9, &[resolution, ..]) => interface.unit = Unit::from_option(resolution),
                (14, value) => {
                    let seconds = value.first_chunk().map_or(0, |bytes| match fields.order {
                        Order::Little => i64::from_le_bytes(*bytes),
                        Order::Big => i64::from_be_bytes(*bytes),
                    });
                    interface.offset = seconds.saturating_mul(Timestamp::SECOND);
                }
                _ => {}
            }
            let padding = usize::from(len).next_multiple_of(4) - usize::from(len);
            if fields.bytes(padding).is_none() {
                break;
            }
        }
        Some(interface)
    }

    fn time(&self, high: u32, low: u32) -> Timestamp {
        let units = (u64::from(high) << 32) | u64::from(low);
        Timestamp(self.unit.nanos(units).saturating_add(self.offset))
    }
}

/// A walk over sections.
#[derive(Debug)]
pub(crate) struct Walk {
    order: Order,
    interfaces: Vec<Interface>,
    /// Descriptions over [`MAX_INTERFACES`], in this section.
    dropped_interfaces: u64,
    /// The time of packets that have none.
    last_ts: Timestamp,
}

impl Walk {
    pub(super) fn new() -> Self {
        Self { order: Order::Little, interfaces: Vec::new(), dropped_interfaces: 0, last_ts: Timestamp(0) }
    }

    pub(super) fn walk(&mut self, bytes: &[u8], from: usize, found: &mut Found) -> Next {
        let mut rest = bytes.get(from..).unwrap_or_default();
        loop {
            let used = bytes.len() - rest.len();
            let Some(head) = rest.first_chunk::<FRAMING>() else {
                return Next::More { used, need: FRAMING };
            };
            let &[k0, k1, k2, k3, l0, l1, l2, l3, ..] = head;
            let opens = [k0, k1, k2, k3] == MAGIC;
            if opens {
                let Some(order) = section_order(head) else {
                    found.corrupt(|| "a section without byte order; the rest is left out".to_owned());
                    return Next::Stop;
                };
                self.order = order;
            }
            let kind = self.order.u32([k0, k1, k2, k3]);
            let len = self.order.u32([l0, l1, l2, l3]);
            if (len as usize) < FRAMING {
                found.corrupt(|| format!("a block of {len} bytes; the rest is left out"));
                return Next::Stop;
            }
            // Lengths that are no multiple of 4 are written by some; the padding is there all the same.
            let whole = (len as usize).next_multiple_of(4);
            let wanted = opens
                || matches!(
                    kind,
                    block::INTERFACE | block::PACKET | block::SIMPLE_PACKET | block::ENHANCED_PACKET | block::SECRETS
                );
            let oversized = wanted && whole > MAX_BLOCK;
            if oversized {
                found.corrupt(|| format!("a block of {len} bytes (at most {MAX_BLOCK} are looked at); left out"));
                if opens {
                    return Next::Stop;
                }
            }
            let Some((block, next)) = rest.split_at_checked(whole) else {
                return if wanted && !oversized {
                    Next::More { used, need: whole }
                } else {
                    Next::Skip(whole.saturating_sub(rest.len()) as u64)
                };
            };
            if wanted && !oversized {
                let body = block.get(8..block.len() - 4).unwrap_or_default();
                if block.last_chunk().is_none_or(|end| self.order.u32(*end) != len) {
                    found.corrupt(|| "a block whose two lengths differ; read by the first".to_owned());
                }
                if opens {
                    if !self.open_section(body, found) {
                        return Next::Stop;
                    }
                } else if self.block(kind, body, used + 8, found).is_none() {
                    found.corrupt(|| format!("a block of type {kind} that is too short for its contents; left out"));
                }
            }
            rest = next;
        }
    }

    /// §4.1. The section's length is not needed: blocks follow each other.
    fn open_section(&mut self, body: &[u8], found: &mut Found) -> bool {
        self.interfaces.clear();
        self.dropped_interfaces = 0;
        let mut fields = Fields { rest: body, order: self.order };
        let _byte_order = fields.u32();
        match fields.u16() {
            // 2 was never given out; libpcap takes 1.0 and 1.2 alone, others are the same so far.
            Some(1) => true,
            Some(major) => {
                found.corrupt(|| format!("a section of version {major}; the rest is left out"));
                false
            }
            None => {
                found.corrupt(|| "a section header that is too short; the rest is left out".to_owned());
                false
            }
        }
    }

    /// Reads one block. `None` if it is too short for what it says.
    fn block(&mut self, kind: u32, body: &[u8], at: usize, found: &mut Found) -> Option<()> {
        let mut fields = Fields { rest: body, order: self.order };
        match kind {
            block::ENHANCED_PACKET => {
                let id = fields.u32()?;
                let (high, low, captured, wire_len) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
                let data = fields.bytes(captured as usize)?;
                self.packet(id, Some((high, low)), at + 20, data, wire_len, found)
            }
            block::PACKET => {
                let (id, _drops) = (u32::from(fields.u16()?), fields.u16()?);
                let (high, low, captured, wire_len) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
                let data = fields.bytes(captured as usize)?;
                self.packet(id, Some((high, low)), at + 20, data, wire_len, found)
            }
            block::SIMPLE_PACKET => {
                let wire_len = fields.u32()?;
                let snaplen = self.interfaces.first().map_or(0, |i| i.snaplen);
                let captured = if snaplen == 0 { wire_len } else { wire_len.min(snaplen) };
                // Some writers leave the snaplen 0 and cut all the same; the block's end then says where.
                let data = fields.rest.get(..captured as usize).unwrap_or(fields.rest);
                self.packet(0, None, at + 4, data, wire_len, found)
            }
            block::INTERFACE => {
                // One that cannot be read still takes its number.
                let interface = Interface::parse(fields);
                let kept = interface.unwrap_or(Interface {
                    link: LinkType::Other(u16::MAX),
                    snaplen: 0,
                    unit: Unit::MICROSECOND,
                    offset: 0,
                });
                if self.interfaces.len() < MAX_INTERFACES {
                    self.interfaces.push(kept);
                } else {
                    self.dropped_interfaces += 1;
                    if self.dropped_interfaces == 1 {
                        let message =
                            format!("more than {MAX_INTERFACES} interfaces in a section; others are left out");
                        found.notice(NoticeCode::LimitMet, message);
                    }
                }
                interface.map(|_| ())
            }
            block::SECRETS => {
                let (kind, len) = (fields.u32()?, fields.u32()?);
                let bytes = fields.bytes(len as usize)?.to_vec();
                let since = found.frames.len() as u64;
                found.sensitive.push(at + 8..at + 8 + bytes.len());
                found.secrets.push(Secrets { kind, file: found.file, since, bytes });
                Some(())
            }
            _ => Some(()),
        }
    }

    fn packet(
        &mut self,
        id: u32,
        time: Option<(u32, u32)>,
        start: usize,
        data: &[u8],
        wire_len: u32,
        found: &mut Found,
    ) -> Option<()> {
        let Some(interface) = self.interfaces.get(id as usize) else {
            found.undescribed += 1;
            if found.undescribed == 1 {
                let message =
                    format!("a packet of interface {id}, which no block describes; such packets are left out");
                found.notice(NoticeCode::UnknownInterface, message);
            }
            return Some(());
        };
        if data.len() > MAX_FRAME {
            return None;
        }
        if let Some((high, low)) = time {
            self.last_ts = interface.time(high, low);
        }
        found.frame(self.last_ts, interface.link, start, data, wire_len);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Walker;
    use super::*;
    use crate::testing::Ng;

    fn walk(file: &[u8]) -> (Found, Next) {
        let mut found = Found::default();
        let next = Walker::Unknown.walk(file, 0, &mut found);
        (found, next)
    }

    fn codes(found: &Found) -> Vec<NoticeCode> {
        found.notices.iter().map(|(_, code, _)| *code).collect()
    }

    #[test]
    fn time_resolutions_are_powers_of_ten_or_two() {
        let second = 1_700_000_000_u64;
        for (option, units, want) in [
            (0, second, Timestamp::new(1_700_000_000, 0)),
            (3, second * 1000 + 7, Timestamp::new(1_700_000_000, 7_000_000)),
            (6, second * 1_000_000 + 7, Timestamp::new(1_700_000_000, 7000)),
            (9, second * 1_000_000_000 + 7, Timestamp::new(1_700_000_000, 7)),
            (10, second * 10_000_000_000 + 79, Timestamp::new(1_700_000_000, 7)),
            (12, 7_999, Timestamp(7)),
            (28, u64::MAX, Timestamp(1)),
            (29, u64::MAX, Timestamp(1)),
            (127, u64::MAX, Timestamp(1)),
            (0x80, second, Timestamp::new(1_700_000_000, 0)),
            (0x8a, (second << 10) | 0x200, Timestamp::new(1_700_000_000, 500_000_000)),
            (0xa0, (second << 32) | (1 << 31), Timestamp::new(1_700_000_000, 500_000_000)),
            (0xff, u64::MAX, Timestamp(0)),
            (0, u64::MAX, Timestamp(i64::MAX)),
            (9, u64::MAX, Timestamp(i64::MAX)),
            (0x80, u64::MAX, Timestamp(i64::MAX)),
        ] {
            for big in [false, true] {
                let file = Ng::new(big).section().interface(1, 0, Some(option), None).packet(0, units, b"x", 1).done();
                let (found, _) = walk(&file);
                // From 10^-29 on every time stamp is the same instant, give or take a nanosecond.
                assert!((found.frames[0].ts.0 - want.0).abs() <= 1, "{option:#x} {units}: {:?}", found.frames[0].ts);
            }
        }
    }

    #[test]
    fn the_time_offset_is_added_in_seconds_and_may_be_negative() {
        for offset in [100, -100] {
            let file = Ng::new(false).section().interface(1, 0, None, Some(offset)).packet(0, 5, b"x", 1).done();
            assert_eq!(walk(&file).0.frames[0].ts, Timestamp::new(offset, 5000));
        }
    }

    #[test]
    fn all_three_packet_blocks_are_read_and_a_simple_one_takes_the_time_before() {
        for big in [false, true] {
            let file = Ng::new(big)
                .section()
                .interface(101, 4, None, None)
                .interface(1, 0, Some(9), None)
                .packet(1, 77, b"enhanced", 1000)
                .simple(6, b"simp")
                .obsolete(0, 88, b"packet", 6)
                .done();
            let (found, next) = walk(&file);
            let frames: Vec<_> =
                found.frames.iter().map(|f| (f.ts.0, f.link, f.bytes(&file), f.wire_len, f.place.in_file)).collect();
            let want = [
                (77, LinkType::Ethernet, &b"enhanced"[..], 1000, 1),
                (77, LinkType::Raw, b"simp", 6, 2),
                (88_000, LinkType::Raw, b"packet", 6, 3),
            ];
            assert_eq!(frames, want);
            assert_eq!(next, Next::More { used: file.len(), need: 12 });
            assert_eq!(codes(&found), []);
        }
    }

    #[test]
    fn each_section_has_its_own_byte_order_and_interfaces() {
        let little = Ng::new(false).section().interface(1, 0, None, None).packet(0, 1, b"a", 1).done();
        let big =
            Ng::new(true).section().interface(113, 0, None, None).packet(0, 2, b"b", 1).packet(1, 3, b"c", 1).done();
        let (found, _) = walk(&[little, big].concat());
        let links: Vec<_> = found.frames.iter().map(|f| f.link).collect();
        assert_eq!(links, [LinkType::Ethernet, LinkType::LinuxSll]);
        assert_eq!((found.undescribed, codes(&found)), (1, vec![NoticeCode::UnknownInterface]));
    }

    #[test]
    fn unknown_blocks_are_skipped_even_when_they_have_not_come_whole() {
        let file =
            Ng::new(false).section().block(0xbad, &[7; 100]).interface(1, 0, None, None).packet(0, 1, b"a", 1).done();
        assert_eq!(walk(&file).0.frames.len(), 1);
        assert_eq!(walk(&file[..60]).1, Next::Skip(28 + 112 - 60));
    }

    #[test]
    fn secrets_are_kept_and_not_printed() {
        let mut body = Secrets::TLS_KEY_LOG.to_le_bytes().to_vec();
        body.extend(6_u32.to_le_bytes());
        body.extend(b"SECRET\0\0");
        let file = Ng::new(false).section().block(10, &body).done();
        let (found, _) = walk(&file);
        let want = Secrets { kind: Secrets::TLS_KEY_LOG, file: 0, since: 0, bytes: b"SECRET".to_vec() };
        assert_eq!(found.secrets, [want]);
        assert_eq!(found.sensitive.iter().map(|at| &file[at.clone()]).collect::<Vec<_>>(), [b"SECRET"]);
        let printed = format!("{:?}", found.secrets);
        assert!(printed.contains("[6 bytes]") && !printed.contains("83"), "{printed}");
    }

    #[test]
    fn a_bad_block_is_stepped_over_when_its_length_is_sane() {
        let ng = || Ng::new(false).section().interface(1, 0, None, None);
        // An enhanced packet of 1000 captured bytes in a block of 60.
        let mut lying = vec![0; 12];
        lying.extend(1000_u32.to_le_bytes());
        lying.extend([0; 32]);
        for (name, file, frames, stops) in [
            ("captured length over the block's", ng().block(6, &lying).packet(0, 1, b"a", 1).done(), 1, false),
            ("block shorter than its fields", ng().block(6, &[0; 8]).packet(0, 1, b"a", 1).done(), 1, false),
            ("interface shorter than its fields", ng().block(1, &[0; 4]).packet(1, 1, b"a", 1).done(), 1, false),
            ("secrets over the block's length", ng().block(10, &[255; 8]).packet(0, 1, b"a", 1).done(), 1, false),
            (
                "block of no length",
                ng().raw(&[6, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]).packet(0, 1, b"a", 1).done(),
                0,
                true,
            ),
            ("zeroes", ng().raw(&[0; 64]).packet(0, 1, b"a", 1).done(), 0, true),
            ("section of version 2", ng().block_of_section(2).packet(0, 1, b"a", 1).done(), 0, true),
        ] {
            let (found, next) = walk(&file);
            assert_eq!((found.frames.len(), next == Next::Stop), (frames, stops), "{name}");
            assert_eq!((found.corrupt, codes(&found)), (1, vec![NoticeCode::CorruptFile]), "{name}");
        }
    }

    #[test]
    fn lengths_that_differ_or_are_not_padded_are_told_of_and_read() {
        let mut file = Ng::new(false).section().interface(1, 0, None, None).packet(0, 1, b"a", 1).done();
        let end = file.len() - 4;
        file[end] ^= 0xff;
        let (found, _) = walk(&file);
        assert_eq!((found.frames.len(), found.corrupt), (1, 1));
    }

    #[test]
    fn options_that_do_not_fit_end_the_list_only() {
        // if_tsresol = 9, then an option of 60,000 bytes that is not there.
        let body = [1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 2, 0, 0x60, 0xea, 1, 2, 3, 4];
        let file = Ng::new(false).section().block(1, &body).packet(0, 5, b"a", 1).done();
        let (found, _) = walk(&file);
        assert_eq!((found.frames[0].ts, found.corrupt), (Timestamp(5), 0));
    }

    #[test]
    fn a_wanted_block_over_the_limit_is_skipped_without_being_held() {
        let mut file = Ng::new(false).section().interface(1, 0, None, None).done();
        let at = file.len();
        file.extend(6_u32.to_le_bytes());
        file.extend(0x7000_0000_u32.to_le_bytes());
        file.extend([0; 8]);
        let (found, next) = walk(&file);
        assert_eq!(next, Next::Skip(0x7000_0000 - 16), "block at {at}");
        assert_eq!(found.corrupt, 1);
    }
}
