//! Numbers for people and for tables.

/// `value` with thousands separators and about three significant digits: `0.043`, `1.23`, `12.3`, `1,234`.
pub(crate) fn short(value: f64) -> String {
    fixed(value, decimals(value))
}

/// The decimals that [`short`] gives to a value.
pub(crate) fn decimals(value: f64) -> usize {
    let size = value.abs();
    // Each bound is where rounding carries into the next size: 9.95 is shown as 10.0 and not as 9.95.
    match size {
        s if s >= 999.5 => 0,
        s if s >= 9.95 => 1,
        s if s >= 0.995 => 2,
        s if s >= 0.01 => 3,
        s if s >= 0.001 => 4,
        s if s >= 0.000_1 => 5,
        _ if size > 0.0 => 6,
        _ => 0,
    }
}

/// `value` with thousands separators and so many decimals; with an exponent where digits would fill the line.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e15 {
        return format!("{value:.2e}");
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let sign = if value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) { "-" } else { "" };
    format!("{sign}{}{fraction}", grouped(whole))
}

/// A count with thousands separators.
pub(crate) fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A count and the thing counted: `1 request`, `2,000 requests`.
pub(crate) fn counted(value: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(value), if value == 1 { "" } else { "s" })
}

/// `value` as the CSV files write it: at least two decimals, as AIPerf has them, and up to six where they say something;
/// further ones where a small value has its first three digits there.
pub(crate) fn decimal(value: f64) -> String {
    let decimals = match value.abs() {
        small if small > 0.0 && small < 0.000_1 => (2.0 - small.log10().floor()).min(15.0) as usize,
        _ => 6,
    };
    let mut text = format!("{value:.decimals$}");
    while text.ends_with('0') && !text[..text.len() - 2].ends_with('.') && text.contains('.') {
        text.pop();
    }
    if text.starts_with('-') && !text.bytes().any(|b| (b'1'..=b'9').contains(&b)) {
        text.remove(0);
    }
    text
}

fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_about_three_digits_and_thousands_separators() {
        let cases = [
            (0.0, "0"),
            (0.000_000_4, "0.000000"),
            (0.000_43, "0.00043"),
            (0.0043, "0.0043"),
            (0.043, "0.043"),
            (0.999, "1.00"),
            (1.234, "1.23"),
            (9.96, "10.0"),
            (12.34, "12.3"),
            (999.6, "1,000"),
            (1234.4, "1,234"),
            (-1_234_567.0, "-1,234,567"),
            (-0.000_000_4, "0.000000"),
            (1.5e300, "1.50e300"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
        assert_eq!(counted(1, "request"), "1 request");
        assert_eq!(counted(20_000, "request"), "20,000 requests");
    }

    #[test]
    fn the_table_keeps_two_decimals_and_up_to_six() {
        let cases = [
            (24.0, "24.00"),
            (0.5, "0.50"),
            (128.562_431_333, "128.562431"),
            (1.25, "1.25"),
            (0.000_48, "0.00048"),
            (0.000_024_000_000_3, "0.000024"),
            (0.000_000_123_4, "0.000000123"),
            (1e-300, "0.00"),
            (-0.0, "0.00"),
            (1e15, "1000000000000000.00"),
        ];
        for (value, text) in cases {
            assert_eq!(decimal(value), text);
        }
    }
}
