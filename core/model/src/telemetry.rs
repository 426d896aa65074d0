//! Which telemetry sources are read: from the flags to a [`TelemetryPlan`].

use crate::{
    config::RawConfig,
    error::ConfigError,
    plan::{ServerPlan, SourceFlag, SourcePlan, TelemetryPlan},
    secret::{Secret, shown_text, shown_url},
    values::Seconds,
};
use serde_json::{Map, Value};
use url::{Host, Url};

/// Where DCGM's exporter usually listens.
const DCGM_PAGES: [&str; 2] = ["http://localhost:9400/metrics", "http://localhost:9401/metrics"];
const FORMATS: [&str; 3] = ["json", "csv", "jsonl"];
const DEFAULT_FORMATS: [&str; 2] = ["json", "csv"];
/// As often as AIPerf reads.
const DEFAULT_INTERVAL: Seconds = Seconds(0.333);
const SHORTEST_INTERVAL: Seconds = Seconds(0.01);

/// The sources that `config` asks for.
pub(crate) fn telemetry(config: &RawConfig, server: &ServerPlan) -> Result<TelemetryPlan, ConfigError> {
    let mut sources = Vec::new();
    if config.no_gpu_telemetry != Some(true) {
        sources.extend(gpus(&config.gpu_telemetry, server)?);
    } else if !config.gpu_telemetry.is_empty() {
        return Err(ConfigError::new("--gpu-telemetry and --no-gpu-telemetry exclude each other; leave one out"));
    }
    if config.no_server_metrics != Some(true) {
        sources.extend(pages(&config.server_metrics, server)?);
    } else if !config.server_metrics.is_empty() {
        return Err(ConfigError::new("--server-metrics and --no-server-metrics exclude each other; leave one out"));
    }
    let named = |flag, asked: bool| move |name: &str| SourcePlan { asked, ..source(name, flag) };
    if config.no_client_telemetry != Some(true) {
        sources.push(named(SourceFlag::Client, false)("host"));
    }
    sources.extend(config.collector.iter().map(|name| named(SourceFlag::Collector, true)(name)));
    Ok(TelemetryPlan { sources, interval_ns: interval(config)?, server_metrics: formats(config)? })
}

/// A source that is the whole of what its collector reads.
fn source(collector: &str, flag: SourceFlag) -> SourcePlan {
    SourcePlan {
        collector: collector.to_owned(),
        name: collector.to_owned(),
        flag,
        asked: true,
        headers: Vec::new(),
        options: Map::new(),
    }
}

/// A metric page.
fn page(url: &Url, preset: &str, flag: SourceFlag, asked: bool) -> SourcePlan {
    let options = [("url", url.as_str()), ("preset", preset)];
    let options = options.map(|(name, value)| (name.to_owned(), Value::from(value)));
    SourcePlan { name: shown_url(url), asked, options: Map::from_iter(options), ..source("prometheus", flag) }
}

fn gpus(given: &[String], server: &ServerPlan) -> Result<Vec<SourcePlan>, ConfigError> {
    let mut sources = Vec::new();
    let (mut fields, mut of_this_machine) = (None, given.is_empty());
    for what in given {
        match what.as_str() {
            "dcgm" => of_this_machine = true,
            "nvml" | "pynvml" => sources.push(source("nvml", SourceFlag::Gpu)),
            "amdsmi" => {
                return Err(ConfigError::new(
                    "--gpu-telemetry amdsmi: AMD's library is not read; run AMD's device-metrics-exporter and give the URL of its page",
                ));
            }
            "dashboard" => {
                return Err(ConfigError::new(
                    "--gpu-telemetry dashboard: there is no live view of GPUs; leave the word out, the figures are in the results",
                ));
            }
            file if file.ends_with(".csv") => fields = Some(Value::from(file)),
            _ => sources.push(page(&metrics_url("--gpu-telemetry", what)?, "auto", SourceFlag::Gpu, true)),
        }
    }
    // Pages that nobody named say something of the server only where it runs here.
    if of_this_machine || (sources.is_empty() && fields.is_some()) {
        let asked = !given.is_empty();
        let pages = DCGM_PAGES.iter().filter_map(|text| Url::parse(text).ok());
        let is_local = server.urls.iter().any(is_local);
        sources.extend(pages.filter(|_| asked || is_local).map(|url| page(&url, "dcgm", SourceFlag::Gpu, asked)));
    }
    if let Some(fields) = fields {
        for source in sources.iter_mut().filter(|source| source.collector == "prometheus") {
            source.options.insert("fields".to_owned(), fields.clone());
        }
    }
    Ok(distinct(sources))
}

