//! Users who each keep one session and send its turns at an even pace, as if they had done so for ever.
//!
//! U users at Q requests per second over all of them: each sends every U / Q seconds, its gap, and they are 1 / Q apart. So
//! there is one request each 1 / Q from the first on. Those who begin are at different places of their sessions: the first
//! session of a user begins at a later turn, and the places are spread evenly, also over users who follow one another.
//! A user whose session ended begins the next one a gap after its last turn. What a slow server delays comes as soon as it
//! may, and the user's pace goes on from there: nothing is made up for in haste.
//!
//! Not here: sending the later turns, which the host does; it is told the gap.

use crate::phase::{Share, checked_rate, not_begun, or_unlimited};
use inferometer_plugin_sdk::{
    Component,
    api::{Timetable, TimingStrategy},
    schemars::{self, JsonSchema},
    serde::{self, Deserialize},
    types::{Error, Flow, Load, PhaseSpec, Result, Step, StepKind, step_flags},
};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

/// More users than a client can be.
const MOST_USERS: u32 = 1_000_000;

/// What a user may set of users.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(crate = "self::serde", default)]
#[schemars(crate = "self::schemars")]
pub(crate) struct Options {
    /// Number of users; it has to be given.
    users: Option<u32>,
}

/// The pace of all users together is the phase's rate.
pub(crate) struct UserCentric {
    users: Option<u32>,
    crew: Option<Crew>,
}

/// This shard's users: those whose number u has u mod shards = shard.
struct Crew {
    /// Over all shards.
    count: u64,
    gap_ns: u64,
    users: Vec<User>,
    /// When users are to begin their next session, soonest first; only the entries that are [`User::due_ns`] count.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    /// The users of the sessions that have not ended, by the numbers of these.
    under_way: HashMap<u64, usize>,
    sessions: Sessions,
    /// Sessions this shard may still hand over.
    left: u64,
    /// Sessions have numbers below this one, over all shards.
    session_limit: u64,
    end_ns: u64,
}

/// One user.
struct User {
    /// The place of its next session in the endless row of [`Sessions`]. User u has the places u, u + U, u + 2U …, whatever
    /// becomes of the other users.
    next: u64,
    /// The turn at which that one begins.
    first_turn: u32,
    /// When to begin it, if that is known.
    due_ns: Option<u64>,
    /// The number of the session under way, when it began and at which turn.
    session: u64,
    began_ns: u64,
    began_turn: u32,
    /// The turn to end next, and when it was intended.
    turn: u32,
    intended_ns: u64,
}

/// The sessions of the data set that are to be sent, over and over: an endless row.
struct Sessions {
    /// Number of all; 0: endless.
    count: u64,
    /// Those to be sent, unless all are.
    chosen: Option<Vec<u64>>,
}

impl Component for UserCentric {
    type Options = Options;

    fn create(Options { users }: Options) -> Result<Self> {
        match users {
            Some(0) => Err(Error::config("users 0: nobody would send anything; set it to 1 or more")),
            Some(users) if users > MOST_USERS => Err(Error::config(format!(
                "users {users}: that is more than can be kept; set it to at most {MOST_USERS}"
            ))),
            _ => Ok(Self { users, crew: None }),
        }
    }
}

impl TimingStrategy for UserCentric {
    fn start(&mut self, phase: &PhaseSpec, timetable: &dyn Timetable) -> Result<()> {
        let Some(users) = self.users else {
            return Err(Error::config(
                "users is not given, and there is nobody to send anything; set it (--num-users)",
            ));
        };
        self.crew = Some(Crew::new(phase, users.into(), timetable)?);
        Ok(())
    }

    fn next(&mut self, now_ns: u64, load: &Load) -> Result<Step> {
        Ok(self.crew.as_mut().ok_or_else(not_begun)?.next(now_ns, load.open))
    }

    fn on_flow(&mut self, event: &Flow) -> Result<()> {
        self.crew.as_mut().ok_or_else(not_begun)?.ended(event);
        Ok(())
    }
}

impl Crew {
    fn new(phase: &PhaseSpec, count: u64, timetable: &dyn Timetable) -> Result<Self> {
        let Share { shard, shards } = Share::of(phase)?;
        let rate = checked_rate(phase.rate)?;
        let sessions = Sessions::of(timetable)?;
        let spread = spread(count);
        let users = (shard..count).step_by(shards as usize).map(|number| {
            let turns = timetable.turns(sessions.entry(number)).max(1);
            User {
                next: number,
                first_turn: (number * spread % count * u64::from(turns) / count) as u32,
                due_ns: Some(to_ns(number as f64 / rate)),
                session: 0,
                began_ns: 0,
                began_turn: 0,
                turn: 0,
                intended_ns: 0,
            }
        });
        let users: Vec<User> = users.collect();
        let due: Vec<_> = users.iter().enumerate().filter_map(|(own, user)| Some((user.due_ns?, own))).collect();
        let mut crew = Self {
            count,
            gap_ns: to_ns(count as f64 / rate).max(1),
            users,
            due: BinaryHeap::new(),
            under_way: HashMap::new(),
            sessions,
            left: or_unlimited(phase.requests),
            session_limit: or_unlimited(phase.sessions()),
            end_ns: or_unlimited(phase.duration_ns),
        };
        due.into_iter().for_each(|(due_ns, own)| crew.begins_next(own, due_ns));
        Ok(crew)
    }

