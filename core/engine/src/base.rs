//! [`Base`]: the URL that the user gave, and where paths lie below it.

use inferometer_model::{Failure, FailureKind, secret::shown_path};
use std::borrow::Cow;
use url::Url;

/// A URL that the user gave, and what it makes of an endpoint's paths.
pub(crate) struct Base {
    url: Url,
    /// Path and query of the endpoint's own path.
    own: String,
    /// What stands before it, without a slash at its end.
    prefix: String,
}

impl Base {
    /// A base with the path of an endpoint below it.
    pub(crate) fn new(url: &Url, path: &str) -> Self {
        let own = join(url, path);
        let bare = |path: &str| path.split('?').next().unwrap_or_default().to_owned();
        let prefix = bare(&own).strip_suffix(&bare(path)).unwrap_or_default().trim_end_matches('/').to_owned();
        Self { url: url.clone(), own, prefix }
    }

    /// Path and query of an exchange that the endpoint asks for; see `Outgoing::path` for what it may give.
    pub(crate) fn follow(&self, given: &str) -> Result<Cow<'_, str>, Failure> {
        if given.is_empty() {
            return Ok(Cow::Borrowed(&self.own));
        }
        if !given.starts_with('/') {
            // What is no URL either is the head's to refuse.
            return Url::parse(given).map_or(Ok(Cow::Owned(given.to_owned())), |url| self.within(&url).map(Cow::Owned));
        }
        let rest = given.strip_prefix(&self.prefix);
        let has_prefix = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        let path = if has_prefix { given.to_owned() } else { format!("{}{given}", self.prefix) };
        let (bare, query) = split(&path);
        Ok(Cow::Owned(with_query(bare, self.url.query(), query)))
    }

    /// The whole URL of an exchange, as it may be shown; of one that is refused, what was asked for.
    pub(crate) fn shown(&self, given: &str) -> String {
        let path = self.follow(given).unwrap_or(Cow::Borrowed(given));
        format!("{}{}", self.url.origin().ascii_serialization(), shown_path(&path))
    }

    /// Path and query of a whole URL, if it lies on this server.
    fn within(&self, url: &Url) -> Result<String, Failure> {
        if url.origin() != self.url.origin() {
            let (there, here) = (url.origin().ascii_serialization(), self.url.origin().ascii_serialization());
            let text = format!(
                "the next exchange is to go to {there}, and what is sent is meant for {here}; if they are one server, \
                 give --url the name that it calls itself by"
            );
            return Err(Failure::new(FailureKind::Plugin, text));
        }
        Ok(url[url::Position::BeforePath..url::Position::AfterQuery].to_owned())
    }
}

/// Path and query of requests: the base's own path before the endpoint's, without saying anything twice.
pub(crate) fn join(base: &Url, path: &str) -> String {
    let (bare, query) = split(path);
    let own = base.path().trim_end_matches('/');
    let joined = if own.ends_with(bare) {
        own.to_owned()
    } else if let Some(rest) = bare.strip_prefix("/v1/")
        && own.ends_with("/v1")
    {
        format!("{own}/{rest}")
    } else {
        format!("{own}{bare}")
    };
    let joined = if joined.is_empty() { "/".to_owned() } else { joined };
    with_query(&joined, base.query(), query)
}

/// A path and its query.
fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('?').map_or((path, None), |(bare, query)| (bare, Some(query)))
}

