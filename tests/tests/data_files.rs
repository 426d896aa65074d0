//! Files of each kind: what they say is what is sent, what is wrong with them is said with its place, and the prompts of a
//! run depend on its seed alone, however much data there is.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher as _};

use inferometer_mock::MockConfig;
use inferometer_tests::mock::Mock;
use inferometer_tests::results::Outcomes;
use inferometer_tests::run::Program;
use inferometer_tests::sent::{Sent, with_files};

/// A file of one kind.
struct Kind {
    name: &'static str,
    file: &'static str,
    content: &'static str,
    /// What stands in the bodies: session, turn, and a part of its body as JSON.
    says: &'static [(&'static str, u64, &'static str)],
    /// All requests that it makes.
    requests: u64,
    /// A line that it cannot have, after those it has.
    broken: &'static str,
}

const KINDS: [Kind; 10] = [
    Kind {
        name: "single_turn",
        file: "data.jsonl",
        content: "{\"text\": \"first \\\"one\\\"\", \"output_length\": 3}\n\n{\"session_id\": \"s\", \"text\": \"é\", \"extra\": {\"top_k\": 7}}\n{\"session_id\": \"s\", \"text\": \"alone\"}\n",
        says: &[
            ("line_000001", 0, "\"messages\":[{\"role\":\"user\",\"content\":\"first \\\"one\\\"\"}]"),
            ("line_000001", 0, "\"max_completion_tokens\":3"),
            ("s", 0, "\"messages\":[{\"role\":\"user\",\"content\":\"é\"}]"),
            ("s", 0, "\"top_k\":7"),
            ("s", 1, "\"messages\":[{\"role\":\"user\",\"content\":\"alone\"}]"),
        ],
        requests: 3,
        broken: "{\"txt\": \"x\"}",
    },
    Kind {
        name: "multi_turn",
        file: "data.jsonl",
        content: "{\"session_id\": \"a\", \"turns\": [{\"text\": \"one\", \"output_length\": 2}, {\"text\": \"two\"}]}\n{\"question_id\": 81, \"turns\": [\"write\", \"rewrite\"], \"category\": \"x\"}\n",
        says: &[
            ("a", 0, "\"messages\":[{\"role\":\"user\",\"content\":\"one\"}]"),
            (
                "a",
                1,
                "\"content\":\"one\"},{\"role\":\"assistant\",\"content\":\" time year\"},{\"role\":\"user\",\"content\":\"two\"}]",
            ),
            ("81", 1, "{\"role\":\"user\",\"content\":\"rewrite\"}]"),
        ],
        requests: 4,
        broken: "{\"session_id\": \"b\", \"turns\": []}",
    },
    Kind {
        name: "openai_batch",
        file: "data.jsonl",
        content: "{\"custom_id\": \"r1\", \"method\": \"POST\", \"url\": \"/v1/chat/completions\", \"body\": {\"model\": \"mock\", \"messages\": [{\"role\": \"user\", \"content\": \"hi\"}],\"max_tokens\": 2}}\n",
        says: &[(
            "r1",
            0,
            "{\"model\": \"mock\", \"messages\": [{\"role\": \"user\", \"content\": \"hi\"}],\"max_tokens\": 2}",
        )],
        requests: 1,
        broken: "{\"custom_id\": \"r2\", \"method\": \"POST\", \"url\": \"/v1/chat/completions\"}",
    },
    Kind {
        name: "raw_payload",
        file: "data.jsonl",
        content: "{ \"messages\" : [{\"role\":\"user\",\"content\":\"Gr\\u00fc\\u00df\"}],  \"temperature\": 1.0e0, \"model\": \"mock\" }\n",
        says: &[(
            "line_000001",
            0,
            "{ \"messages\" : [{\"role\":\"user\",\"content\":\"Gr\\u00fc\\u00df\"}],  \"temperature\": 1.0e0, \"model\": \"mock\" }",
        )],
        requests: 1,
        broken: "{\"messages\": ",
    },
    Kind {
        name: "sharegpt",
        file: "data.jsonl",
        content: "{\"id\": \"talk\", \"conversations\": [{\"from\": \"human\", \"value\": \"hello\"}, {\"from\": \"gpt\", \"value\": \"hi there\"}, {\"from\": \"human\", \"value\": \"bye\"}, {\"from\": \"gpt\", \"value\": \"so long\"}]}\n{\"messages\": [{\"role\": \"user\", \"content\": \"what\"}, {\"role\": \"assistant\", \"content\": \"nothing\"}]}\n",
        says: &[
            ("talk", 0, "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]"),
            ("talk", 0, "\"max_completion_tokens\":2"),
            ("talk", 1, "{\"role\":\"user\",\"content\":\"bye\"}]"),
        ],
        requests: 3,
        broken: "{\"id\": \"worse\", \"conversations\": 5}",
    },
    Kind {
        name: "dag_jsonl",
        file: "data.jsonl",
        content: "{\"session_id\": \"r\", \"turns\": [{\"messages\": [{\"role\": \"system\", \"content\": \"short\"}, {\"role\": \"user\", \"content\": \"y\"}], \"max_tokens\": 2, \"forks\": [\"f\"]}]}\n{\"session_id\": \"f\", \"turns\": [{\"messages\": [{\"role\": \"user\", \"content\": \"z\"}]}]}\n",
        says: &[
            (
                "r",
                0,
                "\"messages\":[{\"role\":\"system\",\"content\":\"short\"},{\"role\":\"user\",\"content\":\"y\"}]",
            ),
            (
                "f",
                0,
                "\"content\":\"y\"},{\"role\":\"assistant\",\"content\":\" time year\"},{\"role\":\"user\",\"content\":\"z\"}]",
            ),
        ],
        requests: 2,
        broken: "{\"session_id\": \"g\", \"turns\": [{\"messages\": [{\"role\": \"user\", \"content\": \"z\"}], \"forks\": [\"nobody\"]}]}",
    },
    Kind {
        name: "agentic_messages",
        file: "data.jsonl",
        content: "{\"conversation_id\": \"c\", \"turn\": 1, \"role\": \"user\", \"content\": \"mend it\", \"system\": \"You are able.\"}\n{\"conversation_id\": \"c\", \"turn\": 2, \"role\": \"assistant\", \"content\": \"I look\", \"tool_calls\": [{\"id\": \"t0\", \"type\": \"function\", \"function\": {\"name\": \"bash\", \"arguments\": \"{}\"}}]}\n{\"conversation_id\": \"c\", \"turn\": 3, \"role\": \"tool\", \"tool_results\": [{\"tool_call_id\": \"t0\", \"content\": \"a file\"}], \"delay_seconds\": 0.02}\n",
        says: &[
            (
                "c",
                0,
                "\"messages\":[{\"role\":\"system\",\"content\":\"You are able.\"},{\"role\":\"user\",\"content\":\"mend it\"}]",
            ),
            ("c", 1, "I look"),
            ("c", 1, "\"tool_call_id\":\"t0\""),
        ],
        requests: 2,
        broken: "{\"conversation_id\": \"c\", \"turn\": 4, \"role\": \"nobody\", \"content\": \"x\"}",
    },
    Kind {
        name: "mooncake_trace",
        file: "data.jsonl",
        content: "{\"timestamp\": 5, \"input_length\": 20, \"output_length\": 3, \"hash_ids\": [1]}\n{\"timestamp\": 15, \"input_length\": 30, \"output_length\": 4, \"hash_ids\": [2]}\n",
        says: &[
            ("session_000000", 0, "\"max_completion_tokens\":3"),
            ("session_000001", 0, "\"max_completion_tokens\":4"),
        ],
        requests: 2,
        broken: "{\"timestamp\": 20, \"input_length\": -30}",
    },
    Kind {
        name: "azure_trace",
        file: "data.csv",
        content: "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6800000,20,3\n2023-11-16 18:15:46.6900000,30,4\n",
        says: &[
            ("session_000000", 0, "\"max_completion_tokens\":3"),
            ("session_000001", 0, "\"max_completion_tokens\":4"),
        ],
        requests: 2,
        broken: "2023-11-16 18:15:46.7000000,many,4",
    },
    Kind {
        name: "bailian_trace",
        file: "data.jsonl",
        content: "{\"chat_id\": 1, \"parent_chat_id\": -1, \"timestamp\": 61.11, \"input_length\": 20, \"output_length\": 3, \"type\": \"text\", \"turn\": 1, \"hash_ids\": [1, 2]}\n{\"chat_id\": 2, \"parent_chat_id\": 1, \"timestamp\": 61.13, \"input_length\": 30, \"output_length\": 4, \"type\": \"text\", \"turn\": 2, \"hash_ids\": [1, 3]}\n",
        says: &[("1", 0, "\"max_completion_tokens\":3"), ("1", 1, "\"max_completion_tokens\":4")],
        requests: 2,
        broken: "{\"chat_id\": 3, \"parent_chat_id\": 3, \"timestamp\": 62, \"input_length\": 20, \"hash_ids\": [\"x\"]}",
    },
];

