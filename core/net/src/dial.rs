//! [`Dialer`]: from which address of this machine a connection is made, and what is said where the system has nothing left
//! to make one of.
//!
//! A connection takes a descriptor, and a port of its local address that no other connection to the same server has; a
//! closed one may keep its port for another minute. Where the ports of one address have run out, those of the next are
//! taken. So a load is held up by neither, or its failures say by which.
//!
//! Not here: names, which are looked up before the load, and whether a connection serves again, which the client decides.

use crate::{connection::plain, race::race, socket::Stream};
use inferometer_model::{Failure, FailureKind};
use rustix::{
    io::Errno,
    process::{Resource, getrlimit},
};
use std::{
    cell::{Cell, RefCell},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
    time::Duration,
};
use tokio::net::{TcpSocket, TcpStream, UnixStream};

/// How many addresses of the loopback network, from 127.0.0.1 on, are connected from. To Linux all of that network is this
/// machine; to others it is the first alone.
const LOOPBACK: u8 = if cfg!(target_os = "linux") { 254 } else { 1 };
/// How soon a socket file is tried again whose server has too many connections to accept, which the system does not wait
/// for.
const BACKLOG_WAIT: Duration = Duration::from_millis(1);
/// Where Linux says which ports it chooses from.
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Makes the connections of one worker.
pub(crate) struct Dialer {
    v4: Sources,
    v6: Sources,
    /// For servers on the loopback network, where the user gave no addresses.
    loopback: Option<Sources>,
    /// Addresses that answered, where a server has several: they are tried first from then on.
    answered: RefCell<Vec<SocketAddr>>,
}

impl Dialer {
    /// Connects from each of `sources` in turn; without any, from where the system chooses.
    pub(crate) fn new(sources: &[IpAddr]) -> Self {
        if sources.is_empty() {
            let further = (2..=LOOPBACK).map(|last| Some(IpAddr::from(Ipv4Addr::new(127, 0, 0, last))));
            let loopback = Sources::new([None].into_iter().chain(further), false);
            let any = || Sources::new([None], false);
            return Self { v4: any(), v6: any(), loopback: Some(loopback), answered: RefCell::default() };
        }
        let of = |is_v4: bool| sources.iter().filter(move |source| source.is_ipv4() == is_v4);
        let given = |is_v4| Sources::new(of(is_v4).copied().map(Some), true);
        Self { v4: given(true), v6: given(false), loopback: None, answered: RefCell::default() }
    }

    /// How many addresses of the loopback network had to be connected from, those that the user gave apart.
    pub(crate) fn loopback_addresses(&self) -> usize {
        self.loopback.as_ref().map_or(0, |sources| sources.reached.get())
    }

    /// Connects to whichever of `addresses` accepts first.
    pub(crate) async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
        let mut refused = "no --source-address is of the server's version of IP".to_owned();
        let mut ports_gone = None;
        let mut failed = |server, error: io::Error| {
            let sources = self.sources(server);
            if Errno::from_io_error(&error) == Some(Errno::MFILE) {
                refused = descriptors_gone(getrlimit(Resource::Nofile).current);
                return false;
            }
            match sources.names(server) {
                Some(from) if has_no_port(&error) => ports_gone = Some(self::ports_gone(server, &from, port_count())),
                Some(from) if sources.in_turn => refused = format!("{server} from {from}: {}", plain(&error)),
                // Without an address to come from, too, such as that of IPv6 where it is switched off.
                _ => refused = format!("{server}: {}", plain(&error)),
            }
            true
        };
        let attempt = async |server| self.sources(server).through(server, connect).await;
        let made = match self.reachable(addresses).as_slice() {
            // Nearly always; it costs no more than the connection.
            &[server] => attempt(server).await.map_err(|error| failed(server, error)).ok(),
            several => race(several, attempt, failed).await,
        };
        if addresses.len() > 1
            && let Some(address) = made.as_ref().and_then(|stream| stream.peer_addr().ok())
        {
            let mut answered = self.answered.borrow_mut();
            answered.retain(|before| *before != address && !addresses.contains(before));
            answered.push(address);
        }
        // What the user can mend is said, rather than what another of the server's addresses answered.
        made.ok_or_else(|| Failure::new(FailureKind::Connect, ports_gone.unwrap_or(refused)))
    }

    /// Those of `addresses` that there is an address to connect from for, what answered before first.
    fn reachable(&self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let reachable = addresses.iter().filter(|server| !self.sources(**server).addresses.is_empty());
        let mut reachable: Vec<SocketAddr> = reachable.copied().collect();
        let answered = self.answered.borrow();
        reachable.sort_by_key(|server| !answered.contains(server));
        reachable
    }

    fn sources(&self, server: SocketAddr) -> &Sources {
        match (server.ip(), &self.loopback) {
            (IpAddr::V4(ip), Some(loopback)) if ip.is_loopback() => loopback,
            (IpAddr::V4(_), _) => &self.v4,
            (IpAddr::V6(_), _) => &self.v6,
        }
    }
}

