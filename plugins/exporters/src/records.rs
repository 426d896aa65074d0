//! `profile_export.jsonl`: one line per request, warm-up included, in order of completion; only when records are wanted.
//!
//! Runs may hold millions of requests: lines go straight from the record into a buffer, and nothing is kept. What is the
//! same in every line is put into words once, when the run begins.

use crate::{chunked::Chunked, clock, names};
use inferometer_plugin_sdk::{
    Component, NoOptions,
    api::{Exporter, Output},
    documents::{Report, Run},
    exporter,
    types::{Error, ErrorKind, Outcome, Record, Result},
};
use serde::Serialize;

/// The gaps within a request, and the metric that they follow.
const GAPS_TAG: &str = "inter_chunk_latency";
const BEFORE_GAPS_TAG: &str = "time_to_second_token";

/// The status that AIPerf gives to a cancelled request.
const CANCELLED_CODE: u32 = 499;

#[derive(Default)]
struct Records {
    /// The file, if it is wanted.
    file: Option<Chunked>,
    epoch_ns: u64,
    columns: Vec<Column>,
    /// The profiling phases seen so far: a phase's place among them is its `profiling_index`.
    profiling_phases: Vec<u32>,
}

impl Component for Records {
    type Options = NoOptions;
    fn create(_: NoOptions) -> Result<Self> {
        Ok(Self::default())
    }
}

impl Exporter for Records {
    fn begin(&mut self, run: &Run, _: &mut dyn Output) -> Result<()> {
        *self = Self {
            file: run.export.records.then(|| Chunked::new(names::records(&run.export))),
            epoch_ns: run.epoch_ns,
            columns: run.metrics.iter().map(|info| Column::new(&info.tag, &info.unit)).collect(),
            profiling_phases: Vec::new(),
        };
        Ok(())
    }

    fn records(&mut self, records: &[Record<'_>], out: &mut dyn Output) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        for record in records {
            let index = profiling_index(&mut self.profiling_phases, record);
            write_line(record, self.epoch_ns, index, &self.columns, file.buffer()).map_err(|e| {
                Error::new(ErrorKind::OTHER, format!("request {} could not be written as JSON: {e}", record.index))
            })?;
            file.flush_full(out)?;
        }
        Ok(())
    }

    fn finish(&mut self, _: &Report, out: &mut dyn Output) -> Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.finish(out))
    }
}

exporter! { name: "records", summary: "Writes one JSON line per request.", component: Records }

fn profiling_index(seen: &mut Vec<u32>, record: &Record<'_>) -> Option<usize> {
    if record.phase_kind.as_str() != "profiling" {
        return None;
    }
    let place = seen.binary_search(&record.phase);
    Some(place.unwrap_or_else(|place| {
        seen.insert(place, record.phase);
        place
    }))
}

/// A metric of the catalogue, in the words that are the same in every line.
struct Column {
    tag: String,
    /// `"tag":{"value":`
    opening: String,
    /// `,"unit":"ms"}`
    closing: String,
    /// Whether its values count things, and are written without a fraction.
    counts: bool,
}

impl Column {
    fn new(tag: &str, unit: &str) -> Self {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let counting_unit = matches!(unit, "tokens" | "count" | "requests" | "images" | "ns");
        Self {
            tag: tag.to_owned(),
            opening: format!("{}:{{\"value\":", quoted(tag)),
            closing: format!(",\"unit\":{}}}", quoted(unit)),
            counts: counting_unit || tag == "http_req_connection_reused",
        }
    }

    fn write(&self, value: f64, out: &mut Vec<u8>) -> serde_json::Result<()> {
        out.extend_from_slice(self.opening.as_bytes());
        if self.counts && value.fract() == 0.0 && value.abs() < i64::MAX as f64 {
            serde_json::to_writer(&mut *out, &(value as i64))?;
        } else {
            serde_json::to_writer(&mut *out, &value)?;
        }
        out.extend_from_slice(self.closing.as_bytes());
        Ok(())
    }
}