/// A path with the query of the user's URL and then its own, which wins where both have a name.
fn with_query(path: &str, base: Option<&str>, own: Option<&str>) -> String {
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let pairs = |query: Option<&str>| -> Vec<String> {
        query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .filter(|pair| !pair.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let own = pairs(own);
    let mut all = pairs(base);
    all.retain(|pair| !own.iter().any(|other| name(other) == name(pair)));
    all.extend(own);
    if all.is_empty() { path.to_owned() } else { format!("{path}?{}", all.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_joined_without_saying_anything_twice() {
        let joined = |base: &str, path: &str| join(&Url::parse(base).unwrap(), path);
        assert_eq!(joined("http://h", "/v1/chat/completions"), "/v1/chat/completions");
        assert_eq!(joined("http://h/v1/", "/v1/chat/completions"), "/v1/chat/completions");
        assert_eq!(joined("http://h/api", "/v1/x"), "/api/v1/x");
        assert_eq!(joined("http://h/v1/x", "/v1/x"), "/v1/x");
        assert_eq!(joined("http://h/api?key=1", "/x"), "/api/x?key=1");
        assert_eq!(joined("http://h?key=1", "/x?alt=sse"), "/x?key=1&alt=sse");
        assert_eq!(joined("http://h?key=1&v=1", "/x?v=2&w=3"), "/x?key=1&v=2&w=3");
        assert_eq!(joined("http://h/api", ""), "/api");
        assert_eq!(joined("http://h", ""), "/");
    }

    fn followed(base: &str, given: &str) -> Result<String, String> {
        let base = Base::new(&Url::parse(base).unwrap(), "/v1/jobs");
        base.follow(given).map(Cow::into_owned).map_err(|failure| failure.message.into())
    }

    #[test]
    fn the_paths_of_further_exchanges_lie_where_the_endpoints_own_does() {
        for (base, given, path) in [
            ("http://h", "", "/v1/jobs"),
            ("http://h", "/v1/jobs/7", "/v1/jobs/7"),
            ("http://h/", "/", "/"),
            ("http://h/v1", "/v1/jobs/7", "/v1/jobs/7"),
            ("http://h/v1/jobs", "/v1/jobs/7", "/v1/jobs/7"),
            ("http://h/api", "", "/api/v1/jobs"),
            ("http://h/api/", "/v1/jobs/7?x=1", "/api/v1/jobs/7?x=1"),
            ("http://h/api/v1", "/v1/jobs/7", "/api/v1/jobs/7"),
            ("http://h/api/v1/jobs", "/v1/jobs/7", "/api/v1/jobs/7"),
            ("http://h/api", "/apiary/7", "/api/apiary/7"),
        ] {
            assert_eq!(followed(base, given), Ok(path.to_owned()), "{given} below {base}");
        }
    }

    #[test]
    fn a_path_that_the_server_gave_with_the_prefix_is_taken_as_it_is() {
        assert_eq!(followed("http://h/api", "/api/v1/jobs/7"), Ok("/api/v1/jobs/7".to_owned()));
        assert_eq!(followed("http://h/api/v1", "/api/files/7"), Ok("/api/files/7".to_owned()));
        assert_eq!(followed("http://h/api", "/api"), Ok("/api".to_owned()));
    }

    #[test]
    fn the_query_of_the_users_url_goes_along_with_the_paths_own() {
        assert_eq!(followed("http://h/api?key=1", ""), Ok("/api/v1/jobs?key=1".to_owned()));
        assert_eq!(followed("http://h/api?key=1", "/v1/jobs/7"), Ok("/api/v1/jobs/7?key=1".to_owned()));
        assert_eq!(followed("http://h?key=1", "/v1/jobs/7?v=2"), Ok("/v1/jobs/7?key=1&v=2".to_owned()));
    }

    #[test]
    fn where_a_request_goes_is_shown_without_keys() {
        let base = Base::new(&Url::parse("http://h:1/api?key=sk-1").unwrap(), "/v1/jobs");
        assert_eq!(base.shown("/v1/x?v=2"), "http://h:1/api/v1/x?key=<redacted>&v=<redacted>");
    }

    #[test]
    fn a_whole_url_is_followed_on_the_same_server_only() {
        assert_eq!(followed("http://h:80/api?key=1", "http://H/v1/jobs/7?v=2#x"), Ok("/v1/jobs/7?v=2".to_owned()));
        assert_eq!(followed("http://h:8000", "http://h:8000"), Ok("/".to_owned()));
        for elsewhere in ["http://h:8001/x", "https://h:8000/x", "http://i:8000/x", "http://h:8000@i/x", "mailto:h"] {
            let message = followed("http://h:8000", elsewhere).unwrap_err();
            assert!(message.contains("is meant for http://h:8000"), "{elsewhere}: {message}");
        }
    }

    #[test]
    fn what_is_neither_a_path_nor_a_url_stays_as_it_is_for_the_head_to_refuse() {
        for given in ["no slash", "v1/jobs", "?x=1"] {
            assert_eq!(followed("http://h/api", given), Ok(given.to_owned()));
        }
    }
}
