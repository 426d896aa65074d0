//! The results of a benchmark: how they are kept in a file, compared with those of another day, and shown.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::bench::figures::{Bar, Figure};
use crate::bench::stats;
use crate::bench::trial::Client;
use crate::bench::verdict::{self, Verdict};
use crate::bench::workload::Workload;

/// A machine of which others take no more than this, in percent, is quiet enough.
const QUIET: f64 = 5.0;

/// A whole benchmark.
#[derive(Deserialize, Serialize)]
pub(super) struct Results {
    pub(super) time: String,
    pub(super) commit: String,
    pub(super) host: Host,
    /// Whether the workloads were cut down.
    pub(super) quick: bool,
    pub(super) workloads: Vec<Outcome>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct Host {
    pub(super) cores: usize,
    pub(super) cpu: String,
    pub(super) kernel: String,
}

#[derive(Deserialize, Serialize)]
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) figures: Vec<Row>,
    /// How much of the machine's cores other programs took meanwhile, in percent; the median of the trials.
    pub(super) others: Option<f64>,
    /// What the program said of each of its trials.
    #[serde(default)]
    pub(super) verdicts: Vec<Verdict>,
}

/// A figure, of each trial.
#[derive(Deserialize, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) unit: String,
    /// Nothing, as in the next, if a trial does not tell it.
    pub(super) ours: Option<Side>,
    pub(super) bare: Option<Side>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct Side {
    pub(super) trials: Vec<f64>,
    pub(super) median: f64,
}

impl Side {
    pub(super) fn new(trials: Vec<f64>) -> Option<Self> {
        Some(Self { median: stats::median(&trials)?, trials })
    }

    /// The median, followed by the unit, and the range if there is one.
    pub(super) fn text(&self, unit: &str) -> String {
        let (least, most) = stats::range(&self.trials).unwrap_or((self.median, self.median));
        match self.trials.len() {
            1 => format!("{}{unit}", number(self.median)),
            _ => format!("{}{unit} ({}–{})", number(self.median), number(least), number(most)),
        }
    }
}

impl Row {
    /// The program's figure and the bare client's.
    fn medians(&self) -> Option<(f64, f64)> {
        Some((self.ours.as_ref()?.median, self.bare.as_ref()?.median))
    }

    /// How the program's figure stands to the bare client's; nothing where either may have both signs.
    fn ratio(&self) -> Option<f64> {
        let (ours, bare) = self.medians()?;
        (ours >= 0.0 && bare > 0.0).then(|| ours / bare)
    }

    /// What became of an older figure, in percent: of its ratio to the bare client where there is one, which does not
    /// change with the machine's mood.
    fn change(&self, then: &Self) -> Option<f64> {
        let medians = || self.ours.as_ref().zip(then.ours.as_ref()).map(|(now, then)| (now.median, then.median));
        let (now, then) = self.ratio().zip(then.ratio()).or_else(medians)?;
        let change = (now / then - 1.0) * 100.0;
        change.is_finite().then_some(change)
    }
}

impl Results {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        serde_json::from_reader(file).with_context(|| format!("{} holds no results of a benchmark", path.display()))
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn find(&self, workload: &str, figure: &str) -> Option<&Row> {
        let outcome = self.workloads.iter().find(|outcome| outcome.name == workload)?;
        outcome.figures.iter().find(|row| row.name == figure)
    }
}

/// The table of one workload, and how many of its figures miss their bar.
pub(super) fn table(workload: &Workload, outcome: &Outcome, then: Option<&Results>) -> (String, usize) {
    let mut lines = vec![["", "unit", "ours", "bare", "ratio", "bar", "", ""].map(str::to_owned).to_vec()];
    if then.is_some() {
        lines[0][7] = "change".to_owned();
    }
    let text = |side: &Option<Side>| side.as_ref().map_or_else(|| "–".to_owned(), |side| side.text(""));
    let mut misses = 0;
    for (figure, row) in workload.figures.iter().zip(&outcome.figures) {
        let kept = row.medians().and_then(|(ours, bare)| figure.bar.is_kept(ours, bare));
        misses += usize::from(kept == Some(false));
        let change = then.and_then(|then| row.change(then.find(workload.name, &row.name)?));
        lines.push(vec![
            label(figure),
            row.unit.clone(),
            text(&row.ours),
            text(&row.bare),
            row.ratio().filter(|_| !matches!(figure.bar, Bar::Within(_))).map(number).unwrap_or_default(),
            figure.bar.text(),
            kept.map(|kept| if kept { "ok" } else { "miss" }).unwrap_or_default().to_owned(),
            change.map(|change| format!("{change:+.1} %")).unwrap_or_default(),
        ]);
    }
    let mut text = format!("{}: {}\n{}", workload.name, workload.about, columns(&lines));
    if let Some(line) = verdict::line(&outcome.verdicts) {
        text.push_str(&line);
        text.push('\n');
    }
    if let Some(others) = outcome.others.filter(|others| *others > QUIET) {
        text.push_str(&format!("other programs took {others:.0} % of this machine: better measure again\n"));
    }
    (text, misses)
}

