//! TLS: whom it trusts, what it says of whom it does not, and that what comes by it is stamped like what comes without.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Keeper, OK, failure, requests, serve};
use inferometer_abi::types::NO_COUNT;
use inferometer_model::{Failure, FailureKind, plan::TlsPlan};
use inferometer_net::{Destination, Limits, Stamps, Tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use std::{
    fs,
    io::Read as _,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    thread,
};

/// Somebody who vouches for others, and a folder for what is made.
struct Authority {
    folder: tempfile::TempDir,
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let (mut params, key) = (CertificateParams::new(Vec::new()).unwrap(), KeyPair::generate().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // One that nobody else has.
        params.distinguished_name.push(DnType::CommonName, key.public_key_pem());
        let certificate = params.self_signed(&key).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), certificate, issuer: Issuer::new(params, key) }
    }

    /// Writes a file, for a flag that takes one.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn ca(&self) -> PathBuf {
        self.file("ca.pem", &self.certificate.pem())
    }

    /// A certificate for `names`, changed by `change`, and its key.
    fn vouch(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let (mut params, key) = (CertificateParams::new(names).unwrap(), KeyPair::generate().unwrap());
        change(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server for `names` that answers with `answer`.
    fn server(&self, names: &[&str], answer: &'static [&'static str]) -> SocketAddr {
        let (certificate, key) = self.vouch(names, |_| {});
        server(&certificate, &key, Arc::new(NoClientAuth), answer)
    }

    /// A client that trusts this one alone.
    fn trusted(&self) -> TlsPlan {
        TlsPlan { ca: Some(self.ca()), ..TlsPlan::default() }
    }
}

/// A server with a certificate, that judges its clients by `clients`.
fn server(
    certificate: &rcgen::Certificate,
    key: &KeyPair,
    clients: Arc<dyn ClientCertVerifier>,
    answer: &'static [&'static str],
) -> SocketAddr {
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(session, stream.unwrap());
            thread::spawn(move || {
                serve(&mut stream, answer);
                // What the client had not taken yet is not thrown away by closing.
                let _ = stream.sock.read(&mut [0; 16]);
            });
        }
    });
    address
}

/// The server at `address`, called `host`, spoken to as `plan` says.
fn destination(address: SocketAddr, host: &str, plan: &TlsPlan) -> Destination {
    let tls = Tls::new(plan, &["http/1.1"]).unwrap().name(host).unwrap();
    Destination { tls: Some(tls), ..Destination::direct(format!("{host}:{}", address.port()), vec![address]) }
}

fn ask(address: SocketAddr, host: &str, plan: &TlsPlan) -> Vec<(Result<(), Failure>, Stamps, Keeper)> {
    requests(destination(address, host, plan), Limits::default(), 1, b"body")
}

/// What is said of a server that TLS is not agreed upon with.
fn refused(address: SocketAddr, host: &str, plan: &TlsPlan) -> String {
    let failure = failure(ask(address, host, plan));
    assert_eq!(failure.kind, FailureKind::Tls, "{failure}");
    failure.message.into_owned()
}

#[test]
fn a_stream_comes_by_tls_event_by_event_with_the_kernels_stamps() {
    const STREAM: &[&str] = &[
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        "9\r\ndata: a\n\n\r\n",
        "9\r\ndata: b\n\n\r\n0\r\n\r\n",
    ];
    let authority = Authority::new();
    let address = authority.server(&["localhost"], STREAM);
    let results = requests(destination(address, "localhost", &authority.trusted()), Limits::default(), 2, b"body");
    for (ended, stamps, keeper) in &results {
        assert_eq!(ended, &Ok(()));
        let (events, arrivals): (Vec<_>, Vec<_>) = keeper.events.iter().cloned().unzip();
        assert_eq!(events, [b"a", b"b"]);
        assert!(stamps.sent <= arrivals[0].at_ns && arrivals[0].at_ns <= arrivals[1].at_ns, "{stamps:?}");
        let is_stamped = arrivals.iter().all(|arrival| arrival.lag_ns != NO_COUNT);
        assert_eq!(is_stamped, cfg!(target_os = "linux"));
        assert!(stamps.received_bytes < 40, "bytes of the answer, not of TLS");
    }
    let (first, second) = (&results[0].1, &results[1].1);
    assert!(!first.reused && first.tls_ns > 0 && first.connect_ns > 0);
    assert!(second.reused && second.tls_ns == 0);
}

#[test]
fn bodies_much_longer_than_a_record_go_both_ways() {
    const LONG: usize = 3 << 20;
    let authority = Authority::new();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n{}", "x".repeat(LONG)).leak();
    let address = authority.server(&["localhost"], vec![&*answer].leak());
    let body = vec![b'y'; LONG];
    let results = requests(destination(address, "localhost", &authority.trusted()), Limits::default(), 2, &body);
    for (ended, _, keeper) in results {
        assert_eq!((ended, keeper.body.len()), (Ok(()), LONG));
    }
}

#[test]
fn addresses_have_certificates_too() {
    let authority = Authority::new();
    let address = authority.server(&["127.0.0.1"], &[OK]);
    assert_eq!(ask(address, "127.0.0.1", &authority.trusted())[0].0, Ok(()));
}

