//! The built-in timing strategies: a closed loop, and open loops at a constant and at a Poisson rate.
//!
//! A strategy says when arrivals are intended. Sleeping, slots, limits that hold over all workers and what a session's
//! later turns do are the host's matter, so nothing here knows a clock: the same code runs live and on a virtual one.

mod closed;
mod constant;
mod open;
mod phase;
mod poisson;
#[cfg(test)]
mod simulation;

inferometer_plugin_sdk::timing! {
    name: "concurrency",
    summary: "Keeps a fixed number of requests in flight.",
    component: closed::Concurrency,
}

inferometer_plugin_sdk::timing! {
    name: "constant",
    summary: "Sends at a constant rate, however long the answers take.",
    component: open::OpenLoop<constant::Constant>,
}

inferometer_plugin_sdk::timing! {
    name: "poisson",
    summary: "Sends at random times with a given mean rate, however long the answers take.",
    component: open::OpenLoop<poisson::Poisson>,
}
