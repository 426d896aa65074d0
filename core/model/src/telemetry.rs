//! Which telemetry sources are read: from the flags to a [`TelemetryPlan`].

use crate::{
    config::RawConfig,
    error::ConfigError,
    file::nearest,
    plan::{ConnectionPlan, ServerPlan, SourceFlag, SourcePlan, TelemetryPlan, TlsPlan},
    secret::{Secret, shown_text, shown_url},
    values::Seconds,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use url::{Host, Url};

/// Where DCGM's exporter usually listens.
const DCGM_PAGES: [&str; 2] = ["http://localhost:9400/metrics", "http://localhost:9401/metrics"];
const FORMATS: [&str; 3] = ["json", "csv", "jsonl"];
const DEFAULT_FORMATS: [&str; 2] = ["json", "csv"];
/// As often as AIPerf reads.
const DEFAULT_INTERVAL: Seconds = Seconds(0.333);
const SHORTEST_INTERVAL: Seconds = Seconds(0.01);
const LONGEST_INTERVAL: Seconds = Seconds(3600.0);
/// What `--gpu-telemetry` knows besides URLs and files.
const GPU_WORDS: [&str; 5] = ["dcgm", "nvml", "pynvml", "amdsmi", "dashboard"];

/// The sources that `config` asks for; `options` are the user's, by component.
pub(crate) fn telemetry(
    config: &RawConfig,
    server: &ServerPlan,
    options: &BTreeMap<String, Map<String, Value>>,
    notes: &mut Vec<String>,
) -> Result<TelemetryPlan, ConfigError> {
    let mut sources = Vec::new();
    if config.no_gpu_telemetry != Some(true) {
        sources.extend(gpus(&config.gpu_telemetry, server)?);
    } else if !config.gpu_telemetry.is_empty() {
        return Err(ConfigError::new("--gpu-telemetry and --no-gpu-telemetry exclude each other; leave one out"));
    }
    if config.no_server_metrics != Some(true) {
        sources.extend(pages(&config.server_metrics, server, notes)?);
    } else if !config.server_metrics.is_empty() {
        return Err(ConfigError::new("--server-metrics and --no-server-metrics exclude each other; leave one out"));
    } else if !config.server_metrics_formats.is_empty() {
        return Err(ConfigError::new(
            "--server-metrics-formats has nothing to write with --no-server-metrics; leave one out",
        ));
    }
    if config.no_client_telemetry != Some(true) {
        sources.push(SourcePlan { asked: false, ..source("host", SourceFlag::Client) });
    }
    sources.extend(config.collector.iter().map(|name| {
        let url = options.get(name).and_then(|options| options.get("url")?.as_str());
        let place = url.map(|url| Url::parse(url).map_or_else(|_| shown_text(url), |url| shown_url(&url)));
        SourcePlan { name: place.unwrap_or_else(|| name.clone()), ..source(name, SourceFlag::Collector) }
    }));
    let sources = distinct(sources, |source| format!("{} {:?}", source.collector, source.options));
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

/// A page that is asked by the load's own settings of TLS.
fn of_server(mut source: SourcePlan, server: &ServerPlan) -> SourcePlan {
    let TlsPlan { ca, certificate, key, insecure } = &server.connection.tls;
    let files = [("ca_certificate", ca), ("client_certificate", certificate), ("client_key", key)];
    for (name, file) in files {
        if let Some(file) = file {
            source.options.insert(name.to_owned(), file.display().to_string().into());
        }
    }
    if *insecure {
        source.options.insert("insecure".to_owned(), true.into());
    }
    source
}

fn gpus(given: &[String], server: &ServerPlan) -> Result<Vec<SourcePlan>, ConfigError> {
    let mut sources = Vec::new();
    let (mut fields, mut of_this_machine) = (None::<&str>, given.is_empty());
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
            file if file.ends_with(".csv") => {
                if let Some(other) = fields.replace(file) {
                    return Err(ConfigError::new(format!(
                        "--gpu-telemetry takes one file of fields, not {other} and {file}; put all fields into one"
                    )));
                }
            }
            _ => sources.push(page(&metrics_url("--gpu-telemetry", what)?, "device", SourceFlag::Gpu, true)),
        }
    }
    // Pages that nobody named say something of the server only where it runs here.
    if of_this_machine || (sources.is_empty() && fields.is_some()) {
        let asked = !given.is_empty();
        let pages = DCGM_PAGES.iter().filter_map(|text| Url::parse(text).ok());
        let is_local = server.urls.iter().any(is_local);
        sources.extend(pages.filter(|_| asked || is_local).map(|url| page(&url, "dcgm", SourceFlag::Gpu, asked)));
    }
    if let Some(file) = fields {
        let is_page = |source: &SourcePlan| source.collector == "prometheus";
        if !sources.iter().any(is_page) {
            return Err(ConfigError::new(format!(
                "--gpu-telemetry {file}: the fields are of DCGM's pages, and none is read; add dcgm or a page's URL, or \
                 leave the file out"
            )));
        }
        for source in sources.iter_mut().filter(|source| is_page(source)) {
            source.options.insert("fields".to_owned(), file.into());
        }
    }
    Ok(distinct(sources, place))
}