    fn next(&mut self, now_ns: u64, open: u32) -> Step {
        if self.left == 0 {
            return Step::END;
        }
        while let Some(&Reverse((due_ns, own))) = self.due.peek() {
            if self.users[own].due_ns != Some(due_ns) {
                self.due.pop();
                continue;
            }
            if due_ns >= self.end_ns && (now_ns >= self.end_ns || self.under_way.is_empty()) {
                return Step::END;
            }
            if due_ns > now_ns {
                // Not an arrival ahead of its time: another user may become due before it.
                return Step { kind: StepKind::WAIT, at_ns: due_ns.min(self.end_ns), ..Step::PARK };
            }
            self.due.pop();
            let session = self.users[own].session;
            if self.under_way.get(&session) == Some(&own) {
                // A request of it failed. Only if fewer sessions are open than should be, the host gave one up.
                if open as usize >= self.under_way.len() {
                    self.comes_due(own, now_ns.saturating_add(self.gap_ns));
                    continue;
                }
                self.under_way.remove(&session);
            }
            if self.has_session(own) {
                return self.begin(own, due_ns);
            }
        }
        if self.under_way.is_empty() { Step::END } else { Step::PARK }
    }

    /// A user begins its next session.
    fn begin(&mut self, own: usize, at_ns: u64) -> Step {
        self.left -= 1;
        let user = &mut self.users[own];
        user.session = self.sessions.number(user.next);
        user.next = user.next.wrapping_add(self.count);
        user.turn = std::mem::take(&mut user.first_turn);
        (user.began_ns, user.began_turn) = (at_ns, user.turn);
        user.intended_ns = at_ns;
        user.due_ns = None;
        self.under_way.insert(user.session, own);
        Step { turn: user.turn, flags: step_flags::EXACT, ..Step::send(at_ns, user.session).with_gap(self.gap_ns) }
    }

    /// A request ended.
    fn ended(&mut self, event: &Flow) {
        let Flow { session, turn, turns, .. } = *event;
        let Some(&own) = self.under_way.get(&session) else { return };
        let gap_ns = self.gap_ns;
        let user = &mut self.users[own];
        if turn != user.turn {
            return;
        }
        let next_ns = user.intended_ns.saturating_add(gap_ns);
        let follows = turn.saturating_add(1);
        if follows >= turns {
            self.under_way.remove(&session);
            self.begins_next(own, next_ns.max(event.at_ns));
            return;
        }
        // The host sends the next turn, unless it gives up a session of which a request failed.
        user.turn = follows;
        user.intended_ns = next_ns.max(event.at_ns.saturating_add(event.next_delay_ns));
        user.due_ns = None;
        if event.failed != 0 {
            let turns = u64::from(turns.saturating_sub(user.began_turn));
            let paced_ns = user.began_ns.saturating_add(turns.saturating_mul(gap_ns));
            let due_ns = paced_ns.max(user.intended_ns);
            self.comes_due(own, due_ns);
        }
    }

    /// A user is to begin its next session then; one for whom there is none is done. The others go on, each at its pace.
    fn begins_next(&mut self, own: usize, at_ns: u64) {
        if self.has_session(own) {
            self.comes_due(own, at_ns);
        }
    }

    /// Whether a user's next session is within the limit.
    fn has_session(&self, own: usize) -> bool {
        self.sessions.number(self.users[own].next) < self.session_limit
    }

    fn comes_due(&mut self, own: usize, at_ns: u64) {
        self.users[own].due_ns = Some(at_ns);
        self.due.push(Reverse((at_ns, own)));
    }
}

impl Sessions {
    fn of(timetable: &dyn Timetable) -> Result<Self> {
        let count = timetable.sessions();
        let is_sent = |session: &u64| timetable.turns(*session) > 0;
        let chosen =
            (!(0..count).all(|session| is_sent(&session))).then(|| (0..count).filter(is_sent).collect::<Vec<_>>());
        if chosen.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::config("no session of the data set is to be sent; give users one with turns"));
        }
        Ok(Self { count, chosen })
    }

    /// The number in the data set of the session at a place of the row.
    fn entry(&self, place: u64) -> u64 {
        match &self.chosen {
            Some(chosen) => chosen[(place % chosen.len() as u64) as usize],
            None if self.count == 0 => place,
            None => place % self.count,
        }
    }

    /// The number that the schedule gives the session at a place of the row, which no other place has. The host comes from
    /// it to the data set's session by taking it modulo their count, so each round through the data set adds that.
    fn number(&self, place: u64) -> u64 {
        let in_a_round = self.chosen.as_ref().map_or(self.count, |chosen| chosen.len() as u64);
        let round = place.checked_div(in_a_round).unwrap_or(0);
        self.entry(place).wrapping_add(round.wrapping_mul(self.count))
    }
}

/// A step that has no divisor in common with `count`, near its golden section: the multiples of it, modulo `count`, are all
/// places there are, and any few that follow one another lie far apart.
fn spread(count: u64) -> u64 {
    let golden = (count as f64 * 0.618_033_988_749_895).round() as u64;
    (golden.max(1)..).find(|step| gcd(*step, count) == 1).unwrap_or(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn to_ns(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

#[cfg(test)]
mod tests;
