//! [`energy`]: what the load cost, and what was served for it.

use super::{
    covers, finite,
    unit::{joules, watts},
};
use crate::{PhaseMetrics, Window, totals::figure};
use inferometer_abi::documents::{MetricResult, Series, Subject, TelemetryEntity, TelemetrySource};
use std::collections::BTreeMap;

/// The energy metrics of a phase, for each platform (label `platform`) with its name before the tag: `nvidia_`, `amd_`.
/// `series` are those of all `sources` within the window of `phase`; `concurrency` is the number of users, if it was given.
///
/// All accelerators that were read are counted, each once, whether or not they serve the model: telemetry does not tell.
/// Who reads more than the model runs on reads less from these figures.
///
/// The power of a device is its gauge `<platform>_power_usage` or `<platform>_power`. Its energy is the growth of its counter
/// `<platform>_energy_consumption`; without one, its mean power over the window. A sum in which a device is missing is no
/// total: if a device's source was silent for more than a fifth of the window, there is none.
///
/// Tags, units and formulas are AIPerf's, and so is a pair that is easily confused: `total_gpu_power` adds up the gauges'
/// means, `average_gpu_power` is energy by time. Both are of all devices together. Metrics per watt divide by the latter.
pub fn energy(
    sources: &[TelemetrySource],
    series: &[Series],
    phase: &PhaseMetrics,
    concurrency: Option<u64>,
) -> Vec<MetricResult> {
    let Some(window) = phase.window.filter(|window| window.duration_ns() > 0) else { return Vec::new() };
    let mut platforms: BTreeMap<String, BTreeMap<Identity<'_>, Device>> = BTreeMap::new();
    for series in series {
        if let Some((platform, identity, reading)) = reading(sources, series, window) {
            let device = platforms.entry(platform).or_default().entry(identity).or_default();
            let seen_ns = seen(&sources[series.source], window);
            match reading {
                Reading::Power(power) => better(&mut device.power, seen_ns, power),
                Reading::Energy(energy) => better(&mut device.energy, seen_ns, Some(energy)),
            }
        }
    }
    platforms.iter().flat_map(|(platform, devices)| metrics(platform, devices, phase, window, concurrency)).collect()
}

/// What makes a device one. Several sources may read the same, and the instances that one is cut into show its power each.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Identity<'s> {
    Uuid(&'s str),
    Bus(&'s str, &'s str),
    Entity(usize, usize),
}

/// What is known of a device.
#[derive(Default)]
struct Device {
    /// Mean power in watts.
    power: Option<Figure>,
    /// Energy by its counter, in joules.
    energy: Option<Figure>,
}

impl Device {
    fn watts(&self) -> Option<f64> {
        self.power.map(|power| power.value)
    }

    fn joules(&self, window: Window) -> Option<f64> {
        self.energy.map(|energy| energy.value).or(self.watts().map(|power| power * window.seconds()))
    }
}

/// What one source says of a device.
#[derive(Clone, Copy)]
struct Figure {
    /// How much of the window the source was read for, in nanoseconds.
    seen_ns: u64,
    value: f64,
}

/// Takes `value` for `known` if its source was read for longer; of those read for equally long the first stays.
fn better(known: &mut Option<Figure>, seen_ns: u64, value: Option<f64>) {
    if let Some(value) = value
        && known.is_none_or(|known| known.seen_ns < seen_ns)
    {
        *known = Some(Figure { seen_ns, value });
    }
}

/// How much of `window` lies between the first and the last reading of `source`, in nanoseconds.
fn seen(source: &TelemetrySource, window: Window) -> u64 {
    let between = |(first, last): (u64, u64)| last.min(window.end_ns).saturating_sub(first.max(window.start_ns));
    source.first_ns.zip(source.last_ns).map_or(0, between)
}

enum Reading {
    /// In watts; absent if it was read for too little of the window.
    Power(Option<f64>),
    /// In joules.
    Energy(f64),
}

