//! Whole files in, runs or an error out.

use super::AgenticMessages as Form;
use crate::{
    conversation::Conversations,
    testing::{error, gzip, open, outline, sessions},
};
use inferometer_plugin_sdk::{
    documents::DatasetRequest,
    types::{NO_COUNT, TurnTime},
};

type AgenticMessages = Conversations<Form>;

/// A run as MLPerf's coding agents were recorded, and shortened.
const RUN: &str = r#"{"conversation_id": "django__django-16899", "turn": 1, "role": "user", "content": "<pr_description>", "system": "You are a helpful assistant.", "tools": [{"type": "function", "function": {"name": "bash"}}]}
{"conversation_id": "django__django-16899", "turn": 2, "role": "assistant", "reasoning_content": "We need to modify Django.", "tool_calls": [{"id": "functions.bash:0", "type": "function", "function": {"name": "bash", "arguments": "{\"command\": \"find .\"}"}}]}
{"conversation_id": "django__django-16899", "turn": 3, "role": "tool", "tool_results": [{"tool_call_id": "functions.bash:0", "content": "<returncode>0</returncode>"}], "delay_seconds": 0.36833}
{"conversation_id": "django__django-16899", "turn": 4, "role": "assistant", "reasoning_content": "Done.", "tool_calls": []}
"#;

#[test]
fn a_run_is_sent_with_its_replies_tool_calls_and_results() {
    let (all, info) = sessions::<AgenticMessages>(RUN);
    assert_eq!((info.sessions, info.recorded_replies, all[0].name.as_str()), (1, true, "django__django-16899"));
    let [first, second] = &all[0].turns[..] else { panic!("two turns: the last reply is dropped") };
    let tools = r#"{"tools":[{"type": "function", "function": {"name": "bash"}}]}"#;
    assert_eq!((first.extra.as_str(), second.extra.as_str()), (tools, tools));
    assert_eq!((first.before[0].role.as_str(), first.role.as_str()), ("system", "user"));
    let [reply] = &second.before[..] else { panic!("one reply") };
    assert_eq!((reply.role.as_str(), reply.parts.len()), ("assistant", 0));
    assert!(reply.extra.starts_with(r#"{"reasoning_content":"We need to modify Django.","tool_calls":[{"id""#));
    assert_eq!((second.role.as_str(), second.parts[0].data.as_str()), ("tool", "<returncode>0</returncode>"));
    assert_eq!(second.message_extra, r#"{"tool_call_id":"functions.bash:0"}"#);
    assert_eq!((first.time, second.time.delay_ns), (TurnTime::NONE, 368_330_000));
}

#[test]
fn outlines_have_the_times_that_tools_took() {
    let (loader, _) = open::<AgenticMessages>(&[("data", RUN.as_bytes())], &DatasetRequest::default()).unwrap();
    let second = TurnTime { delay_ns: 368_330_000, ..TurnTime::NONE };
    assert_eq!(outline(&loader, 0).turns, [(TurnTime::NONE, NO_COUNT), (second, NO_COUNT)]);
}

#[test]
fn runs_may_lie_between_one_another_and_be_compressed() {
    let line = |id: &str, turn: u32, role: &str| {
        format!(
            "{{\"conversation_id\": \"{id}\", \"turn\": {turn}, \"role\": \"{role}\", \"content\": \"{id}{turn}\"}}\n"
        )
    };
    let mixed = [line("b", 1, "user"), line("a", 1, "user"), line("b", 2, "assistant"), line("b", 3, "user")].concat();
    let (all, _) = sessions::<AgenticMessages>(&mixed);
    assert_eq!(all.iter().map(|s| (s.name.as_str(), s.turns.len())).collect::<Vec<_>>(), [("b", 2), ("a", 1)]);
    assert_eq!(sessions::<AgenticMessages>(gzip(mixed.as_bytes())).0, all);
}

#[test]
fn a_broken_line_is_named_with_its_field_and_reason() {
    let id = "\"conversation_id\": \"a\"";
    for (line, named) in [
        (format!("{{{id}, \"turn\": 1, \"role\": \"user\", \"content\": \"x\"}}"), "turn: 1 comes after 1"),
        (format!("{{{id}, \"turn\": 2, \"role\": \"robot\", \"content\": \"x\"}}"), "role: `robot` is none of"),
        (format!("{{{id}, \"turn\": 2, \"role\": \"user\"}}"), "content: missing"),
        (format!("{{{id}, \"turn\": 2, \"role\": \"assistant\"}}"), "content: missing, and no `tool_calls`"),
        (format!("{{{id}, \"turn\": 2, \"role\": \"assistant\", \"tool_calls\": {{}}}}"), "tool_calls: is no list"),
        (format!("{{{id}, \"turn\": 2, \"role\": \"tool\", \"content\": \"x\"}}"), "tool_call_id: missing"),
        (
            format!("{{{id}, \"turn\": 2, \"role\": \"tool\", \"tool_results\": [{{\"content\": \"x\"}}]}}"),
            "tool_results[0].tool_call_id: missing",
        ),
        (
            format!("{{{id}, \"role\": \"user\", \"content\": \"x\", \"delay_second\": 1}}"),
            "did you mean `delay_seconds`?",
        ),
        (format!("{{{id}, \"role\": \"user\", \"content\": \"x\", \"system\": \"y\"}}"), "system: differs"),
        ("{\"role\": \"user\", \"content\": \"x\"}".to_owned(), "conversation_id: missing"),
        (
            "{\"conversation_id\": \"b\", \"role\": \"assistant\", \"content\": \"x\"}".to_owned(),
            "no message of a user",
        ),
    ] {
        let first = format!("{{{id}, \"turn\": 1, \"role\": \"user\", \"content\": \"x\", \"system\": \"s\"}}");
        let message = error::<AgenticMessages>(format!("{first}\n{line}\n"));
        assert!(message.starts_with("2: ") && message.contains(named), "{line}\n  {message}");
    }
}
