//! The built-in timing strategies: a closed loop; open loops at a constant, a Poisson and a gamma rate, and in bursts; the
//! data set's own times; and users who each send at a pace.
//!
//! A strategy says when arrivals are intended. Sleeping, slots, limits that hold over all workers and what a session's
//! later turns do are the host's matter, so nothing here knows a clock: the same code runs live and on a virtual one.

mod burst;
mod closed;
#[cfg(test)]
mod conformance;
mod constant;
mod fixed;
mod open;
mod phase;
mod profile;
mod rated;
mod renewal;
mod users;

inferometer_plugin_sdk::timing! {
    name: "burst",
    summary: "Sends many requests at one instant, once or at intervals.",
    component: open::OpenLoop<burst::Burst>,
}

inferometer_plugin_sdk::timing! {
    name: "concurrency",
    summary: "Keeps a fixed number of requests in flight.",
    component: closed::Concurrency,
}

inferometer_plugin_sdk::timing! {
    name: "constant",
    summary: "Sends at a constant rate, however long the answers take.",
    component: open::OpenLoop<rated::Rated<constant::Constant>>,
}

inferometer_plugin_sdk::timing! {
    name: "fixed_schedule",
    summary: "Begins every session at the time that the data set gives.",
    component: fixed::FixedSchedule,
}

inferometer_plugin_sdk::timing! {
    name: "gamma",
    summary: "Sends at random times with a given mean rate, smoother or burstier than Poisson traffic.",
    component: open::OpenLoop<rated::Rated<renewal::Renewal<renewal::Gamma>>>,
}

inferometer_plugin_sdk::timing! {
    name: "poisson",
    summary: "Sends at random times with a given mean rate, however long the answers take.",
    component: open::OpenLoop<rated::Rated<renewal::Renewal<renewal::Exponential>>>,
}

inferometer_plugin_sdk::timing! {
    name: "user_centric",
    summary: "Keeps a number of users, each sending the turns of its sessions at an even pace.",
    component: users::UserCentric,
}