/// Appends `{metadata, metrics, error?}` and the end of the line.
fn write_line(
    record: &Record<'_>,
    epoch_ns: u64,
    profiling_index: Option<usize>,
    columns: &[Column],
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    out.extend_from_slice(b"{\"metadata\":{");
    write_metadata(record, epoch_ns, profiling_index, out)?;
    out.extend_from_slice(b"},\"metrics\":{");
    write_metrics(columns, record.values.as_slice(), record.gaps_ns.as_slice(), out)?;
    out.push(b'}');
    if record.outcome != Outcome::OK {
        out.extend_from_slice(b",\"error\":");
        serde_json::to_writer(&mut *out, &Failure::new(record))?;
    }
    out.extend_from_slice(b"}\n");
    Ok(())
}

/// Appends `tag: {value, unit}, …`: what was measured, and the gaps after the first of them.
fn write_metrics(columns: &[Column], values: &[f64], mut gaps_ns: &[u64], out: &mut Vec<u8>) -> serde_json::Result<()> {
    let begin = out.len();
    let separate = |out: &mut Vec<u8>| {
        if out.len() > begin {
            out.push(b',');
        }
    };
    for (column, &value) in columns.iter().zip(values) {
        if !value.is_finite() || column.tag == GAPS_TAG {
            continue;
        }
        separate(out);
        column.write(value, out)?;
        if column.tag == BEFORE_GAPS_TAG && !gaps_ns.is_empty() {
            separate(out);
            write_gaps(std::mem::take(&mut gaps_ns), out)?;
        }
    }
    if !gaps_ns.is_empty() {
        separate(out);
        write_gaps(gaps_ns, out)?;
    }
    Ok(())
}

/// Appends the gaps as a list of milliseconds.
fn write_gaps(gaps_ns: &[u64], out: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut before: &[u8] = b"\"inter_chunk_latency\":{\"value\":[";
    for &gap in gaps_ns {
        out.extend_from_slice(before);
        serde_json::to_writer(&mut *out, &(gap as f64 / 1e6))?;
        before = b",";
    }
    out.extend_from_slice(b"],\"unit\":\"ms\"}");
    Ok(())
}

/// Appends who sent the request, when, and as part of what; AIPerf's names and order. Written piece by piece: with the
/// names put into quotes anew for every line, these took most of the time.
fn write_metadata(
    record: &Record<'_>,
    epoch_ns: u64,
    profiling_index: Option<usize>,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    fn put<T: Serialize + ?Sized>(out: &mut Vec<u8>, name: &[u8], value: &T) -> serde_json::Result<()> {
        out.extend_from_slice(name);
        serde_json::to_writer(out, value)
    }
    let put_time = |out: &mut Vec<u8>, name: &[u8], stamp: u64| {
        clock::wall_ns(epoch_ns, stamp).map_or(Ok(()), |at| put(out, name, &at))
    };
    let was_cancelled = record.outcome == Outcome::CANCELLED;
    put(out, b"\"session_num\":", &record.index)?;
    put_uuid(out, b",\"x_request_id\":\"", record.request_id);
    put_uuid(out, b",\"x_correlation_id\":\"", record.correlation_id);
    put(out, b",\"conversation_id\":", record.conversation_id.as_str())?;
    put(out, b",\"turn_index\":", &record.turn)?;
    put_time(out, b",\"credit_issued_ns\":", record.intended_ns)?;
    put_time(out, b",\"request_start_ns\":", record.permitted_ns)?;
    put_time(out, b",\"request_ack_ns\":", record.headers_ns)?;
    put_time(out, b",\"request_end_ns\":", record.end_ns)?;
    put(out, b",\"worker_id\":\"worker_", &record.worker)?;
    out.extend_from_slice(b"\",\"record_processor_id\":\"record_processor_0\"");
    put(out, b",\"benchmark_phase\":", record.phase_kind.as_str())?;
    put(out, b",\"phase_index\":", &record.phase)?;
    if let Some(index) = profiling_index {
        put(out, b",\"profiling_index\":", &index)?;
    }
    put(out, b",\"phase_name\":", record.phase_name.as_str())?;
    put(out, b",\"phase_kind\":", record.phase_kind.as_str())?;
    put(out, b",\"was_cancelled\":", &was_cancelled)?;
    if was_cancelled {
        put_time(out, b",\"cancellation_time_ns\":", record.end_ns)?;
    }
    out.extend_from_slice(b",\"context_overflow_skip\":false,\"agent_depth\":0");
    put_uuid(out, b",\"root_correlation_id\":\"", record.correlation_id);
    Ok(())
}

