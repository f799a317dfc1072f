//! Keys and tokens.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Padded or not, and whatever the last bits are.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
/// Most bytes that are decoded of a value.
const LOOKED_AT: usize = 192;
/// Fewest characters of key material in a PEM block: a private key of a curve has more.
const MIN_PEM: usize = 40;

/// Shannon entropy in bits for each byte.
pub(super) fn entropy(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value.bytes() {
        counts.iter_mut().skip(usize::from(byte)).take(1).for_each(|count| *count += 1);
    }
    let all = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX)).max(1.0);
    counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / all).map(|p| -p * p.log2()).sum()
}

/// What a generator makes and people do not write: both cases and digits, no byte too often.
pub(super) fn mixed(value: &str) -> bool {
    let has = |what: fn(&u8) -> bool| value.bytes().any(|b| what(&b));
    has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit) && entropy(value) >= 3.0
}

/// CRC-32 as of Ethernet and ZIP.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 })
    })
}

/// Tokens of GitHub and npm: after the last underscore, the last six characters are the CRC-32 of those before, in base 62.
pub(super) fn crc32_base62(value: &str) -> bool {
    let secret = value.rsplit('_').next().unwrap_or_default();
    let Some((random, sum)) = secret.len().checked_sub(6).and_then(|at| secret.split_at_checked(at)) else {
        return false;
    };
    let read = sum.bytes().try_fold(0_u64, |sum, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        Some(sum * 62 + u64::from(digit))
    });
    !random.is_empty() && read == Some(u64::from(crc32(random.as_bytes())))
}

/// Id of an AWS access key: not one of the documentation, which end in EXAMPLE.
pub(super) fn aws_key_id(value: &str) -> bool {
    !value.ends_with("EXAMPLE") && entropy(value) >= 2.8
}

/// Bech32 (BIP 173): the checksum over the part before the last `1` and the data after it.
pub(super) fn bech32(value: &str) -> bool {
    const DATA: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let Some((human, data)) = value.rsplit_once('1') else { return false };
    let step = |sum: u32, value: u32| {
        let (top, sum) = (sum >> 25, (sum & 0x01FF_FFFF) << 5 ^ value);
        let generators = [0x3B6A_57B2, 0x2650_8E6D, 0x1EA1_19FA, 0x3D42_33DD, 0x2A14_62B3];
        generators.iter().enumerate().filter(|(at, _)| top >> at & 1 == 1).fold(sum, |sum, (_, g)| sum ^ g)
    };
    let lower = |text: &'_ str| text.bytes().map(|b| u32::from(b.to_ascii_lowercase())).collect::<Vec<u32>>();
    let human = lower(human);
    let sum = human.iter().fold(1, |sum, c| step(sum, c >> 5));
    let sum = human.iter().fold(step(sum, 0), |sum, c| step(sum, c & 31));
    let sum = data.bytes().try_fold(sum, |sum, byte| {
        let at = DATA.iter().position(|known| *known == byte.to_ascii_lowercase())?;
        Some(step(sum, u32::try_from(at).ok()?))
    });
    !human.is_empty() && data.len() >= 6 && sum == Some(1)
}