fn pages(given: &[String], server: &ServerPlan) -> Result<Vec<SourcePlan>, ConfigError> {
    let own = server.urls.iter().map(|url| {
        let mut url = url.clone();
        url.set_path("/metrics");
        url.set_query(None);
        let key = server.api_key.iter().map(|key| {
            let value = format!("Bearer {}", key.reveal());
            ("Authorization".to_owned(), Secret::new(value))
        });
        SourcePlan {
            headers: key.chain(server.headers.iter().cloned()).collect(),
            ..page(&url, "server", SourceFlag::Server, given.iter().any(|text| text == "url"))
        }
    });
    let others = given.iter().filter(|text| *text != "url").map(|text| {
        let url = metrics_url("--server-metrics", text)?;
        Ok(page(&url, "server", SourceFlag::Server, true))
    });
    let sources: Vec<SourcePlan> = own.map(Ok).chain(others).collect::<Result<_, ConfigError>>()?;
    Ok(distinct(sources))
}

/// Each page once.
fn distinct(mut sources: Vec<SourcePlan>) -> Vec<SourcePlan> {
    let mut seen = std::collections::BTreeSet::new();
    sources.retain(|source| seen.insert(source.options.get("url").map_or(source.name.clone(), Value::to_string)));
    sources
}

/// The URL of a metric page; scheme and path may be left out.
fn metrics_url(flag: &str, text: &str) -> Result<Url, ConfigError> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let refuse = |why: &str| {
        ConfigError::new(format!("{flag} {}: {why}; write it as http://127.0.0.1:9400/metrics", shown_text(text)))
    };
    let mut url = Url::parse(&full).map_err(|why| refuse(&why.to_string()))?;
    if url.scheme() != "http" {
        return Err(refuse("only http is read"));
    }
    if !text.contains([':', '.', '/']) && text != "localhost" {
        return Err(refuse("it is neither a URL nor a word known here"));
    }
    if !url.path().ends_with("metrics") {
        let path = format!("{}/metrics", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(url)
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        None => false,
    }
}

fn interval(config: &RawConfig) -> Result<u64, ConfigError> {
    let interval = config.telemetry_interval.unwrap_or(DEFAULT_INTERVAL);
    if interval.0 < SHORTEST_INTERVAL.0 {
        return Err(ConfigError::new(format!(
            "--telemetry-interval {} is too short to keep; give {} or more",
            interval.0, SHORTEST_INTERVAL.0
        )));
    }
    Ok(interval.as_ns())
}

