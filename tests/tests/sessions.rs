//! Sessions of several turns: their order, what they hold, where they go, and what slots they take.

use std::collections::{BTreeMap, BTreeSet};

use inferometer_mock::MockConfig;
use inferometer_tests::mock::Mock;
use inferometer_tests::results::Outcomes;
use inferometer_tests::sent::{Request, Sent, most_at_once};

const MS: u64 = 1_000_000;

/// All of them ended well.
fn all_ok(total: u64) -> Outcomes {
    Outcomes { total, ok: total, ..Outcomes::default() }
}

/// What a turn adds to the messages of the one before it.
fn added(before: &Request, after: &Request) -> Vec<(String, String)> {
    let (before, after) = (before.messages(), after.messages());
    assert!(after.starts_with(&before), "the history changed: {before:?} {after:?}");
    after[before.len()..].to_vec()
}

/// The text of an answer as the server gave it.
fn reply(request: &Request) -> (String, String) {
    ("assistant".to_owned(), request.truth.text.clone().expect("the mock keeps texts"))
}

/// Each session's turns come in order, each after the answer to the one before it.
fn are_in_order(sent: &Sent) {
    for turns in sent.sessions().values() {
        let numbers: Vec<u64> = turns.iter().map(|turn| turn.record.metadata.turn_index).collect();
        assert_eq!(numbers, (numbers[0]..numbers[0] + numbers.len() as u64).collect::<Vec<_>>());
        for pair in turns.windows(2) {
            assert!(pair[1].span().0 > pair[0].span().1, "a turn came before the answer to the one before it");
        }
    }
}

/// From the first request of each session to its last answer.
fn spans(sent: &Sent) -> Vec<(u64, u64)> {
    sent.sessions().values().map(|turns| (turns[0].span().0, turns[turns.len() - 1].span().1)).collect()
}

#[test]
fn each_turn_follows_the_answer_before_it_and_holds_all_that_was_said() {
    for workers in [1, 2] {
        let words = format!(
            "--num-conversations 6 --session-turns-mean 4 --session-turns-stddev 1 --concurrency 3 --isl 8 --osl 5 \
             --osl-stddev 2 --workers {workers}"
        );
        let sent = Sent::run(MockConfig::default(), &[], &words);
        are_in_order(&sent);
        let sessions = sent.sessions();
        assert_eq!(sessions.len(), 6);
        assert!(sessions.values().any(|turns| turns.len() > 2), "the data has sessions of several turns");
        for turns in sessions.values() {
            let first = turns[0].messages();
            assert_eq!((first.len(), first[0].0.as_str()), (1, "user"));
            for pair in turns.windows(2) {
                let added = added(pair[0], pair[1]);
                assert_eq!((added.len(), added[0].clone(), added[1].0.as_str()), (2, reply(pair[0]), "user"));
            }
        }
        assert_eq!(sent.results.outcomes(), all_ok(sent.requests.len() as u64));
        assert_eq!(sent.results.records.len(), sent.requests.len());
    }
}

#[test]
fn the_file_of_inputs_holds_the_bodies_that_were_sent_histories_included() {
    let words = "--num-conversations 5 --session-turns-mean 3 --concurrency 2 --isl 8 --osl 4";
    let sent = Sent::run(MockConfig::default(), &[], words);
    let bodies: BTreeMap<_, _> = sent
        .requests
        .iter()
        .map(|request| {
            let metadata = &request.record.metadata;
            ((metadata.conversation_id.clone(), metadata.turn_index as usize), request.truth.json())
        })
        .collect();
    assert_eq!((bodies.len(), &sent.inputs()), (15, &bodies));
}

const DELAYED: &str = r#"{"session_id": "a", "turns": [{"text": "one", "output_length": 2}, {"text": "two", "delay": 40}]}
{"session_id": "b", "turns": [{"text": "three", "output_length": 3}, {"text": "four"}, {"text": "five", "delay": 20}]}
"#;

