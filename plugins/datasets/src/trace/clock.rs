//! Times as traces write them, in nanoseconds. Decimal digits are read as such: 64-bit fractions would round times of
//! day since 1970 to some hundred nanoseconds.

use std::time::{Duration, UNIX_EPOCH};

/// Nanoseconds of a millisecond.
pub(super) const MILLISECOND: u64 = 1_000_000;
/// Nanoseconds of a second.
pub(super) const SECOND: u64 = 1_000_000_000;

/// A number of `unit`s, whole or with a fraction, rounded to the nearest nanosecond; nothing for what is no number, is
/// below zero, or is beyond what is taken for a time.
pub(super) fn decimal(text: &str, unit: u64) -> Option<u64> {
    let ns = if text.contains(['e', 'E']) {
        let ns = (text.parse::<f64>().ok()? * unit as f64).round();
        (0.0..u64::MAX as f64).contains(&ns).then_some(ns as u64)?
    } else {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        // Beyond 18 digits a fraction adds less than a billionth of a nanosecond.
        let fraction = fraction.get(..18).unwrap_or(fraction);
        let scale = 10_u128.pow(fraction.len() as u32);
        let (whole, fraction) = (digits(whole)?, digits(fraction)?);
        let of_fraction = (u128::from(fraction) * u128::from(unit) + scale / 2) / scale;
        u64::try_from(u128::from(whole) * u128::from(unit) + of_fraction).ok()?
    };
    (ns < u64::MAX).then_some(ns)
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A date and a time of day since 1970, in UTC unless an offset is given (`2024-05-10 00:00:00.009930+00:00`).
pub(super) fn date_time(text: &str) -> Option<u64> {
    let time_of_day = text.get(10..)?;
    let (local, offset) = match time_of_day.find(['+', '-', 'Z']) {
        Some(place) => (text.get(..10 + place)?, offset(&time_of_day[place..])?),
        None => (text, 0),
    };
    let since = humantime::parse_rfc3339_weak(local).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let shift = Duration::from_secs(offset.unsigned_abs());
    let utc = if offset < 0 { since.checked_add(shift)? } else { since.checked_sub(shift)? };
    u64::try_from(utc.as_nanos()).ok().filter(|ns| *ns < u64::MAX)
}

/// Seconds that local time is ahead: of `Z`, `+02`, `-0730` or `+05:30`.
fn offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, rest) = text.split_at_checked(1)?;
    let sign = if sign == "-" { -1 } else { 1 };
    let (hours, minutes) = rest.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let (hours, minutes) = (digits(hours)?, if minutes.is_empty() { 0 } else { digits(minutes)? });
    (hours < 24 && minutes < 60).then(|| sign * (hours as i64 * 60 + minutes as i64) * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_times_are_exact_to_the_nanosecond() {
        for (text, unit, expected) in [
            ("0", MILLISECOND, 0),
            ("27482", MILLISECOND, 27_482_000_000),
            ("0.25", MILLISECOND, 250_000),
            ("61.114", SECOND, 61_114_000_000),
            ("1700000000.123456789", SECOND, 1_700_000_000_123_456_789),
            ("0.0000000005", SECOND, 1),
            ("0.12345678901234567890123", SECOND, 123_456_789),
            ("1.5e3", MILLISECOND, 1_500_000_000),
        ] {
            assert_eq!(decimal(text, unit), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in
            ["", "-1", "+1", ".5", "1.", "1.5.2", "abc", "1e30", "18446744073709551615", "NaN", "inf", "1_0", "-1e3"]
        {
            assert_eq!(decimal(text, SECOND), None, "{text}");
        }
        for text in [
            "",
            "2023-11-16",
            "2023-11-16 18:15",
            "2023-13-16 18:15:46",
            "16.11.2023 18:15:46",
            "1969-01-01 00:00:00",
            "2023-11-16 18:15:46+25:00",
            "2023-11-16 18:15:46+1",
            "2023-11-16 18:15:46 UTC",
            "2023-11-16\u{e4}18:15:46",
        ] {
            assert_eq!(date_time(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_read_in_utc_with_and_without_an_offset() {
        let seconds = 1_700_158_546;
        for (text, fraction) in [
            ("2023-11-16 18:15:46", 0),
            ("2023-11-16T18:15:46Z", 0),
            ("2023-11-16 18:15:46.6805900", 680_590_000),
            ("2023-11-16 18:15:46.680590+00:00", 680_590_000),
            ("2023-11-16 20:15:46.5+02", 500_000_000),
            ("2023-11-16T12:45:46.000000001-05:30", 1),
        ] {
            assert_eq!(date_time(text), Some(seconds * SECOND + fraction), "{text}");
        }
    }
}
