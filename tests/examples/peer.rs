//! Runs one of the real servers in the foreground: `cargo xtask peers start llama --port 8000`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use inferometer_tests::peers::Peer;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().context("say which server: llama or dynamo")?;
    let port = args.next().map(|port| port.parse()).transpose().context("the port is no number")?;
    let peer =
        Peer::start(&name, port)?.with_context(|| format!("{name} is not installed; run cargo xtask peers install"))?;
    println!("url        {}", peer.url());
    println!("model      {}", peer.model());
    println!("tokenizer  {}", peer.model_folder().join("tokenizer.json").display());
    println!("log        {}", peer.log().display());
    println!("Ctrl-C ends it.");
    peer.wait()
}
