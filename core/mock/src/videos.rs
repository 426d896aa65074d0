//! Made-up videos: jobs that are put in, asked after, and fetched.
//!
//! The job is the load; asking after it is not, or the number of questions would shift the fates of later requests.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::ask::{Call, named};
use crate::dialects::CREATED;
use crate::fill::{fill, filled};
use crate::form::Form;
use crate::prompt::Prompt;
use crate::refusal::Refusal;

/// The first box of an MP4 file, which is all of it that there is.
const VIDEO: &[u8] = b"\0\0\0\x18ftypisom\0\0\x02\0isommp41";

/// What a request for a video wants.
pub(crate) struct VideoAsk {
    pub(crate) model: String,
    pub(crate) prompt_tokens: u64,
    seconds: String,
    size: String,
}

impl VideoAsk {
    pub(crate) fn read(call: &Call<'_>) -> Result<Self, Refusal> {
        let form = Form::read(call)?;
        let prompt = form.text("prompt").ok_or_else(|| Refusal::of("prompt", "a prompt is required"))?;
        let json = |name, default: &str| {
            serde_json::Value::from(form.text(name).unwrap_or_else(|| default.to_owned())).to_string()
        };
        Ok(Self {
            model: named(form.text("model"))?,
            prompt_tokens: call.counter.count(&Prompt::of_text(prompt)),
            seconds: json("seconds", "4"),
            size: json("size", "1280x720"),
        })
    }
}

/// A video being made.
pub(crate) struct Job {
    pub(crate) id: u64,
    /// The model's name as a JSON string.
    pub(crate) model: String,
    pub(crate) ask: VideoAsk,
    /// When it is ready.
    pub(crate) due: Instant,
    /// It turns out a failure.
    pub(crate) fails: bool,
}

impl Job {
    /// What is said of it on being put in.
    pub(crate) fn queued(&self) -> Vec<u8> {
        self.status("queued")
    }

    fn now(&self) -> Vec<u8> {
        self.status(match self.due <= Instant::now() {
            false => "in_progress",
            true if self.fails => "failed",
            true => "completed",
        })
    }

    fn status(&self, status: &str) -> Vec<u8> {
        let (progress, tail) = match status {
            "completed" => (100, filled(r#","completed_at":@"#, &[&CREATED])),
            "failed" => {
                let error = r#","error":{"code":"video_generation_failed","message":"an error, as configured"}"#;
                (50, error.to_owned())
            }
            "queued" => (0, String::new()),
            _ => (50, String::new()),
        };
        let mut out = Vec::new();
        fill(
            &mut out,
            r#"{"id":"video_@","object":"video","model":@,"status":"@","progress":@,"created_at":@,"seconds":@,"size":@@}"#,
            &[
                &format!("{:016x}", self.id),
                &self.model,
                &status,
                &progress,
                &CREATED,
                &self.ask.seconds,
                &self.ask.size,
                &tail,
            ],
        );
        out
    }
}

/// All videos that were asked for.
#[derive(Default)]
pub(crate) struct Videos(Mutex<HashMap<u64, Job>>);

impl Videos {
    pub(crate) fn put(&self, job: Job) {
        self.jobs().insert(job.id, job);
    }

    /// What is to be had at `rest` below the videos' path: a status, or the video itself. The flag tells the latter.
    pub(crate) fn get(&self, rest: &str) -> Result<(Vec<u8>, bool), Refusal> {
        let (name, content) = match rest.strip_suffix("/content") {
            Some(name) => (name, true),
            None => (rest, false),
        };
        let id = name.strip_prefix("video_").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let jobs = self.jobs();
        let job = id.and_then(|id| jobs.get(&id));
        let job = job.ok_or_else(|| Refusal::new(404, format!("there is no video {name}")))?;
        if !content {
            return Ok((job.now(), false));
        }
        if job.fails || job.due > Instant::now() {
            return Err(Refusal::new(404, format!("the video {name} is not ready")));
        }
        Ok((VIDEO.to_vec(), true))
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<u64, Job>> {
        // Whole jobs are put in and read, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::time::Duration;

    fn job(id: u64, due: Instant, fails: bool) -> Job {
        let ask = VideoAsk { model: "m".into(), prompt_tokens: 1, seconds: "\"4\"".into(), size: "\"1x1\"".into() };
        Job { id, model: "\"m\"".into(), ask, due, fails }
    }

    #[test]
    fn a_job_is_in_progress_until_it_is_due_and_then_completed_or_failed() {
        let videos = Videos::default();
        let now = Instant::now();
        videos.put(job(1, now + Duration::from_secs(3600), false));
        videos.put(job(2, now, false));
        videos.put(job(3, now, true));
        let status = |name: &str| serde_json::from_slice::<Value>(&videos.get(name).unwrap().0).unwrap();
        assert_eq!(status("video_1")["status"], "in_progress");
        assert_eq!(status("video_0000000000000002")["status"], "completed");
        assert_eq!(status("video_3")["status"], "failed");
        assert!(status("video_3")["error"]["message"].is_string());
        assert!(videos.get("video_2/content").unwrap().1);
        for missing in ["video_1/content", "video_3/content", "video_4", "other", ""] {
            assert_eq!(videos.get(missing).unwrap_err().status, 404, "{missing}");
        }
    }
}
