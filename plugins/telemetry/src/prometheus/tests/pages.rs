//! What the pages of real servers and exporters become.

use super::super::{
    devices::Devices,
    fields,
    reader::{Preset, Reader},
};
use inferometer_plugin_sdk::{
    RVec,
    types::{Catalogue, MetricKind, Sample, Subject},
};
use proptest::prelude::*;
use std::{collections::BTreeMap, io::Write as _};

const VLLM: &str = include_str!("../../../tests/data/vllm_0.32_cpu.prom");
const FRONTEND: &str = include_str!("../../../tests/data/dynamo_1.6.1_frontend.prom");
const WORKER: &str = include_str!("../../../tests/data/dynamo_1.6.1_mocker_worker.prom");
const LLAMA: &str = include_str!("../../../tests/data/llama_server_b1.prom");
const TRITON: &str = include_str!("../../../tests/data/tritonserver_2.51_pytriton.prom");
const T4: &str = include_str!("../../../tests/data/dcgm_exporter_t4.prom");
const DCGM_README: &str = include_str!("../../../tests/data/dcgm_exporter_readme.prom");
const AMD_OLD: &str = include_str!("../../../tests/data/amd_device_metrics_mini.prom");
const AMD_NEW: &str = include_str!("../../../tests/data/amd_mi300x_labels.prom");

/// A page as it was read: its catalogue, and the samples by metric and entity.
struct Read {
    catalogue: Catalogue,
    values: BTreeMap<(String, String), f64>,
}

fn read(preset: Preset, pages: &[&str]) -> Read {
    let mut reader = Reader::new(preset);
    let mut out = RVec::new();
    for page in pages {
        out.clear();
        let found = reader.read(page, 7, &mut out);
        assert_eq!(found.first_bad, None);
    }
    let catalogue = reader.catalogue();
    let name = |sample: &Sample| {
        assert_eq!(sample.at_ns, 7);
        let entity = &catalogue.entities[sample.entity as usize];
        (catalogue.metrics[sample.metric as usize].name.to_string(), entity.id.to_string())
    };
    let values: BTreeMap<_, _> = out.iter().map(|sample| (name(sample), sample.value)).collect();
    assert_eq!(values.len(), out.len(), "two samples for one place");
    Read { catalogue, values }
}

fn server(page: &str) -> Read {
    read(Preset::Server, &[page])
}

fn dcgm(page: &str) -> Read {
    read(Preset::Devices(Devices::dcgm(&[], "http://gpus/metrics")), &[page])
}

impl Read {
    fn value(&self, metric: &str, entity: &str) -> Option<f64> {
        self.values.get(&(metric.to_owned(), entity.to_owned())).copied()
    }

    /// Kind and unit of a metric.
    fn metric(&self, name: &str) -> Option<(MetricKind, &str)> {
        let metric = self.catalogue.metrics.iter().find(|metric| metric.name == name)?;
        Some((metric.kind, metric.unit.as_str()))
    }

    fn entities(&self) -> Vec<&str> {
        self.catalogue.entities.iter().map(|entity| entity.id.as_str()).collect()
    }

    fn labels(&self, entity: &str) -> serde_json::Value {
        let entity = self.catalogue.entities.iter().find(|known| known.id == entity).unwrap();
        serde_json::from_str(&entity.labels_json).unwrap()
    }
}

#[test]
fn families_of_vllm_keep_their_names_without_total_and_their_labels_are_entities() {
    let vllm = server(VLLM);
    let engine = r#"{engine="0",model_name="tiny"}"#;
    assert_eq!(vllm.catalogue.subject(), Subject::SERVER);
    assert_eq!(vllm.value("vllm:prompt_tokens", engine), Some(99.0));
    assert_eq!(vllm.metric("vllm:prompt_tokens"), Some((MetricKind::COUNTER, "tokens")));
    assert_eq!(vllm.metric("vllm:num_requests_running"), Some((MetricKind::GAUGE, "requests")));
    assert_eq!(vllm.metric("vllm:kv_cache_usage_perc"), Some((MetricKind::GAUGE, "ratio")));
    assert_eq!(vllm.labels(engine), serde_json::json!({"engine": "0", "model_name": "tiny"}));
    assert_eq!(vllm.value("process_open_fds", "{}"), Some(35.0));
    assert_eq!(vllm.labels("{}"), serde_json::json!({}));
}

