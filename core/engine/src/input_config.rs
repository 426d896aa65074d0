//! The settings in the shape of AIPerf's `input_config`, which scripts read.

use crate::job::Job;
use inferometer_abi::documents::Length;
use inferometer_model::{
    plan::{PhasePlan, Plan, SourceFlag, SourcePlan, TelemetryPlan},
    secret::shown_url,
};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The part of the plan that AIPerf's schema has words for.
pub(crate) fn input_config(plan: &Plan, job: &Job, folder: &Path) -> Value {
    json!({
        "models": { "items": plan.models.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>() },
        "endpoint": {
            "urls": plan.server.urls.iter().map(shown_url).collect::<Vec<_>>(),
            "type": plan.server.endpoint,
            "streaming": plan.server.streaming,
        },
        "datasets": [dataset(plan, job)],
        "phases": job.phases.iter().map(|phase| self::phase(&phase.plan)).collect::<Vec<_>>(),
        "artifacts": { "dir": folder.display().to_string(), "auto_plot": false, "plot_required": false },
        "tokenizer": plan.tokenizer.name.as_ref().map_or_else(|| json!({}), |name| json!({ "name": name })),
        "gpu_telemetry": gpu_telemetry(&plan.telemetry),
        "server_metrics": server_metrics(&plan.telemetry),
        "network_latency": { "enabled": false },
        "otel": {},
        "mlflow": {},
        "wandb": {},
        "runtime": { "ui": "none" },
    })
}

fn gpu_telemetry(plan: &TelemetryPlan) -> Value {
    let gpus = || plan.sources.iter().filter(|source| source.flag == SourceFlag::Gpu);
    if gpus().next().is_none() {
        return json!({ "enabled": false });
    }
    let is_page = |source: &&SourcePlan| source.collector == "prometheus";
    let urls: Vec<_> = gpus().filter(|source| source.asked).filter(is_page).map(|source| &source.name).collect();
    let collector = if gpus().any(|source| is_page(&source)) { "dcgm" } else { "pynvml" };
    if !gpus().any(|source| source.asked) {
        return json!({ "enabled": true });
    }
    json!({ "enabled": true, "urls": urls, "collector": collector, "mode": "summary" })
}

fn server_metrics(plan: &TelemetryPlan) -> Value {
    let pages = || plan.sources.iter().filter(|source| source.flag == SourceFlag::Server);
    let urls: Vec<_> = pages().filter(|source| source.asked).map(|source| &source.name).collect();
    let is_enabled = pages().next().is_some();
    let formats = if is_enabled { plan.server_metrics.as_slice() } else { &[] };
    json!({ "enabled": is_enabled, "urls": urls, "formats": formats })
}

fn dataset(plan: &Plan, job: &Job) -> Value {
    let mut dataset = Map::new();
    dataset.insert("name".to_owned(), "main".into());
    if let Some(file) = &plan.data.source {
        dataset.insert("type".to_owned(), "file".into());
        dataset.insert("path".to_owned(), file.display().to_string().into());
        dataset.insert("format".to_owned(), plan.data.loader.clone().into());
    } else {
        let mut prompts = Map::from_iter([("isl".to_owned(), length(plan.data.request.input_tokens))]);
        prompts.extend(plan.data.request.output_tokens.map(|osl| ("osl".to_owned(), length(osl))));
        dataset.insert("type".to_owned(), "synthetic".into());
        dataset.insert("prompts".to_owned(), prompts.into());
    }
    dataset.insert("entries".to_owned(), job.pool.sessions().into());
    dataset.into()
}

fn length(length: Length) -> Value {
    let mut value = json!({ "mean": length.mean });
    if length.stddev > 0.0 {
        value["stddev"] = length.stddev.into();
    }
    value
}

fn phase(phase: &PhasePlan) -> Value {
    let mut value = json!({ "name": phase.name, "kind": phase.kind.as_str(), "type": phase.strategy });
    let seconds = |ns: u64| Value::from(ns as f64 / 1e9);
    let optional = [
        ("requests", phase.stop.requests.map(Value::from)),
        ("concurrency", phase.concurrency.map(Value::from)),
        ("rate", phase.rate.map(Value::from)),
        ("duration", phase.stop.duration_ns.map(seconds)),
        ("grace_period", phase.stop.duration_ns.map(|_| seconds(phase.stop.grace_ns))),
    ];
    for (key, setting) in optional {
        if let Some(setting) = setting {
            value[key] = setting;
        }
    }
    value
}
