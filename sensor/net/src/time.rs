//! Time as the capture tells it.

use std::fmt;

/// Nanoseconds since the Unix epoch, from the frame and never from a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Nanoseconds in one second.
    pub const SECOND: i64 = 1_000_000_000;

    /// From seconds and nanoseconds, saturating.
    pub const fn new(seconds: i64, nanos: i64) -> Self {
        Self(seconds.saturating_mul(Self::SECOND).saturating_add(nanos))
    }

    /// This time plus `nanos`, saturating.
    #[must_use]
    pub const fn plus(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to here; 0 if the clock ran backwards.
    pub const fn since(self, earlier: Self) -> i64 {
        let d = self.0.saturating_sub(earlier.0);
        if d < 0 { 0 } else { d }
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(Self::SECOND)
    }
}

/// RFC 3339 in UTC with microseconds: `2026-11-23T09:12:01.123456Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, nanos) = (self.seconds(), self.0.rem_euclid(Self::SECOND));
        let (days, rest) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
        // Days to civil date, after Howard Hinnant's public algorithm.
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        // Each line of output has several: digit by digit is a quarter of the work of formatting seven numbers.
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let numbers = [(year, 0, 4), (month, 5, 2), (day, 8, 2), (rest / 3600, 11, 2), (rest / 60 % 60, 14, 2)];
        for (number, at, width) in numbers.into_iter().chain([(rest % 60, 17, 2), (nanos / 1000, 20, 6)]) {
            // 64 bits of nanoseconds reach from 1677 to 2262.
            let mut left = number.unsigned_abs();
            for digit in text.iter_mut().skip(at).take(width).rev() {
                *digit = b'0' + (left % 10) as u8;
                left /= 10;
            }
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn times_print_as_rfc_3339() {
        for (t, want) in [
            (Timestamp(0), "1970-01-01T00:00:00.000000Z"),
            (Timestamp::new(951_782_400, 1_000), "2000-02-29T00:00:00.000001Z"),
            (Timestamp::new(4_293_734_399, 999_999_999), "2106-01-23T23:59:59.999999Z"),
            (Timestamp(-1), "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(t.to_string(), want);
        }
    }
}