/// Addresses of this machine that connections to a server may come from.
struct Sources {
    /// Nothing: the one that the system chooses.
    addresses: Vec<Option<IpAddr>>,
    /// Each connection comes from the next; else from one until its ports have run out.
    in_turn: bool,
    /// Number of the one that is tried first.
    next: Cell<usize>,
    /// How many were connected from.
    reached: Cell<usize>,
}

impl Sources {
    fn new(addresses: impl IntoIterator<Item = Option<IpAddr>>, in_turn: bool) -> Self {
        Self { addresses: addresses.into_iter().collect(), in_turn, next: Cell::new(0), reached: Cell::new(0) }
    }

    /// Connects to `server` by `connect`, from the first address that has a port left.
    async fn through<T>(
        &self,
        server: SocketAddr,
        connect: impl AsyncFn(SocketAddr, Option<IpAddr>) -> io::Result<T>,
    ) -> io::Result<T> {
        let (first, count) = (self.next.get(), self.addresses.len());
        let mut ended = Err(io::ErrorKind::Unsupported.into());
        for step in 0..count {
            let at = (first + step) % count;
            // Set before the wait: other connections are made meanwhile.
            self.next.set(if self.in_turn { (at + 1) % count } else { at });
            ended = connect(server, self.addresses[at]).await;
            if !matches!(&ended, Err(e) if has_no_port(e)) {
                self.reached.set(self.reached.get().max(at + 1));
                break;
            }
        }
        ended
    }

    /// The addresses in words; nothing where the system has none from which `server` could be reached.
    fn names(&self, server: SocketAddr) -> Option<String> {
        let first = self.addresses.first()?.or_else(|| local_address(server))?;
        Some(match self.addresses.len() - 1 {
            0 => first.to_string(),
            1 => format!("{first} and 1 further address"),
            further => format!("{first} and {further} further addresses"),
        })
    }
}

/// Whether `address` is one of this machine, which connections can come from.
///
/// # Errors
/// When it is not, in the system's words.
pub fn check_source(address: IpAddr) -> io::Result<()> {
    // Takes none of the ports that the load needs.
    UdpSocket::bind((address, 0)).map(drop)
}

/// Connects to the socket file at `path`.
pub(crate) async fn connect_unix(path: &Path) -> Result<Stream, Failure> {
    loop {
        let why = match UnixStream::connect(path).await {
            Ok(stream) => return Ok(Stream::Unix(stream)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(BACKLOG_WAIT).await;
                continue;
            }
            Err(e) if Errno::from_io_error(&e) == Some(Errno::MFILE) => {
                descriptors_gone(getrlimit(Resource::Nofile).current)
            }
            Err(e) => format!("--unix-socket {}: {}", path.display(), plain(&e)),
        };
        return Err(Failure::new(FailureKind::Connect, why));
    }
}

async fn connect(server: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(server).await };
    let socket = if source.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    choose_port_at_connect(&socket);
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(server).await
}

/// Has the port chosen when the server is known, so that each server has all ports of an address to itself; a kernel that
/// refuses chooses at once, from among those that nothing else uses.
#[cfg(target_os = "linux")]
fn choose_port_at_connect(socket: &TcpSocket) {
    use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
    let _ = setsockopt(socket, IpBindAddressNoPort, &true);
}

/// Only Linux can.
#[cfg(not(target_os = "linux"))]
fn choose_port_at_connect(_: &TcpSocket) {}

/// Whether the system had no port to give: when connecting, or when binding where it chooses then.
fn has_no_port(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse)
}

