//! Reading an ordinary answer is on the measured path: it must not allocate.

use inferometer_endpoints::{Chat, Completions};
use inferometer_plugin_sdk::{
    RVec,
    api::Endpoint,
    types::{Answer, Delta, Event, Reply},
};

fn allocations(endpoint: &dyn Endpoint, data: &str) -> u64 {
    let event = Event::new(data.as_bytes());
    let (mut delta, mut scratch) = (Delta::EMPTY, RVec::new());
    let counted = allocation_counter::measure(|| {
        endpoint.on_event(&event, &mut delta, &mut scratch).expect("the event is well-formed");
    });
    counted.count_total
}

fn body_allocations(endpoint: &dyn Endpoint, data: &str) -> u64 {
    let answer = Answer {
        status: 200,
        exchange: 0,
        flags: 0,
        content_type: "application/json".into(),
        body: data.as_bytes().into(),
    };
    let mut reply = Reply::default();
    let counted = allocation_counter::measure(|| {
        endpoint.on_body(&answer, &mut reply).expect("the body is well-formed");
    });
    counted.count_total
}

#[test]
fn ordinary_events_are_read_without_allocating() {
    for data in [
        r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" the"},"finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"delta":{"reasoning_content":"\"so\" é"},"finish_reason":"stop"}],"usage":null}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":27,"completion_tokens":8,"prompt_tokens_details":{"cached_tokens":0}}}"#,
        "[DONE]",
    ] {
        assert_eq!(allocations(&Chat, data), 0, "{data}");
    }
    let text =
        r#"{"object":"text_completion","choices":[{"text":" the","index":0,"logprobs":null,"finish_reason":null}]}"#;
    assert_eq!(allocations(&Completions, text), 0);
}

#[test]
fn an_ordinary_body_is_read_with_the_list_of_deltas_for_the_only_allocation() {
    for data in [
        r#"{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"\"so\" é","reasoning":"hm","annotations":[{"type":"a"}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":27,"completion_tokens":8}}"#,
        r#"{"choices":[{"message":{"content":"one"}},{"message":{"content":"two"}}],"timings":{"predicted_ms":2.409}}"#,
    ] {
        assert_eq!(body_allocations(&Chat, data), 1, "{data}");
    }
    let text = r#"{"object":"text_completion","choices":[{"text":" the","index":0,"logprobs":{"tokens":[" the"]},"finish_reason":"length"}]}"#;
    assert_eq!(body_allocations(&Completions, text), 1);
}

#[test]
fn the_counter_counts() {
    assert_ne!(allocations(&Chat, r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f"}}]}}]}"#), 0);
    assert!(body_allocations(&Chat, r#"{"choices":[{"message":{"tool_calls":[{"function":{"name":"f"}}]}}]}"#) > 1);
}
