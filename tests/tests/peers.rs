//! The real servers themselves: each lists its model and streams an answer, and none outlives its owner.

use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use inferometer_tests::peers::{self, Peer};
use serde_json::{Value, json};

/// How many tokens an answer is asked to have at most.
const ANSWER_TOKENS: u64 = 16;

#[tokio::test]
async fn llama_server_lists_its_model() -> Result<()> {
    match peers::llama() {
        Some(peer) => lists_its_model(peer).await,
        None => Ok(()),
    }
}

#[tokio::test]
async fn dynamo_lists_its_model() -> Result<()> {
    match peers::dynamo() {
        Some(peer) => lists_its_model(peer).await,
        None => Ok(()),
    }
}

#[tokio::test]
async fn llama_server_streams_a_chat_answer() -> Result<()> {
    match peers::llama() {
        Some(peer) => streams_a_chat_answer(peer).await,
        None => Ok(()),
    }
}

#[tokio::test]
async fn dynamo_streams_a_chat_answer() -> Result<()> {
    match peers::dynamo() {
        Some(peer) => streams_a_chat_answer(peer).await,
        None => Ok(()),
    }
}

#[test]
fn a_server_ends_when_it_is_dropped() {
    for name in ["llama", "dynamo"] {
        let Some(peer) = peers::own(name) else {
            continue;
        };
        let port: u16 = peer.url().rsplit(':').next().unwrap().parse().unwrap();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        drop(peer);
        // The kernel closes what a killed process held only once that process is next to run.
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            assert!(Instant::now() < deadline, "{name} still answers on port {port}");
            std::thread::yield_now();
        }
    }
}

/// A client, for which a provider of cryptography has to be there though it is not asked for.
fn client() -> Result<reqwest::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

async fn lists_its_model(peer: &Peer) -> Result<()> {
    let answer = client()?.get(format!("{}/v1/models", peer.url())).send().await?;
    let models: Value = answer.error_for_status()?.json().await?;
    ensure!(models["data"][0]["id"] == peer.model(), "{models}");
    Ok(())
}

async fn streams_a_chat_answer(peer: &Peer) -> Result<()> {
    let question = json!({
        "model": peer.model(),
        "messages": [{"role": "user", "content": "What does the licence permit?"}],
        "max_tokens": ANSWER_TOKENS,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    let answer = client()?
        .post(format!("{}/v1/chat/completions", peer.url()))
        .json(&question)
        .send()
        .await?
        .error_for_status()?;
    ensure!(answer.headers()["content-type"] == "text/event-stream", "{answer:?}");

    let body = answer.text().await?;
    let mut data: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    ensure!(data.pop() == Some("[DONE]"), "no [DONE] at the end of {body}");
    let events = data
        .into_iter()
        .map(|event| serde_json::from_str(event).with_context(|| event.to_owned()))
        .collect::<Result<Vec<Value>>>()?;

    let mut pieces = events.iter().map(|event| &event["choices"][0]["delta"]["content"]);
    ensure!(pieces.any(|piece| piece.as_str().is_some_and(|text| !text.is_empty())), "{body}");
    let usages: Vec<u64> = events.iter().filter_map(|event| event["usage"]["completion_tokens"].as_u64()).collect();
    ensure!(matches!(usages[..], [1..=ANSWER_TOKENS]), "not one usage within the limit: {body}");
    Ok(())
}
