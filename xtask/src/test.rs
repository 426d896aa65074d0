//! `cargo xtask test`: every test of the workspace, with nothing but Rust and Python 3 on the machine.
//!
//! Tests that need a real server skip themselves, and say so, where `cargo xtask peers install` has not been run.

use anyhow::Result;

use crate::shell;

pub(crate) fn run() -> Result<()> {
    shell::run(shell::cargo().args(["test", "--workspace"]))
}
