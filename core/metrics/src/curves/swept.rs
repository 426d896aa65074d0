//! The curves of a phase all of whose changes can be kept: followed from one to the next.

use super::{
    State,
    life::{Edge, Known, Life},
    metrics,
};
use crate::{Options, Window};
use inferometer_abi::documents::MetricResult;
use inferometer_model::Row;

/// The metrics of the curves of successes and the gaps between their content events: exact in all statistics.
pub(crate) fn swept<'a>(
    options: &Options,
    window: Window,
    successes: impl Iterator<Item = (&'a Row, &'a [u64])>,
) -> Vec<MetricResult> {
    let (mut edges, mut known) = (Vec::new(), Known::default());
    for (row, gaps) in successes {
        if let Some(life) = Life::of(options, row) {
            known.merge(life.known());
            life.edges(gaps, 0, &mut |edge| edges.push(edge));
        }
    }
    edges.sort_unstable_by_key(|edge| edge.at);
    metrics(&known, || states(&edges, window), |_, _, _| {})
}

/// The states between the changes, in order.
fn states(edges: &[Edge], window: Window) -> impl Iterator<Item = (State, u64)> {
    let (mut state, mut since) = (State::default(), window.start_ns);
    let end = Edge { at: window.end_ns, ..Edge::default() };
    edges.iter().copied().chain([end]).filter_map(move |edge| {
        let (held, ns) = (state, edge.at.saturating_sub(since));
        since = edge.at;
        state.apply(&edge);
        (ns > 0).then_some((held, ns))
    })
}

impl State {
    fn apply(&mut self, edge: &Edge) {
        self.in_flight += i64::from(edge.in_flight);
        self.prefilling += i64::from(edge.prefilling);
        self.decoding += i64::from(edge.decoding);
        self.prefill_rate = self.prefill_rate.wrapping_add(edge.prefill_rate);
        self.decode_rate = self.decode_rate.wrapping_add(edge.decode_rate);
        self.tokens = self.tokens.wrapping_add(edge.tokens);
    }
}
