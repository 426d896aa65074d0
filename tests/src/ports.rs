//! Free ports on the loopback interface.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports for servers are taken from here: below those that systems give to outgoing connections, of which a load test
/// opens thousands, so none of these is taken between being found free and being listened on.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A port that nothing listens on, and that this process has not been given before.
///
/// # Panics
/// If every port is taken.
pub(crate) fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run side by side begin at different places.
    let start = std::process::id().wrapping_mul(97) % u32::from(COUNT);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = (start + step) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).expect("an offset is less than COUNT");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} on is free");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let mut ports: Vec<u16> = (0..100).map(|_| free()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 100);
    }

    #[test]
    fn a_port_that_is_listened_on_is_passed_over() {
        let taken: Vec<TcpListener> =
            (0..20).filter_map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, free())).ok()).collect();
        let port = free();
        assert!(taken.iter().all(|listener| listener.local_addr().unwrap().port() != port));
    }
}
