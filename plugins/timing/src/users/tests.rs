//! Users against servers that are quick, slow and broken.

use super::*;
use inferometer_plugin_sdk::types::{ErrorKind, TurnTime};
use inferometer_testkit::timing::{Outcome, Requested, Simulation};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

/// Sessions by their numbers of turns.
struct Turns(Vec<u32>);

impl Timetable for Turns {
    fn sessions(&self) -> u64 {
        self.0.len() as u64
    }
    fn turns(&self, session: u64) -> u32 {
        self.0[session as usize]
    }
    fn time(&self, _: u64, _: u32) -> TurnTime {
        TurnTime::NONE
    }
}

fn users(users: u32) -> UserCentric {
    UserCentric::create(Options { users: Some(users) }).unwrap()
}

fn world(rate: f64, seconds: u64, service_ns: fn(u64) -> u64, shards: u32) -> Simulation {
    let phase = PhaseSpec { rate, duration_ns: seconds * SECOND, ..PhaseSpec::default() };
    Simulation { phase, shards, service_ns, host_ends: false, ..Simulation::default() }
}

fn run(count: u32, turns: &[u32], world: Simulation) -> Outcome {
    world.run_with(&Turns(turns.to_vec()), || Box::new(users(count))).unwrap()
}

/// The requests of each user, where session numbers tell users apart: all sessions are sent.
fn by_user(outcome: &Outcome, count: u32) -> Vec<Vec<Requested>> {
    let mut users = vec![Vec::new(); count as usize];
    for request in &outcome.requests {
        users[(outcome.sent[request.arrival].session % u64::from(count)) as usize].push(*request);
    }
    users
}

#[test]
fn the_rate_is_offered_from_the_first_second_on() {
    // 5 users of several turns at 5 requests a second: a request each 200 ms, and each user once a second.
    for shards in [1, 3] {
        let outcome = run(5, &[6, 3, 9, 4, 2, 5, 7, 6, 8, 4], world(5.0, 60, |_| 150_000_000, shards));
        let mut times: Vec<u64> = outcome.requests.iter().map(|request| request.at_ns).collect();
        times.retain(|at_ns| *at_ns < 60 * SECOND);
        times.sort_unstable();
        assert_eq!(times, (0..300).map(|k| k * SECOND / 5).collect::<Vec<_>>(), "{shards} shards");
    }
}

#[test]
fn users_begin_at_different_places_of_their_sessions() {
    let outcome = run(5, &[10; 50], world(5.0, 100, |_| 1_000, 1));
    let first: Vec<u32> = outcome.requests.iter().take(5).map(|request| request.turn).collect();
    assert_eq!(first, [0, 6, 2, 8, 4]);
    // So it stays: they are always two turns apart.
    let within: Vec<_> = outcome.requests.iter().filter(|request| request.at_ns < 100 * SECOND).collect();
    for round in within.chunks_exact(5) {
        let mut places: Vec<u32> = round.iter().map(|request| request.turn).collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] == 2), "{places:?}");
    }
}

#[test]
fn many_users_are_spread_over_all_places_and_so_are_any_that_follow_one_another() {
    for count in [1_u64, 2, 5, 6, 100, 999, 1_000_000] {
        let step = spread(count);
        assert_eq!(gcd(step, count), 1, "{count}");
    }
    let outcome = run(1_000, &[10; 2_000], world(1_000.0, 1, |_| 1_000, 4));
    let mut begun = outcome.requests;
    begun.retain(|request| request.at_ns < SECOND);
    begun.sort_by_key(|request| request.at_ns);
    for some in begun.chunks_exact(100) {
        for turn in 0..10 {
            let count = some.iter().filter(|request| request.turn == turn).count();
            assert!(count.abs_diff(10) <= 4, "{count} of 100 at turn {turn}");
        }
    }
}

