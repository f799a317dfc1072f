//! Filter expressions: compiled by libpcap, run here.
//!
//! Running them here lets a frame be judged by its captured bytes and its length on the wire, which the binding
//! cannot tell apart, and keeps every access to the frame checked.

use crate::OpenError;
use net::LinkType;
use pcap::{Capture, Linktype, Precision};
use std::fmt;

/// An expression and its programs, one per link type met.
#[derive(Debug)]
pub(crate) struct Bpf {
    expression: String,
    /// `None` where the expression has no meaning for the link type.
    programs: Vec<(LinkType, Option<Program>)>,
    refused: Vec<(LinkType, String)>,
}

impl Bpf {
    /// Link types to compile for; frames of others are turned away.
    const MAX_PROGRAMS: usize = 64;

    pub(crate) fn new(expression: &str) -> Result<Self, OpenError> {
        let error = |message| OpenError::Filter { expression: expression.to_owned(), message };
        let ethernet = match compile(expression, LinkType::Ethernet) {
            Ok(program) => Some(program),
            // Some expressions mean something elsewhere only (`inbound` on cooked captures).
            Err(message) => {
                let elsewhere = [LinkType::LinuxSll, LinkType::Raw];
                if elsewhere.into_iter().all(|link| compile(expression, link).is_err()) {
                    return Err(error(message));
                }
                None
            }
        };
        let programs = ethernet.map(|program| (LinkType::Ethernet, Some(program))).into_iter().collect();
        Ok(Self { expression: expression.to_owned(), programs, refused: Vec::new() })
    }

    pub(crate) fn passes(&mut self, link: LinkType, data: &[u8], wire_len: u32) -> bool {
        let known = self.programs.iter().position(|(l, _)| *l == link);
        let index = known.unwrap_or_else(|| self.learn(link));
        matches!(self.programs.get(index), Some((_, Some(program))) if program.run(data, wire_len))
    }

    /// Link types for which the expression has no meaning, since last asked.
    pub(crate) fn refused(&mut self) -> Vec<(LinkType, String)> {
        std::mem::take(&mut self.refused)
    }

    fn learn(&mut self, link: LinkType) -> usize {
        if self.programs.len() < Self::MAX_PROGRAMS {
            let program = compile(&self.expression, link).map_err(|e| self.refused.push((link, e))).ok();
            self.programs.push((link, program));
            return self.programs.len() - 1;
        }
        usize::MAX
    }
}

/// libpcap knows some link types by another number than files do.
fn libpcap_number(link: LinkType) -> i32 {
    match link.number() {
        // ATM, raw IP, classical IP over ATM.
        100 => 11,
        101 => 12,
        106 => 19,
        number => i32::from(number),
    }
}

fn compile(expression: &str, link: LinkType) -> Result<Program, String> {
    let text = |e: pcap::Error| match e {
        pcap::Error::PcapError(message) => message,
        e => e.to_string(),
    };
    let handle = Capture::dead_with_precision(Linktype(libpcap_number(link)), Precision::Nano).map_err(text)?;
    let compiled = handle.compile(expression, true).map_err(text)?;
    let lines = compiled.get_instructions().iter().map(ToString::to_string);
    lines
        .map(|line| Instruction::parse(&line))
        .collect::<Option<_>>()
        .map(Program)
        .ok_or_else(|| "libpcap gave a program in an unknown form".to_owned())
}

/// One instruction of the classic packet filter (The BSD Packet Filter, 1993).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) jt: u8,
    pub(crate) jf: u8,
    pub(crate) k: u32,
}

impl Instruction {
    /// From the form that `tcpdump -ddd` prints.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let code = words.next()?.parse().ok()?;
        let (jt, jf) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let k = words.next()?.parse().ok()?;
        Some(Self { code, jt, jf, k })
    }
}

/// A program. Jumps lead forward only, so it ends after at most as many steps as it is long.
pub(crate) struct Program(pub(crate) Vec<Instruction>);

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({} instructions)", self.0.len())
    }
}

/// Words of scratch memory.
const MEMORY: usize = 16;