/// The bodies that the server saw are those that `inputs.json` says, which it does by session and turn.
fn are_as_told(sent: &Sent) {
    let told = sent.inputs();
    let seen: BTreeMap<_, _> = sent
        .requests
        .iter()
        .map(|request| {
            let metadata = &request.record.metadata;
            ((metadata.conversation_id.clone(), metadata.turn_index as usize), request.truth.json())
        })
        .collect();
    assert_eq!(told, seen);
}

fn all_ok(total: u64) -> Outcomes {
    Outcomes { total, ok: total, ..Outcomes::default() }
}

#[test]
fn what_a_file_says_is_sent_whether_its_kind_is_named_or_found_out() {
    for kind in &KINDS {
        let Kind { name, file, content, says, requests, .. } = kind;
        for named in [format!("--custom-dataset-type {name}"), String::new()] {
            let words = format!("--input-file {file} --osl 5 {named}");
            let sent = Sent::run(MockConfig::default(), &[(file, content)], &words);
            assert_eq!(sent.results.outcomes(), all_ok(*requests), "{name}: {words}");
            are_as_told(&sent);
            for (session, turn, part) in *says {
                let is_it = |metadata: &inferometer_tests::results::Metadata| {
                    metadata.conversation_id == *session && metadata.turn_index == *turn
                };
                let found = sent.requests.iter().find(|request| is_it(&request.record.metadata));
                let found =
                    found.unwrap_or_else(|| panic!("{name}: no turn {turn} of {session} in {:?}", sent.inputs()));
                let body = found.truth.body.as_deref().unwrap_or_default();
                assert!(body.contains(part), "{name}: {part} is not in {body}");
            }
            let taken = format!("the data set was taken for {name}");
            assert_eq!(sent.notes().contains(&taken), named.is_empty(), "{name}: {}", sent.notes());
        }
    }
}

