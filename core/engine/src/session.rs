//! One session from its first turn to its last: slots, think times, what was said so far, and the sessions it begins.

use crate::{
    data::{Conversation, Ready, Said, Session},
    flight::{Errand, Flight, Landed},
    job::{Course, Phase, USER_CENTRIC},
    slots::Slot,
    worker::Worker,
};
use inferometer_abi::{
    random::{SplitMix64, mix},
    types::{ABSENT_NS, BEFORE_FIRST, Branch, Flow, NO_COUNT, NO_TURN, Outgoing, branch_flags},
};
use inferometer_model::{
    Failure, FailureKind, Row,
    config::{CacheBust, ConcurrencyUnit, ConnectionReuse, OnOverload},
};
use inferometer_net::Lane;
use std::{
    borrow::Cow,
    pin::Pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::task::JoinHandle;

/// How a session begins.
pub(crate) struct Start {
    pub(crate) course: Course,
    /// Its first request.
    pub(crate) flight: Flight,
    /// The turn of that.
    pub(crate) turn: u32,
    /// Least time from one turn's intended send to the next one's, in nanoseconds.
    pub(crate) gap_ns: u64,
    /// What was said in the session that it forks from.
    pub(crate) inherited: Conversation,
    /// Whether another session began it, and holds the slot.
    pub(crate) is_branch: bool,
}

/// Runs one session: its turns one after another, each a request. Returns what the schedule has to hear of the last.
pub(crate) async fn session(worker: &Rc<Worker>, phase: &Phase, start: Start) -> Flow {
    let Start { course, mut flight, mut turn, gap_ns, inherited, is_branch } = start;
    let job = &*worker.job;
    let lane = if job.reuse == ConnectionReuse::StickyUserSessions { Lane::own() } else { Lane::shared() };
    // A slot that is refused to an arrival is refused at its time, and not when its prompt is ready.
    let mut slot = None;
    if phase.plan.on_overload == OnOverload::Drop && !is_branch && !worker.is_closed(job.clock.now()) {
        slot = phase.slots.as_ref().and_then(|slots| slots.try_take());
        if slot.is_none() && phase.slots.is_some() {
            job.pool.skip(course.place);
            let row = flight.give_up("no slot was free when its time had come");
            return last_words(worker, phase, &course, turn, turn + 1, &row);
        }
    }
    let made = job.pool.session(course.entry, course.place).await;
    let session = match made {
        Ok(session) => session,
        Err(why) => {
            let row = flight.fail(Failure::new(FailureKind::Plugin, why.to_string()));
            return last_words(worker, phase, &course, turn, turn + 1, &row);
        }
    };
    if session.turns.len() <= turn as usize {
        // A schedule that knows nothing of turns may say any.
        turn = 0;
        flight.begin_at(&course, turn);
    }
    let is_fork = !inherited.said().is_empty();
    let branches = Vec::new();
    let mut talk =
        Talk { worker, phase, course, session, conversation: inherited, lane, gap_ns, is_branch, is_fork, branches };
    let flow = talk.run(flight, turn as usize, &mut slot).await;
    // A session holds its slot until those that it began have ended.
    for (_, branch) in talk.branches.drain(..) {
        // One that panicked has stopped the run.
        let _ = branch.await;
    }
    flow
}

/// What the schedule is told of a session that ends before its data is known.
fn last_words(worker: &Worker, phase: &Phase, course: &Course, turn: u32, turns: u32, row: &Row) -> Flow {
    let now = worker.job.clock.now();
    let end = if row.end == ABSENT_NS { now } else { row.end };
    Flow { turns, ..flow(phase, course, turn, row, end) }
}

/// What the schedule has to hear of a request.
fn flow(phase: &Phase, course: &Course, turn: u32, row: &Row, end: u64) -> Flow {
    Flow {
        session: course.number,
        turn,
        at_ns: end.saturating_sub(phase.start_ns()),
        latency_ns: if row.is_ok() { row.last } else { end }.saturating_sub(row.permitted),
        output_tokens: if row.usage_completion == NO_COUNT { 0 } else { row.usage_completion },
        failed: u32::from(!row.is_ok()),
        ..Flow::default()
    }
}

/// A session under way.
struct Talk<'a> {
    worker: &'a Rc<Worker>,
    phase: &'a Phase,
    course: Course,
    session: Arc<Session>,
    conversation: Conversation,
    lane: Lane,
    gap_ns: u64,
    is_branch: bool,
    /// It begins with what was said in another one, that one's mark included.
    is_fork: bool,
    /// Sessions that it began and that have not been waited for, with the turn that waits for each.
    branches: Vec<(u32, JoinHandle<()>)>,
}

