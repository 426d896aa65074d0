//! Numbers for people.

/// A count with thousands separators.
pub(super) fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A count and the thing counted: `1 request`, `2,000 requests`.
pub(super) fn counted(value: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(value), if value == 1 { "" } else { "s" })
}

/// With thousands separators and about three digits that matter: `0.043`, `1.23`, `2`, `12.3`, `1,234`.
pub(super) fn short(value: f64) -> String {
    let decimals = match value.abs() {
        size if size.fract() == 0.0 => 0,
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        size if size >= 0.01 => 3,
        _ => 6,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    format!("{}{fraction}", grouped(whole))
}

/// A share as per cent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let shown = [0.0, 0.0123, 0.5, 1.0, 1.25, 12.345, 99.96, 1234.6].map(short);
        assert_eq!(shown, ["0", "0.012", "0.500", "1", "1.25", "12.3", "100", "1,235"]);
    }

    #[test]
    fn counts_are_in_threes_and_things_have_their_plural() {
        assert_eq!([999, 1000, 1_234_567].map(count), ["999", "1,000", "1,234,567"]);
        assert_eq!((counted(1, "session"), counted(0, "session")), ("1 session".into(), "0 sessions".into()));
    }
}
