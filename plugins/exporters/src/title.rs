//! What telemetry's metrics are called in tables.

use inferometer_plugin_sdk::documents::TelemetryMetric;

/// Longest help that is taken for a title.
const LONGEST: usize = 48;

/// Words that are not merely written with a capital.
const SPELLED: [(&str, &str); 22] = [
    ("amd", "AMD"),
    ("cpu", "CPU"),
    ("dram", "DRAM"),
    ("ecc", "ECC"),
    ("fb", "FB"),
    ("gfx", "GFX"),
    ("gpu", "GPU"),
    ("hbm", "HBM"),
    ("io", "IO"),
    ("jpg", "JPG"),
    ("kv", "KV"),
    ("mig", "MIG"),
    ("mm", "MM"),
    ("nvidia", "NVIDIA"),
    ("nvlink", "NVLink"),
    ("pcie", "PCIe"),
    ("rss", "RSS"),
    ("sm", "SM"),
    ("tcp", "TCP"),
    ("umc", "UMC"),
    ("xid", "XID"),
    ("xpu", "XPU"),
];

/// Titles of AIPerf's that its tags do not say.
const TITLES: [(&str, &str); 6] = [
    ("amd_memory_used", "AMD GPU Memory Used"),
    ("amd_power", "AMD GPU Power"),
    ("amd_temperature", "AMD GPU Temperature"),
    ("nvidia_memory_used", "NVIDIA GPU Memory Used"),
    ("nvidia_power_usage", "NVIDIA GPU Power Usage"),
    ("nvidia_temperature", "NVIDIA GPU Temperature"),
];

/// Name and unit, such as `NVIDIA GPU Power Usage (W)`: the metric's help where that is a title, else its tag in words.
pub(crate) fn label(metric: &TelemetryMetric) -> String {
    let title = if is_title(&metric.help) { metric.help.clone() } else { of_tag(&metric.name) };
    if metric.unit.is_empty() { title } else { format!("{title} ({})", metric.unit) }
}

/// Few words, each with a capital, and no sentence.
fn is_title(help: &str) -> bool {
    let is_short = !help.is_empty() && help.len() <= LONGEST && !help.ends_with('.');
    let capital = |word: &str| word.len() < 4 || word.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit());
    is_short && help.starts_with(char::is_uppercase) && !help.contains(char::is_control) && help.split(' ').all(capital)
}

fn of_tag(tag: &str) -> String {
    if let Some((_, title)) = TITLES.iter().find(|(known, _)| *known == tag) {
        return (*title).to_owned();
    }
    let words = tag.split(['_', ':', '.']).filter(|word| !word.is_empty()).map(|word| {
        let spelled = SPELLED.iter().find(|(plain, _)| *plain == word).map(|(_, spelled)| (*spelled).to_owned());
        spelled.unwrap_or_else(|| {
            let mut rest = word.chars();
            rest.next().into_iter().flat_map(char::to_uppercase).chain(rest).collect()
        })
    });
    let title = words.collect::<Vec<_>>().join(" ");
    if title.is_empty() { tag.to_owned() } else { title }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_of_aiperf_has_its_title_whatever_the_collector_says_of_it() {
        let (name, help) = ("nvidia_power_usage".into(), "Power that the GPU draws.".into());
        let metric = TelemetryMetric { name, help, unit: "W".into(), kind: "gauge".into() };
        assert_eq!(label(&metric), "NVIDIA GPU Power Usage (W)");
    }

    #[test]
    fn a_help_that_is_a_title_is_the_label_and_a_sentence_is_not() {
        let label = |help: &str, unit: &str| {
            let (name, help) = ("nvidia_sm_utilization".to_owned(), help.to_owned());
            label(&TelemetryMetric { name, help, unit: unit.to_owned(), kind: "gauge".into() })
        };
        assert_eq!(label("NVIDIA GPU Power Usage", "W"), "NVIDIA GPU Power Usage (W)");
        assert_eq!(label("XID Errors", ""), "XID Errors");
        for sentence in ["Share of time.", "Power draw", "", "Power Usage.", "lower Case", "Line\nBreak"] {
            assert_eq!(label(sentence, "%"), "NVIDIA SM Utilization (%)", "{sentence}");
        }
    }
}
