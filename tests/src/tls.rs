//! Certificates for tests: somebody who vouches for servers and clients, and what a server needs to speak TLS.

use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

/// Somebody who vouches for others.
#[derive(Debug)]
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// One that nobody else knows.
    ///
    /// # Panics
    /// If no key can be made.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("no names are right");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two of one name would be taken for one that has a new key.
        params.distinguished_name.push(DnType::CommonName, key.public_key_pem());
        let certificate = params.self_signed(&key).expect("a key can sign");
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// Its own certificate in PEM, for those who are to trust it.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate and its key in PEM, for a client that it vouches for.
    ///
    /// # Panics
    /// As [`Authority::new`].
    #[must_use]
    pub fn client(&self) -> (String, String) {
        let (certificate, key) = self.vouch("client");
        (certificate.pem(), key.serialize_pem())
    }

    /// How a server named `localhost` speaks TLS, offering these protocols.
    ///
    /// # Panics
    /// As [`Authority::new`].
    #[must_use]
    pub fn server(&self, protocols: &[&str]) -> Arc<ServerConfig> {
        self.speak(protocols, false)
    }

    /// The same of one that lets in only clients that this authority vouches for.
    ///
    /// # Panics
    /// As [`Authority::new`].
    #[must_use]
    pub fn server_for_its_clients(&self, protocols: &[&str]) -> Arc<ServerConfig> {
        self.speak(protocols, true)
    }

    fn speak(&self, protocols: &[&str], for_its_clients: bool) -> Arc<ServerConfig> {
        let (certificate, key) = self.vouch("localhost");
        let provider = Arc::new(ring::default_provider());
        let clients = if for_its_clients {
            let mut roots = RootCertStore::empty();
            roots.add(self.certificate.der().clone()).expect("it is an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
            verifier.build().expect("it has a root")
        } else {
            Arc::new(NoClientAuth)
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider speaks them")
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .expect("the key is the certificate's");
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    fn vouch(&self, name: &str) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("it is a name");
        (params.signed_by(&key, &self.issuer).expect("the issuer can sign"), key)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