/// A PEM block (RFC 7468) with something in it: ASN.1, an OpenSSH key, or enough that is as random.
pub(super) fn pem(value: &str) -> bool {
    let Some((_, body)) = value.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----")) else {
        return false;
    };
    let body = body.split_once("-----END ").map_or(body, |(body, _)| body);
    // Headers of old blocks (`Proc-Type: …`) end with an empty line, written as itself or escaped once more.
    let blank = ["\n\n", "\r\n\r\n", "\\n\\n"].iter().find_map(|blank| body.split_once(blank));
    let body = blank.filter(|(headers, _)| headers.contains(':')).map_or(body, |(_, body)| body);
    let mut kept = [0; LOOKED_AT];
    let (mut count, mut bytes) = (0, body.bytes().peekable());
    while let Some(byte) = bytes.next() {
        match byte {
            // Line ends of a text inside a text.
            b'\\' => drop(bytes.next_if(|b| matches!(b, b'n' | b'r' | b't'))),
            b'=' | b' ' | b'\t' | b'\r' | b'\n' | b'"' | b',' => {}
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => {
                kept.iter_mut().skip(count).take(1).for_each(|slot| *slot = byte);
                count += 1;
            }
            _ => return false,
        }
    }
    let kept = kept.get(..count.min(LOOKED_AT)).unwrap_or_default();
    let mut plain = [0; LOOKED_AT];
    let decoded = STANDARD.decode_slice(kept.get(..kept.len() / 4 * 4).unwrap_or_default(), &mut plain);
    let plain = plain.get(..decoded.unwrap_or(0)).unwrap_or_default();
    count >= MIN_PEM
        && (plain.first() == Some(&0x30)
            || plain.starts_with(b"openssh-key-v1")
            || str::from_utf8(kept).is_ok_and(|kept| entropy(kept) >= 4.0))
}

/// A JSON Web Token (RFC 7519): header and claims are objects, and the header names an algorithm.
pub(super) fn jwt(value: &str) -> bool {
    let mut parts = value.split('.');
    let (Some(header), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (header, claims) = (Front::of(header), Front::of(claims));
    let is_object = |front: &[u8]| front.trim_ascii_start().first() == Some(&b'{') && str::from_utf8(front).is_ok();
    let names = memchr::memmem::find(header.get(), b"\"alg\"").is_some();
    names && is_object(header.get()) && claims.get().trim_ascii_start().first() == Some(&b'{')
}

/// The first bytes of a text in base64url.
struct Front([u8; LOOKED_AT], usize);

impl Front {
    fn of(text: &str) -> Self {
        // Whole groups of four, so that a cut text decodes.
        let part = text.get(..LOOKED_AT).unwrap_or(text);
        let mut plain = [0; LOOKED_AT];
        let length = URL_SAFE.decode_slice(part, &mut plain).unwrap_or(0);
        Self(plain, length)
    }

    fn get(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_tokens_hold() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926, "the check value of the algorithm");
        assert!(crc32_base62("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"), "the example GitHub gives");
        assert!(!crc32_base62("ghp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18"));
        assert!(
            bech32("A12UEL5L")
                && bech32("an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs")
        );
        assert!(!bech32("A12UEL5M") && !bech32("1") && !bech32("nothing"));
    }

    #[test]
    fn entropy_is_that_of_shannon() {
        for (text, bits) in [("", 0.0), ("aaaa", 0.0), ("abab", 1.0), ("abcd", 2.0), ("abcdefgh", 3.0)] {
            assert!((entropy(text) - bits).abs() < 1e-9, "{text}");
        }
    }

    #[test]
    fn a_token_is_one_by_its_header() {
        let good =
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0.c2lnbmF0dXJl";
        assert!(jwt(good));
        for bad in ["a.b.c", "eyJhIjoxfQ.eyJhIjoxfQ.x", &good.replacen('.', "", 1), &format!("{good}.more")] {
            assert!(!jwt(bad), "{bad}");
        }
    }

    #[test]
    fn a_block_holds_a_key_however_its_lines_end() {
        let key = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
        for end in ["\n", "\r\n", "\\n", " "] {
            let text = format!("-----BEGIN PRIVATE KEY-----{end}{key}{end}-----END PRIVATE KEY-----");
            assert!(pem(&text), "{end:?}");
        }
        let old = format!(
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X,1\n\n{key}\n-----END RSA PRIVATE KEY-----"
        );
        assert!(pem(&old));
        for bad in ["...", "your key here", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ""] {
            assert!(!pem(&format!("-----BEGIN PRIVATE KEY-----\n{bad}\n-----END PRIVATE KEY-----")), "{bad}");
        }
    }
}