#[test]
fn who_is_not_known_is_refused_with_the_flag_that_helps_unless_all_are_taken() {
    let authority = Authority::new();
    let address = authority.server(&["localhost"], &[OK]);
    let said = refused(address, "localhost", &Authority::new().trusted());
    assert!(said.contains("--ca-certificate") && said.contains("--insecure"), "{said}");
    let insecure = TlsPlan { insecure: true, ..TlsPlan::default() };
    assert_eq!(ask(address, "localhost", &insecure)[0].0, Ok(()));
}

#[test]
fn a_certificate_for_another_name_is_refused_with_the_names_that_it_is_for() {
    let authority = Authority::new();
    let address = authority.server(&["gpu.example", "*.lab.example"], &[OK]);
    let said = refused(address, "localhost", &authority.trusted());
    assert!(said.contains("not for localhost but for gpu.example, *.lab.example"), "{said}");
    let insecure = TlsPlan { insecure: true, ..TlsPlan::default() };
    assert_eq!(ask(address, "localhost", &insecure)[0].0, Ok(()));
}

#[test]
fn a_certificate_that_has_expired_is_refused_as_such() {
    let authority = Authority::new();
    let (certificate, key) = authority.vouch(&["localhost"], |params| params.not_after = date_time_ymd(2020, 1, 1));
    let address = server(&certificate, &key, Arc::new(NoClientAuth), &[OK]);
    let said = refused(address, "localhost", &authority.trusted());
    assert!(said.contains("expired") && said.contains("days ago"), "{said}");
}

#[test]
fn a_certificate_that_vouches_for_itself_is_taken_if_it_is_the_one_that_was_given() {
    let authority = Authority::new();
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = is_ca;
        let own = params.self_signed(&key).unwrap();
        let address = server(&own, &key, Arc::new(NoClientAuth), &[OK]);
        assert!(refused(address, "localhost", &authority.trusted()).contains("--ca-certificate"));
        let given = TlsPlan { ca: Some(authority.file("own.pem", &own.pem())), ..TlsPlan::default() };
        assert_eq!(ask(address, "localhost", &given)[0].0, Ok(()));
        assert!(refused(address, "127.0.0.1", &given).contains("but for localhost"), "the name still counts");
    }
}

#[test]
fn a_server_that_wants_a_certificate_of_the_client_gets_it_or_is_understood() {
    let authority = Authority::new();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.certificate.der().to_vec())).unwrap();
    let provider = Arc::new(ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let (certificate, key) = authority.vouch(&["localhost"], |_| {});
    let address = server(&certificate, &key, clients, &[OK]);
    let said = refused(address, "localhost", &authority.trusted());
    assert!(said.contains("--client-certificate and --client-key"), "{said}");
    let shown = |by: &Authority| {
        let (certificate, key) = by.vouch(&["me"], |_| {});
        TlsPlan {
            certificate: Some(authority.file("client.pem", &certificate.pem())),
            key: Some(authority.file("client.key", &key.serialize_pem())),
            ..authority.trusted()
        }
    };
    assert_eq!(ask(address, "localhost", &shown(&authority))[0].0, Ok(()));
    let said = refused(address, "localhost", &shown(&Authority::new()));
    assert!(said.contains("check --client-certificate"), "{said}");
}

#[test]
fn a_server_without_tls_is_told_from_one_that_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let answers: [&[u8]; 2] = [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b""];
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            // All of its greeting, or closing would throw the answer away.
            stream.read_exact(&mut [0; 100]).unwrap();
            std::io::Write::write_all(&mut stream, answer).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    for _ in 0..2 {
        let said = refused(address, "localhost", &TlsPlan { insecure: true, ..TlsPlan::default() });
        assert!(said.contains("write --url as http://"), "{said}");
    }
}

#[test]
fn a_server_with_tls_that_is_spoken_to_without_is_told_by_its_alert() {
    let authority = Authority::new();
    let address = authority.server(&["localhost"], &[OK]);
    let plain = Destination::direct("localhost", vec![address]);
    let failure = failure(requests(plain, Limits::default(), 1, b"body"));
    assert_eq!(failure.kind, FailureKind::Tls, "{failure}");
    assert!(failure.message.contains("https://"), "{failure}");
}

#[test]
fn files_that_cannot_be_used_are_refused_before_the_load_by_their_flags() {
    let authority = Authority::new();
    let (certificate, key) = authority.vouch(&["me"], |_| {});
    let (pem, key) = (authority.file("me.pem", &certificate.pem()), authority.file("me.key", &key.serialize_pem()));
    let (empty, other) = (authority.file("empty.pem", "nothing"), KeyPair::generate().unwrap().serialize_pem());
    let refused = |plan: TlsPlan| Tls::new(&plan, &[]).unwrap_err().to_string();
    let of_client = |certificate: &PathBuf, key: &PathBuf| TlsPlan {
        certificate: Some(certificate.clone()),
        key: Some(key.clone()),
        insecure: true,
        ..TlsPlan::default()
    };
    assert!(Tls::new(&of_client(&pem, &key), &[]).is_ok());
    for (said, words) in [
        (
            refused(TlsPlan { ca: Some(empty.clone()), ..TlsPlan::default() }),
            ["--ca-certificate", "no certificate in it"],
        ),
        (
            refused(TlsPlan { ca: Some("/no/such".into()), ..TlsPlan::default() }),
            ["--ca-certificate /no/such", "No such"],
        ),
        (refused(of_client(&empty, &key)), ["--client-certificate", "no certificate in it"]),
        (refused(of_client(&pem, &empty)), ["--client-key", "private key"]),
        (refused(of_client(&pem, &authority.file("other.key", &other))), ["--client-certificate", "--client-key"]),
    ] {
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
}
