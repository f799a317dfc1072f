//! Cards and bank accounts.

use super::sums::{digits, exactly, is_uniform, luhn, mod97, weighted};

/// Numbers a network issues: first and last prefix of six digits, shortest and longest number.
type Issued = (u32, u32, usize, usize);

/// By issuer identification number (ISO/IEC 7812-1), as the networks publish their ranges.
const NETWORKS: &[Issued] = &[
    (400_000, 499_999, 13, 19), // Visa; Elo and Dankort have parts of it
    (510_000, 559_999, 16, 16), // Mastercard
    (222_100, 272_099, 16, 16), // Mastercard
    (340_000, 349_999, 15, 15), // American Express
    (370_000, 379_999, 15, 15), // American Express
    (300_000, 305_999, 14, 19), // Diners Club
    (309_500, 309_599, 14, 19), // Diners Club
    (360_000, 369_999, 14, 19), // Diners Club
    (380_000, 399_999, 14, 19), // Diners Club
    (352_800, 358_999, 16, 19), // JCB
    (601_100, 601_199, 16, 19), // Discover
    (644_000, 659_999, 16, 19), // Discover; RuPay and Elo have parts of it
    (620_000, 626_999, 16, 19), // UnionPay; Discover has a part of it
    (628_000, 628_899, 16, 19), // UnionPay
    (810_000, 817_199, 16, 19), // UnionPay
    (508_500, 508_999, 16, 16), // RuPay
    (606_985, 607_984, 16, 16), // RuPay
    (608_001, 608_500, 16, 16), // RuPay
    (817_200, 820_199, 16, 16), // RuPay
    (220_000, 220_499, 16, 19), // Mir
    (979_200, 979_299, 16, 16), // Troy
    (506_099, 506_198, 16, 19), // Verve
    (650_002, 650_027, 16, 19), // Verve
    (506_699, 506_778, 16, 16), // Elo
    (509_000, 509_999, 16, 16), // Elo
    (627_780, 627_780, 16, 16), // Elo
    (636_297, 636_368, 16, 16), // Elo
    (606_282, 606_282, 16, 16), // Hipercard
    (637_000, 637_999, 16, 16), // InstaPayment
    (500_000, 508_499, 12, 19), // Maestro
    (560_000, 589_999, 12, 19), // Maestro
    (630_400, 630_499, 12, 19), // Maestro
    (670_000, 677_799, 12, 19), // Maestro
];

/// A card number: a range of some network, a length that it issues, and the check digit.
pub(super) fn card(value: &str) -> bool {
    let length = digits(value).count();
    let prefix = digits(value).take(6).fold(0, |sum, digit| sum * 10 + digit);
    let issued = |(first, last, shortest, longest): &Issued| {
        (*first..=*last).contains(&prefix) && (*shortest..=*longest).contains(&length)
    };
    NETWORKS.iter().any(issued) && luhn(value)
}

/// Country and length of its account numbers (ISO 13616, the register that SWIFT keeps).
const COUNTRIES: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

/// Where the number at the front of a value ends, by its country. What follows is no letter and no digit.
pub(super) fn iban_end(value: &str) -> Option<usize> {
    let (_, length) = COUNTRIES.iter().find(|(country, _)| value.starts_with(country))?;
    let (last, _) = value.bytes().enumerate().filter(|(_, b)| b.is_ascii_alphanumeric()).nth(length - 1)?;
    value.as_bytes().get(last + 1).is_none_or(|b| !b.is_ascii_alphanumeric()).then_some(last + 1)
}

/// An international bank account number: country, its length, and the two check digits.
pub(super) fn iban(value: &str) -> bool {
    let plain = || value.bytes().filter(|b| !matches!(b, b' ' | b'-'));
    let listed = COUNTRIES.iter().find(|(country, _)| plain().take(2).eq(country.bytes()));
    // Two letters, two digits, and the rest before them.
    let turned = plain().skip(4).chain(plain().take(4));
    // Check digits run from 02 to 98.
    let check = plain().skip(2).take(2).fold(0, |sum, b| sum * 10 + u32::from(b.wrapping_sub(b'0')));
    listed.is_some_and(|(_, length)| plain().count() == *length)
        && (2..=98).contains(&check)
        && mod97(turned) == Some(1)
        && !is_uniform(value.get(4..).unwrap_or_default())
}

/// A routing number of US banks: ranges of the Federal Reserve, weights 3, 7, 1.
pub(super) fn aba(value: &str) -> bool {
    let Some(all) = exactly::<9>(value) else { return false };
    let [a, b, ..] = all;
    let district = a * 10 + b;
    matches!(district, 1..=12 | 21..=32 | 61..=72 | 80)
        && weighted(&all, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_of_every_network_and_nothing_else() {
        for good in [
            "4111111111111111",
            "4222222222222",
            "5555 5555 5555 4444",
            "2223-0031-2200-3222",
            "378282246310005",
            "371449635398431",
            "30569309025904",
            "38520000023237",
            "3530111333300000",
            "6011111111111117",
            "6011000990139424",
            "6200000000000005",
            "6759649826438453",
            "2200000000000053",
        ] {
            assert!(card(good), "{good}");
        }
        for bad in [
            "4111111111111112",
            "411111111111111",
            "1234567812345670",
            "0000000000000000",
            "3782822463100051",
            "9999999999999995",
            "2720990000000000",
        ] {
            assert!(!card(bad), "{bad}");
        }
    }

    #[test]
    fn accounts_of_every_country_and_nothing_else() {
        for good in [
            "GB82WEST12345698765432",
            "DE89 3704 0044 0532 0130 00",
            "FR14 2004 1010 0505 0001 3M02 606",
            "NL91ABNA0417164300",
            "BE68 5390 0754 7034",
            "CH93 0076 2011 6238 5295 7",
            "NO93 8601 1117 947",
            "MT84MALT011000012345MTLCAST001S",
            "ES91 2100 0418 4502 0005 1332",
            "IT60X0542811101000000123456",
            "SA0380000000608010167519",
            "PL61109010140000071219812874",
            "LC55HEMM000100010012001200023015",
        ] {
            assert!(iban(good), "{good}");
        }
        for bad in [
            "GB82WEST12345698765433",
            "GB82WEST1234569876543",
            "US82WEST12345698765432",
            "DE00000000000000000000",
            "XX",
            "GB",
            "DE89370400440532013oo0",
        ] {
            assert!(!iban(bad), "{bad}");
        }
        assert!(aba("011000015") && aba("121000358") && aba("021000021"));
        assert!(!aba("011000016") && !aba("131000000") && !aba("12100035"));
    }
}