#[test]
fn a_file_of_conversations_is_sent_turn_by_turn_after_the_think_times_it_gives() {
    for (words, factor) in [("", 1.0), ("--session-delay-ratio 0.5", 0.5), ("--session-delay-ratio 0", 0.0)] {
        let words = format!("--input-file turns.jsonl --concurrency 2 --osl 4 {words}");
        let sent = Sent::run(MockConfig::default(), &[("turns.jsonl", DELAYED)], &words);
        are_in_order(&sent);
        assert_eq!(sent.results.outcomes(), all_ok(5));
        for turns in sent.sessions().values() {
            for pair in turns.windows(2) {
                let (before, after) = (&pair[0].record.metadata, &pair[1].record.metadata);
                let delay_ms = match (after.conversation_id.as_str(), after.turn_index) {
                    ("a", 1) => 40,
                    ("b", 2) => 20,
                    _ => 0,
                };
                let delay_ns = (delay_ms as f64 * factor) as u64 * MS;
                let ended = before.request_end_ns.expect("it was answered");
                assert_eq!(after.credit_issued_ns, ended + delay_ns, "{words}: {after:?}");
                assert!(pair[1].span().0 >= pair[0].span().1 + delay_ns, "{words}: {after:?}");
                let user = ("user".to_owned(), pair[1].messages().last().expect("it has messages").1.clone());
                assert_eq!(added(pair[0], pair[1]), [reply(pair[0]), user]);
            }
        }
    }
}

const RECORDED: &str = r#"[{"id": "talk", "conversations": [
    {"from": "human", "value": "who is there"}, {"from": "gpt", "value": "nobody at all"},
    {"from": "human", "value": "are you sure"}, {"from": "gpt", "value": "fairly so"},
    {"from": "human", "value": "good"}, {"from": "gpt", "value": "bye"}]}]"#;

#[test]
fn the_history_holds_the_replies_of_the_file_or_those_of_the_server_as_asked() {
    let said = |role: &str, text: &str| (role.to_owned(), text.to_owned());
    for (words, is_live) in [("", true), ("--replies recorded", false), ("--replies live", true)] {
        let words = format!("--input-file talk.json --custom-dataset-type sharegpt {words}");
        let sent = Sent::run(MockConfig::default(), &[("talk.json", RECORDED)], &words);
        are_in_order(&sent);
        let turns = &sent.requests;
        assert_eq!((turns.len(), turns[0].messages()), (3, vec![said("user", "who is there")]));
        let recorded = [("nobody at all", "are you sure"), ("fairly so", "good")];
        for (pair, (answer, question)) in turns.windows(2).zip(recorded) {
            let answer = if is_live { reply(&pair[0]) } else { said("assistant", answer) };
            assert_eq!(added(&pair[0], &pair[1]), [answer, said("user", question)], "{words}");
        }
    }
}

#[test]
fn all_turns_of_a_session_go_to_one_of_several_servers() {
    let keeps = || Mock::start(MockConfig { truth_bodies: true, ..MockConfig::default() });
    let servers = [keeps(), keeps()];
    let words = "--num-conversations 8 --session-turns-mean 3 --concurrency 4 --isl 8 --osl 4 --workers 2";
    let url = servers[1].url();
    let outcome = servers[0].profile().args(["--url", &url]).args(words.split_whitespace()).run().expect_code(0);
    let seen: Vec<_> = servers.into_iter().map(Mock::stop).collect();
    let of_server: Vec<BTreeSet<String>> =
        seen.iter().map(|truth| truth.iter().map(|truth| truth.x_request_id.clone()).collect()).collect();
    let sent = Sent::of(outcome, seen.into_iter().flatten().collect());
    assert_eq!(sent.results.outcomes(), all_ok(24));
    let mut sessions = [0, 0];
    for turns in sent.sessions().values() {
        let server = |turn: &&Request| usize::from(of_server[1].contains(&turn.record.metadata.x_request_id));
        let used: BTreeSet<usize> = turns.iter().map(server).collect();
        assert_eq!((turns.len(), used.len()), (3, 1), "a session went to both servers");
        used.iter().for_each(|server| sessions[*server] += 1);
    }
    assert_eq!(sessions, [4, 4]);
}

#[test]
fn connections_are_shared_or_kept_to_a_session_or_used_once_as_asked() {
    let words = "--num-conversations 6 --session-turns-mean 3 --concurrency 2 --isl 8 --osl 4 --workers 1";
    for strategy in ["pooled", "sticky-user-sessions", "never"] {
        let words = format!("{words} --connection-reuse-strategy {strategy}");
        let sent = Sent::run(MockConfig::default(), &[], &words);
        assert_eq!(sent.results.outcomes(), all_ok(18));
        let all: BTreeSet<u16> = sent.requests.iter().map(|request| request.truth.port).collect();
        let sessions = sent.sessions();
        let ports = |turns: &Vec<&Request>| turns.iter().map(|turn| turn.truth.port).collect::<BTreeSet<_>>().len();
        match strategy {
            "pooled" => assert!(all.len() <= 2, "two slots need two connections: {all:?}"),
            "never" => assert_eq!(all.len(), 18),
            _ => {
                assert!(sessions.values().all(|turns| ports(turns) == 1), "a session changed its connection");
                assert_eq!(all.len(), 6, "two sessions had one connection");
            }
        }
    }
}