/// The platform and the device that `series` is about, and what it says of it; nothing if it is about something else.
fn reading<'s>(
    sources: &'s [TelemetrySource],
    series: &Series,
    window: Window,
) -> Option<(String, Identity<'s>, Reading)> {
    let source = sources.get(series.source).filter(|source| source.subject == Subject::Device)?;
    let (metric, entity) = (source.metrics.get(series.metric)?, source.entities.get(series.entity)?);
    let platform = label(entity, "platform")?;
    // It becomes part of a tag.
    let platform: String =
        platform.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let reading = match metric.name.strip_prefix(&platform)? {
        "_power_usage" | "_power" => {
            let read = source.first_ns.zip(source.last_ns).is_some_and(|(first, last)| covers(first, last, window));
            Reading::Power(finite(series.gauge?.avg? * watts(&metric.unit)?).filter(|_| read))
        }
        "_energy_consumption" => Reading::Energy(finite(series.counter?.total * joules(&metric.unit)?)?),
        _ => return None,
    };
    let bus = || Some(Identity::Bus(label(entity, "hostname")?, label(entity, "pci_bus_id")?));
    let identity = label(entity, "gpu_uuid").map(Identity::Uuid).or_else(bus);
    Some((platform, identity.unwrap_or(Identity::Entity(series.source, series.entity)), reading))
}

fn label<'e>(entity: &'e TelemetryEntity, name: &str) -> Option<&'e str> {
    entity.labels.get(name).map(String::as_str).filter(|text| !text.is_empty())
}