#[test]
fn a_user_begins_its_next_session_a_gap_after_the_last_turn() {
    let outcome = run(3, &[4; 300], world(3.0, 20, |_| 400_000_000, 2));
    for user in by_user(&outcome, 3) {
        assert!(user.windows(2).all(|pair| pair[1].at_ns - pair[0].at_ns == SECOND), "{user:?}");
        let turns: Vec<u32> = user.iter().map(|request| request.turn).collect();
        assert!(turns.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 4), "{turns:?}");
    }
}

#[test]
fn a_slow_server_delays_users_and_never_makes_one_send_two_requests_at_once() {
    // One answer in five takes three and a half gaps.
    let service_ns = |n| if n % 5 == 4 { 3_500_000_000 } else { 100_000_000 };
    let outcome = run(4, &[3; 400], world(4.0, 60, service_ns, 2));
    let mut late = 0;
    for user in by_user(&outcome, 4) {
        for pair in user.windows(2) {
            let (gap, is_delayed) = (pair[1].at_ns - pair[0].at_ns, pair[0].ended_ns - pair[0].at_ns > SECOND);
            assert!(pair[1].at_ns >= pair[0].ended_ns, "two at once: {pair:?}");
            // A delayed turn comes with the answer, and the pace goes on from there.
            assert_eq!(gap, if is_delayed { 3_500_000_000 } else { SECOND }, "{pair:?}");
            late += u32::from(is_delayed && pair[1].turn == 0);
        }
    }
    assert!(late > 3, "{late} sessions were begun late");
}

#[test]
fn sessions_go_in_turn_and_those_that_are_not_to_be_sent_are_passed_over() {
    let outcome = run(2, &[0, 1, 2, 0, 1, 2], world(2.0, 20, |_| 1_000, 1));
    let mut sessions: Vec<u64> = outcome.sent.iter().map(|sent| sent.session).collect();
    sessions.sort_unstable();
    // The data set's sessions 1, 2, 4 and 5, and six more in each round through it.
    assert_eq!(sessions[..10], [1, 2, 4, 5, 7, 8, 10, 11, 13, 14]);
}

#[test]
fn a_session_that_is_sent_again_has_another_number() {
    for (users, turns) in [(2, [2, 2, 2]), (7, [3, 1, 2]), (3, [0, 2, 0])] {
        let outcome = run(users, &turns, world(10.0, 20, |_| 500_000_000, 2));
        let mut numbers: Vec<u64> = outcome.sent.iter().map(|sent| sent.session).collect();
        numbers.sort_unstable();
        assert!(numbers.len() > 20 && numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    }
}

#[test]
fn fewer_sessions_than_users_are_shared_among_them() {
    let outcome = run(7, &[3, 2], world(7.0, 30, |_| 500_000_000, 2));
    let sent = outcome.requests.iter().filter(|request| request.at_ns < 30 * SECOND).count();
    assert_eq!(sent, 210);
}

/// One user with sessions of three turns at one request a second, begun with the first; and the flow of its turn.
fn alone() -> UserCentric {
    let mut strategy = users(1);
    let phase = PhaseSpec { rate: 1.0, shards: 1, ..PhaseSpec::default() };
    strategy.start(&phase, &Turns(vec![3; 9])).unwrap();
    assert_eq!(strategy.next(0, &Load::default()).unwrap().at_ns, 0);
    strategy
}

fn failed(turn: u32, at_ns: u64) -> Flow {
    Flow { session: 0, turn, turns: 3, at_ns, failed: 1, ..Flow::default() }
}

#[test]
fn a_limit_on_sessions_is_reached_whoever_is_ahead() {
    // Users of short sessions come to the limit long before those of long ones.
    let turns: Vec<u32> = (0..50).map(|session| [1, 9, 2, 14, 1][session % 5]).collect();
    for (shards, limit) in [(1, 40), (2, 40), (3, 40), (2, 7), (1, 5), (4, 61)] {
        let phase = PhaseSpec { rate: 10.0, ..PhaseSpec::default() }.with_sessions(limit);
        let world = Simulation { phase, shards, service_ns: |_| 1_000, host_ends: false, ..Simulation::default() };
        let mut numbers: Vec<u64> = run(5, &turns, world).sent.iter().map(|sent| sent.session).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..limit).collect::<Vec<_>>(), "{shards} shards");
    }
}