fn pages(given: &[String], server: &ServerPlan, notes: &mut Vec<String>) -> Result<Vec<SourcePlan>, ConfigError> {
    let names_own = given.iter().any(|text| text == "url");
    // Pages are asked for directly, which is another way than the load's, and may end elsewhere.
    let other_way = match &server.connection {
        ConnectionPlan { unix_socket: Some(_), .. } => Some("the socket file"),
        ConnectionPlan { proxy: Some(_), .. } => Some("the proxy"),
        _ => None,
    };
    let urls = if other_way.is_some() && !names_own { &[][..] } else { &server.urls };
    if let Some(way) = other_way.filter(|_| given.is_empty()) {
        notes.push(format!(
            "the metrics page of --url is not read, since that is not done through {way}; --server-metrics url reads it \
             directly, and --no-server-metrics leaves this note out"
        ));
    }
    let own = urls.iter().map(|url| {
        let mut url = url.clone();
        url.set_path("/metrics");
        url.set_query(None);
        let key = server.api_key.iter().map(|key| {
            let value = format!("Bearer {}", key.reveal());
            ("Authorization".to_owned(), Secret::new(value))
        });
        SourcePlan {
            headers: key.chain(server.headers.iter().cloned()).collect(),
            ..of_server(page(&url, "server", SourceFlag::Server, names_own), server)
        }
    });
    let others = given.iter().filter(|text| *text != "url").map(|text| {
        let url = metrics_url("--server-metrics", text)?;
        Ok(page(&url, "server", SourceFlag::Server, true))
    });
    let sources: Vec<SourcePlan> = own.map(Ok).chain(others).collect::<Result<_, ConfigError>>()?;
    Ok(distinct(sources, place))
}

/// Where a page is; the name of what is none.
fn place(source: &SourcePlan) -> String {
    source.options.get("url").map_or_else(|| source.name.clone(), Value::to_string)
}

/// Each source once; it was asked for if it was in any of its places.
fn distinct(sources: Vec<SourcePlan>, key: fn(&SourcePlan) -> String) -> Vec<SourcePlan> {
    let mut kept: Vec<SourcePlan> = Vec::new();
    for source in sources {
        match kept.iter_mut().find(|other| key(other) == key(&source)) {
            Some(other) => other.asked |= source.asked,
            None => kept.push(source),
        }
    }
    kept
}

