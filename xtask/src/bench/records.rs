//! What a client says of its requests, beside what the server's log says of the same ones.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// One request as a client saw it. Times are nanoseconds since the Unix epoch, spans are milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) intended_ns: Option<u64>,
    pub(super) sent_ns: u64,
    /// When the first token came. Absent, as are the next two, when the answer was not streamed.
    pub(super) first_ns: Option<u64>,
    pub(super) ttft_ms: Option<f64>,
    pub(super) itl_ms: Option<f64>,
    /// How long after that stamp the first token was read, where it is known.
    pub(super) first_lag_ms: Option<f64>,
    /// The same of the last.
    pub(super) last_lag_ms: Option<f64>,
    pub(super) latency_ms: f64,
}

/// One line of the server's log, times as above.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Truth {
    x_request_id: Option<String>,
    path: String,
    outcome: String,
    pub(super) received_ns: u64,
    pub(super) first_ns: Option<u64>,
    last_ns: Option<u64>,
    pub(super) ended_ns: u64,
    pub(super) tokens: u64,
}

impl Truth {
    /// Time to the first token, in milliseconds.
    pub(super) fn ttft_ms(&self) -> Option<f64> {
        Some(ms(self.received_ns, self.first_ns?))
    }

    /// Mean time from token to token, in milliseconds; nothing of a single token.
    pub(super) fn itl_ms(&self) -> Option<f64> {
        itl(self.first_ns, self.last_ns, self.tokens)
    }

    /// Time to the last token, in milliseconds.
    pub(super) fn latency_ms(&self) -> Option<f64> {
        Some(ms(self.received_ns, self.last_ns?))
    }
}

/// The span between two times in milliseconds; negative if they are the other way round.
pub(super) fn ms(from_ns: u64, to_ns: u64) -> f64 {
    (i128::from(to_ns) - i128::from(from_ns)) as f64 / 1e6
}

/// The mean time from the first of so many tokens to the last, in milliseconds a token.
fn itl(first_ns: Option<u64>, last_ns: Option<u64>, tokens: u64) -> Option<f64> {
    (tokens > 1).then(|| Some(ms(first_ns?, last_ns?) / (tokens - 1) as f64))?
}

/// The requests of the load in the server's log.
pub(super) fn truths(path: &Path) -> Result<Vec<Truth>> {
    let mut all: Vec<Truth> = lines(path)?;
    all.retain(|truth| truth.path == "/v1/chat/completions");
    Ok(all)
}

/// The records of the bare client.
pub(super) fn bare(path: &Path) -> Result<Vec<Seen>> {
    #[derive(Deserialize)]
    struct Line {
        x_request_id: String,
        intended_ns: Option<u64>,
        permitted_ns: u64,
        sent_ns: u64,
        first_ns: Option<u64>,
        last_ns: Option<u64>,
        ended_ns: u64,
        tokens: u64,
    }
    let seen = |line: Line| Seen {
        first_ns: line.first_ns,
        ttft_ms: line.first_ns.map(|first| ms(line.permitted_ns, first)),
        itl_ms: itl(line.first_ns, line.last_ns, line.tokens),
        // It stamps what it has just read.
        first_lag_ms: line.first_ns.map(|_| 0.0),
        last_lag_ms: line.last_ns.map(|_| 0.0),
        latency_ms: ms(line.permitted_ns, line.last_ns.unwrap_or(line.ended_ns)),
        id: line.x_request_id,
        intended_ns: line.intended_ns,
        sent_ns: line.sent_ns,
    };
    Ok(lines(path)?.into_iter().map(seen).collect())
}

/// The records of the program: its own figures, as its users get them.
pub(super) fn ours(path: &Path) -> Result<Vec<Seen>> {
    #[derive(Deserialize)]
    struct Line {
        metadata: Metadata,
        metrics: Metrics,
    }
    #[derive(Deserialize)]
    struct Metadata {
        x_request_id: String,
        credit_issued_ns: u64,
        request_start_ns: u64,
    }
    #[derive(Deserialize)]
    struct Metrics {
        time_to_first_token: Option<Value>,
        inter_token_latency: Option<Value>,
        request_latency: Value,
        first_receive_lag: Option<Value>,
        last_receive_lag: Option<Value>,
        http_req_blocked: Value,
        http_req_dns_lookup: Value,
        http_req_connecting: Value,
    }
    #[derive(Deserialize)]
    struct Value {
        value: f64,
    }
    let seen = |Line { metadata, metrics }: Line| {
        // The request is written as soon as there is a connection for it.
        let before =
            metrics.http_req_blocked.value + metrics.http_req_dns_lookup.value + metrics.http_req_connecting.value;
        let ttft_ms = metrics.time_to_first_token.map(|ttft| ttft.value);
        Seen {
            id: metadata.x_request_id,
            intended_ns: Some(metadata.credit_issued_ns),
            sent_ns: metadata.request_start_ns + (before * 1e6).round() as u64,
            first_ns: ttft_ms.map(|ttft| metadata.request_start_ns + (ttft * 1e6).round() as u64),
            ttft_ms,
            itl_ms: metrics.inter_token_latency.map(|itl| itl.value),
            first_lag_ms: metrics.first_receive_lag.map(|lag| lag.value),
            last_lag_ms: metrics.last_receive_lag.map(|lag| lag.value),
            latency_ms: metrics.request_latency.value,
        }
    };
    Ok(lines(path)?.into_iter().map(seen).collect())
}

fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let parsed = BufReader::with_capacity(1 << 20, file).lines().enumerate().map(|(number, line)| {
        serde_json::from_str(&line?).with_context(|| format!("{}:{}", path.display(), number + 1))
    });
    parsed.collect()
}

/// Each request as both sides saw it. Every one must be there exactly once on either side and have been answered.
pub(super) fn join(seen: Vec<Seen>, truths: Vec<Truth>) -> Result<Vec<(Seen, Truth)>> {
    ensure!(
        seen.len() == truths.len(),
        "the client recorded {} requests and the server logged {}",
        seen.len(),
        truths.len()
    );
    let mut by_id = HashMap::with_capacity(truths.len());
    for truth in truths {
        let id = truth.x_request_id.clone().context("the server logged a request without X-Request-ID")?;
        ensure!(truth.outcome == "ok", "the server logged request {id} as {}", truth.outcome);
        if by_id.insert(id.clone(), truth).is_some() {
            bail!("the server logged request {id} twice");
        }
    }
    let pair = |seen: Seen| {
        let truth = by_id.remove(&seen.id);
        let truth = truth.with_context(|| format!("the client recorded request {} and the server did not", seen.id))?;
        Ok((seen, truth))
    };
    seen.into_iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn seen(id: &str) -> Seen {
        Seen { id: id.to_owned(), ..Seen::default() }
    }

    fn truth(id: &str, received_ns: u64) -> Truth {
        Truth { x_request_id: Some(id.to_owned()), outcome: "ok".to_owned(), received_ns, ..Truth::default() }
    }

    #[test]
    fn requests_are_joined_by_their_identifier_whatever_their_order() {
        let joined = join(vec![seen("a"), seen("b")], vec![truth("b", 2), truth("a", 1)]).unwrap();
        assert_eq!(joined.iter().map(|(_, truth)| truth.received_ns).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_join_fails_and_says_so_if_a_request_is_missing_doubled_or_unanswered() {
        let fails = |seen: Vec<Seen>, truths: Vec<Truth>| join(seen, truths).unwrap_err().to_string();
        assert_eq!(fails(vec![seen("a")], vec![]), "the client recorded 1 requests and the server logged 0");
        assert!(fails(vec![seen("a")], vec![truth("b", 0)]).contains("request a and the server did not"));
        assert!(fails(vec![seen("a"), seen("b")], vec![truth("a", 0), truth("a", 0)]).contains("request a twice"));
        assert!(fails(vec![seen("a"), seen("a")], vec![truth("a", 0), truth("b", 0)]).contains("request a and"));
        let aborted = Truth { outcome: "aborted".to_owned(), ..truth("a", 0) };
        assert!(fails(vec![seen("a")], vec![aborted]).contains("request a as aborted"));
    }

    #[test]
    fn the_servers_spans_are_taken_from_its_stamps() {
        let truth = Truth { first_ns: Some(3_000_000), last_ns: Some(9_000_000), tokens: 4, ..truth("a", 1_000_000) };
        assert_eq!((truth.ttft_ms(), truth.itl_ms(), truth.latency_ms()), (Some(2.0), Some(2.0), Some(8.0)));
        assert_eq!(Truth { tokens: 1, ..truth }.itl_ms(), None);
    }

    #[test]
    fn a_line_of_either_client_says_the_same() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("records.jsonl");
        fs::write(
            &file,
            r#"{"x_request_id":"a","intended_ns":1000000,"permitted_ns":2000000,"sent_ns":2500000,"first_ns":4000000,"last_ns":8000000,"ended_ns":9000000,"tokens":3}"#,
        )
        .unwrap();
        let expected = Seen {
            id: "a".to_owned(),
            intended_ns: Some(1_000_000),
            sent_ns: 2_500_000,
            first_ns: Some(4_000_000),
            first_lag_ms: Some(0.0),
            last_lag_ms: Some(0.0),
            ttft_ms: Some(2.0),
            itl_ms: Some(2.0),
            latency_ms: 6.0,
        };
        let said_by_bare = bare(&file).unwrap();
        fs::write(
            &file,
            r#"{"metadata":{"x_request_id":"a","credit_issued_ns":1000000,"request_start_ns":2000000},"metrics":{"time_to_first_token":{"value":2.0},"inter_token_latency":{"value":2.0},"request_latency":{"value":6.0},"first_receive_lag":{"value":0.0},"last_receive_lag":{"value":0.0},"http_req_blocked":{"value":0.1},"http_req_dns_lookup":{"value":0.0},"http_req_connecting":{"value":0.4}}}"#,
        )
        .unwrap();
        assert_eq!(said_by_bare, [expected]);
        assert_eq!(ours(&file).unwrap(), said_by_bare);
    }

    #[test]
    fn a_broken_line_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("log.jsonl");
        fs::write(&file, "{\n").unwrap();
        assert!(truths(&file).unwrap_err().to_string().ends_with("log.jsonl:1"));
    }
}