#[test]
fn a_user_whose_last_session_the_host_gave_up_is_done() {
    let mut strategy = users(1);
    let phase = PhaseSpec { rate: 1.0, shards: 1, ..PhaseSpec::default() }.with_sessions(1);
    strategy.start(&phase, &Turns(vec![3; 9])).unwrap();
    assert_eq!(strategy.next(0, &Load::default()).unwrap().kind, StepKind::SEND);
    strategy.on_flow(&failed(0, SECOND / 2)).unwrap();
    assert_eq!(strategy.next(3 * SECOND, &Load::default()).unwrap().kind, StepKind::END);
}

#[test]
fn a_session_that_the_host_gave_up_is_replaced_when_it_would_have_been() {
    let mut strategy = alone();
    strategy.on_flow(&failed(0, SECOND / 2)).unwrap();
    let wait = strategy.next(SECOND / 2, &Load::default()).unwrap();
    assert_eq!((wait.kind, wait.at_ns), (StepKind::WAIT, 3 * SECOND));
    let next = strategy.next(3 * SECOND, &Load::default()).unwrap();
    assert_eq!((next.kind, next.session, next.at_ns, next.turn), (StepKind::SEND, 1, 3 * SECOND, 0));
}

#[test]
fn a_session_that_goes_on_after_a_failure_is_not_replaced_before_it_ends() {
    let (mut strategy, open) = (alone(), Load { open: 1, ..Load::default() });
    strategy.on_flow(&failed(0, 10 * SECOND)).unwrap();
    for now in [10, 11, 12] {
        assert_eq!(strategy.next(now * SECOND, &open).unwrap().kind, StepKind::WAIT, "at {now} s");
    }
    strategy.on_flow(&failed(1, 20 * SECOND)).unwrap();
    strategy.on_flow(&failed(2, 30 * SECOND)).unwrap();
    let next = strategy.next(30 * SECOND, &Load::default()).unwrap();
    assert_eq!((next.kind, next.session, next.at_ns), (StepKind::SEND, 1, 30 * SECOND));
}

#[test]
fn what_makes_no_users_is_refused_with_the_way_out() {
    for count in [0, u32::MAX] {
        let error = UserCentric::create(Options { users: Some(count) }).err().unwrap();
        assert!(error.kind == ErrorKind::CONFIG && error.message.starts_with("users "), "{error}");
    }
    let start = |count: Option<u32>, rate, turns: Vec<u32>| {
        let phase = PhaseSpec { rate, shards: 1, ..PhaseSpec::default() };
        UserCentric::create(Options { users: count }).unwrap().start(&phase, &Turns(turns)).unwrap_err().message
    };
    assert!(start(None, 1.0, vec![1]).contains("--num-users"));
    assert!(start(Some(1), 0.0, vec![1]).contains("rate"));
    assert!(start(Some(1), 1.0, vec![0, 0]).contains("no session"));
    assert!(users(1).next(0, &Load::default()).is_err());
}

proptest! {
    #[test]
    fn the_requests_of_all_shards_are_those_of_one_while_the_server_is_quick(
        count in 1_u32..30, turns in proptest::collection::vec(1_u32..7, 1..40), rate in 0.5..50.0, shards in 2_u32..9,
    ) {
        let of = |shards| {
            let outcome = run(count, &turns, world(rate, 5, |_| 1_000, shards));
            let mut sent = outcome.sent.clone();
            let mut times: Vec<(u64, u32)> = outcome.requests.iter().map(|one| (one.at_ns, one.turn)).collect();
            times.sort_unstable();
            sent.sort_unstable();
            (sent, times)
        };
        prop_assert_eq!(of(shards), of(1));
    }
}
