//! Prometheus' text format: what a line says, and what the comments say of families. OpenMetrics' additions (units,
//! exemplars, `# EOF`) are read as well; what the figures mean for us is not decided here.

use std::collections::{BTreeMap, HashMap};

/// Labels by name.
pub(super) type Labels = BTreeMap<String, String>;

/// A line that holds a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line<'a> {
    /// The name with its labels, as written: a page repeats it at every reading, so it identifies the series.
    pub(super) series: &'a str,
    pub(super) value: f64,
}

impl<'a> Line<'a> {
    /// Reads a line that is neither empty nor a comment.
    pub(super) fn read(line: &'a str) -> Option<Self> {
        let (series, rest) = line.split_at(series_end(line.as_bytes())?);
        let (value, rest) = word(rest);
        let value = value.parse().ok()?;
        // What may follow is the time in milliseconds, and an exemplar.
        let (time, after) = word(rest);
        let is_whole = time.is_empty()
            || time.starts_with('#')
            || time.parse::<f64>().is_ok() && matches!(after.trim_start().as_bytes().first(), None | Some(b'#'));
        is_whole.then_some(Self { series, value })
    }
}

/// Splits after the first word, blanks before it left out.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_ascii_start();
    text.split_at(text.bytes().position(|byte| byte.is_ascii_whitespace()).unwrap_or(text.len()))
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':')
}

/// Where the name and its labels end.
fn series_end(line: &[u8]) -> Option<usize> {
    let name = line.iter().position(|byte| !is_name(*byte))?;
    if name == 0 || line[0].is_ascii_digit() {
        return None;
    }
    let blanks = line[name..].iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    if line[name + blanks] != b'{' {
        return Some(name);
    }
    let (mut is_quoted, mut is_escaped) = (false, false);
    let close = line[name + blanks..].iter().position(|byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'}' if !is_quoted => return true,
            _ => {}
        }
        false
    })?;
    Some(name + blanks + close + 1)
}

/// The name of a series and what stands between its braces.
fn split(series: &str) -> (&str, &str) {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    (name.trim_ascii_end(), labels.strip_suffix('}').unwrap_or(labels))
}

/// The name of a series.
pub(super) fn name(series: &str) -> &str {
    split(series).0
}

/// The labels of a series; `None` if they cannot be read. Of labels written twice the last counts.
pub(super) fn labels(series: &str) -> Option<Labels> {
    let mut labels = Labels::new();
    let mut rest = split(series).1.trim_ascii_start();
    while !rest.is_empty() {
        let (label, after) = rest.split_once('=')?;
        let label = label.trim_ascii_end();
        if label.is_empty() || !label.bytes().all(is_name) {
            return None;
        }
        let (value, after) = unquote(after.trim_ascii_start().strip_prefix('"')?)?;
        labels.insert(label.to_owned(), value);
        let after = after.trim_ascii_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_ascii_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(labels)
}

/// Reads up to the closing quote, and gives what comes after it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => escaped(chars.next()?.1, &mut value),
            _ => value.push(char),
        }
    }
    None
}

/// Adds what a backslash and `char` stand for; other pairs stand for themselves.
fn escaped(char: char, into: &mut String) {
    match char {
        'n' => into.push('\n'),
        '\\' | '"' => into.push(char),
        other => into.extend(['\\', other]),
    }
}

/// The text of a comment, with its escapes undone.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (char, chars.clone().next()) {
            ('\\', Some(next)) => {
                escaped(next, &mut plain);
                chars.next();
            }
            _ => plain.push(char),
        }
    }
    plain
}

/// How the figures of a family behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// Not said.
    #[default]
    Untyped,
    /// Quantiles since the server's start, states, and what came to the format since.
    Other,
}

/// What the comments say of a family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) kind: Kind,
    pub(super) help: String,
    /// Empty if not said.
    pub(super) unit: String,
}

/// What a series is within its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The figure that the family is named after.
    Whole,
    /// Observations no greater than the label `le`.
    Bucket,
    /// The sum of the observations.
    Sum,
    /// Their number.
    Count,
    /// A time, or a figure of no use.
    Aside,
}

/// The families of a page by name.
#[derive(Debug, Default)]
pub(super) struct Families<'a>(HashMap<&'a str, Family>);

impl<'a> Families<'a> {
    /// Reads the comments of a page.
    pub(super) fn of(page: &'a str) -> Self {
        let mut families: HashMap<&str, Family> = HashMap::new();
        for line in page.lines() {
            let Some(comment) = line.trim_ascii_start().strip_prefix('#') else { continue };
            let (keyword, rest) = word(comment);
            let (name, text) = word(rest);
            if !matches!(keyword, "HELP" | "TYPE" | "UNIT") || name.is_empty() {
                continue;
            }
            let (family, text) = (families.entry(name).or_default(), text.trim_ascii());
            match keyword {
                "HELP" => family.help = unescape(text),
                "UNIT" => text.clone_into(&mut family.unit),
                _ => {
                    family.kind = match text {
                        "counter" => Kind::Counter,
                        "gauge" | "info" => Kind::Gauge,
                        "histogram" => Kind::Histogram,
                        "untyped" | "unknown" | "" => Kind::Untyped,
                        _ => Kind::Other,
                    }
                }
            }
        }
        Self(families)
    }

