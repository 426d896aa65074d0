//! Errors as each API says them: one refusal, in the shape that the clients of its route expect.

use serde_json::{Value, json};

/// A request that is answered with an error.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    param: Option<&'static str>,
    message: String,
}

/// How an API words its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `{"error":{"message","type","param","code"}}`
    OpenAi,
    /// `{"type":"error","error":{"type","message"}}`
    Anthropic,
    /// `{"error":{"code","message","status"}}`
    Google,
    /// `{"message"}`
    Cohere,
    /// `{"error"}`: Ollama, Triton
    Bare,
    /// `{"error","error_type"}`: Hugging Face
    HuggingFace,
    /// `{"detail"}`: FastAPI
    Detail,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, param: None, message: message.into() }
    }

    pub(crate) fn of(param: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(param), ..Self::new(400, message) }
    }

    pub(crate) fn unknown_model(model: &str) -> Self {
        Self { param: Some("model"), ..Self::new(404, format!("The model `{model}` does not exist.")) }
    }

    #[cfg(test)]
    pub(crate) fn param(&self) -> Option<&'static str> {
        self.param
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn body(&self, shape: Shape) -> Vec<u8> {
        self.value(shape).to_string().into_bytes()
    }

    /// As a proxy in front of the server would say it.
    pub(crate) fn html(&self) -> Vec<u8> {
        let status = self.status;
        let page = format!(
            "<!DOCTYPE html>\n<html><head><title>{status}</title></head>\n\
             <body><h1>{status}</h1><p>The upstream server gave no answer.</p></body></html>\n"
        );
        page.into_bytes()
    }

    fn value(&self, shape: Shape) -> Value {
        let message = &self.message;
        match shape {
            Shape::OpenAi => json!({"error": {
                "message": message, "type": self.openai_type(), "param": self.param, "code": self.status,
            }}),
            Shape::Anthropic => json!({"type": "error", "error": {"type": self.anthropic_type(), "message": message}}),
            Shape::Google => json!({"error": {
                "code": self.status, "message": message, "status": self.google_status(),
            }}),
            Shape::Cohere => json!({"message": message}),
            Shape::Bare => json!({"error": message}),
            Shape::HuggingFace => json!({"error": message, "error_type": self.hugging_face_type()}),
            Shape::Detail => json!({"detail": message}),
        }
    }

    fn openai_type(&self) -> &'static str {
        match self.status {
            401 => "AuthenticationError",
            404 => "NotFoundError",
            500.. => "InternalServerError",
            _ => "BadRequestError",
        }
    }

    fn anthropic_type(&self) -> &'static str {
        match self.status {
            401 => "authentication_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        }
    }

    fn google_status(&self) -> &'static str {
        match self.status {
            401 => "UNAUTHENTICATED",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            500.. => "INTERNAL",
            _ => "INVALID_ARGUMENT",
        }
    }

    fn hugging_face_type(&self) -> &'static str {
        match self.status {
            429 => "overloaded",
            500.. => "generation",
            _ => "validation",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_worded_as_each_api_words_it() {
        let refusal = Refusal::of("prompt", "a \"prompt\" is required");
        let value = |shape| serde_json::from_slice::<Value>(&refusal.body(shape)).unwrap();
        assert_eq!(value(Shape::OpenAi)["error"]["param"], "prompt");
        assert_eq!(value(Shape::Anthropic)["error"]["type"], "invalid_request_error");
        assert_eq!(value(Shape::Google)["error"]["status"], "INVALID_ARGUMENT");
        for (shape, key) in [
            (Shape::Cohere, "message"),
            (Shape::Bare, "error"),
            (Shape::HuggingFace, "error"),
            (Shape::Detail, "detail"),
        ] {
            assert_eq!(value(shape)[key], "a \"prompt\" is required");
        }
    }
}