fn formats(config: &RawConfig) -> Result<Vec<String>, ConfigError> {
    if config.server_metrics_formats.is_empty() {
        return Ok(DEFAULT_FORMATS.map(str::to_owned).to_vec());
    }
    match config.server_metrics_formats.iter().find(|format| !FORMATS.contains(&format.as_str())) {
        Some(format) => Err(ConfigError::new(format!(
            "--server-metrics-formats {format} is not written; choose among {}{}",
            FORMATS.join(", "),
            if format == "parquet" { " (jsonl holds every reading)" } else { "" },
        ))),
        None => Ok(config.server_metrics_formats.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{file::PluginSettings, resolve::resolve};

    fn plan(change: impl FnOnce(&mut RawConfig)) -> Result<TelemetryPlan, ConfigError> {
        let mut config = RawConfig { model: vec!["m".to_owned()], ..RawConfig::default() };
        change(&mut config);
        resolve(&config, &PluginSettings::default(), 1).map(|plan| plan.telemetry)
    }

    fn sources(change: impl FnOnce(&mut RawConfig)) -> Vec<(SourceFlag, String, bool)> {
        let plan = plan(change).unwrap();
        plan.sources.into_iter().map(|source| (source.flag, source.name, source.asked)).collect()
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn unasked_the_server_and_this_machine_are_read() {
        let expected = [
            (SourceFlag::Gpu, "http://localhost:9400/metrics".to_owned(), false),
            (SourceFlag::Gpu, "http://localhost:9401/metrics".to_owned(), false),
            (SourceFlag::Server, "http://localhost:8000/metrics".to_owned(), false),
            (SourceFlag::Client, "host".to_owned(), false),
        ];
        assert_eq!(sources(|_| {}), expected);
    }

    #[test]
    fn the_gpus_of_this_machine_say_nothing_of_a_server_elsewhere() {
        let far = sources(|config| config.url = texts(&["http://far.example:8000/v1"]));
        assert!(far.iter().all(|(flag, ..)| *flag != SourceFlag::Gpu), "{far:?}");
        assert_eq!(far[0].1, "http://far.example:8000/metrics");
    }

    #[test]
    fn pages_that_are_named_take_the_place_of_the_usual_ones() {
        let gpus = |given: &[&str]| {
            let mut all = sources(|config| config.gpu_telemetry = texts(given));
            all.retain(|(flag, ..)| *flag == SourceFlag::Gpu);
            all.into_iter().map(|(_, name, asked)| (name, asked)).collect::<Vec<_>>()
        };
        assert_eq!(gpus(&["node1:9400"]), [("http://node1:9400/metrics".to_owned(), true)]);
        assert_eq!(gpus(&["node1:9400", "http://node1:9400/metrics", "nvml"]).len(), 2);
        assert_eq!(gpus(&["dcgm"]).len(), 2);
        assert_eq!(gpus(&["extra.csv"]).len(), 2);
        assert_eq!(gpus(&["pynvml"]), [("nvml".to_owned(), true)]);
    }

    #[test]
    fn fields_go_to_the_pages() {
        let plan = plan(|config| config.gpu_telemetry = texts(&["extra.csv", "node1:9400"])).unwrap();
        assert_eq!(plan.sources[0].options["fields"], "extra.csv");
    }

    #[test]
    fn the_servers_own_page_is_asked_with_the_loads_headers_and_nobody_sees_them() {
        let plan = plan(|config| {
            config.api_key = Some("sesame".to_owned());
            config.header = texts(&["X-Team: blue"]);
            config.server_metrics = texts(&["other:9000"]);
        })
        .unwrap();
        let pages: Vec<_> = plan.sources.iter().filter(|source| source.flag == SourceFlag::Server).collect();
        let sent =
            |page: &SourcePlan| page.headers.iter().map(|(_, value)| value.reveal().to_owned()).collect::<Vec<_>>();
        assert_eq!(sent(pages[0]), ["Bearer sesame", "blue"]);
        assert!(sent(pages[1]).is_empty());
        let shown = format!("{plan:?}{}", serde_json::to_string(&plan).unwrap());
        assert!(!shown.contains("sesame"), "{shown}");
    }

    #[test]
    fn what_is_switched_off_is_not_read() {
        let none = sources(|config| {
            config.no_gpu_telemetry = Some(true);
            config.no_server_metrics = Some(true);
            config.no_client_telemetry = Some(true);
        });
        assert!(none.is_empty());
        let own = sources(|config| {
            config.no_gpu_telemetry = Some(true);
            config.no_server_metrics = Some(true);
            config.collector = texts(&["acme"]);
        });
        assert_eq!(own[1], (SourceFlag::Collector, "acme".to_owned(), true));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_a_remedy() {
        let refused = |change: fn(&mut RawConfig)| plan(change).unwrap_err().to_string();
        assert!(refused(|c| c.gpu_telemetry = texts(&["nvlm"])).contains("neither a URL nor a word"));
        assert!(refused(|c| c.gpu_telemetry = texts(&["amdsmi"])).contains("device-metrics-exporter"));
        assert!(refused(|c| c.server_metrics_formats = texts(&["parquet"])).contains("jsonl"));
        assert!(refused(|c| c.telemetry_interval = Some(Seconds(0.0))).contains("0.01"));
        assert!(refused(|c| c.server_metrics = texts(&["https://h/metrics"])).contains("only http"));
    }
}