#[test]
fn a_histogram_is_its_buckets_beside_the_sum_on_the_entity_without_a_bound() {
    let vllm = server(VLLM);
    let whole = r#"{engine="0",model_name="tiny"}"#;
    let bucket = |le: &str| format!(r#"{{engine="0",le="{le}",model_name="tiny"}}"#);
    let name = "vllm:time_to_first_token_seconds";
    assert_eq!(vllm.metric(name), Some((MetricKind::HISTOGRAM, "seconds")));
    assert_eq!(vllm.metric(&format!("{name}_sum")), Some((MetricKind::COUNTER, "seconds")));
    assert_eq!(vllm.value(name, &bucket("+Inf")), Some(6.0));
    assert!(vllm.value(name, &bucket("0.5")).is_some());
    assert!(vllm.value(&format!("{name}_sum"), whole).is_some());
    assert_eq!(vllm.value(name, whole), None);
    assert_eq!(vllm.metric(&format!("{name}_count")), None);
    // A histogram is one whatever its name ends with.
    assert_eq!(vllm.metric("vllm:iteration_tokens_total"), Some((MetricKind::HISTOGRAM, "tokens")));
}

#[test]
fn what_tells_of_the_past_of_a_server_is_left_out() {
    for page in [VLLM, FRONTEND, WORKER] {
        let read = server(page);
        for metric in &read.catalogue.metrics {
            let is_left_out = metric.name.ends_with("_created") || metric.name.contains("uptime");
            assert!(!is_left_out && !metric.name.starts_with("http_request_size_bytes"), "{}", metric.name);
        }
    }
}

#[test]
fn every_line_of_a_page_that_is_of_use_has_a_sample() {
    for (page, samples) in [(VLLM, 395), (FRONTEND, 654), (WORKER, 170), (LLAMA, 15), (TRITON, 18)] {
        let count = server(page).values.len();
        assert_eq!(count, samples);
    }
}

#[test]
fn counters_of_servers_that_do_not_say_total_are_counters_too() {
    let triton = server(TRITON);
    assert_eq!(triton.metric("nv_inference_request_success"), Some((MetricKind::COUNTER, "requests")));
    assert_eq!(triton.value("nv_inference_request_success", r#"{model="llm",version="1"}"#), Some(1.0));
    assert_eq!(server(LLAMA).metric("llamacpp:tokens_predicted"), Some((MetricKind::COUNTER, "tokens")));
}

#[test]
fn figures_that_are_no_numbers_have_no_samples_and_of_two_the_later_counts() {
    let read = server("# TYPE a gauge\na NaN\nb +Inf\nc 1\nc 2\nd{x=\"1\",y=\"2\"} 1\nd{y=\"2\",x=\"1\"} 3\n");
    assert_eq!(read.values.len(), 2);
    assert_eq!(read.value("c", "{}"), Some(2.0));
    assert_eq!(read.value("d", r#"{x="1",y="2"}"#), Some(3.0));
}

#[test]
fn a_histogram_without_its_last_bucket_has_the_count_there() {
    let read = server("# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_sum 9\nh_count 3\n# TYPE s summary\ns_count 1\n");
    let buckets = [("h", r#"{le="+Inf"}"#, 3.0), ("h", r#"{le="1"}"#, 2.0), ("h_sum", "{}", 9.0)];
    assert_eq!(read.values.len(), buckets.len());
    for (metric, entity, value) in buckets {
        assert_eq!(read.value(metric, entity), Some(value));
    }
    let full = server("# TYPE h histogram\nh_count 5\nh_bucket{le=\"inf\"} 4\n");
    assert_eq!(full.value("h", r#"{le="+Inf"}"#), Some(4.0));
}

#[test]
fn two_families_that_would_have_one_name_keep_apart() {
    let read = server("# TYPE jobs_total counter\njobs_total 5\n# TYPE jobs gauge\njobs 2\n");
    assert_eq!(read.value("jobs_total", "{}"), Some(5.0));
    assert_eq!(read.value("jobs", "{}"), Some(2.0));
}

#[test]
fn a_catalogue_grows_at_its_ends_when_series_appear() {
    let first = "# TYPE a counter\na{x=\"1\"} 1\n";
    let before = server(first).catalogue;
    let after = read(Preset::Server, &[first, "b 1\n# TYPE a counter\na{x=\"0\"} 1\na{x=\"1\"} 2\n"]);
    let names = |catalogue: &Catalogue| -> Vec<String> {
        catalogue.metrics.iter().map(|metric| metric.name.to_string()).collect()
    };
    assert_eq!(names(&before), ["a"]);
    assert_eq!(names(&after.catalogue), ["a", "b"]);
    assert_eq!(after.entities(), [r#"{x="1"}"#, "{}", r#"{x="0"}"#]);
    assert_eq!(after.value("a", r#"{x="1"}"#), Some(2.0));
}

#[test]
fn fields_of_dcgm_become_tags_units_and_labels_of_devices() {
    let t4 = dcgm(T4);
    let gpu = "424773df46e0/GPU-20c56d28-0da5-6d26-a36a-e7af1ce2586e";
    assert_eq!(t4.catalogue.subject(), Subject::DEVICE);
    assert_eq!(t4.value("nvidia_power_usage", gpu), Some(8.969));
    assert_eq!(t4.value("nvidia_energy_consumption", gpu), Some(128_996_013.0 * 1e-9));
    assert_eq!(t4.metric("nvidia_energy_consumption"), Some((MetricKind::COUNTER, "MJ")));
    assert_eq!(t4.metric("nvidia_xid_errors"), Some((MetricKind::GAUGE, "code")));
    assert_eq!(t4.metric("nvidia_memory_used"), Some((MetricKind::GAUGE, "GB")));
    assert_eq!(
        t4.labels(gpu),
        serde_json::json!({
            "gpu_index": "0", "gpu_name": "Tesla T4", "gpu_uuid": "GPU-20c56d28-0da5-6d26-a36a-e7af1ce2586e",
            "device": "nvidia0", "hostname": "424773df46e0", "platform": "nvidia", "source": "http://gpus/metrics",
        })
    );
    // Other devices on the page have only fields that nobody asked for.
    assert_eq!(t4.entities(), [gpu]);
}

#[test]
fn values_that_exporters_have_not_got_are_no_samples() {
    let page: String = ["9223372036854775794", "2147483632", "140737488355328.000000", "NaN", "18446744073709551615"]
        .iter()
        .enumerate()
        .map(|(gpu, blank)| {
            format!("DCGM_FI_DEV_GPU_TEMP{{gpu=\"{gpu}\"}} {blank}\nDCGM_FI_DEV_GPU_UTIL{{gpu=\"{gpu}\"}} 5\n")
        })
        .collect();
    let read = dcgm(&page);
    assert_eq!(read.values.len(), 5);
    assert!((0..5).all(|gpu| read.value("nvidia_gpu_utilization", &format!("gpu{gpu}")) == Some(5.0)));
    let amd = "gpu_gfx_activity{gpu_uuid=\"u\"} 65535\ngpu_umc_activity{gpu_uuid=\"u\"} 1\n";
    assert_eq!(self::read(Preset::Devices(Devices::amd("")), &[amd]).values.len(), 1);
}

#[test]
fn hosts_and_instances_behind_one_page_stay_apart_and_power_is_the_boards() {
    let whole = r#"gpu="0",UUID="GPU-1",Hostname="a",pod="""#;
    let part = |number: u32, pod: &str| {
        format!(r#"gpu="0",UUID="GPU-1",GPU_I_PROFILE="1g.5gb",GPU_I_ID="{number}",Hostname="b",pod="{pod}""#)
    };
    let page = format!(
        "DCGM_FI_DEV_FB_USED{{{whole}}} 1000\n\
         DCGM_FI_DEV_FB_USED{{{seventh}}} 2000\n\
         DCGM_FI_DEV_FB_USED{{{eighth}}} 3000\n\
         DCGM_FI_DEV_POWER_USAGE{{{seventh}}} 300\n\
         DCGM_FI_DEV_POWER_USAGE{{{eighth}}} 300\n",
        seventh = part(7, "x"),
        eighth = part(8, "y"),
    );
    let read = dcgm(&page);
    assert_eq!(read.entities(), ["a/GPU-1", "b/GPU-1/7", "b/GPU-1/8", "b/GPU-1"]);
    assert_eq!(read.value("nvidia_memory_used", "b/GPU-1/8"), Some(3000.0 * 1.048_576e-3));
    assert_eq!(read.values.len(), 4);
    assert_eq!(read.value("nvidia_power_usage", "b/GPU-1"), Some(300.0));
    assert_eq!(read.labels("b/GPU-1/8")["mig_profile"], "1g.5gb");
    assert_eq!(read.labels("b/GPU-1/8")["pod_name"], "y");
    assert_eq!(read.labels("a/GPU-1").get("pod_name"), None);
    assert_eq!(read.labels("b/GPU-1").get("pod_name"), None);
}

#[test]
fn further_fields_are_read_as_their_file_says() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(include_bytes!("../../../tests/data/dcgm_default_counters.csv")).unwrap();
    let further = fields::read(file.path()).unwrap();
    let preset = || Preset::Devices(Devices::dcgm(&further, ""));
    let readme = read(preset(), &[DCGM_README]);
    let gpu = "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52";
    assert_eq!(readme.value("nvidia_sm_clock", gpu), Some(139.0));
    assert_eq!(readme.metric("nvidia_sm_clock"), Some((MetricKind::GAUGE, "MHz")));
    assert_eq!(readme.value("nvidia_memory_temp", gpu), None);
    assert_eq!(
        readme.labels(gpu),
        serde_json::json!({"gpu_index": "0", "gpu_uuid": gpu, "platform": "nvidia", "source": ""})
    );
    let t4 = read(preset(), &[T4]);
    let gpu = "424773df46e0/GPU-20c56d28-0da5-6d26-a36a-e7af1ce2586e";
    assert_eq!(t4.value("nvidia_fb_free", gpu), Some(15109.0 * 1.048_576e-3));
    assert!(t4.labels("ip-11111/GPU-abc")["namespace"] == "ray-llm");
}

#[test]
fn devices_of_amd_are_read_with_labels_of_old_and_of_today() {
    let amd = |page| read(Preset::Devices(Devices::amd("")), &[page]);
    let old = amd(AMD_OLD);
    let gpu = "6699c0a8-4200-4242-037f-f97e6cae0f09";
    assert_eq!(old.value("amd_power", gpu), Some(41.0));
    assert_eq!((old.values.len(), old.labels(gpu)["platform"].as_str()), (1, Some("amd")));
    let new = amd(AMD_NEW);
    let gpu = "tw038/ccff74a1-0000-1000-80e0-c6d49f5b0d86/0";
    assert_eq!(new.metric("amd_gfx_activity"), Some((MetricKind::GAUGE, "%")));
    assert_eq!(new.entities().len(), 2);
    assert_eq!(new.labels(gpu)["gpu_name"], "AMD Instinct MI300X OAM");
    assert_eq!(new.labels(gpu)["gpu_index"], "2");
    assert_eq!(new.labels(gpu).get("pod_name"), None);
}

#[test]
fn of_fields_that_mean_the_same_the_best_that_is_there_counts_in_any_order() {
    let gpu = "{gpu_uuid=\"u\"}";
    let lines = [format!("gpu_power_usage{gpu} 1\n"), format!("gpu_package_power{gpu} 2\n")];
    for page in [lines.concat(), lines.iter().rev().cloned().collect()] {
        let read = read(Preset::Devices(Devices::amd("")), &[&page]);
        assert_eq!(read.value("amd_power", "u"), Some(2.0));
    }
    let energy = read(Preset::Devices(Devices::amd("")), &[&format!("gpu_energy_consumed{gpu} 3e12\n")]);
    assert_eq!((energy.value("amd_energy_consumption", "u"), energy.values.len()), (Some(3.0), 1));
}

#[test]
fn what_a_page_is_of_shows_on_it() {
    let platform = |page: &str| {
        super::super::series(page).find_map(|series| {
            let devices = Devices::recognize(series, "")?;
            Some(read(Preset::Devices(devices), &[page]).catalogue.subject())
        })
    };
    for page in [T4, DCGM_README, AMD_OLD, AMD_NEW] {
        assert_eq!(platform(page), Some(Subject::DEVICE));
    }
    for page in [VLLM, FRONTEND, WORKER, LLAMA, TRITON, "gpu_power_usage 3\n"] {
        assert_eq!(platform(page), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_page_with_bytes_changed_and_its_end_lost_gives_numbers_of_what_the_catalogue_holds(
        page in prop::sample::select(vec![WORKER, LLAMA, TRITON, T4, AMD_NEW]),
        changed in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = page.as_bytes().to_vec();
        for (at, byte) in changed {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len()));
        let page = String::from_utf8_lossy(&bytes);
        for preset in [Preset::Server, Preset::Devices(Devices::dcgm(&[], "")), Preset::Devices(Devices::amd(""))] {
            let mut reader = Reader::new(preset);
            let mut out = RVec::new();
            reader.read(&page, 0, &mut out);
            let catalogue = reader.catalogue();
            for sample in &out {
                prop_assert!((sample.metric as usize) < catalogue.metrics.len());
                prop_assert!((sample.entity as usize) < catalogue.entities.len());
                prop_assert!(sample.value.is_finite());
            }
        }
    }
}
