//! Identity and tax numbers of persons.
//!
//! The forms (how many digits, where letters stand) are the expressions' business; these say whether a value of the
//! form can have been issued. Blanks, dots and dashes between digits do not count.

use super::sums::{digits, exactly, is_day, is_uniform, luhn, mod11_2, mod11_10, number, verhoeff, weighted};

/// Social Security number: no area 000, 666 or 9xx, no group 00, no serial 0000, none that was made public.
pub(super) fn us_ssn(value: &str) -> bool {
    let Some(all) = exactly::<9>(value) else { return false };
    let (area, rest) = all.split_at(3);
    let (group, serial) = rest.split_at(2);
    let (area, group, serial) = (number(area), number(group), number(serial));
    let public = matches!((area, group, serial), (78, 5, 1120) | (219, 9, 9999));
    !matches!(area, 0 | 666 | 900..) && group != 0 && serial != 0 && !public && !is_uniform(value)
}

/// Individual taxpayer number: 9xx, and a group that the IRS uses.
pub(super) fn us_itin(value: &str) -> bool {
    let Some([a, _, _, d, e, ..]) = exactly::<9>(value) else { return false };
    a == 9 && matches!(number(&[d, e]), 50..=65 | 70..=88 | 90..=92 | 94..=99) && !is_uniform(value)
}

/// National Insurance number: prefixes that are used, suffix A to D.
pub(super) fn uk_nino(value: &str) -> bool {
    let mut letters = value.bytes().filter(u8::is_ascii_uppercase);
    let (Some(first), Some(second), Some(b'A'..=b'D'), None) =
        (letters.next(), letters.next(), letters.next(), letters.next())
    else {
        return false;
    };
    let never = [*b"BG", *b"GB", *b"KN", *b"NK", *b"NT", *b"TN", *b"ZZ"].contains(&[first, second]);
    !never && !b"DFIQUV".contains(&first) && !b"DFIOQUV".contains(&second) && exactly::<6>(value).is_some()
}

/// NHS number: weights 10 to 2, modulo 11.
pub(super) fn uk_nhs(value: &str) -> bool {
    let Some(all) = exactly::<10>(value) else { return false };
    // The check digit weighs 1: all ten are a multiple of 11, or it would be 10, which no digit is.
    weighted(&all, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11) && !is_uniform(value)
}

/// Steuerliche Identifikationsnummer: of the first ten digits exactly one stands there two or three times, never three
/// in a row; then a check digit.
pub(super) fn de_steuer_id(value: &str) -> bool {
    let Some(all) = exactly::<11>(value) else { return false };
    let [front @ .., check] = all;
    let count = |digit: u32| front.iter().filter(|other| **other == digit).count();
    let repeated = (0..10).filter(|digit| count(*digit) > 1);
    let twice_or_thrice = repeated.clone().count() == 1 && repeated.clone().all(|digit| count(digit) <= 3);
    let in_a_row = front.windows(3).any(|three| three.iter().all(|digit| Some(digit) == three.first()));
    all.first() != Some(&0) && twice_or_thrice && !in_a_row && mod11_10(&front) == check
}

/// Numéro de sécurité sociale: sex, month, department, and the key: 97 less the rest modulo 97.
pub(super) fn fr_insee(value: &str) -> bool {
    let mut plain = [b'0'; 15];
    let mut bytes = value.bytes().filter(u8::is_ascii_alphanumeric);
    for slot in &mut plain {
        let Some(byte) = bytes.next() else { return false };
        *slot = byte;
    }
    if bytes.next().is_some() {
        return false;
    }
    // Corsica has letters, which count as 19 and 18.
    let [.., dept_tens, dept_ones, _, _, _, _, _, _, _, _] = plain;
    let department = match (dept_tens, dept_ones) {
        (b'2', b'A') => Some(*b"19"),
        (b'2', b'B') => Some(*b"18"),
        _ => None,
    };
    if let (Some(as_digits), Some(slot)) = (department, plain.get_mut(5..7)) {
        slot.copy_from_slice(&as_digits);
    }
    if !plain.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let of = |range: std::ops::Range<usize>| {
        plain.get(range).unwrap_or_default().iter().fold(0_u64, |sum, b| sum * 10 + u64::from(b - b'0'))
    };
    matches!(of(0..1), 1..=4 | 7 | 8)
        && matches!(of(3..5), 1..=12 | 20..=42 | 50..=99)
        && of(5..7) != 0
        && of(7..10) != 0
        && of(13..15) == 97 - of(0..13) % 97
}

