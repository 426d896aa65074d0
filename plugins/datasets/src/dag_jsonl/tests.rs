//! Whole files in, sessions and what they begin or an error out.

use super::DagJsonl as Form;
use crate::{
    conversation::Conversations,
    testing::{Collected, error, gzip, sessions},
};
use inferometer_plugin_sdk::types::{BEFORE_FIRST, Branch, NO_TURN, branch_flags};
use proptest::prelude::*;

type DagJsonl = Conversations<Form>;

/// A session of so many turns, with further fields of the session and of its first turn.
fn line(id: &str, turns: usize, of_session: &str, of_first: &str) -> String {
    let turn = |n: usize| {
        let extra = if n == 0 { of_first } else { "" };
        format!("{{\"messages\": [{{\"role\": \"user\", \"content\": \"{id}{n}\"}}]{extra}}}")
    };
    let turns: Vec<_> = (0..turns).map(turn).collect();
    format!("{{\"session_id\": \"{id}\", \"turns\": [{}]{of_session}}}\n", turns.join(","))
}

fn names(all: &[Collected]) -> Vec<&str> {
    all.iter().map(|session| session.name.as_str()).collect()
}

#[test]
fn a_turn_has_what_its_fields_say() {
    let (all, info) = sessions::<DagJsonl>(
        r#"{"session_id": "s", "turns": [{"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}], "model": "m", "max_tokens": 7, "tools": [1], "extra": {"top_k": 2}}, {"messages": [{"role": "user", "content": "z"}], "delay": 1.5}]}"#,
    );
    assert_eq!((info.sessions, info.branches), (1, 0));
    let [first, second] = &all[0].turns[..] else { panic!("two turns") };
    assert_eq!(first.said(), [("system", "x".to_owned()), ("user", "y".to_owned())]);
    assert_eq!((first.model.as_str(), first.max_tokens, first.extra.as_str()), ("m", 7, r#"{"top_k":2,"tools":[1]}"#));
    assert_eq!((second.time.delay_ns, second.flags), (1_500_000, 0));
}

#[test]
fn forks_inherit_and_the_next_turn_waits_for_those_not_in_the_background() {
    let forks = r#", "forks": ["a", {"child": "b", "background": true}]"#;
    let file = [
        line("root", 2, "", forks),
        line("a", 1, "", r#", "forks": ["c"]"#),
        line("b", 1, "", ""),
        line("c", 1, "", ""),
    ];
    let (all, info) = sessions::<DagJsonl>(file.concat());
    assert_eq!((info.sessions, info.branches, names(&all)), (1, 3, vec!["root", "a", "b", "c"]));
    let fork = |session, join_turn| Branch { join_turn, flags: branch_flags::INHERITS, ..Branch::new(session, 0) };
    assert_eq!(all[0].branches, [fork(1, 1), fork(2, NO_TURN)]);
    assert_eq!(all[1].branches, [fork(3, NO_TURN)], "there is no next turn to wait");
}

#[test]
fn spawns_begin_anew_and_are_waited_for_where_it_is_said() {
    let spawns = r#", "spawns": ["a", {"children": ["b", "c"], "join_at": 2}]"#;
    let file = ["a", "b", "c", "d"].map(|id| line(id, 1, "", "")).concat();
    let root = line("root", 3, r#", "pre_session_spawns": ["d"]"#, spawns);
    let (all, info) = sessions::<DagJsonl>(gzip((file + &root).as_bytes()));
    assert_eq!((info.sessions, names(&all)), (1, vec!["root", "a", "b", "c", "d"]), "roots come first");
    let joined = |session| Branch { join_turn: 2, ..Branch::new(session, 0) };
    assert_eq!(all[0].branches, [Branch::new(4, BEFORE_FIRST), Branch::new(1, 0), joined(2), joined(3)]);
}

#[test]
fn what_cannot_be_is_named_with_its_place() {
    let fork = |child: &str| format!(", \"forks\": [\"{child}\"]");
    let bad_join = |at| format!(", \"spawns\": [{{\"children\": [\"c\"], \"join_at\": {at}}}]");
    for (second, named) in [
        (line("b", 1, "", &fork("nobody")), "turns[0].forks[0]: `nobody` is the name of no session"),
        (line("b", 1, "", &fork("c")), "turns[0].forks[0]: `c` is begun twice, by `a` before"),
        (line("a", 1, "", ""), "session_id: `a` is the name of an earlier session"),
        (line("b", 1, "", &fork("b")), "session_id: begins itself: b → b"),
        (line("b", 2, "", &bad_join(0)), "turns[0].spawns[0].join_at: 0 is not after turn 0"),
        (line("b", 2, "", &bad_join(2)), "turns[0].spawns[0].join_at: 2 is no turn of this session, which has 0 to 1"),
        (line("b", 1, "", ", \"fork\": []"), "turns[0].fork: unknown key; did you mean `forks`?"),
        (line("b", 1, "", ", \"forks\": [{\"child\": \"c\", \"backgroud\": true}]"), "did you mean `background`?"),
        (line("b", 1, "", ", \"spawns\": [{\"children\": []}]"), "turns[0].spawns[0].children: is an empty list"),
        (line("b", 1, "", ", \"tools\": {}"), "turns[0].tools: is no list"),
        (line("b", 1, ", \"pre_session_spawn\": []", ""), "did you mean `pre_session_spawns`?"),
        ("{\"session_id\": \"b\"}\n".to_owned(), "turns: missing"),
        ("{\"turns\": []}\n".to_owned(), "session_id: missing"),
        (
            "{\"session_id\": \"b\", \"turns\": [{\"messages\": [{\"role\": \"user\"}]}]}\n".to_owned(),
            "turns[0].messages[0].content: missing",
        ),
    ] {
        let file = line("a", 1, "", &fork("c")) + &second + &line("c", 1, "", "");
        let message = error::<DagJsonl>(&file);
        assert!(message.starts_with("2: ") && message.contains(named), "{second}\n  {message}");
    }
}

#[test]
fn circles_are_shown_as_they_run() {
    let fork = |child: &str| format!(", \"forks\": [\"{child}\"]");
    let file = [
        line("r", 1, "", ""),
        line("a", 1, "", &fork("b")),
        line("b", 1, "", &fork("c")),
        line("c", 1, "", &fork("a")),
    ];
    let message = error::<DagJsonl>(file.concat());
    assert!(message.starts_with("2: ") && message.contains("a → b → c → a"), "{message}");
}

proptest! {
    /// Each session's parent is one after it in the file, or none: a forest.
    #[test]
    fn roots_come_first_and_both_keep_the_order_of_the_file(parents in proptest::collection::vec(0..20_usize, 1..20)) {
        let parent = |n: usize| Some(n + 1 + parents[n]).filter(|parent| *parent < parents.len());
        let file = (0..parents.len()).map(|n| {
            let children: Vec<String> =
                (0..n).filter(|child| parent(*child) == Some(n)).map(|child| format!("\"s{child}\"")).collect();
            line(&format!("s{n}"), 1, "", &format!(", \"spawns\": [{}]", children.join(",")))
        });
        let (all, info) = sessions::<DagJsonl>(file.collect::<String>());
        let (roots, begun): (Vec<usize>, Vec<usize>) = (0..parents.len()).partition(|n| parent(*n).is_none());
        prop_assert_eq!((info.sessions as usize, info.branches as usize), (roots.len(), begun.len()));
        let expected: Vec<String> = roots.into_iter().chain(begun).map(|n| format!("s{n}")).collect();
        prop_assert_eq!(names(&all), expected.iter().map(String::as_str).collect::<Vec<_>>());
        for session in &all {
            for branch in &session.branches {
                let child: usize = all[branch.session as usize].name[1..].parse().unwrap();
                prop_assert_eq!(Some(format!("s{}", parent(child).unwrap())), Some(session.name.clone()));
            }
        }
    }
}