impl<'a> Talk<'a> {
    async fn run(&mut self, first: Flight, from: usize, held: &mut Option<Slot<'a>>) -> Flow {
        let (worker, phase, session) = (self.worker, self.phase, Arc::clone(&self.session));
        let job = &*worker.job;
        let per_request = phase.plan.concurrency_unit == ConcurrencyUnit::Requests;
        let (mut flight, mut turn) = (first, from);
        self.catch_up(turn);
        self.branch(BEFORE_FIRST);
        if self.is_joined_by(turn as u32) {
            if per_request {
                // Those that are waited for need slots as well.
                *held = None;
            }
            self.join(turn as u32).await;
            flight.postpone(job.clock.now());
        }
        loop {
            let ready = &session.turns[turn];
            let intended = flight.intended();
            if held.is_none() && (per_request || !self.is_branch) {
                *held = match &phase.slots {
                    Some(slots) => slots.take().await,
                    None => None,
                };
            }
            let prefill = match &phase.prefill {
                Some(slots) => slots.take().await,
                None => None,
            };
            let now = job.clock.now();
            let (row, reply) = if !worker.is_closed(now) {
                match self.request(ready, turn, turn == from) {
                    Ok(outgoing) => {
                        let errand = Errand {
                            outgoing,
                            max_tokens: ready.max_tokens,
                            to: self.destination(),
                            permitted: now,
                            prefill,
                            break_off: self.break_off(turn),
                            wants_reply: self.wants_reply(turn),
                        };
                        let Landed { row, reply } = flight.fly(errand, &mut self.lane).await;
                        (row, reply)
                    }
                    Err(why) => (flight.fail(job.speaker.blame(why)), None),
                }
            } else {
                drop(prefill);
                (flight.give_up("the phase ended before it got a slot"), None)
            };
            if per_request {
                *held = None;
            }
            let end = if row.end == ABSENT_NS { now } else { row.end };
            let mut flow = flow(phase, &self.course, turn as u32, &row, end);
            flow.turns = session.turns.len() as u32;
            let needs_reply = self.wants_reply(turn);
            match reply {
                Some(reply) => self.conversation.reply(&reply),
                None if needs_reply => {
                    // Nothing can be built on a reply that was not got.
                    if row.permitted != ABSENT_NS {
                        phase.unsent.fetch_add((session.turns.len() - turn - 1) as u64, Relaxed);
                    }
                    flow.turns = turn as u32 + 1;
                    return flow;
                }
                None => {}
            }
            self.branch(turn as u32);
            turn += 1;
            let Some(next) = session.turns.get(turn) else { return flow };
            let joins = self.is_joined_by(turn as u32);
            self.join(turn as u32).await;
            let ended = if joins { job.clock.now().max(end) } else { end };
            let (due, delay_ns) = self.due(next, ended, intended);
            flow.next_delay_ns = delay_ns;
            // A turn that would come after the phase's end is none of its arrivals.
            if worker.is_over(due) || job.control.is_stopped() {
                return flow;
            }
            let Some(request) = phase.budget.request() else { return flow };
            if !self.is_branch {
                worker.tell(&flow, true);
            }
            if due > job.clock.now() {
                // A strategy that knows its users counts them whatever they do.
                let thinks = per_request && !self.is_branch && phase.plan.strategy != USER_CENTRIC;
                if thinks {
                    worker.thinks(true);
                }
                worker.timers.sleep_until(job.clock.instant(due)).await;
                if thinks {
                    worker.thinks(false);
                }
            }
            // Not before it is due: a run that is stopped meanwhile has no such arrival.
            flight = Flight::new(worker, request, &self.course, turn as u32, due);
        }
    }

    /// What was said before the turn that it begins with: where the replies are recorded, all of it, and otherwise what comes
    /// before the first turn's own messages.
    fn catch_up(&mut self, from: usize) {
        let terms = &self.worker.job.pool.terms;
        let Some(before) = self.session.turns.get(..from).filter(|before| !before.is_empty()) else { return };
        if terms.live {
            self.conversation.add(terms.preface_of(&before[0]));
        } else {
            for ready in before.iter().filter(|ready| ready.builds) {
                self.conversation.add(ready.news(false));
            }
        }
    }

