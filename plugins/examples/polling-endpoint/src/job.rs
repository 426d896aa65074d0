//! What Acme's server says of a job.

use inferometer_plugin_sdk::{
    serde::Deserialize,
    types::{Error, Result},
};
use serde_json::Value;

/// How far a job has come. The server says it in answer to the submission and to every poll.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// Not done yet; to be asked for under this path, if it has an id.
    Waiting(Option<String>),
    /// The result lies here: a path, or a URL.
    Done(String),
    /// The server gave up, in its own words.
    Failed(String),
}

#[derive(Deserialize)]
#[serde(crate = "inferometer_plugin_sdk::serde")]
struct State {
    status: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    result: String,
    #[serde(default)]
    error: Value,
}

impl Job {
    /// Reads an answer.
    ///
    /// # Errors
    /// Says what was expected.
    pub(crate) fn read(json: &[u8]) -> Result<Self> {
        let state: State = serde_json::from_slice(json)
            .map_err(|error| Error::malformed(format!("the state of a job was expected: {error}")))?;
        match state.status.as_str() {
            "queued" | "running" => {
                Ok(Self::Waiting((!state.id.is_empty()).then(|| format!("/v1/jobs/{}", segment(&state.id)))))
            }
            "done" if is_place(&state.result) => Ok(Self::Done(state.result)),
            "done" => Err(Error::malformed(format!(
                "the result of a job lies at {:?}, and a path or a URL was expected",
                state.result
            ))),
            "failed" => Ok(Self::Failed(match state.error {
                Value::Null => "the job failed, and the server does not say why".to_owned(),
                Value::String(text) => text,
                other => other.to_string(),
            })),
            // Waiting on would be waiting for ever, should it mean that the job was withdrawn.
            other => Err(Error::malformed(format!("a job is in an unknown state: {other:?}"))),
        }
    }
}

/// An id as one segment of a path. What an id may hold is the server's own business, so everything but letters, digits
/// and three signs is escaped: also dots, which alone would mean a folder.
fn segment(id: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    id.bytes().map(byte).collect()
}

/// Whether `place` is a path or a URL. Whether it lies on the server that is being asked, the host sees to.
fn is_place(place: &str) -> bool {
    let begins = place.starts_with("http://") || place.starts_with('/') && !place.starts_with("//");
    begins && place.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_of_a_job_is_understood() {
        let read = |json: &str| Job::read(json.as_bytes()).unwrap();
        assert_eq!(read(r#"{"id":"7","status":"queued"}"#), Job::Waiting(Some("/v1/jobs/7".into())));
        assert_eq!(read(r#"{"status":"running"}"#), Job::Waiting(None));
        assert_eq!(read(r#"{"status":"done","result":"/v1/files/7"}"#), Job::Done("/v1/files/7".into()));
        let url = "http://host/v1/files/7";
        assert_eq!(read(&format!(r#"{{"status":"done","result":"{url}"}}"#)), Job::Done(url.into()));
        assert_eq!(read(r#"{"status":"failed","error":"too dark"}"#), Job::Failed("too dark".into()));
        assert_eq!(read(r#"{"status":"failed","error":{"code":7}}"#), Job::Failed(r#"{"code":7}"#.into()));
    }

    #[test]
    fn an_id_of_whatever_signs_stays_one_segment_of_the_path() {
        for (id, path) in
            [("../a b?c#d%/é", "%2E%2E%2Fa%20b%3Fc%23d%25%2F%C3%A9"), ("..", "%2E%2E"), ("Az-_~9", "Az-_~9")]
        {
            assert_eq!(segment(id), path);
        }
    }

    #[test]
    fn what_cannot_be_followed_is_refused_in_words() {
        for (json, words) in [
            ("<html>", "the state of a job was expected"),
            (r#"{"status":"withdrawn","id":"7"}"#, "\"withdrawn\""),
            (r#"{"status":"done"}"#, "lies at \"\""),
            (r#"{"status":"done","result":"ftp://elsewhere/7"}"#, "a path or a URL"),
            (r#"{"status":"done","result":"//elsewhere/7"}"#, "a path or a URL"),
            (r#"{"status":"done","result":"/7 HTTP/1.1\r\n"}"#, "a path or a URL"),
        ] {
            let error = Job::read(json.as_bytes()).unwrap_err();
            assert!(error.message.contains(words), "{json}: {error}");
        }
    }
}
