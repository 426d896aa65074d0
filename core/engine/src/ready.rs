//! Waiting until the server is ready, before any load. Not measured, so a ready-made HTTP client does.

use crate::{Control, EngineError};
use inferometer_abi::{
    api::Endpoint,
    types::{Message, Outgoing, Part, Request},
};
use inferometer_model::{
    config::ReadyMode,
    plan::{Plan, ReadyPlan},
};
use std::time::{Duration, Instant};
use url::Url;

/// Shortest time between two attempts.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// Longest time one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Waits until every URL of the plan is ready.
///
/// # Errors
/// When one is not in time, or refuses for a reason that waiting does not mend.
pub(crate) fn wait(
    plan: &Plan,
    ready: ReadyPlan,
    endpoint: &dyn Endpoint,
    control: &Control,
) -> Result<(), EngineError> {
    let system = |source| EngineError::System { what: "starting a runtime for the readiness check", source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    let mut stop = control.stopped();
    let all_ready = async {
        for url in &plan.server.urls {
            if matches!(ready.mode, ReadyMode::Models | ReadyMode::Both) {
                until(plan, ready, url, &Probe::models(plan, url)).await?;
            }
            if matches!(ready.mode, ReadyMode::Inference | ReadyMode::Both) {
                until(plan, ready, url, &Probe::inference(plan, url, endpoint)?).await?;
            }
        }
        Ok(())
    };
    runtime.block_on(async {
        tokio::select! {
            ready = all_ready => ready,
            // The load then ends before it begins, and the report says why.
            _ = stop.wait_for(|stopped| *stopped) => Ok(()),
        }
    })
}

/// One question to the server.
struct Probe {
    url: String,
    body: Option<Vec<u8>>,
    /// A model that the answer has to name.
    model: Option<String>,
}

impl Probe {
    fn models(plan: &Plan, url: &Url) -> Self {
        let base = url.as_str().trim_end_matches('/').trim_end_matches("/v1");
        Self { url: format!("{base}/v1/models"), body: None, model: plan.models.first().cloned() }
    }

    fn inference(plan: &Plan, url: &Url, endpoint: &dyn Endpoint) -> Result<Self, EngineError> {
        let (parts, model) = ([Part::text("Hello")], plan.models.first().map_or("", String::as_str));
        let messages = [Message { role: "user".into(), parts: (&parts[..]).into(), extra_json: "".into() }];
        let request = Request { max_tokens: 1, ..Request::new(model, &messages) };
        let mut outgoing = Outgoing::default();
        endpoint.encode(&request, &mut outgoing).map_err(EngineError::component(&plan.server.endpoint))?;
        let path = plan.server.path.clone().unwrap_or_else(|| endpoint.info().path);
        let url = format!("{}://{}{}", url.scheme(), url.authority(), crate::base::join(url, &path));
        Ok(Self { url, body: Some(outgoing.body.into()), model: None })
    }
}

async fn until(plan: &Plan, ready: ReadyPlan, url: &Url, probe: &Probe) -> Result<(), EngineError> {
    let deadline = Instant::now().checked_add(Duration::from_nanos(ready.timeout_ns));
    // As the load does: no proxy, and no redirect is followed.
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    let client = client.map_err(|e| EngineError::NotReady(format!("the readiness check cannot be made: {e}")))?;
    loop {
        let state = match ask(plan, &client, probe).await {
            Answer::Ready => return Ok(()),
            Answer::Never(why) => {
                return Err(EngineError::NotReady(format!("{url} refuses: {why}")));
            }
            Answer::NotYet(why) => why,
        };
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let waited = Duration::from_nanos(ready.timeout_ns);
            return Err(EngineError::NotReady(format!(
                "{url} was not ready within {waited:?}: {state}; start the server, or raise --wait-for-model-timeout"
            )));
        }
        tokio::time::sleep(Duration::from_nanos(ready.interval_ns.min(ready.timeout_ns)).max(SHORTEST_INTERVAL)).await;
    }
}

enum Answer {
    Ready,
    NotYet(String),
    Never(String),
}

async fn ask(plan: &Plan, client: &reqwest::Client, probe: &Probe) -> Answer {
    let mut request = match &probe.body {
        None => client.get(&probe.url),
        Some(body) => client.post(&probe.url).body(body.clone()).header("Content-Type", "application/json"),
    };
    if let Some(key) = &plan.server.api_key {
        request = request.bearer_auth(key.reveal());
    }
    for (name, value) in &plan.server.headers {
        request = request.header(name, value.reveal());
    }
    let answer = match request.timeout(ATTEMPT).send().await {
        Ok(answer) => answer,
        Err(e) if e.is_connect() => return Answer::NotYet("nothing listens there".to_owned()),
        Err(e) => return Answer::NotYet(e.to_string()),
    };
    let status = answer.status();
    let body = answer.text().await.unwrap_or_default();
    match status.as_u16() {
        200..=299 => match &probe.model {
            Some(model) if !lists(&body, model) => {
                Answer::NotYet(format!("{} does not list the model '{model}'", probe.url))
            }
            _ => Answer::Ready,
        },
        401 | 403 => Answer::Never(format!("{status} for {}; check --api-key", probe.url)),
        _ => Answer::NotYet(format!("{status} for {}", probe.url)),
    }
}

/// Whether a list of models in OpenAI's shape names `model`.
fn lists(body: &str, model: &str) -> bool {
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    json["data"].as_array().is_some_and(|models| models.iter().any(|entry| entry["id"] == model))
}
