//! The command line for the record, its secrets removed.

use inferometer_model::secret::{shown_option, shown_path, shown_text};

/// Flags whose value is a secret.
const SECRET: [&str; 1] = ["--api-key"];
/// Flags whose value is a header, of which the name may be seen.
const HEADER: [&str; 2] = ["--header", "-H"];
/// Flags whose value is a path on the server, of whose query the names may be seen.
const PATH: [&str; 2] = ["--endpoint", "--custom-endpoint"];
/// The flag whose value is a component's option.
const OPTION: &str = "--plugin-option";

/// The words joined as a shell would read them; keys and header values are dots.
pub(crate) fn redacted(words: impl IntoIterator<Item = String>) -> String {
    let mut hide: Option<fn(&str) -> String> = None;
    let mut shown: Vec<String> = Vec::new();
    for word in words {
        let word = match hide.take() {
            Some(hide) => hide(&word),
            None => match word.split_once('=').filter(|(flag, _)| flag.starts_with("--")) {
                Some((flag, value)) if hider(flag).is_some() => {
                    format!("{flag}={}", hider(flag).map_or_else(String::new, |hide| hide(value)))
                }
                _ if word.starts_with("-H") && word.len() > 2 => format!("-H{}", header(&word[2..])),
                _ => {
                    hide = hider(&word);
                    word
                }
            },
        };
        shown.push(quoted(shown_text(&word)));
    }
    shown.join(" ")
}

fn hider(flag: &str) -> Option<fn(&str) -> String> {
    if SECRET.contains(&flag) {
        Some(|_| "…".to_owned())
    } else if HEADER.contains(&flag) {
        Some(header)
    } else if PATH.contains(&flag) {
        Some(shown_path)
    } else if flag == OPTION {
        Some(shown_option)
    } else {
        None
    }
}

fn header(text: &str) -> String {
    match text.split_once(':') {
        Some((name, _)) if !name.starts_with('{') => format!("{name}: …"),
        _ => "…".to_owned(),
    }
}

fn quoted(word: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%…".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &[&str]) -> String {
        redacted(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn secrets_are_dots_however_they_are_typed() {
        for words in [
            &["profile", "--api-key", "sk-1"][..],
            &["profile", "--api-key=sk-1"],
            &["profile", "-H", "X-Key: sk-1"],
            &["profile", "-HX-Key: sk-1"],
            &["profile", "--header=X-Key: sk-1"],
            &["profile", "--header", r#"{"X-Key": "sk-1"}"#],
            &["profile", "--plugin-option", "acme.token=sk-1"],
            &["profile", "--plugin-option=acme.token=a,sk-1"],
            &["profile", "--extra-inputs", r#"{"api_key":["a","sk-1"]}"#],
            &["profile", "--extra-inputs", r#"{"api_key":"sk-1"}"#],
            &["profile", "--url", "http://h/v1?key=sk-1"],
            &["profile", "--server-metrics", "http://bob:sk-1@h/metrics"],
            &["profile", "--gpu-telemetry=http://sk-1@h"],
            &["profile", "--gpu-telemetry", "http://h/m?tok=sk-1"],
            &["profile", "--server-metrics=http://h/m?sk-1"],
            &["profile", "--endpoint", "/v1/x?sig=sk-1"],
            &["profile", "--custom-endpoint=/v1/x?sig=sk-1"],
            &["profile", "--plugin-option", r#"prometheus.headers={"X-Team": "sk-1"}"#],
        ] {
            assert!(!shown(words).contains("sk-1"), "{}", shown(words));
        }
    }

    #[test]
    fn other_words_are_quoted_as_a_shell_needs_it() {
        assert_eq!(shown(&["inferometer", "--goodput", "ttft:50 tpot:5"]), "inferometer --goodput 'ttft:50 tpot:5'");
    }
}
