//! Check digits.

/// The digits of a value; whatever stands between them is passed over.
pub(super) fn digits(value: &str) -> impl DoubleEndedIterator<Item = u32> + Clone {
    value.bytes().filter(u8::is_ascii_digit).map(|b| u32::from(b - b'0'))
}

/// The digits of a value, where there are exactly `N`.
pub(super) fn exactly<const N: usize>(value: &str) -> Option<[u32; N]> {
    let mut out = [0; N];
    let mut all = digits(value);
    for slot in &mut out {
        *slot = all.next()?;
    }
    all.next().is_none().then_some(out)
}

/// All digits are the same: what people type to fill a field.
pub(super) fn is_uniform(value: &str) -> bool {
    let mut all = digits(value);
    let first = all.next();
    all.all(|digit| Some(digit) == first)
}

/// ISO/IEC 7812-1, annex B: every second digit from the right is doubled.
pub(super) fn luhn(value: &str) -> bool {
    let sum: u32 = digits(value)
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit) {
            (0, _) => digit,
            (_, 9) => 9,
            _ => digit * 2 % 9,
        })
        .sum();
    digits(value).nth(1).is_some() && sum.is_multiple_of(10) && !is_uniform(value)
}

/// Each digit times its weight, all added up.
pub(super) fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// ISO/IEC 7064, MOD 97: the value of a text of digits and letters (as 10 to 35), read as one number.
pub(super) fn mod97(text: impl Iterator<Item = u8>) -> Option<u32> {
    text.filter(|b| !matches!(b, b' ' | b'-')).try_fold(0, |sum: u32, byte| {
        Some(match byte {
            b'0'..=b'9' => (sum * 10 + u32::from(byte - b'0')) % 97,
            b'A'..=b'Z' => (sum * 100 + u32::from(byte - b'A') + 10) % 97,
            _ => return None,
        })
    })
}

/// ISO/IEC 7064, MOD 11,10: the check digit for what stands before it.
pub(super) fn mod11_10(digits: &[u32]) -> u32 {
    let product = digits.iter().fold(10, |product, digit| {
        let sum = (digit + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10
}

/// ISO/IEC 7064, MOD 11-2: the check character for what stands before it, 10 being `X`.
pub(super) fn mod11_2(digits: &[u32]) -> u32 {
    let product = digits.iter().fold(0, |product, digit| (product + digit) * 2 % 11);
    (12 - product) % 11
}

/// Verhoeff's check over the dihedral group of order ten, the check digit last.
pub(super) fn verhoeff(digits: &[u32]) -> bool {
    // How a digit changes by its place, from the right.
    const PLACES: [[u32; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    // Five turns of a pentagon, and five turns of its mirror image.
    let times = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let place = |at: usize, digit: u32| {
        let row = PLACES.get(at % 8)?;
        row.get(usize::try_from(digit).ok()?).copied()
    };
    let end = digits.iter().rev().enumerate().try_fold(0, |sum, (at, digit)| Some(times(sum, place(at, *digit)?)));
    end == Some(0)
}

/// Whether a month and a day of it can be. Years are not looked at, so the 29th of February always can.
pub(super) fn is_day(month: u32, day: u32) -> bool {
    let days = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// Some digits as one number.
pub(super) fn number(digits: &[u32]) -> u32 {
    digits.iter().fold(0, |sum: u32, digit| sum.wrapping_mul(10).wrapping_add(*digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_those_of_the_standards() {
        assert!(luhn("79927398713") && luhn("4111 1111 1111 1111") && luhn("378282246310005"));
        assert!(!luhn("79927398710") && !luhn("0000000000") && !luhn("7"));
        assert!(verhoeff(&[2, 3, 6, 3]) && !verhoeff(&[2, 3, 6, 4]));
        assert!(verhoeff(&[1, 4, 2, 8, 5, 7, 0]) && !verhoeff(&[1, 4, 2, 5, 8, 7, 0]));
        assert_eq!(mod11_10(&[0, 7, 9, 4]), 5, "the example of the standard");
        assert_eq!(mod11_2(&[0, 7, 9, 4]), 0, "the example of the standard");
        assert_eq!(mod97("3214282912345698765432161182".bytes()), Some(1));
        assert!(is_day(2, 29) && !is_day(2, 30) && !is_day(13, 1) && !is_day(4, 31) && !is_day(1, 0));
    }

    #[test]
    fn verhoeff_notices_every_wrong_digit_and_every_swap() {
        let good = [2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 6];
        assert!(verhoeff(&good));
        for at in 0..good.len() {
            for digit in (0..10).filter(|digit| *digit != good[at]) {
                let mut wrong = good;
                wrong[at] = digit;
                assert!(!verhoeff(&wrong));
            }
            let mut swapped = good;
            swapped.swap(at, (at + 1) % good.len());
            assert!(at + 1 == good.len() || swapped == good || !verhoeff(&swapped));
        }
    }
}
