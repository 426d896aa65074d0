//! The single numbers, and what the run was about.

use super::page::{Page, Tone, table_width};
use crate::{
    names, numbers,
    stats::{finite, is_judged_from_schedule},
    telemetry::is_there,
};
use comfy_table::{Table, presets::NOTHING};
use inferometer_plugin_sdk::documents::{Component, PhaseReport, Precision, Report, Run, Subject};
use serde_json::Value;

/// What was measured, in one line: `mock-model · chat, streaming · http://127.0.0.1:8000`.
pub(super) fn headline(run: &Run) -> String {
    let config = &run.input_config;
    let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let all = |pointer: &str, field: Option<&str>| {
        let items = config.pointer(pointer).and_then(Value::as_array)?;
        let item = |item: &Value| field.map_or(Some(item), |field| item.get(field))?.as_str().map(str::to_owned);
        Some(items.iter().filter_map(item).collect::<Vec<_>>().join(", "))
    };
    let streaming = config.pointer("/endpoint/streaming").and_then(Value::as_bool).unwrap_or_default();
    let endpoint = text("/endpoint/type").map(|kind| if streaming { format!("{kind}, streaming") } else { kind });
    let parts = [all("/models/items", Some("name")), endpoint, all("/endpoint/urls", None)];
    let parts = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    if parts.is_empty() { "Results".into() } else { parts.join(" · ") }
}

/// The single numbers, side by side.
pub(super) fn scalars(page: &mut Page, phase: &PhaseReport) {
    let measured = |tag: &str| finite(phase.metrics.get(tag)?.stats.avg);
    let rate = |tag: &str, unit: &str| measured(tag).map(|value| format!("{} {unit}", numbers::short(value)));
    let window = phase.end_ns.checked_sub(phase.start_ns).filter(|_| phase.end_ns != u64::MAX);
    let seconds = window.map(|ns| ns as f64 / 1e9).or_else(|| measured("benchmark_duration"));
    let good = measured("good_request_fraction").map(|share| format!("{}% good", numbers::fixed(share * 100.0, 1)));
    let view = is_judged_from_schedule(phase).then(|| "from the schedule".to_owned());
    let good = [good, view].into_iter().flatten().collect::<Vec<_>>().join(", ");

    let output = rate("output_token_throughput", "tokens/s");
    let input = rate("input_token_throughput", "tokens/s").filter(|_| output.is_none());
    let goodput = rate("goodput", "requests/s");
    let goodput = goodput.map(|rate| if good.is_empty() { rate } else { format!("{rate} ({good})") });
    let facts = [
        ("Output throughput", output),
        ("Input throughput", input),
        ("Request throughput", rate("request_throughput", "requests/s")),
        ("Goodput", goodput),
        ("Duration", seconds.map(|s| format!("{} s", numbers::short(s)))),
        ("Effective concurrency", measured("effective_concurrency").map(numbers::short)),
    ];
    let facts = facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect::<Vec<_>>();
    side_by_side(page, &facts);
}

/// Names and values, two of them a line where there is room.
pub(super) fn side_by_side(page: &mut Page, facts: &[(&str, String)]) {
    let table = [2, 1].map(|per_line| lay_out(facts, per_line));
    let table = if table_width(&table[0]) <= page.width() { &table[0] } else { &table[1] };
    for line in table.lines() {
        page.laid_out(Tone::Plain, &line);
    }
}

fn lay_out(facts: &[(&str, String)], per_line: usize) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    for line in facts.chunks(per_line) {
        table.add_row(line.iter().flat_map(|(name, value)| [*name, value.as_str()]));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        let left = match i {
            0 => 0,
            i if i % 2 == 1 => 2,
            _ => 6,
        };
        column.set_padding((left, 0));
    }
    table
}

/// How far latencies may be off: `TTFT within 0.02 ms, ITL within 0.001 ms (0.01%)`; or why nobody knows.
pub(super) fn bounds(run: &Run, precision: &Precision) -> Option<String> {
    let within = |name: &str, ms: Option<f64>, percent: Option<f64>| {
        let share = finite(percent).map(|percent| format!(" ({}%)", numbers::short(percent))).unwrap_or_default();
        finite(ms).map(|ms| format!("{name} within {} ms{share}", numbers::short(ms)))
    };
    let ttft = within("TTFT", precision.ttft_error_ms, None);
    let itl = within("ITL", precision.itl_error_ms, precision.itl_error_pct);
    let latency = within("latency", precision.latency_error_ms, None).filter(|_| ttft.is_none());
    let known = [ttft, itl, latency].into_iter().flatten().collect::<Vec<_>>();
    if !known.is_empty() {
        return Some(known.join(", "));
    }
    let asked = run.plan.pointer("/server/receive_timestamps").and_then(Value::as_str);
    let why = match precision.kernel_stamped_share? {
        0.0 if asked == Some("read") => "receive stamps are switched off (--receive-timestamps read)",
        0.0 => "there are no receive stamps here",
        _ => "not all answers have receive stamps",
    };
    Some(format!("how far latencies are off is not known: {why}"))
}

/// The files that the exporters of this run write.
pub(super) fn files(report: &Report) -> Vec<String> {
    let run = &report.run;
    let read = |subject: Subject| is_there(report, subject);
    let files = [
        ("json", Some(names::json(&run.export))),
        ("csv", Some(names::csv(&run.export))),
        ("records", run.export.records.then(|| names::records(&run.export))),
        ("inputs", Some(names::INPUTS.to_owned())),
        ("gpu_telemetry", read(Subject::Device).then(|| names::gpu_telemetry(&run.export))),
        ("client_telemetry", read(Subject::Client).then(|| names::client_telemetry(&run.export))),
    ];
    let files = files.into_iter().filter(|(exporter, _)| is_at_work(run, exporter)).filter_map(|(_, file)| file);
    files.chain(read(Subject::Server).then(|| server_files(run)).into_iter().flatten()).collect()
}

/// The files with what the server says of itself.
pub(super) fn server_files(run: &Run) -> Vec<String> {
    let wanted = ["json", "csv", "jsonl"].into_iter().filter(|ending| {
        let is_wanted = run.export.server_metrics.iter().any(|wanted| wanted == ending);
        is_wanted && is_at_work(run, "server_metrics")
    });
    wanted.map(|ending| names::server_metrics(&run.export, &format!(".{ending}"))).collect()
}

fn is_at_work(run: &Run, exporter: &str) -> bool {
    run.components.iter().any(|Component { kind, name, .. }| kind.as_str() == "exporter" && name == exporter)
}