#[test]
fn a_trace_makes_prompts_of_its_lengths() {
    for kind in KINDS.iter().filter(|kind| kind.name.ends_with("_trace")) {
        let words = format!("--input-file {}", kind.file);
        let sent = Sent::run(MockConfig::default(), &[(kind.file, kind.content)], &words);
        let lengths: BTreeSet<_> =
            sent.requests.iter().map(|request| (request.truth.prompt_tokens, request.truth.tokens)).collect();
        assert_eq!(lengths, BTreeSet::from([(20, 3), (30, 4)]), "{}", kind.name);
    }
}

#[test]
fn a_burst_gpt_trace_is_read_as_it_was_published() {
    let file = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,20,3,23,Conversation log\n6,GPT-4,30,4,34,API log\n";
    for named in ["--custom-dataset-type burst_gpt_trace", ""] {
        let words = format!("--input-file data.csv --fixed-schedule-speedup 50 {named}");
        let sent = Sent::run(MockConfig::default(), &[("data.csv", file)], &words);
        let lengths: Vec<_> =
            sent.requests.iter().map(|request| (request.truth.prompt_tokens, request.truth.tokens)).collect();
        assert_eq!(lengths, [(20, 3), (30, 4)]);
        are_as_told(&sent);
    }
}

fn refused(program: Program, words: &str) -> String {
    let words = format!("--model m --url http://127.0.0.1:9 --tokenizer builtin {words}");
    program.args(words.split_whitespace()).run().expect_code(2).stderr
}

#[test]
fn a_broken_line_is_refused_with_its_file_and_its_number() {
    for Kind { name, file, content, broken, .. } in &KINDS {
        let number = content.lines().count() + 1;
        let content = format!("{content}{broken}\n");
        for named in [format!("--custom-dataset-type {name}"), String::new()] {
            let stderr =
                refused(with_files(Program::profile(), &[(file, &content)]), &format!("--input-file {file} {named}"));
            assert!(stderr.contains(&format!("{file}:{number}:")), "{name} {named}: {stderr}");
        }
    }
}

