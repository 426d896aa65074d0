//! What is made of the errors of known servers.

use super::*;
use proptest::prelude::*;

fn words(body: &str) -> String {
    message("application/json", body.as_bytes()).words
}

fn refused(status: u16, body: &str) -> Refusal<'_> {
    Refusal {
        status,
        content_type: "application/json",
        location: None,
        retry_after: None,
        body: body.as_bytes(),
        path: "/v1/chat/completions",
    }
}

#[test]
fn the_servers_words_are_found_in_every_usual_shape() {
    for (body, expected) in [
        (r#"{"error":{"message":"no such model","type":"invalid_request_error","code":null}}"#, "no such model"),
        (r#"{"object":"error","message":"no such model","code":404}"#, "no such model"),
        (r#"{"error":"model 'x' not found"}"#, "model 'x' not found"),
        (r#"{"error":"Model is overloaded","error_type":"overloaded"}"#, "Model is overloaded"),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "Overloaded"),
        (r#"[{"error":{"code":400,"message":"bad argument","status":"INVALID_ARGUMENT"}}]"#, "bad argument"),
        (r#"{"detail":"Not Found"}"#, "Not Found"),
        (r#"{"detail":{"error":"no model"}}"#, "no model"),
        (
            r#"{"detail":[{"loc":["body","messages",0,"content"],"msg":"field required","type":"missing"},{"loc":["body","n"],"msg":"too large"}]}"#,
            "body.messages.0.content: field required; body.n: too large",
        ),
        (r#"{"errors":["a","b"]}"#, "a; b"),
        (r#"{"errors":[{"message":"bad"}]}"#, "bad"),
        (r#"{"error":"invalid_token","error_description":"expired"}"#, "invalid_token: expired"),
        (r#"{"title":"Bad Request","detail":"no body","status":400}"#, "Bad Request: no body"),
        (r#"{"message":"Forbidden"}"#, "Forbidden"),
        (r#"{"fault":{"faultstring":"quota","detail":{"errorcode":"x"}}}"#, "quota"),
        (r#"{"error":{"type":"server_error"}}"#, "server_error"),
        ("data: {\"error\":{\"message\":\"in a stream\"}}\n\ndata: [DONE]\n\n", "in a stream"),
        ("no JSON at all\n", "no JSON at all"),
        ("", "without a message"),
        ("\u{1f}\u{8b}", "with 3 bytes that are no text"),
    ] {
        assert_eq!(words(body), expected, "{body}");
    }
}

#[test]
fn a_page_is_told_by_its_title_or_its_text_and_never_by_its_tags() {
    let nginx =
        "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502</h1></center></body></html>";
    assert_eq!(message("text/html", nginx.as_bytes()).words, "an HTML page (502 Bad Gateway)");
    assert_eq!(message("", nginx.as_bytes()).words, "an HTML page (502 Bad Gateway)");
    let bare = "<!DOCTYPE HTML><body><style>p{}</style><p>No &lt;model&gt;\n  here</p><script>x()</script>";
    assert_eq!(message("", bare.as_bytes()).words, "an HTML page (No <model> here)");
    assert_eq!(message("text/html", b"<html></html>").words, "an HTML page");
    assert_eq!(message("text/html", b"plain words").words, "plain words");
}

#[test]
fn an_overflow_is_known_by_the_words_of_every_server() {
    for said in [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
        "The decoder prompt (length 3000) is longer than the maximum model length of 2048.",
        "`inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000 `inputs` tokens and 20 `max_new_tokens`",
        "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000",
        "the request exceeds the available context size. try increasing the context size",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "The input (3000 tokens) is longer than the model's context length (2048 tokens).",
        "Requested token count exceeds the model's maximum context length of 8192 tokens.",
        "Prompt length (3000) exceeds maximum input length (2048).",
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        "too many tokens: total number of tokens in the prompt cannot exceed 4081",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "Please reduce the length of the messages or completion.",
    ] {
        let body = serde_json::json!({ "error": { "message": said } }).to_string();
        assert_eq!(refused(400, &body).failure().kind, FailureKind::ContextOverflow, "{said}");
        assert_eq!(inside(said, body.as_bytes()).kind, FailureKind::ContextOverflow, "{said}");
    }
    let coded = r#"{"error":{"message":"Too much.","code":"context_length_exceeded"}}"#;
    assert_eq!(refused(400, coded).failure().kind, FailureKind::ContextOverflow);
    let failure = inside("Too much.", coded.as_bytes());
    assert_eq!(failure.to_string(), "context_overflow: Too much. (fewer tokens fit: --isl, --osl)");
}

#[test]
fn a_limit_of_another_kind_is_no_overflow() {
    let limited = r#"{"error":{"message":"Rate limit reached: please reduce the length of the messages"}}"#;
    assert_eq!(refused(429, limited).failure().kind, FailureKind::HttpStatus);
    for said in ["max_tokens must be at least 1", "the context of this tool is unknown", "prompt is empty"] {
        assert_eq!(refused(400, said).failure().kind, FailureKind::HttpStatus, "{said}");
    }
}

#[test]
fn a_refusal_ends_with_what_to_do() {
    let said = |refusal: &Refusal<'_>| refusal.failure().message.into_owned();
    let key = r#"{"error":{"message":"Invalid key"}}"#;
    assert_eq!(said(&refused(401, key)), "401 Invalid key (the key is missing or not the right one: --api-key)");
    let missing = said(&refused(404, r#"{"detail":"Not Found"}"#));
    assert!(missing.contains("/v1/chat/completions") && missing.contains("--model"), "{missing}");
    let limited = said(&Refusal { retry_after: Some("7"), ..refused(429, "slow down") });
    assert!(limited.starts_with("429 slow down (the server asks to try again in 7 s;"), "{limited}");
    let moved = Refusal { location: Some("https://host/v1/chat/completions"), ..refused(301, "") };
    assert!(said(&moved).ends_with("it leads to https://host/v1/chat/completions: give --url https://host)"));
    let elsewhere = Refusal { location: Some("/login"), ..refused(302, "") };
    assert!(said(&elsewhere).contains("it leads to /login: give that in --url and --endpoint"));
    let tls = "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>";
    assert!(said(&refused(400, tls)).contains("https://"));
    assert_eq!(said(&refused(418, "a teapot")), "418 a teapot");
}

#[test]
fn an_error_inside_an_answer_is_told_in_words_and_not_in_json() {
    let data = br#"{"error":{"detail":"the engine died"}}"#;
    assert_eq!(inside(r#"{"detail":"the engine died"}"#, data).message, "the engine died");
    assert_eq!(inside("", b"{}").message, "an error inside the answer, without a message");
    assert_eq!(inside("as the endpoint says", data).message, "as the endpoint says");
}

#[test]
fn a_good_status_with_no_answer_in_it_says_what_came_instead() {
    let page = unreadable("text/html; charset=utf-8", b"<!doctype html><title>Sign in</title>", "no JSON");
    assert_eq!(page.kind, FailureKind::Malformed);
    assert!(page.message.starts_with("an HTML page (Sign in) where JSON was expected"), "{page}");
    assert_eq!(unreadable("application/json", b" \n", "no JSON").kind, FailureKind::NoContent);
    assert_eq!(unreadable("application/json", b"null", "no object").message, "no object");
}

proptest! {
    #[test]
    fn no_body_panics_and_no_message_is_without_end(
        body in prop::collection::vec(prop::sample::select(b"<title>/ \"{}[]:,ea\xc3\xa9&;!-".to_vec()), 0..600),
        status in 100_u16..600,
    ) {
        let refusal = Refusal {
            status,
            content_type: "text/html",
            location: Some("https://host/é"),
            retry_after: Some("soon"),
            body: &body,
            path: "/v1",
        };
        prop_assert!(refusal.failure().message.chars().count() < 2_000);
        let _ = inside("", &body);
        let _ = unreadable("", &body, "");
    }
}