#[test]
fn a_session_asks_one_model_in_all_its_turns() {
    let config = MockConfig { models: vec!["small".into(), "large".into()], ..MockConfig::default() };
    for how in ["round_robin", "random"] {
        let words = format!(
            "--model large --model-selection-strategy {how} --num-conversations 12 --session-turns-mean 3 \
             --concurrency 4 --isl 8 --osl 4 --random-seed 5"
        );
        let sent = Sent::run(config.clone(), &[], &words);
        assert_eq!(sent.results.outcomes(), all_ok(36));
        let mut models = BTreeSet::new();
        for turns in sent.sessions().values() {
            let of_session: BTreeSet<_> = turns.iter().map(|turn| turn.truth.model.clone()).collect();
            assert_eq!(of_session.len(), 1, "a session asked several models");
            models.extend(of_session);
        }
        assert_eq!(models.len(), 2);
    }
}

#[test]
fn a_slot_is_held_for_a_session_or_for_a_request_as_asked() {
    // A session is a thousand times longer thought about than answered.
    let words =
        "--num-conversations 6 --session-turns-mean 3 --session-turn-delay-mean 150 --concurrency 2 --isl 5 --osl 1";
    for load in ["", "--request-rate 1000 --arrival-pattern constant"] {
        let run = |unit: &str| {
            let words = format!("{words} {load} --concurrency-unit {unit}");
            let sent = Sent::run(MockConfig::default(), &[], &words);
            are_in_order(&sent);
            assert_eq!(sent.results.outcomes(), all_ok(18), "{words}");
            sent
        };
        assert!(most_at_once(spans(&run("sessions"))) <= 2, "{load}: more than two sessions were open");
        let sent = run("requests");
        let requests = sent.requests.iter().map(Request::span);
        assert!(most_at_once(requests) <= 2, "{load}: more than two requests were in flight");
        assert!(most_at_once(spans(&sent)) > 2, "{load}: sessions that think held slots");
    }
}

#[test]
fn a_turn_that_failed_ends_a_session_that_builds_on_its_reply_and_that_is_said() {
    let half = MockConfig { error_rate: 0.3, seed: 2, ..MockConfig::default() };
    let words = "--num-conversations 12 --session-turns-mean 4 --concurrency 3 --isl 5 --osl 2";
    let sent = Sent::run(half, &[], words);
    let mut unsent = 0;
    for turns in sent.sessions().values() {
        let failed = turns.iter().position(|turn| turn.truth.outcome != "ok");
        assert_eq!(
            turns.len(),
            failed.map_or(4, |place| place + 1),
            "a session went on without a reply, or ended early"
        );
        unsent += 4 - turns.len();
    }
    let outcomes = sent.results.outcomes();
    assert!(outcomes.error > 0 && unsent > 0);
    assert_eq!((outcomes.total, outcomes.ok + outcomes.error), (48 - unsent as u64, outcomes.total));
    assert!(sent.notes().contains(&format!("{unsent} later turns were not sent")), "{}", sent.notes());
}

#[test]
fn a_turn_that_failed_does_not_end_a_session_whose_replies_are_recorded() {
    let broken = MockConfig { error_rate: 0.99, seed: 1, ..MockConfig::default() };
    let mock = Mock::start(MockConfig { truth_bodies: true, ..broken });
    let words = "--input-file talk.json --custom-dataset-type sharegpt --replies recorded";
    let outcome = mock.profile().file("talk.json", RECORDED).args(words.split_whitespace()).run();
    let sent = Sent::of(outcome, mock.stop());
    assert_eq!((sent.requests.len(), sent.results.outcomes().total), (3, 3));
    assert!(sent.results.outcomes().error > 0);
}

