//! Which of the run's settings an endpoint passes over: found by encoding a request with them and without. No endpoint has
//! to say so, and none can get it wrong.

use super::{
    encode::{Session, Terms},
    messages::{Said, with_messages},
};
use inferometer_abi::{
    RStr,
    api::Endpoint,
    types::{Error, ErrorKind, Outgoing, Request, Result, request_flags},
};
use std::sync::Arc;

impl Terms {
    /// Looks at the first request of `session`, made with all its texts; what is worth saying of settings that change
    /// nothing.
    ///
    /// # Errors
    /// When the endpoint, which goes by `name`, does not send what the user has asked to be sent.
    pub(super) fn effects(&self, endpoint: &dyn Endpoint, name: &str, session: &Session) -> Result<Vec<String>> {
        let Some(first) = session.turns.first().filter(|turn| !turn.said.is_empty()) else { return Ok(Vec::new()) };
        let asked = self.flags & (request_flags::CHUNK_USAGE | request_flags::LEGACY_MAX_TOKENS);
        if asked == 0 && first.max_tokens == 0 && self.system.is_none() && self.user_context_tokens.is_none() {
            return Ok(Vec::new());
        }
        let encode = |said: &[Arc<Said>], flags: u32, max_tokens: u32| {
            with_messages(said, |messages| {
                let mut outgoing = Outgoing::default();
                let (model, extra_json) = (RStr::from(&*first.model), RStr::from(&*first.extra));
                let request = Request { extra_json, flags, max_tokens, messages, ..Request::new(model.as_str(), &[]) };
                endpoint.encode(&request, &mut outgoing).map(|()| outgoing.body)
            })
        };
        let usual = encode(&first.said, self.flags, first.max_tokens)?;
        let passed_over = |flag: &str, what: &str| {
            let text = format!("{flag}: the endpoint '{name}' {what}; leave it out");
            Err(Error::new(ErrorKind::UNSUPPORTED, text))
        };
        let without = |place: usize| {
            let mut said = first.said.clone();
            said.remove(place);
            // What cannot be sent without it is not passed over.
            encode(&said, self.flags, first.max_tokens).is_ok_and(|body| body == usual)
        };
        let system = first.said.iter().position(|said| said.is("system"));
        if self.system.is_some() && system.is_some_and(without) {
            return passed_over("--system-prompt, --shared-system-prompt-length", "sends no system message");
        }
        let context = system.map_or(0, |place| place + 1);
        if self.user_context_tokens.is_some() && first.said.len() > context + 1 && without(context) {
            return passed_over("--user-context-prompt-length", "sends one message alone");
        }
        for (flag, name) in [
            (request_flags::CHUNK_USAGE, "--per-chunk-usage"),
            (request_flags::LEGACY_MAX_TOKENS, "--use-legacy-max-tokens"),
        ] {
            let is_asked = self.flags & flag != 0 && (flag == request_flags::CHUNK_USAGE || first.max_tokens != 0);
            if is_asked && encode(&first.said, self.flags & !flag, first.max_tokens)? == usual {
                return passed_over(name, "knows nothing of it");
            }
        }
        let limit = first.max_tokens;
        let is_limited = limit == 0 || encode(&first.said, self.flags, limit + 1)? != usual;
        let note = || format!("no limit of output tokens is sent: the endpoint '{name}' knows none");
        Ok((!is_limited).then(note).into_iter().collect())
    }
}
