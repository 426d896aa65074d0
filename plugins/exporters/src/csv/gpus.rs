//! The table of GPUs: one row per device and metric. Columns that say where a device is are there if any device has them.

use super::{Table, number};
use crate::{
    stats,
    telemetry::{self, Device},
    title,
};
use inferometer_plugin_sdk::documents::Report;

type Place = (&'static str, fn(&Device<'_>) -> Option<String>);

const PLACES: [Place; 4] = [
    ("Hostname", |device| device.hostname.map(str::to_owned)),
    ("Namespace", |device| device.namespace.map(str::to_owned)),
    ("Pod Name", |device| device.pod_name.map(str::to_owned)),
    ("Instance", |device| device.instance.map(str::to_owned)),
];

/// The whole table; of the profiling phase.
pub(super) fn table(report: &Report) -> csv::Result<Table> {
    let devices =
        report.profiling().into_iter().flat_map(|phase| telemetry::devices(report, phase)).collect::<Vec<_>>();
    let places = PLACES.iter().filter(|(_, get)| devices.iter().any(|(device, _)| get(device).is_some()));
    let places = places.collect::<Vec<_>>();

    let head = ["Endpoint", "GPU_Index", "GPU_Name", "GPU_UUID", "Platform", "Metric"].into_iter();
    let stat_names = stats::csv_columns().map(|(name, _)| name);
    let mut table = Table::new(head.chain(stat_names).chain(places.iter().map(|(name, _)| *name)))?;
    for (device, readings) in &devices {
        let index = device.index.to_string();
        let known = [telemetry::endpoint(device.url), &index, device.name, device.uuid, device.platform];
        for reading in readings {
            let figures = reading.stats();
            if !stats::any_measured(&figures) {
                continue;
            }
            let figures = stats::csv_columns().map(|(_, get)| number(get(&figures)));
            let places = places.iter().map(|(_, get)| get(device).unwrap_or_default());
            let known = known.iter().map(|text| (*text).to_owned()).chain([title::label(reading.metric)]);
            table.row(known.chain(figures).chain(places))?;
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{GPU_CSV, telemetry_report};

    #[test]
    fn the_table_of_the_sample_comes_out_as_aiperf_wrote_it_but_for_more_decimals() {
        let ours = String::from_utf8(table(&telemetry_report()).unwrap().into_bytes().unwrap()).unwrap();
        assert_eq!(ours.lines().count(), GPU_CSV.lines().count());
        for (ours, sample) in ours.split("\r\n").zip(GPU_CSV.split("\r\n")) {
            let (ours, sample): (Vec<_>, Vec<_>) = (ours.split(',').collect(), sample.split(',').collect());
            assert_eq!(ours.len(), sample.len(), "{ours:?} {sample:?}");
            for (our, theirs) in ours.iter().zip(&sample) {
                match (our.parse::<f64>(), theirs.parse::<f64>()) {
                    (Ok(our), Ok(theirs)) => assert!((our - theirs).abs() <= 0.005_000_1, "{ours:?} {sample:?}"),
                    _ => assert_eq!(our, theirs),
                }
            }
        }
        assert!(ours.contains(",NVIDIA Energy Consumption (MJ),0.00024,"), "small energies are no zeros: {ours}");
    }
}