/// Appends 128 bits in network order as `8-4-4-4-12` digits, and a quote.
fn put_uuid(out: &mut Vec<u8>, name: &[u8], bits: [u8; 16]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 37];
    let mut at = 0;
    for (i, byte) in bits.into_iter().enumerate() {
        at += usize::from(matches!(i, 4 | 6 | 8 | 10));
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    text[36] = b'"';
    out.extend_from_slice(name);
    out.extend_from_slice(&text);
}

#[derive(Serialize)]
struct Failure<'a> {
    code: u32,
    r#type: &'a str,
    message: &'a str,
}

impl<'a> Failure<'a> {
    fn new(record: &'a Record<'_>) -> Self {
        let (code, default_type) = match record.outcome {
            Outcome::CANCELLED => (CANCELLED_CODE, "cancelled"),
            Outcome::DROPPED => (record.status, "dropped"),
            _ => (record.status, "error"),
        };
        let given = record.error_type.as_str();
        Self {
            code,
            r#type: if given.is_empty() { default_type } else { given },
            message: record.error_message.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Disk, Request, SAMPLE_JSONL, sample_requests, sample_run};
    use inferometer_plugin_sdk::types::ABSENT_NS;
    use serde_json::Value;

    const FILE: &str = "profile_export.jsonl";

    fn export(run: &Run, requests: &[Request]) -> Disk {
        let mut disk = Disk::default();
        let mut exporter = Records::default();
        exporter.begin(run, &mut disk).unwrap();
        for batch in requests.chunks(7) {
            exporter.records(&batch.iter().map(Request::record).collect::<Vec<_>>(), &mut disk).unwrap();
        }
        exporter.finish(&Report::default(), &mut disk).unwrap();
        disk
    }

    fn lines(disk: &Disk) -> Vec<Value> {
        disk.text(FILE).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn one(change: impl FnOnce(&mut Request)) -> Value {
        let mut requests = sample_requests();
        requests.truncate(1);
        change(&mut requests[0]);
        lines(&export(&sample_run(), &requests)).remove(0)
    }

    #[test]
    fn the_sample_lines_come_out_as_aiperf_wrote_them() {
        let text = export(&sample_run(), &sample_requests()).text(FILE);
        assert_eq!(text.lines().count(), SAMPLE_JSONL.lines().count());
        for (ours, sample) in text.lines().zip(SAMPLE_JSONL.lines()) {
            let (ours, sample): (Value, Value) =
                (serde_json::from_str(ours).unwrap(), serde_json::from_str(sample).unwrap());
            for (key, theirs) in sample["metadata"].as_object().unwrap() {
                match key.as_str() {
                    "worker_id" | "record_processor_id" => assert!(ours["metadata"][key].is_string(), "{key}"),
                    _ => assert_eq!(&ours["metadata"][key], theirs, "{key}"),
                }
            }
            assert!(ours["metadata"].as_object().unwrap().keys().eq(sample["metadata"].as_object().unwrap().keys()));
            for (tag, theirs) in sample["metrics"].as_object().unwrap() {
                let our = &ours["metrics"][tag];
                assert_eq!(our["unit"], theirs["unit"], "{tag}");
                match (&our["value"], &theirs["value"]) {
                    (Value::Array(ours), Value::Array(theirs)) => {
                        let close = |(a, b): (&Value, &Value)| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-9;
                        assert!(ours.len() == theirs.len() && ours.iter().zip(theirs).all(close), "{tag}");
                    }
                    // Integers and floats are different numbers to serde_json, so this compares types, too.
                    (ours, theirs) => assert_eq!(ours, theirs, "{tag}"),
                }
            }
            assert_eq!(ours["metrics"].as_object().unwrap().len(), sample["metrics"].as_object().unwrap().len());
            assert!(ours.get("error").is_none());
        }
        let first = text.lines().next().unwrap();
        let (ttst, icl) =
            (first.find("\"time_to_second_token\"").unwrap(), first.find("\"inter_chunk_latency\"").unwrap());
        assert!(ttst < icl && icl - ttst < 80, "the gaps follow the first of them");
        let key_order = |line: &str| -> Vec<String> {
            let metadata = line.split_once("\"metadata\":{").unwrap().1.split_once('}').unwrap().0;
            metadata.split(',').map(|pair| pair.split(':').next().unwrap().to_owned()).collect()
        };
        assert_eq!(key_order(first), key_order(SAMPLE_JSONL.lines().next().unwrap()));
    }

    #[test]
    fn the_request_id_is_the_text_of_the_128_bits_that_were_sent() {
        let bits: u128 = 0x0123_4567_89ab_cdef_0011_2233_4455_66ff;
        let line = one(|request| request.request_id = bits.to_be_bytes());
        let text = line["metadata"]["x_request_id"].as_str().unwrap();
        assert_eq!(text, "01234567-89ab-cdef-0011-2233445566ff");
        assert_eq!(u128::from_str_radix(&text.replace('-', ""), 16), Ok(bits));
    }

    #[test]
    fn a_failure_says_how_and_leaves_out_what_was_not_reached() {
        let line = one(|request| {
            request.outcome = Outcome::ERROR;
            request.status = 503;
            request.headers_ns = ABSENT_NS;
            request.values.fill(f64::NAN);
            request.gaps_ns.clear();
            request.error_type = "http_status".into();
            request.error_message = "busy \"now\"\nlater \u{1b}[0m é".into();
        });
        assert_eq!(line["error"]["code"], 503);
        assert_eq!(line["error"]["type"], "http_status");
        assert_eq!(line["error"]["message"], "busy \"now\"\nlater \u{1b}[0m é");
        assert_eq!(line["metrics"], serde_json::json!({}));
        assert!(line["metadata"].get("request_ack_ns").is_none());
        assert!(line["metadata"]["request_end_ns"].is_u64());
    }

    #[test]
    fn a_cancelled_request_has_code_499_and_a_dropped_one_was_never_sent() {
        let cancelled = one(|request| request.outcome = Outcome::CANCELLED);
        assert_eq!(cancelled["error"]["code"], 499);
        assert_eq!(cancelled["error"]["type"], "cancelled");
        assert_eq!(cancelled["metadata"]["was_cancelled"], true);
        assert_eq!(cancelled["metadata"]["cancellation_time_ns"], cancelled["metadata"]["request_end_ns"]);

        let dropped = one(|request| {
            request.outcome = Outcome::DROPPED;
            request.status = 0;
            (request.permitted_ns, request.headers_ns, request.end_ns) = (ABSENT_NS, ABSENT_NS, ABSENT_NS);
        });
        assert_eq!(dropped["error"]["code"], 0);
        assert_eq!(dropped["error"]["type"], "dropped");
        let metadata = dropped["metadata"].as_object().unwrap();
        assert!(metadata.contains_key("credit_issued_ns") && !metadata.contains_key("request_start_ns"));
    }

    #[test]
    fn profiling_phases_are_counted_apart_from_warm_ups() {
        let mut requests = sample_requests();
        requests[0].phase_kind = "warmup".into();
        requests[1].phase = 1;
        requests[2].phase = 3;
        let lines = lines(&export(&sample_run(), &requests));
        let metadata = |i: usize| lines[i]["metadata"].as_object().unwrap();
        assert!(!metadata(0).contains_key("profiling_index"));
        assert_eq!((&metadata(1)["profiling_index"], &metadata(1)["phase_index"]), (&0.into(), &1.into()));
        assert_eq!((&metadata(2)["profiling_index"], &metadata(2)["phase_index"]), (&1.into(), &3.into()));
    }

    #[test]
    fn many_records_are_written_in_large_pieces_and_the_same_records_give_the_same_bytes() {
        let requests = sample_requests().into_iter().cycle().take(300).collect::<Vec<_>>();
        let disk = export(&sample_run(), &requests);
        assert_eq!(disk.text(FILE).lines().count(), 300);
        let bytes = disk.text(FILE).len();
        assert!(disk.writes <= bytes / (64 * 1024) + 1, "{} writes of {bytes} bytes", disk.writes);
        assert_eq!(disk.text(FILE), export(&sample_run(), &requests).text(FILE));
    }

    #[test]
    fn the_file_is_there_when_wanted_even_if_nothing_was_sent_and_never_otherwise() {
        assert_eq!(export(&sample_run(), &[]).text(FILE), "");
        let mut run = sample_run();
        run.export.records = false;
        assert!(export(&run, &sample_requests()).files.is_empty());
    }
}