/// What is known of `devices`, and follows from it.
fn metrics(
    platform: &str,
    devices: &BTreeMap<Identity<'_>, Device>,
    phase: &PhaseMetrics,
    window: Window,
    concurrency: Option<u64>,
) -> Vec<MetricResult> {
    let seconds = window.seconds();
    let power: Option<f64> = devices.values().map(Device::watts).sum();
    let energy: Option<f64> = devices.values().map(|device| device.joules(window)).sum();
    let average = energy.map(|energy| energy / seconds);

    let by = |amount: Option<f64>, divisor: Option<f64>| {
        amount.zip(divisor.filter(|&divisor| divisor > 0.0)).map(|(amount, divisor)| amount / divisor)
    };
    let known = |tag: &str| phase.metrics.get(tag).and_then(|metric| metric.stats.avg);
    let output = known("total_osl");
    let all = known("total_isl").zip(output).map(|(input, output)| input + output);
    let millis = energy.map(|energy| energy * 1e3);
    let per_request = by(energy, known("request_count"));
    let delay = known("request_latency").map(|ms| ms / 1e3);
    let users = concurrency.map(|users| users as f64);
    let table = [
        ("total_gpu_power", "Total GPU Power", "W", false, power),
        ("average_gpu_power", "Average GPU Power", "W", false, average),
        ("total_gpu_energy", "Total GPU Energy", "J", false, energy),
        ("output_tokens_per_joule", "Output Tokens per Joule", "tokens/J", true, by(output, energy)),
        ("energy_per_output_token", "Energy per Output Token", "mJ/token", false, by(millis, output)),
        ("energy_per_total_token", "Energy per Total Token", "mJ/token", false, by(millis, all)),
        ("energy_per_request", "Energy per Request", "joules/request", false, per_request),
        ("energy_per_user", "Energy per User", "joules/user", false, by(energy, users)),
        (
            "energy_delay_product",
            "Energy Delay Product",
            "J*s",
            false,
            per_request.zip(delay).map(|(energy, delay)| energy * delay),
        ),
        (
            "performance_per_watt",
            "Performance per Watt",
            "requests/sec/W",
            true,
            by(known("request_throughput"), average),
        ),
        (
            "output_tps_per_watt",
            "Output Tokens per Second per Watt",
            "tokens/sec/W",
            true,
            by(known("output_token_throughput"), average),
        ),
        ("goodput_per_watt", "Goodput per Watt", "good-req/s/W", true, by(known("goodput"), average)),
    ];
    let metric = |(tag, header, unit, larger_is_better, value): (&str, &str, &str, bool, Option<f64>)| {
        figure(&format!("{platform}_{tag}"), header, unit, larger_is_better, value.and_then(finite))
    };
    table.into_iter().filter_map(metric).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::testing::MS;
    use inferometer_abi::types::Sample;

    const WINDOW: Window = Window { start_ns: 1000 * MS, end_ns: 3000 * MS };
    const METRICS: [(&str, &str, &str); 2] =
        [("nvidia_power_usage", "W", "gauge"), ("nvidia_energy_consumption", "MJ", "counter")];

    /// A source that was read through the whole window.
    fn read(metrics: &[(&str, &str, &str)], entities: &[&[(&str, &str)]]) -> TelemetrySource {
        TelemetrySource { first_ns: Some(900 * MS), last_ns: Some(3100 * MS), ..source(metrics, entities) }
    }

    /// 100 W by the gauge and 120 W by the counter of `entity`.
    fn busy(entity: u32) -> Vec<Sample> {
        let joules = [(900, 1000.0), (2000, 1132.0), (3100, 1264.0)].map(|(ms, joules)| (ms, joules * 1e-6));
        [samples(0, entity, &[(1500, 90.0), (2500, 110.0)]), samples(1, entity, &joules)].concat()
    }

    fn phase(window: Window, figures: &[(&str, f64)]) -> PhaseMetrics {
        let metric = |&(tag, value): &(&str, f64)| Some((tag.to_owned(), figure(tag, tag, "", false, Some(value))?));
        let metrics = figures.iter().filter_map(metric).collect();
        PhaseMetrics { window: Some(window), metrics, ..PhaseMetrics::default() }
    }

    fn of(sources: &[TelemetrySource], samples: &[Vec<Sample>], figures: &[(&str, f64)]) -> BTreeMap<String, f64> {
        let series = sources.iter().zip(samples).enumerate();
        let series: Vec<_> = series.flat_map(|(index, (s, samples))| summed(index, s, samples, WINDOW)).collect();
        let found = energy(sources, &series, &phase(WINDOW, figures), None);
        found.into_iter().map(|metric| (metric.info.tag, (metric.stats.avg.unwrap() * 1e9).round() / 1e9)).collect()
    }

    fn named(figures: &[(&str, f64)]) -> BTreeMap<String, f64> {
        figures.iter().map(|&(tag, value)| (tag.to_owned(), value)).collect()
    }

    #[test]
    fn the_figures_are_those_of_an_aiperf_report() {
        // 480 J in 1.388 s, 40 requests, 2349 tokens in and 640 out, concurrency 4: `profile_export_aiperf.json` of 0.13.
        let seconds: f64 = 480.0 / 345.7348919254336;
        let end_ns = WINDOW.start_ns + (seconds * 1e9).round() as u64;
        let window = Window { end_ns, ..WINDOW };
        let series = [(0, 324.392), (1, 323.423)].map(|(entity, power)| {
            let gauge = inferometer_abi::documents::Stats { avg: Some(power), ..Default::default() };
            Series { entity, gauge: Some(gauge), ..Series::default() }
        });
        let spent = [0, 1].map(|entity| Series {
            entity,
            metric: 1,
            counter: super::super::increase(240e-6, window),
            ..Series::default()
        });
        let figures = [
            ("request_count", 40.0),
            ("total_osl", 640.0),
            ("total_isl", 2349.0),
            ("request_latency", 132.76468007500002),
            ("request_throughput", 40.0 / seconds),
            ("output_token_throughput", 640.0 / seconds),
            ("goodput", 0.0),
        ];
        let platform: &[(&str, &str)] = &[("platform", "nvidia")];
        let sources = [read(&METRICS, &[platform, platform])];
        let found = energy(&sources, &[&series[..], &spent].concat(), &phase(window, &figures), Some(4));
        let wanted = [
            ("total_gpu_power", "Total GPU Power", "W", 647.815),
            ("average_gpu_power", "Average GPU Power", "W", 345.7348919254336),
            ("total_gpu_energy", "Total GPU Energy", "J", 480.0),
            ("output_tokens_per_joule", "Output Tokens per Joule", "tokens/J", 1.3333333333333333),
            ("energy_per_output_token", "Energy per Output Token", "mJ/token", 750.0),
            ("energy_per_total_token", "Energy per Total Token", "mJ/token", 160.58882569421212),
            ("energy_per_request", "Energy per Request", "joules/request", 12.0),
            ("energy_per_user", "Energy per User", "joules/user", 120.0),
            ("energy_delay_product", "Energy Delay Product", "J*s", 1.5931761609),
            ("performance_per_watt", "Performance per Watt", "requests/sec/W", 0.08333333333333334),
            ("output_tps_per_watt", "Output Tokens per Second per Watt", "tokens/sec/W", 1.3333333333333335),
            ("goodput_per_watt", "Goodput per Watt", "good-req/s/W", 0.0),
        ];
        assert_eq!(found.len(), wanted.len());
        for (found, (tag, header, unit, value)) in found.iter().zip(wanted) {
            assert_eq!(found.info.tag, format!("nvidia_{tag}"));
            assert_eq!((found.info.header.as_str(), found.info.unit.as_str()), (header, unit));
            assert!((found.stats.avg.unwrap() - value).abs() < 1e-6, "{tag}: {found:?}");
        }
    }

    #[test]
    fn what_was_not_measured_is_absent() {
        let sources = [read(&METRICS, &[&[("platform", "nvidia")]])];
        let wanted = [
            ("nvidia_total_gpu_power", 100.0),
            ("nvidia_average_gpu_power", 120.0),
            ("nvidia_total_gpu_energy", 240.0),
        ];
        assert_eq!(of(&sources, &[busy(0)], &[("request_count", 0.0)]), named(&wanted));
        assert_eq!(of(&sources, &[busy(0)[2..].to_vec()], &[]), named(&wanted[1..]), "no gauge");
        assert_eq!(of(&sources, &[vec![]], &[]), named(&[]));
        assert_eq!(of(&[read(&METRICS, &[&[]])], &[busy(0)], &[]), named(&[]), "of no platform");
    }

    #[test]
    fn without_a_counter_energy_is_power_by_time() {
        let metrics = [("acme_npu_power", "mW", "gauge")];
        let sources = [read(&metrics, &[&[("platform", "Acme NPU")]])];
        let wanted = [
            ("acme_npu_total_gpu_power", 0.2),
            ("acme_npu_average_gpu_power", 0.2),
            ("acme_npu_total_gpu_energy", 0.4),
            ("acme_npu_output_tokens_per_joule", 20.0),
        ];
        let found = of(&sources, &[samples(0, 0, &[(1500, 100.0), (2500, 300.0)])], &[("total_osl", 8.0)]);
        for (tag, value) in wanted {
            assert_eq!(found.get(tag), Some(&value), "{tag}");
        }
    }

    #[test]
    fn a_device_that_is_read_twice_counts_once() {
        let card = ("platform", "nvidia");
        let first = read(&METRICS, &[&[card, ("gpu_uuid", "GPU-1")], &[card, ("gpu_uuid", "GPU-1"), ("mig", "7")]]);
        let second = read(&METRICS, &[&[card, ("gpu_uuid", "GPU-1")], &[card, ("gpu_uuid", "GPU-2")]]);
        let both = [busy(0), busy(1)].concat();
        let found = of(&[first, second], &[both.clone(), both], &[]);
        assert_eq!(found.get("nvidia_total_gpu_power"), Some(&200.0));
        assert_eq!(found.get("nvidia_total_gpu_energy"), Some(&480.0));
    }

    #[test]
    fn of_a_device_that_is_read_twice_the_source_that_was_read_for_longer_counts() {
        let metrics = [("nvidia_power_usage", "W", "gauge")];
        let card: &[(&str, &str)] = &[("platform", "nvidia"), ("gpu_uuid", "GPU-1")];
        let whole = read(&metrics, &[card]);
        let most = TelemetrySource { last_ns: Some(2700 * MS), ..whole.clone() };
        let (of_most, of_all) = (samples(0, 0, &[(1500, 90.0)]), samples(0, 0, &[(1500, 90.0), (2900, 110.0)]));
        let power = |sources: &[_], samples: &[_]| of(sources, samples, &[]).get("nvidia_total_gpu_power").copied();
        assert_eq!(power(&[most.clone(), whole.clone()], &[of_most.clone(), of_all.clone()]), Some(100.0));
        assert_eq!(power(&[whole, most], &[of_all, of_most]), Some(100.0));
    }

    #[test]
    fn a_sum_in_which_a_device_is_missing_is_no_total() {
        let card = |name: &'static str| [("platform", "nvidia"), ("gpu_uuid", name)];
        let whole = read(&METRICS, &[&card("GPU-1")]);
        let cut = TelemetrySource { last_ns: Some(1600 * MS), ..read(&METRICS, &[&card("GPU-2")]) };
        let early: Vec<_> = busy(0).into_iter().filter(|sample| sample.at_ns < 1600 * MS).collect();
        assert_eq!(of(&[whole, cut], &[busy(0), early], &[("total_osl", 8.0)]), named(&[]));
    }

    #[test]
    fn only_devices_use_energy_for_the_model() {
        let client = TelemetrySource { subject: Subject::Client, ..read(&METRICS, &[&[("platform", "nvidia")]]) };
        assert_eq!(of(&[client], &[busy(0)], &[]), named(&[]));
        let series = [Series { source: 9, metric: 9, entity: 9, ..Series::default() }];
        assert_eq!(energy(&[], &series, &phase(WINDOW, &[]), None), []);
    }
}