/// DNI and NIE: the number modulo 23 names the letter.
pub(super) fn es_dni(value: &str) -> bool {
    const LETTERS: &[u8] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let first = value.bytes().next();
    let front = match first {
        Some(b'X' | b'0'..=b'9') => 0,
        Some(b'Y') => 1,
        Some(b'Z') => 2,
        _ => return false,
    };
    let count = digits(value).count();
    let wants = if first.is_some_and(|b| b.is_ascii_digit()) { 8 } else { 7 };
    let sum = digits(value).fold(front, |sum, digit| sum * 10 % 23 + digit) % 23;
    let letter = usize::try_from(sum).ok().and_then(|at| LETTERS.get(at));
    count == wants && letter.is_some() && value.bytes().next_back().as_ref() == letter && !is_uniform(value)
}

/// Codice fiscale: characters at odd places by a table, the others by their order, modulo 26.
pub(super) fn it_codice_fiscale(value: &str) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let order = |byte: u8| match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'Z' => Some(u32::from(byte - b'A')),
        b'a'..=b'z' => Some(u32::from(byte - b'a')),
        _ => None,
    };
    let Some((check, front)) = value.as_bytes().split_last() else { return false };
    let sum = front.iter().enumerate().try_fold(0, |sum, (at, byte)| {
        let order = order(*byte)?;
        let odd = || ODD.get(usize::try_from(order).ok()?).copied();
        Some(sum + if at % 2 == 0 { odd()? } else { order })
    });
    front.len() == 15 && check.is_ascii_alphabetic() && sum.map(|sum| sum % 26) == order(*check)
}

/// Burgerservicenummer: the eleven test, the last digit counting against the others.
pub(super) fn nl_bsn(value: &str) -> bool {
    let Some([front @ .., last]) = exactly::<9>(value) else { return false };
    let sum = weighted(&front, &[9, 8, 7, 6, 5, 4, 3, 2]);
    sum % 11 == last && sum > 0 && !is_uniform(value)
}

/// Rijksregisternummer: date of birth, and 97 less the rest modulo 97, with a 2 in front for who was born after 1999.
pub(super) fn be_national_number(value: &str) -> bool {
    let Some(all) = exactly::<11>(value) else { return false };
    let [_, _, m, n, d, e, ..] = all;
    let (front, check) = all.split_at(9);
    let check = number(check);
    let rest = |century: u32| 97 - (century + number(front)) % 97;
    // Two thousand million fits, being less than four.
    (check == rest(0) || check == rest(2_000_000_000)) && is_day_or_unknown(number(&[m, n]), number(&[d, e]))
}

fn is_day_or_unknown(month: u32, day: u32) -> bool {
    is_day(month % 20, day) || (month.is_multiple_of(20) && day <= 31)
}

