//! Fetches a page: one GET with one deadline for all of it. No proxy is used and no redirect followed, as the load does.

use super::tls::Tls;
use inferometer_plugin_sdk::types::{Error, ErrorKind, Result};
use reqwest::{
    Client, Response, StatusCode,
    header::{ACCEPT, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, LOCATION},
    redirect,
};
use std::{
    collections::BTreeMap,
    error::Error as _,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};
use url::Url;

/// The longest page that is read; the largest of real servers are some hundred kilobytes.
const LONGEST_PAGE: u64 = 64 << 20;

/// What is asked for: the format that every exporter has.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4";

/// What is wrong with a page that came in spite of what was asked for.
pub(super) const COMPRESSED: &str =
    "the page is compressed, which is not read; have the server send it plain, as it was asked to";

/// A page as it came.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) text: String,
    /// Time from the call to the first byte of the answer.
    pub(super) delay: Duration,
}

/// Where pages come from.
#[derive(Debug)]
pub(super) struct Source {
    url: Url,
    timeout: Duration,
    client: Client,
    /// There until this is dropped.
    runtime: Option<Runtime>,
}

/// Reads what a user gives as the page's place: the scheme and the path `/metrics` may be left out.
///
/// # Errors
/// When it is no place that a page can be fetched from.
pub(super) fn place(typed: &str) -> Result<Url> {
    let because = |reason: &str| {
        // Whatever is before an '@' may be a password, and the rest of what cannot be read may be one as well.
        let shown = typed.rsplit_once('@').map_or(typed, |(_, host)| host).split('?').next().unwrap_or_default();
        Error::config(format!("{shown}: {reason}; give a page such as http://localhost:8000/metrics"))
    };
    let full = if typed.contains("://") { typed.to_owned() } else { format!("http://{typed}") };
    let mut url = Url::parse(&full).map_err(|error| because(&error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(because("a user name or password in the URL is not sent, but the option 'headers' is"));
    }
    if !["http", "https"].contains(&url.scheme()) {
        return Err(because("metric pages are read over http and https"));
    }
    if url.path() == "/" {
        url.set_path("/metrics");
    }
    Ok(url)
}

/// How a place is shown: without what may be secret in it, which is how results spell it too.
pub(super) fn shown(url: &Url) -> String {
    let name = |pair: &str| pair.split_once('=').map_or(String::new(), |(name, _)| format!("{name}=")) + "<redacted>";
    let names: Vec<String> = url.query().into_iter().flat_map(|query| query.split('&')).map(name).collect();
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Only places without a host refuse this, and they have no user either.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    let place = url.as_str().trim_end_matches('/');
    if names.is_empty() { place.to_owned() } else { format!("{place}?{}", names.join("&")) }
}

/// A header to ask with. Its value may be a key, so it is not shown.
fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let wrong = || Error::config(format!("the option 'headers' holds '{name}', which cannot be sent; correct it"));
    let name = HeaderName::try_from(name).map_err(|_| wrong())?;
    let mut value = HeaderValue::try_from(value).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok((name, value))
}