#[test]
fn the_file_of_inputs_of_one_run_is_the_data_of_another() {
    let words = "--num-conversations 3 --session-turns-mean 2 --isl 6 --osl 3";
    let first = Sent::run(MockConfig::default(), &[], words);
    let inputs = first.outcome.text("inputs.json");
    for named in ["--custom-dataset-type inputs_json", ""] {
        let again =
            Sent::run(MockConfig::default(), &[("inputs.json", &inputs)], &format!("--input-file inputs.json {named}"));
        assert_eq!(again.results.outcomes(), all_ok(6));
        assert_eq!(again.inputs(), first.inputs());
        are_as_told(&again);
    }
    let stderr = refused(
        Program::profile().file("inputs.json", "{\"data\": [\n{\"session_id\": 5}]}"),
        "--input-file inputs.json",
    );
    assert!(stderr.contains("inputs.json"), "{stderr}");
}

#[test]
fn a_pool_gives_drawn_rows_that_depend_on_the_seed_alone() {
    let lines: String = (0..5).map(|n| format!("{{\"text\": \"row {n}\"}}\n")).collect();
    let drawn = |words: &str| {
        let mock = Mock::start(MockConfig { truth_bodies: true, ..MockConfig::default() });
        let program = mock.profile();
        std::fs::create_dir(program.folder().join("pool")).unwrap();
        let words =
            format!("--input-file pool --osl 1 --num-dataset-entries 30 --request-count 30 --concurrency 4 {words}");
        let outcome = program.file("pool/rows.jsonl", &lines).args(words.split_whitespace()).run().expect_code(0);
        let sent = Sent::of(outcome, mock.stop());
        assert_eq!(sent.results.outcomes(), all_ok(30));
        are_as_told(&sent);
        sent.inputs()
    };
    let named = drawn("--custom-dataset-type random_pool --random-seed 4");
    assert_eq!(named, drawn("--random-seed 4 --workers 2"));
    assert_ne!(named, drawn("--random-seed 5"));
}

/// What is sent of each session, as digests.
fn digests(sent: &Sent) -> BTreeMap<String, BTreeSet<u64>> {
    let mut digests: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for request in &sent.requests {
        let mut hasher = DefaultHasher::new();
        request.truth.body.hash(&mut hasher);
        digests.entry(request.record.metadata.conversation_id.clone()).or_default().insert(hasher.finish());
    }
    digests
}

#[test]
fn the_prompts_of_a_data_set_that_is_larger_than_memory_allows_depend_on_the_seed_alone() {
    // 1,500 prompts of some 50 kB, of which a part is ready at a time; and more requests than there are.
    let words = "--num-dataset-entries 1500 --isl 12000 --osl 1 --request-count 1600 --concurrency 16 --random-seed 6 \
                 --use-server-token-count";
    let mock = MockConfig { count_words: true, ..MockConfig::default() };
    for sampling in ["random", "shuffle"] {
        let [one, three] = [1, 3].map(|workers| {
            let words = format!("{words} --dataset-sampling-strategy {sampling} --workers {workers}");
            let sent = Sent::run(mock.clone(), &[], &words);
            assert_eq!(sent.results.outcomes(), all_ok(1600));
            digests(&sent)
        });
        assert!(one.values().all(|bodies| bodies.len() == 1), "a session's prompt changed when it was made again");
        assert_eq!(one.len() == 1500, sampling == "shuffle", "{}", one.len());
        assert_eq!(one, three, "{sampling}");
    }
}

#[test]
fn the_prompts_of_a_run_by_time_are_those_of_the_seed_as_far_as_it_gets() {
    let words = "--num-dataset-entries 20000 --isl 2000 --osl 1 --benchmark-duration 400ms --concurrency 4 --random-seed 6 \
                 --dataset-sampling-strategy shuffle --use-server-token-count";
    let mock = MockConfig { count_words: true, ttft_ms: 2.0, ..MockConfig::default() };
    let [one, three] =
        [1, 3].map(|workers| digests(&Sent::run(mock.clone(), &[], &format!("{words} --workers {workers}"))));
    let both: Vec<_> = one.keys().filter(|name| three.contains_key(*name)).collect();
    // Both go through one order from its beginning, a few places apart where one got further.
    assert!(both.len() + 8 >= one.len().min(three.len()), "{} of {} and {}", both.len(), one.len(), three.len());
    assert!(both.iter().all(|name| one[*name] == three[*name]), "the prompts depend on the number of workers");
}