/// PESEL: date of birth with the century in the month, weights 1, 3, 7, 9.
pub(super) fn pl_pesel(value: &str) -> bool {
    let Some(all) = exactly::<11>(value) else { return false };
    let [_, _, m, n, d, e, ..] = all;
    weighted(&all, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
        && is_day(number(&[m, n]) % 20, number(&[d, e]))
}

/// Número de identificação fiscal: weights 9 to 2, modulo 11.
pub(super) fn pt_nif(value: &str) -> bool {
    let Some([front @ .., check]) = exactly::<9>(value) else { return false };
    let rest = weighted(&front, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    matches!(front.first(), Some(1..=3 | 5 | 6 | 8 | 9))
        && check == if rest < 2 { 0 } else { 11 - rest }
        && !is_uniform(value)
}

/// Personnummer: date of birth (60 added to the day in coordination numbers), Luhn over the last ten digits.
pub(super) fn se_personnummer(value: &str) -> bool {
    let skip = match digits(value).count() {
        10 => 0,
        12 => 2,
        _ => return false,
    };
    let mut ten = [0; 10];
    ten.iter_mut().zip(digits(value).skip(skip)).for_each(|(slot, digit)| *slot = digit);
    let [_, _, m, n, d, e, ..] = ten;
    let day = number(&[d, e]);
    let doubled = |digit: u32| if digit == 9 { 9 } else { digit * 2 % 9 };
    let sum: u32 = ten.iter().enumerate().map(|(at, digit)| if at % 2 == 0 { doubled(*digit) } else { *digit }).sum();
    sum.is_multiple_of(10) && is_day(number(&[m, n]), if day > 60 { day - 60 } else { day })
}

/// Fødselsnummer: date of birth (40 added to the day in D-numbers), two check digits modulo 11.
pub(super) fn no_fodselsnummer(value: &str) -> bool {
    let Some(all) = exactly::<11>(value) else { return false };
    let [d, e, m, n, ..] = all;
    let day = number(&[d, e]);
    weighted(&all, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11)
        && weighted(&all, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
        && is_day(number(&[m, n]), if day > 40 { day - 40 } else { day })
}

/// Henkilötunnus: date of birth, and the nine digits modulo 31 name the last character.
pub(super) fn fi_hetu(value: &str) -> bool {
    const CHECKS: &[u8] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let Some((check, front)) = value.as_bytes().split_last() else { return false };
    let Some(all) = str::from_utf8(front).ok().and_then(exactly::<9>) else { return false };
    let [d, e, m, n, ..] = all;
    let place = usize::try_from(number(&all) % 31).ok();
    place.and_then(|at| CHECKS.get(at)) == Some(check) && is_day(number(&[m, n]), number(&[d, e]))
}

/// AHV number: the country 756 in front, weights 1 and 3 as on goods (EAN-13).
pub(super) fn ch_ahv(value: &str) -> bool {
    let Some(all) = exactly::<13>(value) else { return false };
    matches!(all, [7, 5, 6, ..]) && weighted(&all, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
}

/// Cod numeric personal: sex and century, date of birth, weights 279146358279 modulo 11.
pub(super) fn ro_cnp(value: &str) -> bool {
    let Some(all) = exactly::<13>(value) else { return false };
    let [sex, _, _, m, n, d, e, .., check] = all;
    let rest = weighted(&all, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    sex != 0 && is_day(number(&[m, n]), number(&[d, e])) && check == if rest == 10 { 1 } else { rest }
}

/// T.C. kimlik numarası: the tenth digit from the nine before it, the eleventh from the ten.
pub(super) fn tr_tckn(value: &str) -> bool {
    let Some(all) = exactly::<11>(value) else { return false };
    let [front @ .., tenth, last] = all;
    let odd: u32 = front.iter().step_by(2).sum();
    let even: u32 = front.iter().skip(1).step_by(2).sum();
    // Ten times nine keeps the difference from going below zero.
    front.first() != Some(&0) && (odd * 7 + 90 - even) % 10 == tenth && (odd + even + tenth) % 10 == last
}

/// CPF: two check digits modulo 11.
pub(super) fn br_cpf(value: &str) -> bool {
    let Some(all) = exactly::<11>(value) else { return false };
    let [.., first, second] = all;
    let check = |weights: &[u32]| weighted(&all, weights) * 10 % 11 % 10;
    first == check(&[10, 9, 8, 7, 6, 5, 4, 3, 2])
        && second == check(&[11, 10, 9, 8, 7, 6, 5, 4, 3, 2])
        && !is_uniform(value)
}

/// RUT: weights 2 to 7 from the right, over and over; 10 is K.
pub(super) fn cl_rut(value: &str) -> bool {
    let Some((check, front)) = value.as_bytes().split_last() else { return false };
    let Ok(front) = str::from_utf8(front) else { return false };
    let sum: u32 = digits(front).rev().zip((2..8).cycle()).map(|(digit, weight)| digit * weight).sum();
    let want = match 11 - sum % 11 {
        11 => b'0',
        10 => b'K',
        small => u8::try_from(small).map_or(b'?', |small| b'0' + small),
    };
    check.to_ascii_uppercase() == want && matches!(digits(front).count(), 7 | 8) && !is_uniform(front)
}

/// CUIT and CUIL: a type, weights 5432765432, modulo 11.
pub(super) fn ar_cuit(value: &str) -> bool {
    let Some(all) = exactly::<11>(value) else { return false };
    let [a, b, ..] = all;
    matches!(number(&[a, b]), 20 | 23..=27 | 30 | 33 | 34)
        && weighted(&all, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// CURP: a digit made of the seventeen characters before it, weights 18 to 2.
pub(super) fn mx_curp(value: &str) -> bool {
    let Some((check @ b'0'..=b'9', front)) = value.as_bytes().split_last() else { return false };
    let sum = front.iter().zip((2..=18).rev()).try_fold(0, |sum, (byte, weight)| {
        Some(match byte {
            b'0'..=b'9' => sum + weight * u32::from(byte - b'0'),
            b'A'..=b'N' => sum + weight * (u32::from(byte - b'A') + 10),
            // The letter after N is another one in Spanish.
            b'O'..=b'Z' => sum + weight * (u32::from(byte - b'A') + 11),
            _ => return None,
        })
    });
    front.len() == 17 && sum.is_some_and(|sum: u32| (10 - sum % 10) % 10 == u32::from(check - b'0'))
}

/// Social Insurance Number: Luhn, and a first digit that is given out.
pub(super) fn ca_sin(value: &str) -> bool {
    exactly::<9>(value).is_some_and(|[first, ..]| !matches!(first, 0 | 8)) && luhn(value)
}

/// Aadhaar: Verhoeff's check, no 0 or 1 in front.
pub(super) fn in_aadhaar(value: &str) -> bool {
    exactly::<12>(value).is_some_and(|all| !matches!(all, [0 | 1, ..]) && verhoeff(&all)) && !is_uniform(value)
}

/// Resident identity number: province, date of birth, MOD 11-2 with X for ten.
pub(super) fn cn_resident_id(value: &str) -> bool {
    let Some((check, front)) = value.as_bytes().split_last() else { return false };
    let Some(all) = str::from_utf8(front).ok().and_then(exactly::<17>) else { return false };
    let [_, _, _, _, _, _, century, decade, _, _, m, n, d, e, ..] = all;
    let want = match mod11_2(&all) {
        10 => b'X',
        small => u8::try_from(small).map_or(b'?', |small| b'0' + small),
    };
    let province = matches!(number(all.get(..2).unwrap_or_default()), 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81 | 82);
    let born = matches!((century, decade), (1, 9) | (2, 0));
    province && born && is_day(number(&[m, n]), number(&[d, e])) && check.to_ascii_uppercase() == want
}

/// Resident registration number: date of birth, weights 234567892345, modulo 11.
pub(super) fn kr_rrn(value: &str) -> bool {
    let Some(all) = exactly::<13>(value) else { return false };
    let [_, _, m, n, d, e, .., check] = all;
    let rest = weighted(&all, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]) % 11;
    (11 - rest) % 10 == check && is_day(number(&[m, n]), number(&[d, e]))
}

/// Individual Number: weights 6 to 2 and 7 to 2, modulo 11.
pub(super) fn jp_my_number(value: &str) -> bool {
    let Some(all) = exactly::<12>(value) else { return false };
    let [.., check] = all;
    let rest = weighted(&all, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    check == if rest < 2 { 0 } else { 11 - rest } && !is_uniform(value)
}

/// NRIC and FIN: weights 2765432, a letter by a table for each kind of person.
pub(super) fn sg_nric(value: &str) -> bool {
    let (Some(kind), Some(check)) = (value.bytes().next(), value.bytes().next_back()) else { return false };
    let Some(all) = exactly::<7>(value) else { return false };
    let (more, letters) = match kind {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        b'M' => (3, b"XWUTRQPNJLK"),
        _ => return false,
    };
    let sum = more + weighted(&all, &[2, 7, 6, 5, 4, 3, 2]);
    usize::try_from(sum % 11).ok().and_then(|at| letters.get(at)) == Some(&check)
}

/// Tax File Number: nine digits with weights, modulo 11.
pub(super) fn au_tfn(value: &str) -> bool {
    let Some(all) = exactly::<9>(value) else { return false };
    weighted(&all, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11) && !is_uniform(value)
}

/// Identity number: date of birth, citizenship, Luhn.
pub(super) fn za_id(value: &str) -> bool {
    let Some([_, _, m, n, d, e, .., citizen, _, _]) = exactly::<13>(value) else { return false };
    citizen <= 2 && is_day(number(&[m, n]), number(&[d, e])) && luhn(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One digit of a number changed is another number, which must not pass: all checks but three notice it.
    fn wrong(name: &str, of: fn(&str) -> bool, good: &[&str], bad: &[&str]) -> Vec<String> {
        let mut wrong = Vec::new();
        for value in good {
            let last = value.rfind(|c: char| c.is_ascii_digit()).unwrap();
            let digit = (value.as_bytes()[last] - b'0' + 1) % 10;
            let other = format!("{}{digit}{}", &value[..last], &value[last + 1..]);
            let checked = !matches!(name, "us_ssn" | "us_itin" | "uk_nino");
            wrong.extend((!of(value)).then(|| format!("{name} refuses {value}")));
            wrong.extend((checked && of(&other)).then(|| format!("{name} accepts {other}")));
        }
        wrong.extend(bad.iter().filter(|value| of(value)).map(|value| format!("{name} accepts {value}")));
        wrong
    }

    #[test]
    fn numbers_that_can_have_been_issued_are_told_from_others() {
        let mut all = Vec::new();
        let mut check =
            |name: &str, of: fn(&str) -> bool, good: &[&str], bad: &[&str]| all.extend(wrong(name, of, good, bad));
        check(
            "us_ssn",
            us_ssn,
            &["123-45-6789", "536 90 4399"],
            &[
                "000-12-3456",
                "666-12-3456",
                "900-12-3456",
                "123-00-4567",
                "123-45-0000",
                "078-05-1120",
                "111111111",
                "12345",
            ],
        );
        check("us_itin", us_itin, &["912-70-1234", "900 50 0001"], &["812-70-1234", "912-49-1234", "912-89-1234"]);
        check(
            "uk_nino",
            uk_nino,
            &["AB123456C", "JG 10 37 59 A"],
            &["QQ123456C", "GB123456A", "AB123456E", "AO123456A"],
        );
        check("uk_nhs", uk_nhs, &["943 476 5919", "4010232137"], &["943 476 5910", "1111111111", "987 654 4329"]);
        check(
            "de_steuer_id",
            de_steuer_id,
            &["86095742719", "47036892816", "65929970489"],
            &["86095742710", "01234567890", "12345678901", "11111111111"],
        );
        check(
            "fr_insee",
            fr_insee,
            &["2 55 08 14 168 025 38", "1 85 05 78 006 084 91"],
            &["255081416802539", "955081416802538"],
        );
        check(
            "es_dni",
            es_dni,
            &["12345678Z", "X1234567L", "Y2345678Z", "00000001R"],
            &["12345678A", "X1234567A", "1234567Z"],
        );
        check(
            "it_codice_fiscale",
            it_codice_fiscale,
            &["RSSMRA85T10A562S", "MRTMTT91D08F205J"],
            &["RSSMRA85T10A562T", "A"],
        );
        check("nl_bsn", nl_bsn, &["111222333", "123456782"], &["123456789", "000000000", "1112223330"]);
        check("be_national_number", be_national_number, &["85.07.30-033.28", "17 07 30 033 84"], &["85073003329"]);
        check("pl_pesel", pl_pesel, &["44051401359", "02070803628"], &["44051401358", "44991401350"]);
        check("pt_nif", pt_nif, &["123456789", "501964843"], &["123456780", "412345678"]);
        check(
            "se_personnummer",
            se_personnummer,
            &["811228-9874", "198112289874", "670919-9530"],
            &["811228-9875", "811328-9872"],
        );
        check("no_fodselsnummer", no_fodselsnummer, &["15076500565", "01010750160"], &["15076500566"]);
        check("fi_hetu", fi_hetu, &["131052-308T", "010594Y9032"], &["131052-308U", "321052-308T"]);
        check("ch_ahv", ch_ahv, &["756.9217.0769.85", "7561234567897"], &["757.9217.0769.85", "756.9217.0769.84"]);
        check("ro_cnp", ro_cnp, &["1800101221144"], &["1800101221145", "1801301221144"]);
        check("tr_tckn", tr_tckn, &["10000000146"], &["00000000146", "11111111111"]);
        check("br_cpf", br_cpf, &["529.982.247-25", "11144477735"], &["529.982.247-24", "111.111.111-11"]);
        check("cl_rut", cl_rut, &["12.345.678-5", "30.686.957-4"], &["12.345.678-9", "11.111.111-2"]);
        check("ar_cuit", ar_cuit, &["20-12345678-6", "27-27654321-6"], &["20-12345678-5", "99-12345678-6"]);
        check("mx_curp", mx_curp, &["HEGG560427MVZRRL04"], &["HEGG560427MVZRRL05", "HEGG560427MVZRRLA5"]);
        check("ca_sin", ca_sin, &["130 692 544", "193456787"], &["046 454 286", "130 692 543"]);
        check("in_aadhaar", in_aadhaar, &["2341 2341 2346", "499118665246"], &["234123412345", "134123412346"]);
        check(
            "cn_resident_id",
            cn_resident_id,
            &["11010519491231002X", "11010519491231002x"],
            &["110105194912310021", "99010519491231002X"],
        );
        check("kr_rrn", kr_rrn, &["820701-2409181"], &["820701-2409180", "821301-2409184"]);
        check("jp_my_number", jp_my_number, &["123456789018"], &["123456789012"]);
        check("sg_nric", sg_nric, &["S1234567D", "F1234567N", "T1234567J"], &["S1234567A", "A1234567D"]);
        check("au_tfn", au_tfn, &["123 456 782", "876543210"], &["123456789"]);
        check("za_id", za_id, &["8001015009087", "9202204720083"], &["8001015009088", "8013015009085"]);
        assert!(all.is_empty(), "{all:#?}");
    }
}
