//! `demo`: a benchmark of the built-in mock server.

use crate::{Ended, Failure, args::DemoArgs, profile, terminal::say};
use inferometer_host::Registry;
use inferometer_mock::{MockConfig, MockServer};
use inferometer_model::{
    ExitCode,
    config::{DataConfig, LoadConfig, RawConfig, ServerConfig, SyntheticConfig},
    file::PluginSettings,
    resolve::resolve,
    values::{Count, Number},
};

/// Starts a mock with a known pace and measures it.
pub(crate) fn run(args: &DemoArgs) -> Ended {
    let pace = MockConfig { port: 0, ttft_ms: 50.0, itl_ms: 5.0, jitter: 0.1, ..MockConfig::default() };
    let (ttft, itl) = (pace.ttft_ms, pace.itl_ms);
    let model = pace.models.first().cloned().unwrap_or_default();
    let mock = MockServer::start(pace).map_err(|error| Failure::new(ExitCode::Internal, error))?;
    say(format_args!(
        "A mock server at {} answers after {ttft} ms and then every {itl} ms, give or take 10 %:\n",
        mock.url()
    ));
    let settings = RawConfig {
        server: ServerConfig {
            model: vec![model],
            url: vec![mock.url()],
            streaming: Some(true),
            ..ServerConfig::default()
        },
        data: DataConfig { random_seed: Some(1), ..DataConfig::default() },
        synthetic: SyntheticConfig { isl: Some(Number(100.0)), osl: Some(Number(64.0)), ..SyntheticConfig::default() },
        load: LoadConfig { concurrency: Some(Count(16)), request_count: Some(Count(96)), ..LoadConfig::default() },
        tokenizer: Some("builtin".to_owned()),
        goodput: vec!["ttft:60 tpot:6".to_owned()],
        // It is shown all the same where the machine is too busy for numbers to be believed.
        accept_invalid: Some(true),
        artifact_dir: args.artifact_dir.clone(),
        ..RawConfig::default()
    };
    let plan = resolve(&settings, &PluginSettings::default(), 1).map_err(Failure::usage)?;
    let code = profile::measure(plan, &Registry::builtin(), None)?;
    mock.stop().map_err(|error| Failure::new(ExitCode::Internal, error))?;
    say(
        "\nNow your own server:\n  inferometer profile --model NAME --url http://HOST:PORT --streaming --concurrency 16",
    );
    Ok(code)
}