#[test]
fn a_system_message_stands_once_at_the_beginning_of_every_request() {
    let words = "--num-conversations 4 --session-turns-mean 3 --concurrency 2 --isl 8 --osl 4 --random-seed 1";
    let mut program = Vec::new();
    for prompt in ["--system-prompt-file brief.txt", "--shared-system-prompt-length 40"] {
        let sent = Sent::run(MockConfig::default(), &[("brief.txt", "Be brief.\n")], &format!("{words} {prompt}"));
        assert_eq!(sent.results.outcomes(), all_ok(12));
        let mut texts = BTreeSet::new();
        for request in &sent.requests {
            let messages = request.messages();
            let turn = request.record.metadata.turn_index as usize;
            assert_eq!(messages.iter().filter(|(role, _)| role == "system").count(), 1);
            assert_eq!((messages[0].0.as_str(), messages.len()), ("system", 2 + 2 * turn));
            texts.insert(messages[0].1.clone());
        }
        assert_eq!(texts.len(), 1, "it is the same in all sessions");
        program.extend(texts);
    }
    assert_eq!(program[0], "Be brief.\n");
    assert!(program[1].len() > 40, "{program:?}");
}

#[test]
fn a_context_comes_before_a_sessions_first_turn_and_is_another_in_each_session() {
    let words = "--num-conversations 4 --session-turns-mean 3 --concurrency 2 --isl 8 --osl 4 \
                 --shared-system-prompt-length 10 --user-context-prompt-length 30";
    let sent = Sent::run(MockConfig::default(), &[], words);
    let mut contexts = BTreeSet::new();
    for turns in sent.sessions().values() {
        let roles: Vec<_> = turns[0].messages().into_iter().map(|(role, _)| role).collect();
        assert_eq!(roles, ["system", "user", "user"]);
        for pair in turns.windows(2) {
            assert_eq!(added(pair[0], pair[1]).len(), 2);
        }
        contexts.insert(turns[0].messages()[1].1.clone());
    }
    assert_eq!(contexts.len(), 4);
}

#[test]
fn a_mark_against_the_cache_makes_every_sessions_prompt_another_and_stays_in_its_history() {
    let file = r#"{"session_id": "only", "turns": ["the same question", "and another"]}"#;
    for (place, roles) in [
        ("none", vec!["user"]),
        ("system-start", vec!["system", "user"]),
        ("system-end", vec!["system", "user"]),
        ("first-turn-start", vec!["user"]),
        ("first-turn-end", vec!["user"]),
    ] {
        let words = format!("--input-file f.jsonl --num-conversations 5 --concurrency 2 --osl 3 --cache-bust {place}");
        let sent = Sent::run(MockConfig::default(), &[("f.jsonl", file)], &words);
        assert_eq!(sent.results.outcomes(), all_ok(10));
        let mut firsts = BTreeSet::new();
        for turns in sent.sessions().values() {
            let first = turns[0].messages();
            assert_eq!(first.iter().map(|(role, _)| role.as_str()).collect::<Vec<_>>(), roles, "{place}");
            assert_eq!(added(turns[0], turns[1]).len(), 2, "{place}");
            firsts.insert(first[0].1.clone());
        }
        assert_eq!(firsts.len(), if place == "none" { 1 } else { 5 }, "{place}: {firsts:?}");
        for first in &firsts {
            let stands = match place {
                "first-turn-start" => first.starts_with('[') && first.ends_with("] the same question"),
                "first-turn-end" => first.starts_with("the same question [") && first.ends_with(']'),
                "none" => first == "the same question",
                _ => first.starts_with('[') && first.ends_with(']'),
            };
            assert!(stands, "{place}: {first}");
        }
    }
}

const TREE: &str = r#"{"session_id": "root", "turns": [
    {"messages": [{"role": "user", "content": "plan"}], "max_tokens": 2, "forks": ["fork", {"child": "leaf", "background": true}], "spawns": [{"children": ["spawn"], "join_at": 2}]},
    {"messages": [{"role": "user", "content": "after the fork"}], "max_tokens": 3},
    {"messages": [{"role": "user", "content": "after the spawn"}], "max_tokens": 4}], "pre_session_spawns": ["early"]}
{"session_id": "fork", "turns": [{"messages": [{"role": "user", "content": "forked"}], "max_tokens": 5}, {"messages": [{"role": "user", "content": "forked on"}]}]}
{"session_id": "spawn", "turns": [{"messages": [{"role": "user", "content": "spawned"}], "max_tokens": 6}, {"messages": [{"role": "user", "content": "spawned on"}], "delay": 30}]}
{"session_id": "leaf", "turns": [{"messages": [{"role": "user", "content": "forked last"}]}]}
{"session_id": "early", "turns": [{"messages": [{"role": "user", "content": "first of all"}], "max_tokens": 1}]}
"#;

