//! The bare client: the least that a client can do to load a chat server and time its answers.
//!
//! It is the yardstick for what the program itself costs and blurs, so it is made of hyper's connections in a loop and of
//! nothing that could be left out. It sends one fixed body, looks at the time when it sends and at every piece that comes
//! back, finds the events and whether they hold content, and forgets the rest. It keeps no text and no usage, does not
//! parse JSON, knows no phases, time-outs, retries or plugins, and tells failures from successes by the status, the
//! framing and the `[DONE]` event alone. With `--records` it keeps six numbers a request, in memory that it took before,
//! and writes them when the load is over, so that they can be held against the server's log.
//!
//! Not part of the program: `cargo xtask bench` runs it beside the program, on the same server and the same load.

mod connection;
mod events;
mod load;
mod records;

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use hyper::header::HeaderValue;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::connection::Question;
use crate::load::{Load, Order};
use crate::records::Tally;

#[derive(Parser)]
#[command(about = "The least that a load client can do: the yardstick for the client's own cost")]
struct Args {
    /// Address of the server, as host:port
    address: String,
    /// Ask for streamed answers, with usage at their end
    #[arg(long)]
    stream: bool,
    /// Tokens to ask for
    #[arg(long, default_value_t = 16)]
    max_tokens: u32,
    /// The prompt of every request
    #[arg(long, default_value = "Count the beans in this jar, then say which of them are blue.")]
    prompt: String,
    /// Threads, each with its own runtime and connections
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Requests to send, over all threads
    #[arg(long)]
    requests: usize,
    /// Requests in flight: each is followed by the next
    #[arg(long, default_value_t = 1, conflicts_with = "rate")]
    concurrency: usize,
    /// Requests per second in place of requests in flight, evenly spaced
    #[arg(long)]
    rate: Option<f64>,
    /// Space them as a Poisson process does
    #[arg(long, requires = "rate")]
    poisson: bool,
    /// Seed of that process
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write a JSON line per request to this file after the load
    #[arg(long)]
    records: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    allow_many_sockets();
    ensure!(args.threads > 0 && args.concurrency > 0, "--threads and --concurrency count from 1");
    ensure!(args.rate.is_none_or(|rate| rate.is_finite() && rate > 0.0), "--rate must be more than 0");
    let order = match args.rate {
        Some(rate) => Order::Open { intended: load::schedule(rate, args.requests, args.poisson.then_some(args.seed)) },
        None => Order::Closed { concurrency: args.concurrency },
    };
    let mut body = json!({
        "model": "mock",
        "messages": [{ "role": "user", "content": args.prompt }],
        "max_completion_tokens": args.max_tokens,
        "stream": args.stream,
    });
    if args.stream {
        body["stream_options"] = json!({ "include_usage": true });
    }
    let question = Question {
        host: HeaderValue::from_str(&args.address).context("the address is no host:port")?,
        body: body.to_string().into(),
        stream: args.stream,
    };
    let start = Instant::now();
    let load = Load::new(&args.address, question, order, args.requests, args.threads, args.records.is_some())?;
    let load = Arc::new(load);
    let threads: Vec<_> = (0..args.threads)
        .map(|number| {
            let load = Arc::clone(&load);
            std::thread::spawn(move || load::run(&load, number))
        })
        .collect();
    let mut total = Tally::default();
    for thread in threads {
        total.add(thread.join().expect("a thread does not panic")?);
    }
    let wall = start.elapsed();

    if let Some(path) = &args.records {
        let written = File::create(path).map(BufWriter::new).and_then(|file| total.write(file));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!(
        "{}",
        json!({
            "wall_s": wall.as_secs_f64(),
            "requests": total.requests,
            "events": total.events,
            "tokens": total.tokens,
            "errors": total.errors,
        }),
    );
    Ok(())
}

/// Raises the limit on open files as far as it goes; a load that needs more fails when it connects.
fn allow_many_sockets() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
