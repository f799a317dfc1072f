//! Times on the command line.

use net::Timestamp;

/// The time that it is.
#[expect(clippy::disallowed_methods, reason = "asked for by a command that people run, never by the path of traffic")]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Reads RFC 3339 (`2026-11-23T09:12:01Z`, with a fraction and an offset if need be) or seconds since 1970, with a
/// fraction if need be.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    seconds(text).or_else(|| rfc_3339(text)).ok_or_else(|| {
        "not a time; write it like 2026-11-23T09:12:01Z, 2026-11-23T10:12:01.5+01:00 or 1795425121".to_owned()
    })
}

fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    Some(Timestamp::new(digits(whole, 1..=11)?, nanos(fraction)?))
}

fn rfc_3339(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let (time, offset) = if let Some(time) = time.strip_suffix(['Z', 'z']) {
        (time, 0)
    } else {
        let at = time.rfind(['+', '-'])?;
        let [hours, minutes] = fields(time.get(at + 1..)?, ':', [2, 2])?;
        let sign = if time.get(at..)?.starts_with('-') { -1 } else { 1 };
        (hours <= 23 && minutes <= 59).then_some(())?;
        (time.get(..at)?, sign * (hours * 3600 + minutes * 60))
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    // A leap second (60) is the first second of the next minute, as everywhere in Unix time.
    ((1..=longest).contains(&day) && hour <= 23 && minute <= 59 && second <= 60).then_some(())?;
    let at = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(Timestamp::new(at, nanos(fraction)?))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: whole years, whole months, days.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Counting years from March puts the leap day at their end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719_468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468
}

fn fields<const N: usize>(text: &str, separator: char, lengths: [usize; N]) -> Option<[i64; N]> {
    let mut out = [0; N];
    let mut parts = text.split(separator);
    for (value, length) in out.iter_mut().zip(lengths) {
        *value = digits(parts.next()?, length..=length)?;
    }
    parts.next().is_none().then_some(out)
}

fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<i64> {
    (length.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// The nanoseconds of a decimal fraction; what lies below them is dropped.
fn nanos(fraction: &str) -> Option<i64> {
    digits(fraction, 1..=18).and_then(|_| format!("{fraction:0<9}").get(..9)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_written() {
        for (text, want) in [
            ("0", "1970-01-01T00:00:00.000000Z"),
            ("1795425121", "2026-11-23T09:12:01.000000Z"),
            ("1795425121.5", "2026-11-23T09:12:01.500000Z"),
            ("2026-11-23T09:12:01Z", "2026-11-23T09:12:01.000000Z"),
            ("2026-11-23 09:12:01.123456789z", "2026-11-23T09:12:01.123456Z"),
            ("2026-11-23T10:12:01+01:00", "2026-11-23T09:12:01.000000Z"),
            ("2026-11-22T23:42:01-09:30", "2026-11-23T09:12:01.000000Z"),
            ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000000Z"),
            ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59.000000Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
            ("2106-01-22T23:59:59Z", "2106-01-22T23:59:59.000000Z"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_one_that_is() {
        for text in [
            "",
            "noon",
            "-5",
            "1.",
            ".5",
            "2026-11-23",
            "2026-11-23T09:12",
            "2026-11-23T09:12:01",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T09:12:01+1",
            "26-11-23T09:12:01Z",
            "2026-11-23T09:12:01.Z",
            "123456789012",
        ] {
            assert!(parse(text).is_err_and(|e| e.contains("2026-11-23T09:12:01Z")), "{text}");
        }
    }
}