/// The address that the system would connect to `server` from.
fn local_address(server: SocketAddr) -> Option<IpAddr> {
    let any = if server.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    // Connecting a datagram socket sends nothing.
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(server).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// How many ports of an address the system chooses from, where it says so.
fn port_count() -> Option<u32> {
    ports_of(&std::fs::read_to_string(PORT_RANGE).ok()?)
}

/// Ports of a range as Linux writes it: the first and the last.
fn ports_of(range: &str) -> Option<u32> {
    let mut ends = range.split_whitespace().map(str::parse::<u16>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some(u32::from(last.checked_sub(first)?) + 1)
}

fn ports_gone(server: SocketAddr, from: &str, count: Option<u32>) -> String {
    let count = count.map_or_else(String::new, |count| format!("{count} each by net.ipv4.ip_local_port_range; "));
    format!(
        "{server}: the ports of {from} have run out ({count}a closed connection may keep its own for a minute); name \
         further addresses of this machine by --source-address, reuse connections, use several --url, or widen the range"
    )
}

fn descriptors_gone(limit: Option<u64>) -> String {
    let limit = limit.map_or_else(String::new, |limit| format!("{limit} "));
    format!(
        "the {limit}file descriptors that this process is allowed have run out; raise the limit (ulimit -n, or \
         LimitNOFILE of a systemd unit), or bound the requests in flight with --concurrency"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, future::Future};

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// A system where each address has so many ports and no connection is ever closed.
    struct System {
        ports: usize,
        taken: RefCell<BTreeMap<Option<IpAddr>, usize>>,
    }

    impl System {
        fn new(ports: usize) -> Self {
            Self { ports, taken: RefCell::default() }
        }

        /// Connects; the address that it came to be from.
        fn connect(&self, dialer: &Dialer, server: &str) -> io::Result<Option<IpAddr>> {
            let server = server.parse().unwrap();
            let connect = async |_, source| {
                let mut taken = self.taken.borrow_mut();
                let taken = taken.entry(source).or_default();
                if *taken == self.ports {
                    return Err(io::ErrorKind::AddrNotAvailable.into());
                }
                *taken += 1;
                Ok(source)
            };
            block_on(dialer.sources(server).through(server, connect))
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_server_on_the_loopback_network_is_reached_from_further_addresses_when_ports_run_out() {
        let (system, dialer) = (System::new(2), Dialer::new(&[]));
        let from: Vec<_> = (0..5).map(|_| system.connect(&dialer, "127.0.0.1:80").unwrap()).collect();
        assert_eq!(from, [None, None, Some(ip("127.0.0.2")), Some(ip("127.0.0.2")), Some(ip("127.0.0.3"))]);
        assert_eq!(dialer.loopback_addresses(), 3);
        let mut rest = (5..2 * usize::from(LOOPBACK)).map(|_| system.connect(&dialer, "127.0.0.1:80"));
        assert!(rest.all(|one| one.is_ok()));
        assert!(has_no_port(&system.connect(&dialer, "127.0.0.1:80").unwrap_err()));
    }

    #[test]
    fn elsewhere_the_system_chooses_and_its_refusal_is_final() {
        for server in ["192.0.2.1:80", "[::1]:80"] {
            let (system, dialer) = (System::new(1), Dialer::new(&[]));
            assert_eq!(system.connect(&dialer, server).unwrap(), None);
            assert!(has_no_port(&system.connect(&dialer, server).unwrap_err()), "{server}");
            assert_eq!(dialer.loopback_addresses(), 0);
        }
    }

    #[test]
    fn given_addresses_are_used_in_turn_and_passed_over_when_they_have_no_port() {
        let (a, b, c) = (ip("192.0.2.1"), ip("192.0.2.2"), ip("2001:db8::1"));
        let (system, dialer) = (System::new(2), Dialer::new(&[a, c, b]));
        system.taken.borrow_mut().insert(Some(b), 1);
        let from: Vec<_> = (0..3).map(|_| system.connect(&dialer, "127.0.0.1:80").unwrap()).collect();
        assert_eq!(from, [Some(a), Some(b), Some(a)]);
        assert_eq!(system.connect(&dialer, "[::1]:80").unwrap(), Some(c));
        assert!(has_no_port(&system.connect(&dialer, "127.0.0.1:80").unwrap_err()));
    }

    #[test]
    fn a_refusal_that_has_another_reason_does_not_lead_to_another_address() {
        let (server, tried) = ("127.0.0.1:80".parse().unwrap(), Cell::new(0));
        let refuse = async |_, _| {
            tried.set(tried.get() + 1);
            Err::<(), _>(io::ErrorKind::ConnectionRefused.into())
        };
        let dialer = Dialer::new(&[]);
        let error = block_on(dialer.sources(server).through(server, refuse)).unwrap_err();
        assert_eq!((error.kind(), tried.get()), (io::ErrorKind::ConnectionRefused, 1));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_connection_comes_from_the_address_that_was_given() {
        let (source, listener) = (ip("127.0.0.7"), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = [listener.local_addr().unwrap()];
        let stream = block_on(Dialer::new(&[source]).connect(&addresses)).unwrap();
        assert_eq!(listener.accept().unwrap().1, stream.local_addr().unwrap());
        assert_eq!(stream.local_addr().unwrap().ip(), source);
    }

    #[test]
    fn an_address_of_another_machine_is_told_from_our_own() {
        assert!(check_source(Ipv4Addr::LOCALHOST.into()).is_ok());
        assert!(check_source(ip("203.0.113.1")).is_err());
    }

    #[test]
    fn what_has_run_out_is_said_with_how_much_there_was_and_what_helps() {
        let said = ports_gone("192.0.2.9:80".parse().unwrap(), "192.0.2.1", ports_of("32768\t60999\n"));
        for word in ["192.0.2.9:80", "192.0.2.1 ", "28232", "--source-address", "--url", "minute"] {
            assert!(said.contains(word), "{said}");
        }
        let said = descriptors_gone(Some(64));
        assert!(said.contains("64 file descriptors") && said.contains("ulimit -n"), "{said}");
        assert_eq!(ports_of("9 8"), None);
    }

    #[test]
    fn many_addresses_are_not_all_named() {
        let server = "127.0.0.1:80".parse().unwrap();
        let names = |sources: &[IpAddr]| Dialer::new(sources).sources(server).names(server);
        assert_eq!(names(&[ip("192.0.2.1")]).as_deref(), Some("192.0.2.1"));
        assert_eq!(names(&[ip("192.0.2.1"), ip("192.0.2.2")]).as_deref(), Some("192.0.2.1 and 1 further address"));
        assert!(names(&[]).unwrap().starts_with("127.0.0.1"));
        assert_eq!(names(&[ip("2001:db8::1")]), None);
    }
}