impl Program {
    /// Whether the filter takes the frame. A load beyond the captured bytes, a division by zero or a code that
    /// means nothing turns it away, as in libpcap.
    pub(crate) fn run(&self, data: &[u8], wire_len: u32) -> bool {
        self.evaluate(data, wire_len).is_some_and(|accepted| accepted > 0)
    }

    fn evaluate(&self, data: &[u8], wire_len: u32) -> Option<u32> {
        let (mut a, mut x) = (0_u32, 0_u32);
        let mut memory = [0_u32; MEMORY];
        let mut at = 0_usize;
        loop {
            let Instruction { code, jt, jf, k } = *self.0.get(at)?;
            at += 1;
            let slot = k as usize;
            match code & 0x07 {
                // ld, ldx
                class @ (0 | 1) => {
                    let size = code & 0x18;
                    let value = match code & 0xe0 {
                        0x00 => k,
                        0x20 if class == 0 => load(data, u64::from(k), size)?,
                        0x40 if class == 0 => load(data, u64::from(x) + u64::from(k), size)?,
                        0x60 => *memory.get(slot)?,
                        0x80 => wire_len,
                        // Four times the low nibble: the length of an IPv4 header.
                        0xa0 if class == 1 => (load(data, u64::from(k), 0x10)? & 0xf) << 2,
                        _ => return None,
                    };
                    if class == 0 { a = value } else { x = value }
                }
                // st, stx
                2 => *memory.get_mut(slot)? = a,
                3 => *memory.get_mut(slot)? = x,
                4 => a = calculate(code, a, if code & 0x08 == 0 { k } else { x })?,
                5 => {
                    let operand = if code & 0x08 == 0 { k } else { x };
                    let holds = match code & 0xf0 {
                        0x00 => {
                            at = at.checked_add(slot)?;
                            continue;
                        }
                        0x10 => a == operand,
                        0x20 => a > operand,
                        0x30 => a >= operand,
                        0x40 => a & operand != 0,
                        _ => return None,
                    };
                    at += usize::from(if holds { jt } else { jf });
                }
                // ret
                6 => {
                    return match code & 0x18 {
                        0x00 => Some(k),
                        0x08 => Some(x),
                        0x10 => Some(a),
                        _ => None,
                    };
                }
                // tax, txa
                _ => match code & 0xf8 {
                    0x00 => x = a,
                    0x80 => a = x,
                    _ => return None,
                },
            }
        }
    }
}

fn calculate(code: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match code & 0xf0 {
        0x00 => a.wrapping_add(operand),
        0x10 => a.wrapping_sub(operand),
        0x20 => a.wrapping_mul(operand),
        0x30 => a.checked_div(operand)?,
        0x40 => a | operand,
        0x50 => a & operand,
        0x60 => a.checked_shl(operand).unwrap_or(0),
        0x70 => a.checked_shr(operand).unwrap_or(0),
        0x80 => a.wrapping_neg(),
        0x90 => a.checked_rem(operand)?,
        0xa0 => a ^ operand,
        _ => return None,
    })
}

