//! The Huffman code of header strings (RFC 7541 §5.2 and appendix B).
//!
//! The code is canonical: within a length, codes grow with the symbol. So the lengths alone give all codes, and the
//! tables below are made of them at compile time.

/// Length of each symbol's code in bits; the last is the end-of-string symbol (appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// Longest code, in bits.
const LONGEST: usize = 30;
/// Codes up to this length are looked up at once: all letters and digits.
const SHORT: usize = 8;

/// The codes, arranged for reading.
struct Codes {
    /// By the next [`SHORT`] bits: symbol and length of a code that short, or length 0.
    short: [(u8, u8); 1 << SHORT],
    /// All symbols by length, then by code.
    sorted: [u16; 257],
    /// Per length: the first code, the place of its symbol in `sorted`, and the end of the codes as 32 bits
    /// aligned to the left, which is no code of this length any more.
    lengths: [(u32, u32, u64); LONGEST + 1],
}

static CODES: Codes = codes();

#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "evaluated by the compiler alone")]
const fn codes() -> Codes {
    let mut out = Codes { short: [(0, 0); 1 << SHORT], sorted: [0; 257], lengths: [(0, 0, 0); LONGEST + 1] };
    let (mut code, mut place, mut len) = (0_u32, 0, 1);
    while len <= LONGEST {
        code <<= 1;
        out.lengths[len].0 = code;
        out.lengths[len].1 = place as u32;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == len {
                out.sorted[place] = symbol as u16;
                place += 1;
                if len <= SHORT {
                    let spare = SHORT - len;
                    let mut below = 0;
                    while below < 1 << spare {
                        out.short[(code as usize) << spare | below] = (symbol as u8, len as u8);
                        below += 1;
                    }
                }
                code += 1;
            }
            symbol += 1;
        }
        out.lengths[len].2 = (code as u64) << (32 - len);
        len += 1;
    }
    out
}

/// The bytes are no string in this code: the end-of-string symbol, or padding that is not its beginning or is longer
/// than seven bits (§5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// The code at the beginning of `top`, which may be followed by anything: symbol and length.
fn long_code(top: u32) -> Option<(u16, u32)> {
    let (len, &(first, place, _)) =
        CODES.lengths.iter().enumerate().skip(SHORT + 1).find(|(_, (_, _, end))| u64::from(top) < *end)?;
    let len = u32::try_from(len).ok()?;
    let index = (top >> (32 - len)).checked_sub(first)?.checked_add(place)?;
    Some((*CODES.sorted.get(usize::try_from(index).ok()?)?, len))
}

/// Appends the string to `out`, at most 8/5 of the bytes of `input`. What is appended before an error stays.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    let mut rest = input.iter();
    // The next bits, aligned to the left, with zeros behind them.
    let (mut window, mut bits) = (0_u64, 0_u32);
    loop {
        if bits < 30 {
            while bits <= 56
                && let Some(&byte) = rest.next()
            {
                window |= u64::from(byte) << (56 - bits);
                bits += 8;
            }
        }
        let [next, ..] = window.to_be_bytes();
        let (symbol, len) = match CODES.short.get(usize::from(next)) {
            Some(&(symbol, len @ 1..)) => (symbol, u32::from(len)),
            _ if bits <= 8 => break,
            _ => {
                let (symbol, len) = long_code((window >> 32).try_into().unwrap_or(u32::MAX)).ok_or(Invalid)?;
                if len > bits {
                    break;
                }
                (u8::try_from(symbol).map_err(|_| Invalid)?, len)
            }
        };
        if len > bits {
            break;
        }
        out.push(symbol);
        window <<= len;
        bits -= len;
    }
    let padding = u64::MAX.checked_shl(64 - bits).unwrap_or(0);
    if bits < 8 && window == padding { Ok(()) } else { Err(Invalid) }
}

#[cfg(test)]
mod tests {
    use super::{Invalid, LENGTHS, decode};
    use testkit::http2::huffman;

    fn decoded(input: &[u8]) -> Result<Vec<u8>, Invalid> {
        let mut out = Vec::new();
        decode(input, &mut out).map(|()| out)
    }

    #[test]
    fn the_code_is_whole() {
        // Kraft: a full tree has the sum of 1.
        let sum: u64 = LENGTHS.iter().map(|&len| 1 << (30 - u32::from(len))).sum();
        assert_eq!(sum, 1 << 30);
    }

    #[test]
    fn every_byte_comes_back_alone_and_among_others() {
        for byte in 0..=255_u8 {
            for text in [vec![byte], vec![byte; 7], vec![b'a', byte, byte, b'~', byte]] {
                assert_eq!(decoded(&huffman(&text)), Ok(text.clone()), "{text:?}");
            }
        }
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        assert_eq!(decoded(&huffman(&all)), Ok(all));
    }

    #[test]
    fn bad_padding_and_the_end_symbol_are_refused() {
        for (name, input, want) in [
            ("nothing", &b""[..], Ok(vec![])),
            ("0 and padding", &[0b0000_0111], Ok(b"0".to_vec())),
            ("padding with a zero", &[0b0000_0110], Err(Invalid)),
            ("eight bits of padding", &[0xff], Err(Invalid)),
            ("a whole byte of padding behind a symbol of eight", &[0xf8, 0xff], Err(Invalid)),
            ("the end symbol", &[0xff, 0xff, 0xff, 0xff], Err(Invalid)),
            ("the end symbol in the middle", &[0xff, 0xff, 0xff, 0xfc, 0x07], Err(Invalid)),
            ("a code cut short", &[0xff, 0xff], Err(Invalid)),
        ] {
            assert_eq!(decoded(input), want, "{name}");
        }
    }
}
