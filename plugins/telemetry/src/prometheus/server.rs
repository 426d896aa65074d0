//! Pages of inference servers: every family under its own name, every set of labels an entity. What tells of the server's
//! past only (summaries, start times of series, uptimes) is left out.

use super::{
    index::{self, Index, Place},
    text::{self, Families, Family, Kind, Labels, Part},
    units,
};
use inferometer_plugin_sdk::types::MetricKind;

/// The label that bounds a bucket.
const BOUND: &str = "le";

/// Where the figures of a series go; `None` if they are of no use.
pub(super) fn place(series: &str, families: &Families<'_>, index: &mut Index) -> Option<Place> {
    let name = text::name(series);
    let labels = text::labels(series)?;
    let unknown = Family::default();
    let (family_name, family, part) = families.find(name).unwrap_or((name, &unknown, Part::Whole));
    if is_of_the_past(family_name, family.kind) {
        return None;
    }
    match (family.kind, part) {
        (Kind::Histogram, Part::Bucket | Part::Sum | Part::Count) => {
            of_histogram(family_name, family, part, labels, index)
        }
        (Kind::Counter, Part::Whole) => {
            let short = family_name.strip_suffix("_total").filter(|short| !families.has(short));
            one(short.unwrap_or(family_name), MetricKind::COUNTER, family, labels, index)
        }
        (Kind::Gauge | Kind::Untyped, Part::Whole) => one(name, MetricKind::GAUGE, family, labels, index),
        _ => None,
    }
}

/// Times at which series began, and how long a server has been up.
fn is_of_the_past(family: &str, kind: Kind) -> bool {
    let is_start = family.ends_with("_created") && kind != Kind::Counter;
    is_start || family.ends_with("_uptime") || family.contains("_uptime_")
}

fn one(name: &str, kind: MetricKind, family: &Family, labels: Labels, index: &mut Index) -> Option<Place> {
    let metric = metric(name, kind, name, family, index)?;
    let entity = index.entity(id(&labels), labels);
    Some(index.place(metric, entity, 1.0, 0))
}

/// The metric `name`, with the unit and the help of `family`, whose name is `of`.
fn metric(name: &str, kind: MetricKind, of: &str, family: &Family, index: &mut Index) -> Option<u32> {
    let unit = if family.unit.is_empty() { units::infer(of, &family.help) } else { family.unit.clone() };
    index.metric(index::metric(name, kind, &unit, &family.help))
}

/// Buckets are entities of their own, beside the one without a bound that has the sum. The count is what the unbounded
/// bucket says, so it is taken where there is no such bucket.
fn of_histogram(name: &str, family: &Family, part: Part, mut labels: Labels, index: &mut Index) -> Option<Place> {
    let mut bound = labels.remove(BOUND);
    let whole = index.entity(id(&labels), labels.clone());
    if part == Part::Sum {
        let metric = metric(&format!("{name}_sum"), MetricKind::COUNTER, name, family, index)?;
        return Some(index.place(metric, whole, 1.0, 0));
    }
    if part == Part::Count || bound.as_ref().is_some_and(|bound| bound.parse() == Ok(f64::INFINITY)) {
        bound = Some("+Inf".to_owned());
    }
    labels.insert(BOUND.to_owned(), bound?);
    let metric = metric(name, MetricKind::HISTOGRAM, name, family, index)?;
    let entity = index.entity(id(&labels), labels);
    Some(index.place(metric, entity, 1.0, u16::from(part == Part::Count)))
}

/// Labels in their canonical form, sorted and quoted: what an entity is called.
fn id(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(","))
}
