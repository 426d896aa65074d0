//! How connections to the server are made, and how long is waited for what.

use super::choices::{ConnectionReuse, HttpVersion, IpVersion, Transport};
use crate::values::{Count, Seconds, one_or_many};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Settings of connections.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Connections")]
#[serde(default, rename_all = "kebab-case")]
pub struct ConnectionConfig {
    /// What requests travel by, for scripts that say so
    #[arg(long, alias = "transport-type", value_name = "WHAT", hide = true)]
    pub transport: Option<Transport>,
    /// Whether connections serve more than one request [default: pooled]
    #[arg(long, value_name = "HOW")]
    pub connection_reuse_strategy: Option<ConnectionReuse>,
    /// Version of HTTP to speak [default: 1.1]
    #[arg(long, value_name = "VERSION")]
    pub http_version: Option<HttpVersion>,
    /// Most requests that share a connection of HTTP/2 at a time, if the server allows as many [default: 100]
    #[arg(long, value_name = "COUNT")]
    pub http2_streams: Option<Count>,
    /// Versions of IP to reach the server by [default: auto]
    #[arg(long, value_name = "VERSION")]
    pub ip_version: Option<IpVersion>,
    /// Addresses of this machine to connect from, in turn: each has its own ports, some 28,000 to one server [default: the
    /// system chooses]
    #[arg(long, alias = "source-addresses", value_name = "ADDRESS", num_args = 1.., value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many")]
    pub source_address: Vec<String>,
    /// Socket file to connect to; --url then says no more than the path and what goes into `Host`
    #[arg(long, value_name = "FILE")]
    pub unix_socket: Option<PathBuf>,
    /// Proxy to go through: its URL, or `env` for what HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say [default: none,
    /// whatever the environment says]
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// Certificates (PEM) of who may vouch for the server, in place of the system's
    #[arg(long, value_name = "FILE")]
    pub ca_certificate: Option<PathBuf>,
    /// Certificate (PEM) to show to the server, with those that vouch for it
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_certificate: Option<PathBuf>,
    /// Private key (PEM) of the client's certificate
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub client_key: Option<PathBuf>,
    /// Take whatever certificate the server shows; the verdict says so
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub insecure: Option<bool>,
    /// Most time that connecting may take, TLS included; 0: no limit [default: 30s]
    #[arg(long, value_name = "SECONDS")]
    pub connect_timeout_seconds: Option<Seconds>,
    /// Most time from the last byte of the request to the first of the answer; 0: no limit [default: 30min]
    #[arg(long, value_name = "SECONDS")]
    pub first_byte_timeout_seconds: Option<Seconds>,
    /// Most time in mid-answer without a byte; 0: no limit [default: 5min]
    #[arg(long, value_name = "SECONDS")]
    pub idle_timeout_seconds: Option<Seconds>,
    /// Most time one request may take, connecting included [default: 6h]
    #[arg(long, value_name = "SECONDS")]
    pub request_timeout_seconds: Option<Seconds>,
}
