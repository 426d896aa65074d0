//! `mock`: the mock server, until it is interrupted.

use crate::{Ended, Failure, terminal::say};
use inferometer_mock::{MockConfig, MockServer};
use inferometer_model::ExitCode;
use std::sync::mpsc::channel;

/// Serves until Ctrl-C or a termination signal.
pub(crate) fn run(config: MockConfig) -> Ended {
    let (interrupt, interrupted) = channel();
    ctrlc::set_handler(move || {
        // A second signal finds nobody listening, which is as well.
        let _ = interrupt.send(());
    })
    .map_err(|error| Failure::new(ExitCode::Internal, error))?;
    let models = config.models.join(", ");
    let mock = MockServer::start(config).map_err(Failure::usage)?;
    say(format_args!("serving {models} at {}; Ctrl-C ends it", mock.url()));
    // The sender lives as long as the handler: for ever.
    let _ = interrupted.recv();
    mock.stop().map_err(|error| Failure::new(ExitCode::Internal, error))?;
    Ok(ExitCode::Ok)
}
