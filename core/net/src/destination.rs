//! [`Destination`]: where requests go, and by which way.

use crate::tls::TlsName;
use inferometer_model::secret::Secret;
use std::{net::SocketAddr, path::PathBuf};

/// Where requests go: a server that was already looked up.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Value of the `Host` header.
    pub authority: String,
    /// The way there.
    pub route: Route,
    /// With whom TLS is spoken, if it is.
    pub tls: Option<TlsName>,
}

impl Destination {
    /// A server that is reached at one of `addresses`, without TLS.
    pub fn direct(authority: impl Into<String>, addresses: Vec<SocketAddr>) -> Self {
        Self { authority: authority.into(), route: Route::Direct(addresses), tls: None }
    }

    /// Addresses that connections are made to; none for a socket file.
    pub fn addresses(&self) -> &[SocketAddr] {
        match &self.route {
            Route::Direct(addresses) | Route::Proxy(Proxy { addresses, .. }) => addresses,
            Route::Unix(_) => &[],
        }
    }

    /// The proxy that is sent the requests themselves, if there is one.
    pub(crate) fn forwarder(&self) -> Option<&Proxy> {
        match &self.route {
            Route::Proxy(proxy) if proxy.tunnel.is_none() => Some(proxy),
            _ => None,
        }
    }
}

/// The way to a server.
#[derive(Clone, Debug)]
pub enum Route {
    /// By TCP, to whichever of these addresses answers first; they are tried in this order.
    Direct(Vec<SocketAddr>),
    /// By a socket file of this machine.
    Unix(PathBuf),
    /// By a proxy.
    Proxy(Proxy),
}

/// A proxy that is spoken to by HTTP/1.1 without TLS.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Its name in messages.
    pub name: String,
    /// Its addresses, in the order they are tried.
    pub addresses: Vec<SocketAddr>,
    /// Value of `Proxy-Authorization`.
    pub authorization: Option<Secret>,
    /// Host and port that it is asked to connect to; absent: it is sent the requests themselves.
    pub tunnel: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_without_a_tunnel_reads_the_requests() {
        let proxy = |tunnel| Destination {
            authority: "h".into(),
            route: Route::Proxy(Proxy { name: "p".into(), addresses: Vec::new(), authorization: None, tunnel }),
            tls: None,
        };
        assert!(proxy(None).forwarder().is_some());
        assert!(proxy(Some("h:443".into())).forwarder().is_none());
        assert!(Destination::direct("h", Vec::new()).forwarder().is_none());
    }
}
