//! Further fields of NVIDIA's: files of the form that dcgm-exporter reads itself, a field a line, such as
//! `DCGM_FI_DEV_SM_CLOCK, gauge, SM clock frequency (in MHz).`

use super::devices::{Field, GB_PER_MIB, built_in};
use inferometer_plugin_sdk::types::{Error, MetricKind, Result};
use std::path::Path;

/// Reads the file at `path`; what is taken anyway is left out.
///
/// # Errors
/// When the file cannot be read, or a line of it.
pub(super) fn read(path: &Path) -> Result<Vec<Field>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::config(format!("{shown}: {error}; give the option 'fields' a file that can be read"))
    })?;
    parse(&text).map_err(|error| Error::config(format!("{shown}: {error}")))
}

fn parse(text: &str) -> Result<Vec<Field>, String> {
    let built_in: Vec<Field> = built_in().collect();
    let mut fields: Vec<Field> = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut columns = line.splitn(3, ',').map(str::trim);
        let (Some(name), Some(kind), Some(help)) = (columns.next(), columns.next(), columns.next()) else {
            return Err(format!("line {number}: '{line}' is not of the form 'field, gauge or counter, help'"));
        };
        if !name.starts_with("DCGM_") {
            return Err(format!("line {number}: '{name}' is no field of DCGM, whose names begin with DCGM_"));
        }
        let kind = match kind {
            "gauge" => MetricKind::GAUGE,
            "counter" => MetricKind::COUNTER,
            // It becomes a label of the others, so it has no figures.
            "label" => continue,
            _ => return Err(format!("line {number}: '{kind}' is none of gauge, counter and label")),
        };
        let field = field(name, kind, help);
        let mut taken = built_in.iter().chain(&fields);
        match taken.find(|taken| taken.name == field.name || taken.tag == field.tag) {
            None => fields.push(field),
            Some(taken) if taken.name == field.name => {}
            Some(taken) => {
                return Err(format!(
                    "line {number}: '{name}' would be called {} as '{}' is; leave one of them out",
                    field.tag, taken.name
                ));
            }
        }
    }
    Ok(fields)
}

fn field(name: &str, kind: MetricKind, help: &str) -> Field {
    let prefixes = ["DCGM_FI_DEV_", "DCGM_FI_PROF_", "DCGM_FI_", "DCGM_"];
    let short = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    let (title, said) = help.split_once("(in ").unwrap_or((help, ""));
    let said = said.split([')', ' ']).next().unwrap_or_default();
    // DCGM's profiler gives shares of one, whatever the text says.
    let is_share = name.starts_with("DCGM_FI_PROF_") && (name.ends_with("_ACTIVE") || name.ends_with("_OCCUPANCY"));
    let (unit, scale) = match said {
        _ if is_share => ("%", 100.0),
        "mW" => ("W", 1e-3),
        "mJ" => ("MJ", 1e-9),
        "C" => ("°C", 1.0),
        "KiB" => ("GB", GB_PER_MIB / 1024.0),
        "MiB" => ("GB", GB_PER_MIB),
        "GiB" => ("GB", GB_PER_MIB * 1024.0),
        "MB" => ("GB", 1e-3),
        "ns" => ("us", 1e-3),
        "" if kind == MetricKind::COUNTER => ("count", 1.0),
        other => (other, 1.0),
    };
    let title = title.trim().trim_end_matches('.');
    Field {
        name: name.to_owned().into(),
        tag: format!("nvidia_{}", short.to_ascii_lowercase()).into(),
        scale,
        unit: unit.to_owned().into(),
        kind,
        help: if title.is_empty() { name.to_owned() } else { format!("NVIDIA {title}") }.into(),
        is_of_board: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> (String, f64, String, MetricKind, String) {
        let Field { tag, scale, unit, kind, help, .. } = parse(line).unwrap().remove(0);
        (tag.into(), scale, unit.into(), kind, help.into())
    }

    #[test]
    fn a_line_says_the_kind_and_the_unit_which_becomes_ours() {
        let is = |line, tag: &str, scale, unit: &str, kind, help: &str| {
            assert_eq!(one(line), (tag.to_owned(), scale, unit.to_owned(), kind, help.to_owned()));
        };
        let (gauge, counter) = (MetricKind::GAUGE, MetricKind::COUNTER);
        is(
            "DCGM_FI_DEV_FB_FREE, gauge, Framebuffer memory free (in MiB).",
            "nvidia_fb_free",
            1.048_576e-3,
            "GB",
            gauge,
            "NVIDIA Framebuffer memory free",
        );
        is(
            "DCGM_FI_DEV_X,counter,Energy, all of it (in mJ)",
            "nvidia_x",
            1e-9,
            "MJ",
            counter,
            "NVIDIA Energy, all of it",
        );
        is("DCGM_FI_PROF_DRAM_ACTIVE, gauge, Ratio", "nvidia_dram_active", 100.0, "%", gauge, "NVIDIA Ratio");
        is("DCGM_FI_DEV_R, counter, Retries.", "nvidia_r", 1.0, "count", counter, "NVIDIA Retries");
        is("DCGM_FI_DEV_C, gauge, Clock (in MHz)", "nvidia_c", 1.0, "MHz", gauge, "NVIDIA Clock");
    }

    #[test]
    fn the_file_that_dcgm_exporter_comes_with_is_read_without_what_is_taken_anyway() {
        let fields = parse(include_str!("../../tests/data/dcgm_default_counters.csv")).unwrap();
        let tags: Vec<_> = fields.iter().map(|field| field.tag.as_ref()).collect();
        assert_eq!(tags.len(), 16, "{tags:?}");
        assert!(tags.contains(&"nvidia_sm_clock") && !tags.contains(&"nvidia_power_usage"));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_with_its_number() {
        let refused = |text| parse(text).unwrap_err();
        assert!(refused("# x\nDCGM_FI_A, gauge").starts_with("line 2: 'DCGM_FI_A, gauge' is not of the form"));
        assert!(refused("power, gauge, x").starts_with("line 1: 'power' is no field"));
        assert!(refused("DCGM_FI_A, Gauge, x").contains("'Gauge' is none of"));
        let twice = refused("DCGM_FI_DEV_A, gauge, x\nDCGM_FI_PROF_A, gauge, x");
        assert!(twice.contains("would be called nvidia_a as 'DCGM_FI_DEV_A' is"), "{twice}");
    }
}