/// Loads a big-endian word, half-word or byte.
fn load(data: &[u8], at: u64, size: u16) -> Option<u32> {
    let rest = data.get(usize::try_from(at).ok()?..)?;
    match size {
        0x00 => rest.first_chunk().map(|b| u32::from_be_bytes(*b)),
        0x08 => rest.first_chunk().map(|b| u32::from(u16::from_be_bytes(*b))),
        0x10 => rest.first().map(|b| u32::from(*b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Expressions that between them use loads of all sizes, scratch memory, arithmetic and both kinds of jump.
    const EXPRESSIONS: &[&str] = &[
        "tcp",
        "tcp port 80 or udp port 53",
        "host 10.0.0.1 and not port 22",
        "ip6 and tcp",
        "vlan 7 and tcp port 443",
        "net 192.168.0.0/16",
        "tcp[13] & 2 != 0",
        "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
        "ip[2:2] * 2 - 3 > ip[0] % 7 + (ip[1] ^ 5) / 2",
        "len <= 100",
        "greater 64",
        "ether host 00:11:22:33:44:55",
        "ip6[40] << 1 > 3 or (ip[6:2] & 0x1fff) != 0",
        "ip[0] / (ip[1] - 5) = 0",
    ];

    fn packet() -> impl Strategy<Value = Vec<u8>> {
        let kind = prop_oneof![
            Just(vec![8, 0]),
            Just(vec![0x86, 0xdd]),
            Just(vec![0x81, 0, 0, 7, 8, 0]),
            prop::collection::vec(any::<u8>(), 2)
        ];
        let version = prop_oneof![Just(0x45_u8), Just(0x46), Just(0x60), any::<u8>()];
        let protocol = prop_oneof![Just(6_u8), Just(17), any::<u8>()];
        let port = prop_oneof![Just(80_u16), Just(443), Just(53), any::<u16>()];
        (kind, version, protocol, port, prop::collection::vec(any::<u8>(), 0..80), 0..100_usize).prop_map(
            |(kind, version, protocol, port, rest, cut)| {
                let mut out = vec![0, 0x11, 0x22, 0x33, 0x44, 0x55, 6, 7, 8, 9, 10, 11];
                out.extend(kind);
                out.extend([version, 0, 0, 60, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 192, 168, 1, 1]);
                out.extend(port.to_be_bytes());
                out.extend(rest);
                out.truncate(out.len().saturating_sub(cut));
                out
            },
        )
    }

    proptest! {
        #[test]
        fn frames_are_judged_as_libpcap_judges_them(packets in prop::collection::vec(packet(), 1..20)) {
            for expression in EXPRESSIONS {
                for link in [LinkType::Ethernet, LinkType::Raw, LinkType::LinuxSll] {
                    let Ok(program) = compile(expression, link) else { continue };
                    let handle = Capture::dead_with_precision(Linktype(libpcap_number(link)), Precision::Nano).unwrap();
                    let oracle = handle.compile(expression, true).unwrap();
                    for data in &packets {
                        let wire_len = u32::try_from(data.len()).unwrap();
                        prop_assert_eq!(program.run(data, wire_len), oracle.filter(data), "{} {:?}", expression, data);
                    }
                }
            }
        }

        #[test]
        fn any_program_ends_on_any_frame(data in prop::collection::vec(any::<u8>(), 0..400)) {
            crate::fuzz_bpf(&data);
        }
    }

    #[test]
    fn the_length_on_the_wire_counts_and_not_the_captured_one() {
        let mut bpf = Bpf::new("greater 1000").unwrap();
        assert!(bpf.passes(LinkType::Ethernet, &[0; 60], 1500));
        assert!(!bpf.passes(LinkType::Ethernet, &[0; 60], 60));
    }

    #[test]
    fn an_invalid_expression_is_told_at_once_with_the_words_of_libpcap() {
        let error = Bpf::new("tcp prot 80").unwrap_err().to_string();
        assert!(error.contains("`tcp prot 80`") && error.contains("syntax error"), "{error}");
        let error = Bpf::new("tcp\0").unwrap_err().to_string();
        assert!(error.contains("is not valid"), "{error}");
    }

    #[test]
    fn an_expression_without_meaning_for_a_link_type_turns_its_frames_away_and_says_so_once() {
        let mut bpf = Bpf::new("ether host 00:11:22:33:44:55").unwrap();
        assert!(!bpf.passes(LinkType::Raw, &[0x45; 40], 40));
        assert!(!bpf.passes(LinkType::Raw, &[0x45; 40], 40));
        assert_eq!(bpf.refused().len(), 1);
        assert_eq!(bpf.refused(), []);
    }

    #[test]
    fn an_expression_that_ethernet_does_not_know_is_valid_where_cooked_captures_do() {
        assert!(Bpf::new("inbound").is_ok());
    }

    #[test]
    fn link_types_beyond_the_limit_are_turned_away() {
        let mut bpf = Bpf::new("").unwrap();
        assert!(bpf.passes(LinkType::Ethernet, b"x", 1));
        for number in 0..200 {
            bpf.passes(LinkType::Other(1000 + number), b"x", 1);
        }
        assert_eq!(bpf.programs.len(), Bpf::MAX_PROGRAMS);
        assert!(!bpf.passes(LinkType::Other(1199), b"x", 1));
    }
}