impl Source {
    /// Prepares to fetch from `url` with `headers`, and by `tls` if that is over https.
    ///
    /// # Errors
    /// When a header cannot be sent, a file of TLS cannot be used, or the system has no means for it.
    pub(super) fn new(url: Url, headers: &BTreeMap<String, String>, tls: &Tls, timeout: Duration) -> Result<Self> {
        let failed = |reason: String| Error::new(ErrorKind::IO, format!("no HTTP client could be made: {reason}"));
        let headers = headers.iter().map(|(name, value)| header(name, value)).collect::<Result<HeaderMap>>()?;
        let builder = Client::builder().default_headers(headers).no_proxy().redirect(redirect::Policy::none());
        let builder = if url.scheme() == "https" { tls.apply(builder) } else { Tls::without(builder) };
        let client = builder?.build();
        let client = client.map_err(|error| failed(root(error)))?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| failed(error.to_string()))?;
        Ok(Self { url, timeout, client, runtime: Some(runtime) })
    }

    /// Where it fetches from, for people.
    pub(super) fn shown(&self) -> String {
        shown(&self.url)
    }

    /// Where else servers have the page that have something else at `/metrics`, as TensorRT-LLM has.
    pub(super) fn elsewhere(&self) -> Option<Url> {
        let before = self.url.path().strip_suffix("/metrics").filter(|path| !path.ends_with("/prometheus"))?;
        let mut url = self.url.clone();
        url.set_path(&format!("{before}/prometheus/metrics"));
        Some(url)
    }

    /// Fetches from `url` from now on.
    pub(super) fn turn_to(&mut self, url: Url) -> Url {
        std::mem::replace(&mut self.url, url)
    }

    /// Fetches the page.
    ///
    /// # Errors
    /// When there is none; the message says why, and what may help.
    pub(super) fn fetch(&self) -> Result<Page> {
        let runtime = self.runtime.as_ref().expect("only dropping takes it");
        let fetched = runtime.block_on(async { tokio::time::timeout(self.timeout, self.get()).await });
        let late = |_| {
            let limit = self.timeout.as_millis();
            Err(format!(
                "the page had not come whole after {limit} ms; see to the server, or raise the collector's option 'timeout_ms'"
            ))
        };
        fetched.unwrap_or_else(late).map_err(|reason| Error::new(ErrorKind::IO, format!("{}: {reason}", self.shown())))
    }

    async fn get(&self) -> Result<Page, String> {
        let begun = Instant::now();
        let mut answer = match self.send().await {
            // A kept connection that the server closed meanwhile says nothing of the page.
            Err(error) if !error.is_connect() => self.send().await,
            sent => sent,
        }
        .map_err(|error| format!("{}; start the server, or correct the URL", root(error)))?;
        let delay = begun.elapsed();
        check(&answer, &self.url)?;
        // A length that is announced need not be waited for.
        let mut length = answer.content_length().unwrap_or(0);
        let mut body = Vec::new();
        while length <= LONGEST_PAGE {
            match answer.chunk().await {
                Ok(Some(part)) => body.extend_from_slice(&part),
                Ok(None) => {
                    let text = String::from_utf8(body);
                    let text = text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
                    return Ok(Page { text, delay });
                }
                Err(error) => return Err(format!("the page broke off: {}", root(error))),
            }
            length = length.max(body.len() as u64);
        }
        Err(format!("the page is longer than {} MiB; is it a metrics page?", LONGEST_PAGE >> 20))
    }

    async fn send(&self) -> reqwest::Result<Response> {
        self.client.get(self.url.clone()).header(ACCEPT, TEXT_FORMAT).send().await
    }
}

impl Drop for Source {
    /// A look-up of a host's name that hangs must not hold up the end of a run.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Whether the answer, of what is at `url`, is a page.
fn check(answer: &Response, url: &Url) -> Result<(), String> {
    let status = answer.status();
    let header = |name| answer.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if status.is_success() {
        return match header(CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            Some(_) => Err(COMPRESSED.to_owned()),
            None => Ok(()),
        };
    }
    if status.is_redirection() {
        // What it says may hold a key, as any URL may.
        let to = header(LOCATION).and_then(|to| url.join(to).ok()).map_or("nowhere".to_owned(), |to| shown(&to));
        return Err(format!("the server redirects to {to}, which is not followed; give the URL of the page itself"));
    }
    let remedy = match status {
        StatusCode::NOT_FOUND => "switch the server's metrics on, or give the whole URL of its page",
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "ask with a header, by the collector's option 'headers', or correct the URL"
        }
        _ => "see to the server, or correct the URL",
    };
    Err(format!("the server answered {status}; {remedy}"))
}

/// What an error says that all others stem from.
fn root(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut source = error.source();
    let mut text = error.to_string();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_of_a_place_is_what_most_servers_have() {
        for (typed, full) in [
            ("localhost:9400", "http://localhost:9400/metrics"),
            ("http://[::1]:8000/", "http://[::1]:8000/metrics"),
            ("http://host/q/prometheus", "http://host/q/prometheus"),
            ("host/metrics?x=1", "http://host/metrics?x=1"),
        ] {
            assert_eq!(place(typed).unwrap().as_str(), full);
        }
    }

    #[test]
    fn a_place_that_cannot_be_fetched_from_is_refused_with_an_example() {
        for typed in ["", "ftp://host", "http://", "http://a b"] {
            let error = place(typed).unwrap_err();
            assert!(error.message.contains("http://localhost:8000/metrics"), "{error}");
        }
    }

    #[test]
    fn what_may_be_secret_in_a_place_is_not_shown() {
        for (url, text) in [
            ("http://me:pass@host:1/m?token=2&a=b#x", "http://host:1/m?token=<redacted>&a=<redacted>"),
            ("http://host/m?token", "http://host/m?<redacted>"),
            ("http://host/", "http://host"),
        ] {
            assert_eq!(shown(&Url::parse(url).unwrap()), text);
        }
        for typed in ["http://me:pass@host:1/m", "me:pass@host", "https://me:pass@host", "http://host:x/?k=pass"] {
            let error = place(typed).unwrap_err();
            assert!(!error.message.contains("pass") || error.message.contains("password"), "{error}");
            assert!(!error.message.contains("me:") && !error.message.contains("k="), "{error}");
        }
    }
}