#[test]
fn forks_begin_with_the_history_spawns_without_one_and_joins_wait() {
    let tree: String = TREE.replace("\n    ", " ");
    for workers in [1, 2] {
        let words =
            format!("--input-file tree.jsonl --osl 2 --workers {workers} --num-conversations 3 --concurrency 3");
        let sent = Sent::run(MockConfig::default(), &[("tree.jsonl", &tree)], &words);
        are_in_order(&sent);
        let per_root = 3 + 2 + 2 + 1 + 1;
        assert_eq!(sent.results.outcomes(), all_ok(3 * per_root));
        let named = |name: &str| {
            let sessions = sent.sessions();
            let of_name = |turns: &&Vec<&Request>| turns[0].record.metadata.conversation_id == name;
            let turns: Vec<Vec<Request>> = sessions
                .values()
                .filter(of_name)
                .map(|turns| turns.iter().map(|turn| (*turn).clone()).collect())
                .collect();
            assert_eq!(turns.len(), 3, "{name}");
            turns
        };
        let said = |text: &str| ("user".to_owned(), text.to_owned());
        for (name, first) in [("fork", "forked"), ("leaf", "forked last")] {
            for turns in named(name) {
                let reply = ("assistant".to_owned(), " time year".to_owned());
                assert_eq!(turns[0].messages(), [said("plan"), reply, said(first)], "{name}");
            }
        }
        for (name, first) in [("spawn", "spawned"), ("early", "first of all"), ("root", "plan")] {
            assert!(named(name).iter().all(|turns| turns[0].messages() == [said(first)]), "{name}");
        }
        // All roots are alike, so the last one to go on did so after all branches that it waited for at least.
        let ends = |name: &str| {
            let mut ends: Vec<u64> = named(name).iter().map(|turns| turns[turns.len() - 1].span().1).collect();
            ends.sort_unstable();
            ends
        };
        let begins = |turn: usize| {
            let mut begins: Vec<u64> = named("root").iter().map(|turns| turns[turn].span().0).collect();
            begins.sort_unstable();
            begins
        };
        for (branch, turn) in [("fork", 1), ("spawn", 2)] {
            for (end, begin) in ends(branch).iter().zip(begins(turn)) {
                assert!(begin > *end, "turn {turn} did not wait for {branch}");
            }
        }
    }
}

#[test]
fn users_begin_at_different_turns_and_keep_their_pace() {
    let words = "--user-centric-rate 80 --num-users 4 --session-turns-mean 4 --num-dataset-entries 40 --request-count 40 \
                 --isl 5 --osl 2 --random-seed 1 --cache-bust first-turn-start \
                 --shared-system-prompt-length 6 --user-context-prompt-length 7";
    for workers in [1, 2] {
        let sent = Sent::run(MockConfig::default(), &[], &format!("{words} --workers {workers}"));
        assert_eq!(sent.results.outcomes(), all_ok(40));
        are_in_order(&sent);
        let sessions = sent.sessions();
        let firsts: BTreeSet<u64> = sessions.values().map(|turns| turns[0].record.metadata.turn_index).collect();
        assert_eq!(firsts, BTreeSet::from([0, 1, 2, 3]), "users are spread over their sessions");
        let (mut systems, mut marked) = (BTreeSet::new(), BTreeSet::new());
        for turns in sessions.values() {
            for pair in turns.windows(2) {
                let intended = |turn: &Request| turn.record.metadata.credit_issued_ns;
                assert!(intended(pair[1]) >= intended(pair[0]) + 50 * MS, "four users at 80 a second");
                assert_eq!(added(pair[0], pair[1]).len(), 2);
            }
            // Also where a session begins at a later turn.
            let first = turns[0].messages();
            assert_eq!(first.iter().map(|(role, _)| role.as_str()).collect::<Vec<_>>(), ["system", "user", "user"]);
            systems.insert(first[0].1.clone());
            assert_eq!(systems.len(), 1, "the system message is shared");
            assert!(marked.insert(first[1].1.clone()), "a mark was used twice: {first:?}");
        }
    }
}

#[test]
fn users_who_come_round_to_a_session_again_send_it_under_another_name() {
    let words = "--user-centric-rate 400 --num-users 4 --session-turns-mean 2 --num-dataset-entries 5 --request-count 40 \
                 --isl 5 --osl 2 --random-seed 1";
    // Reading the records refuses an identifier that comes twice.
    let sent = Sent::run(MockConfig::default(), &[], words);
    assert_eq!(sent.results.outcomes(), all_ok(40));
    assert!(sent.sessions().values().all(|turns| turns.len() <= 2));
}
