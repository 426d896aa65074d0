//! Tests of the whole: pages through a reader, and the collector against servers.

mod http;
mod pages;