/// The URL of a metric page; scheme and path may be left out.
fn metrics_url(flag: &str, text: &str) -> Result<Url, ConfigError> {
    let (words, port): (&[&str], u16) = if flag == "--gpu-telemetry" { (&GPU_WORDS, 9400) } else { (&[], 8000) };
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let refuse = |why: &str| {
        // What is no word is shown as a URL is, so that nothing before an '@' is seen.
        let shown = if text.contains('@') { shown_text(&full) } else { shown_text(text) };
        ConfigError::new(format!("{flag} {shown}: {why}; write it as http://127.0.0.1:{port}/metrics"))
    };
    if !text.contains([':', '.', '/']) && text != "localhost" {
        let near = nearest(&text.to_ascii_lowercase(), words.iter().copied());
        return Err(match near.as_str() {
            "" => refuse("it is neither a URL nor a word known here"),
            near => ConfigError::new(format!("{flag} {text}: it is neither a URL nor a word known here{near}")),
        });
    }
    let mut url = Url::parse(&full).map_err(|why| refuse(&why.to_string()))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(refuse("only http and https are read"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::new(format!(
            "{flag}: a user name or password in the URL is not sent; ask with a header, which goes to every metric page: \
             --plugin-option 'prometheus.headers={{\"Authorization\": \"…\"}}'"
        )));
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
    let refuse = |why: &str| Err(ConfigError::new(format!("--telemetry-interval {} is too {why}", interval.0)));
    if interval.0 < SHORTEST_INTERVAL.0 {
        return refuse(&format!("short to keep; give {} or more", SHORTEST_INTERVAL.0));
    }
    if interval.0 > LONGEST_INTERVAL.0 {
        let longest = LONGEST_INTERVAL.0;
        return refuse(&format!("long to say anything of a run; give {longest} or less, or switch the sources off"));
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
            if format == "parquet" {
                " (jsonl holds every reading)".to_owned()
            } else {
                nearest(&format.to_ascii_lowercase(), FORMATS.into_iter())
            },
        ))),
        None => Ok(config.server_metrics_formats.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{file::PluginSettings, resolve::resolve, testing::typed};

    fn plan(change: impl FnOnce(&mut RawConfig)) -> Result<TelemetryPlan, ConfigError> {
        let mut config = typed("--model m");
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
        let far = sources(|config| config.server.url = texts(&["http://far.example:8000/v1"]));
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
            config.server.api_key = Some("sesame".to_owned());
            config.server.header = texts(&["X-Team: blue"]);
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
    fn a_source_is_read_once_and_was_asked_for_if_it_was_anywhere() {
        let all = sources(|config| {
            config.no_gpu_telemetry = Some(true);
            config.collector = texts(&["host", "acme", "acme"]);
            config.server_metrics = texts(&["http://localhost:8000/metrics"]);
        });
        let expected = [
            (SourceFlag::Server, "http://localhost:8000/metrics".to_owned(), true),
            (SourceFlag::Client, "host".to_owned(), true),
            (SourceFlag::Collector, "acme".to_owned(), true),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_page_that_the_load_has_another_way_to_is_read_only_where_it_is_named() {
        for way in ["--proxy http://proxy:3128", "--proxy env", "--unix-socket /tmp/s"] {
            let pages = |more: &str| {
                let plan = crate::testing::plan(&format!("{way} {more}")).unwrap();
                let pages = plan.telemetry.sources.into_iter().filter(|source| source.flag == SourceFlag::Server);
                let notes = plan.notes.iter().filter(|note| note.contains("metrics page"));
                (pages.map(|page| page.name).collect::<Vec<_>>(), notes.cloned().collect::<String>())
            };
            let (unasked, notes) = pages("");
            assert!(unasked.is_empty() && notes.contains("--server-metrics url"), "{way}: {unasked:?} {notes}");
            let named = ["http://localhost:8000/metrics".to_owned()];
            assert_eq!(pages("--server-metrics url"), (named.to_vec(), String::new()), "{way}");
            assert_eq!(pages("--no-server-metrics"), (Vec::new(), String::new()), "{way}");
        }
    }

    #[test]
    fn a_collector_of_a_page_is_named_by_its_place() {
        let all = sources(|config| {
            config.collector = texts(&["prometheus"]);
            config.plugin_option = texts(&["prometheus.url=http://h:1/metrics?key=abc"]);
        });
        assert_eq!(all.last().unwrap().1, "http://h:1/metrics?key=<redacted>");
    }

    #[test]
    fn users_and_passwords_in_urls_are_refused_unseen() {
        for typed in ["http://bob:hunter2@h:1/metrics", "bob:hunter2@h:1", "http://bob:hunter2@h:x/"] {
            for is_gpu in [true, false] {
                let given = texts(&[typed]);
                let error = plan(|c| if is_gpu { c.gpu_telemetry = given } else { c.server_metrics = given });
                let error = error.unwrap_err().to_string();
                assert!(!error.contains("hunter2"), "{error}");
            }
        }
        let error = plan(|c| c.server_metrics = texts(&["http://bob:hunter2@h/metrics"])).unwrap_err().to_string();
        assert!(error.contains("prometheus.headers"), "{error}");
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_a_remedy() {
        let refused = |change: fn(&mut RawConfig)| plan(change).unwrap_err().to_string();
        assert!(refused(|c| c.gpu_telemetry = texts(&["nvlm"])).contains("did you mean 'nvml'?"));
        assert!(refused(|c| c.gpu_telemetry = texts(&["DCGM"])).contains("did you mean 'dcgm'?"));
        assert!(refused(|c| c.gpu_telemetry = texts(&["qqq"])).contains("neither a URL nor a word"));
        assert!(refused(|c| c.gpu_telemetry = texts(&["nvml", "a.csv"])).contains("add dcgm or a page's URL"));
        assert!(refused(|c| c.gpu_telemetry = texts(&["a.csv", "b.csv"])).contains("not a.csv and b.csv"));
        assert!(refused(|c| c.server_metrics_formats = texts(&["jsno"])).contains("did you mean 'json'?"));
        assert!(refused(|c| c.telemetry_interval = Some(Seconds(f64::INFINITY))).contains("give 3600 or less"));
        assert!(refused(|c| c.server_metrics = texts(&["http://h:x/metrics"])).contains("127.0.0.1:8000/metrics"));
        let unwritten = refused(|c| {
            c.no_server_metrics = Some(true);
            c.server_metrics_formats = texts(&["json"]);
        });
        assert!(unwritten.contains("leave one out"), "{unwritten}");
        assert!(refused(|c| c.gpu_telemetry = texts(&["amdsmi"])).contains("device-metrics-exporter"));
        assert!(refused(|c| c.server_metrics_formats = texts(&["parquet"])).contains("jsonl"));
        assert!(refused(|c| c.telemetry_interval = Some(Seconds(0.0))).contains("0.01"));
        assert!(refused(|c| c.server_metrics = texts(&["ftp://h/metrics"])).contains("only http"));
    }
}