    /// The request of a turn: the one that was made ready, or one that holds what was said so far.
    fn request<'s>(&mut self, ready: &'s Ready, turn: usize, is_first: bool) -> Result<Cow<'s, Outgoing>, String> {
        let pool = &self.worker.job.pool;
        let terms = &pool.terms;
        let news = ready.news(terms.live);
        let encoded = |said: &[Arc<Said>]| {
            let made = pool.encode(ready, turn as u32, said).map(Cow::Owned);
            made.map_err(|error| format!("encode: {}", error.message))
        };
        if !ready.builds {
            return match &ready.encoded {
                Some(outgoing) => Ok(Cow::Borrowed(outgoing)),
                None => encoded(&terms.marked(news, &self.mark())),
            };
        }
        let begins = self.conversation.said().is_empty();
        // A fork has what every session begins with from the one it forks from.
        let known = if is_first && self.is_fork { terms.preface_of(ready).len() } else { 0 };
        self.conversation.add(&news[known..]);
        if terms.cache_bust != CacheBust::None && is_first && !self.is_fork {
            self.conversation = terms.marked(self.conversation.said(), &self.mark()).into();
        } else if let (true, Some(outgoing)) = (begins, &ready.encoded) {
            return Ok(Cow::Borrowed(outgoing));
        }
        encoded(self.conversation.said())
    }

    /// A mark that no other session of the run has.
    fn mark(&self) -> String {
        let ids = self.worker.job.ids(self.worker.phase_index, self.course.number, 0);
        let first = ids.correlation[..6].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("[{first}]")
    }

    /// Whether a later turn holds the reply to this one.
    fn wants_reply(&self, turn: usize) -> bool {
        let inherits =
            |branch: &Branch| branch.flags & branch_flags::INHERITS != 0 && branch.after_turn as usize >= turn;
        self.worker.job.pool.terms.live
            && self.session.turns[turn].builds
            && (self.session.turns[turn + 1..].iter().any(|later| later.builds)
                || self.session.branches.iter().any(|branch| branch.after_turn != BEFORE_FIRST && inherits(branch)))
    }

    /// When a turn is intended, after the turn before it ended and was itself intended; and how long after its end.
    fn due(&self, next: &Ready, ended: u64, intended: u64) -> (u64, u64) {
        let mut due = ended.saturating_add(self.phase.delay(next.time));
        if self.gap_ns > 0 {
            due = due.max(intended.saturating_add(self.gap_ns));
        }
        if let Some(at) = self.phase.timestamp(next.time) {
            due = due.max(self.phase.start_ns().saturating_add(at));
        }
        (due, due.saturating_sub(ended))
    }

    /// The server that all of the session's requests go to.
    fn destination(&self) -> usize {
        (self.course.server % self.worker.job.server.destinations.len() as u64) as usize
    }

    /// After how long a request is broken off on purpose, if it is one of those.
    fn break_off(&self, turn: usize) -> Option<Duration> {
        let cancellation = self.phase.plan.cancellation?;
        let drawn = mix(self.phase.cancellation_seed ^ mix(self.course.number)) ^ turn as u64;
        let doomed = SplitMix64::new(drawn).unit() < cancellation.share;
        doomed.then(|| Duration::from_nanos(cancellation.delay_ns))
    }

    /// Begins the sessions that begin after `turn`.
    fn branch(&mut self, turn: u32) {
        let session = Arc::clone(&self.session);
        let begun = session.branches.iter().enumerate().filter(|(_, branch)| branch.after_turn == turn);
        for (place, branch) in begun {
            let job = &self.worker.job;
            let now = job.clock.now();
            if self.worker.is_over(now) || job.control.is_stopped() {
                return;
            }
            let Some(request) = self.phase.budget.request() else { return };
            // Numbers of a schedule's own sessions do not come near.
            let number = mix(self.course.number ^ mix(branch.session ^ mix(place as u64))) | 1 << 63;
            let course = Course { number, entry: branch.session, place: None, server: self.course.server };
            let mut inherited = Conversation::default();
            if branch.flags & branch_flags::INHERITS != 0 {
                inherited = self.conversation.clone();
                inherited.add(self.recorded_reply(turn));
            }
            let start = Start {
                course,
                flight: Flight::new(self.worker, request, &course, 0, now),
                turn: 0,
                gap_ns: 0,
                inherited,
                is_branch: true,
            };
            let handle = tokio::task::spawn_local(run_branch(Rc::clone(self.worker), start));
            self.branches.push((branch.join_turn, handle));
        }
    }

    /// The reply to `turn` that the data set has recorded, if those are sent.
    fn recorded_reply(&self, turn: u32) -> &[Arc<Said>] {
        let next = self.session.turns.get(turn.wrapping_add(1) as usize).filter(|next| next.builds);
        let Some(next) = next.filter(|_| !self.worker.job.pool.terms.live) else { return &[] };
        &next.said[..next.news(false).len() - next.news(true).len()]
    }

    /// Whether `turn` waits for a session.
    fn is_joined_by(&self, turn: u32) -> bool {
        self.branches.iter().any(|(join, _)| *join == turn && turn != NO_TURN)
    }

    /// Waits for the sessions that `turn` waits for.
    async fn join(&mut self, turn: u32) {
        let (wanted, others) = self.branches.drain(..).partition(|(join, _)| *join == turn && turn != NO_TURN);
        let wanted: Vec<(u32, JoinHandle<()>)> = wanted;
        self.branches = others;
        for (_, branch) in wanted {
            // One that panicked has stopped the run.
            let _ = branch.await;
        }
    }
}

/// Runs a session that another one began. Boxed, since it may begin others in turn.
fn run_branch(worker: Rc<Worker>, start: Start) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let _live = worker.guard();
        session(&worker, worker.phase(), start).await;
    })
}