fn label(figure: &Figure) -> String {
    match figure.rival {
        Client::BareOnTwo => format!("{} (bare: 2 threads)", figure.name),
        _ => figure.name.to_owned(),
    }
}

/// Lines of cells in columns, the first two to the left.
fn columns(lines: &[Vec<String>]) -> String {
    let length = |cell: &String| cell.chars().count();
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| lines.iter().map(|line| length(&line[column])).max().unwrap_or_default())
        .collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 1 | 5 | 6 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A number with three digits that matter, or all of those before the point.
fn number(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let decimals = usize::try_from(2 - digits).unwrap_or(0).min(4);
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::verdict::Bounds;
    use crate::bench::workloads::ALL;

    fn row(ours: f64, bare: f64) -> Row {
        let side = |value| Side::new(vec![value]);
        Row { name: "CPU per request".to_owned(), unit: "µs".to_owned(), ours: side(ours), bare: side(bare) }
    }

    fn results(rows: Vec<Row>) -> Results {
        let host = Host { cores: 2, cpu: "a CPU".to_owned(), kernel: "6".to_owned() };
        let workloads = vec![Outcome { name: "whole".to_owned(), figures: rows, others: None, verdicts: Vec::new() }];
        Results { time: "now".to_owned(), commit: "abc".to_owned(), host, quick: false, workloads }
    }

    #[test]
    fn a_change_is_one_of_the_ratio_to_the_bare_client() {
        // Twice as fast a machine, and half as much more than bare.
        assert_eq!(row(6.0, 5.0).change(&row(12.0, 5.0)), Some(-50.0));
        assert_eq!(row(5.0, 5.0).change(&row(10.0, 10.0)), Some(0.0));
        assert_eq!(row(6.0, 0.0).change(&row(5.0, 0.0)).map(f64::round), Some(20.0));
        assert_eq!(row(6.0, 1.0).change(&row(0.0, 1.0)), None);
    }

    #[test]
    fn results_can_be_read_as_they_were_written() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("new/results.json");
        results(vec![row(2.0, 1.0)]).write(&file).unwrap();
        let read = Results::read(&file).unwrap();
        assert_eq!(read.find("whole", "CPU per request").unwrap().medians(), Some((2.0, 1.0)));
        assert!(read.find("whole", "another").is_none() && read.find("another", "CPU per request").is_none());
        assert!(Results::read(&scratch.path().join("none")).err().unwrap().to_string().contains("none"));
    }

    #[test]
    fn a_table_tells_what_is_kept_and_what_is_missed() {
        let workload = ALL.iter().find(|workload| workload.name == "whole").unwrap();
        let figures = vec![row(2.0, 1.0), row(1.0, 1.0), Row { ours: None, ..row(0.0, 1.0) }];
        let verdicts = vec![Verdict { state: "valid".to_owned(), bounds: Bounds::default() }];
        let outcome = Outcome { name: "whole".to_owned(), figures, others: Some(40.0), verdicts };
        let then = results(vec![row(1.0, 1.0)]);
        let (text, misses) = table(workload, &outcome, Some(&then));
        assert_eq!(misses, 1);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[2].contains("≤ 1.4 × bare") && lines[2].contains("miss") && lines[2].ends_with("+100.0 %"),
            "{text}"
        );
        assert!(lines[3].contains("ok"), "{text}");
        assert_eq!(lines[4].split_whitespace().collect::<Vec<_>>().join(" "), "mock CPU per request µs – 1.00");
        assert_eq!(lines[5], "verdict: valid");
        assert!(lines[6].starts_with("other programs took 40 %"), "{text}");
    }

    #[test]
    fn numbers_are_shown_with_three_digits_that_matter() {
        let shown = [186_800.4, 12.34, 1.0, 0.0123, 0.0, -0.25].map(number);
        assert_eq!(shown, ["186800", "12.3", "1.00", "0.0123", "0.00", "-0.250"]);
    }
}
