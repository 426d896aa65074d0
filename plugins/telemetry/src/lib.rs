//! The built-in telemetry collectors: metric pages of Prometheus' kind, NVIDIA's management library, and the machine that
//! makes the load. Each is a plugin like any other, on the SDK alone.

mod host;
mod nvml;
mod prometheus;

inferometer_plugin_sdk::collector! {
    name: "prometheus",
    summary: "Reads a metrics page: of an inference server, or of NVIDIA's or AMD's exporter.",
    component: prometheus::Prometheus,
}

inferometer_plugin_sdk::collector! {
    name: "host",
    summary: "Reads the machine that makes the load: processors, memory and network.",
    component: host::Host,
}

inferometer_plugin_sdk::collector! {
    name: "nvml",
    summary: "Reads the NVIDIA GPUs of this machine through their driver.",
    component: nvml::Nvml,
}
