//! [`race`]: connecting to whichever of a server's addresses answers first (RFC 8305, "happy eyeballs"): the next one is
//! tried as soon as one fails, or when one has not answered for [`HEAD_START`]. [`interleaved`] is the order to try them in.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How long an attempt is alone (RFC 8305, section 5, "Connection Attempt Delay").
const HEAD_START: Duration = Duration::from_millis(250);

/// `addresses` with both versions of IP in turn (RFC 8305, section 4). That of the first, which the system likes best,
/// leads; within a version the order stays.
pub fn interleaved(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let all: Vec<SocketAddr> = addresses.into_iter().collect();
    let leads_v4 = all.first().is_some_and(SocketAddr::is_ipv4);
    let (mut leading, mut others): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.is_ipv4() == leads_v4);
    let rest = leading.split_off(others.len().min(leading.len()));
    let rest = rest.into_iter().chain(others.split_off(leading.len()));
    let pairs: Vec<_> = leading.into_iter().zip(others).flat_map(|(a, b)| [a, b]).collect();
    pairs.into_iter().chain(rest).collect()
}

/// What the first successful `attempt` at one of `addresses` comes to; the others are given up then. `failed` is told of
/// each that fails, and says whether to go on. Nothing if none succeeds.
pub(crate) async fn race<T, E>(
    addresses: &[SocketAddr],
    attempt: impl AsyncFn(SocketAddr) -> Result<T, E>,
    mut failed: impl FnMut(SocketAddr, E) -> bool,
) -> Option<T> {
    type Running<'a, T, E> = Pin<Box<dyn Future<Output = (SocketAddr, Result<T, E>)> + 'a>>;
    let attempt = &attempt;
    let mut waiting = addresses.iter().copied().peekable();
    let mut running: Vec<Running<'_, T, E>> = Vec::new();
    let mut alone = pin!(sleep(HEAD_START));
    poll_fn(|context| {
        loop {
            let (before, mut at) = (running.len(), 0);
            while let Some(one) = running.get_mut(at) {
                match one.as_mut().poll(context) {
                    Poll::Pending => at += 1,
                    Poll::Ready((_, Ok(made))) => return Poll::Ready(Some(made)),
                    Poll::Ready((address, Err(error))) => {
                        drop(running.remove(at));
                        if !failed(address, error) {
                            return Poll::Ready(None);
                        }
                    }
                }
            }
            let has_failed = running.len() < before;
            if waiting.peek().is_none() {
                return if running.is_empty() { Poll::Ready(None) } else { Poll::Pending };
            }
            if !running.is_empty() && !has_failed && alone.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            alone.as_mut().reset(Instant::now() + HEAD_START);
            running.extend(
                waiting
                    .next()
                    .map(|address| -> Running<'_, T, E> { Box::pin(async move { (address, attempt(address).await) }) }),
            );
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn addresses(all: &[&str]) -> Vec<SocketAddr> {
        all.iter().map(|one| one.parse().unwrap()).collect()
    }

    /// What becomes of attempts, by the last digit of the port: 1 succeeds, 2 fails, 3 hangs; and when each began, in
    /// milliseconds of a clock that is moved on when there is nothing else to do.
    fn run(all: &[&str], goes_on: bool) -> (Option<SocketAddr>, Vec<u16>, Vec<(u16, u128)>) {
        let (begun, mut failed) = (RefCell::new(Vec::new()), Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let won = runtime.block_on(async {
            let start = Instant::now();
            let attempt = async |address: SocketAddr| {
                begun.borrow_mut().push((address.port(), start.elapsed().as_millis()));
                match address.port() % 10 {
                    1 => Ok(address),
                    2 => Err(()),
                    _ => std::future::pending().await,
                }
            };
            race(&addresses(all), attempt, |address, ()| {
                failed.push(address.port());
                goes_on
            })
            .await
        });
        (won, failed, begun.into_inner())
    }

    #[test]
    fn an_address_that_does_not_answer_delays_the_next_one_by_its_head_start() {
        let (won, failed, begun) = run(&["[::1]:3", "127.0.0.1:1"], true);
        assert_eq!((won.unwrap().port(), failed), (1, vec![]));
        assert_eq!((begun[0], begun[1].0), ((3, 0), 1));
        assert!((250..260).contains(&begun[1].1), "{begun:?}");
    }

    #[test]
    fn an_address_that_refuses_delays_nothing() {
        let (won, failed, begun) = run(&["[::1]:2", "[::1]:12", "127.0.0.1:1", "127.0.0.1:11"], true);
        assert_eq!((won.unwrap().port(), failed), (1, vec![2, 12]));
        assert_eq!(begun, [(2, 0), (12, 0), (1, 0)], "the last one is not tried");
    }

    #[test]
    fn when_all_refuse_each_was_heard_and_when_one_is_final_no_other_is_tried() {
        assert_eq!(run(&["[::1]:2", "127.0.0.1:12"], true).1, [2, 12]);
        let (won, failed, begun) = run(&["[::1]:2", "127.0.0.1:1"], false);
        assert_eq!((won, failed, begun.len()), (None, vec![2], 1));
    }

    #[test]
    fn versions_of_ip_take_turns_and_the_systems_choice_leads() {
        let sorted = |all: &[&str]| interleaved(addresses(all));
        assert_eq!(
            sorted(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]),
            addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"])
        );
        assert_eq!(sorted(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]), addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]));
        assert_eq!(sorted(&["1.1.1.1:1"]), addresses(&["1.1.1.1:1"]));
    }
}