    /// Whether there is a family of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The family that the series called `name` is of, by its name, and what it is there.
    pub(super) fn find<'n>(&self, name: &'n str) -> Option<(&'n str, &Family, Part)> {
        if let Some(family) = self.0.get(name) {
            return Some((name, family, Part::Whole));
        }
        let suffixes = [
            ("_bucket", Part::Bucket),
            ("_sum", Part::Sum),
            ("_count", Part::Count),
            ("_total", Part::Whole),
            ("_info", Part::Whole),
            ("_created", Part::Aside),
        ];
        suffixes.into_iter().find_map(|(suffix, part)| {
            let base = name.strip_suffix(suffix)?;
            let family = self.0.get(base)?;
            let belongs = match part {
                Part::Whole => matches!(family.kind, Kind::Counter | Kind::Gauge),
                Part::Aside => true,
                _ => matches!(family.kind, Kind::Histogram | Kind::Other),
            };
            belongs.then_some((base, family, part))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is(line: &str, series: &str, value: f64) {
        assert_eq!(Line::read(line), Some(Line { series, value }), "{line}");
    }

    fn label(series: &str) -> Vec<(String, String)> {
        labels(series).unwrap_or_else(|| panic!("{series}")).into_iter().collect()
    }

    #[test]
    fn a_line_is_a_series_and_a_value_whatever_follows() {
        is("up 1", "up", 1.0);
        is("a:b_c\t-2.5e-3  ", "a:b_c", -2.5e-3);
        is(r#"a{x="1"} 2 1395066363000"#, r#"a{x="1"}"#, 2.0);
        is(r#"a {x="1"} 2"#, r#"a {x="1"}"#, 2.0);
        is(r#"a_bucket{le="+Inf"} 3 # {trace="x y"} 0.5 1.7e9"#, r#"a_bucket{le="+Inf"}"#, 3.0);
        is(r#"a 3 1700000000 # {trace="x"} 0.5"#, "a", 3.0);
        is(r#"a{x="b,\"}c{"}1"#, r#"a{x="b,\"}c{"}"#, 1.0);
        is("a +Inf", "a", f64::INFINITY);
        assert!(Line::read("a NaN").unwrap().value.is_nan());
    }

    #[test]
    fn a_line_that_says_something_else_is_none() {
        for line in
            ["a", "a b", "1a 2", "a 1 b", "a 1 2 3", r#"a{x="1" 2"#, r#"a{x="1}" 2"#, "Not Found", "<html> 1", "{} 1"]
        {
            assert_eq!(Line::read(line), None, "{line}");
        }
    }

    #[test]
    fn labels_are_read_with_their_escapes_and_blanks() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(label("a"), []);
        assert_eq!(label("a{}"), []);
        assert_eq!(label(r#"a{ x = "1" , y="",}"#), [pair("x", "1"), pair("y", "")]);
        assert_eq!(label(r#"a{x="say \"}\", \\ and\nC:\dir"}"#), [pair("x", "say \"}\", \\ and\nC:\\dir")]);
        for series in [r"a{x=1}", r#"a{x="1"y="2"}"#, r#"a{="1"}"#, r#"a{x-y="1"}"#] {
            assert_eq!(labels(series), None, "{series}");
        }
    }

    #[test]
    fn series_are_of_the_family_that_their_suffix_leads_to() {
        let page = "# HELP h Two\\nlines\n# TYPE h histogram\n# TYPE g_count gauge\n# TYPE c counter\n# UNIT c s\n#TYPE s \
                    summary\n# EOF";
        let families = Families::of(page);
        let found = |name| families.find(name).map(|(name, family, part)| (name, family.kind, part));
        assert_eq!(found("h_bucket"), Some(("h", Kind::Histogram, Part::Bucket)));
        assert_eq!(found("h_created"), Some(("h", Kind::Histogram, Part::Aside)));
        assert_eq!(found("g_count"), Some(("g_count", Kind::Gauge, Part::Whole)));
        assert_eq!(found("c_total"), Some(("c", Kind::Counter, Part::Whole)));
        assert_eq!(found("c_sum"), None);
        assert_eq!(found("s_sum"), Some(("s", Kind::Other, Part::Sum)));
        assert_eq!(families.find("h").unwrap().1.help, "Two\nlines");
        assert_eq!(families.find("c").unwrap().1.unit, "s");
    }

    proptest! {
        #[test]
        fn any_labels_and_value_come_back_as_they_were_written(
            written in prop::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,8}", "\\PC{0,12}|[\"\\\\\n{},= ]{0,6}", 0..4),
            value in any::<f64>().prop_filter("NaN is not equal to itself", |value| !value.is_nan()),
            blank in "[ \t]{0,2}",
        ) {
            let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let inner: Vec<_> = written
                .iter()
                .map(|(name, text)| format!("{blank}{name}{blank}={blank}\"{}\"{blank}", quoted(text)))
                .collect();
            let series = format!("m{{{}}}", inner.join(","));
            let line = format!("{series} {value:?} 17 # {{a=\"b\"}} 1");
            prop_assert_eq!(Line::read(&line), Some(Line { series: &series, value }));
            prop_assert_eq!(name(&series), "m");
            prop_assert_eq!(labels(&series), Some(written));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,40}|[a{}=\",\\\\ #\n1+eINF_]{0,40}") {
            for line in text.lines() {
                if let Some(read) = Line::read(line) {
                    prop_assert!(line.starts_with(read.series));
                    let _ = labels(read.series);
                }
            }
            let _ = Families::of(&text).find("a_sum");
        }
    }
}
