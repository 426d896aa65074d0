//! [`Tls`]: how TLS is spoken, as the user set it, and [`TlsName`]: with whom. Why it failed is put into words in
//! [`refusal`]; the bytes go through a [`Channel`](crate::channel::Channel).

mod refusal;
mod verifier;

pub(crate) use refusal::{broken, refusal, unasked};

use inferometer_model::{ConfigError, plan::TlsPlan};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName,
        pem::{self, PemObject as _},
    },
};
use std::{fmt::Display, path::Path, sync::Arc};
use verifier::{Anyone, Vouched};

/// How TLS is spoken. Its copies share the tickets by which a session is taken up again.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// As `plan` says; the server may choose from `protocols` (names of ALPN), the first of which is liked best.
    ///
    /// # Errors
    /// When a file cannot be used or nobody may vouch for a server; the text names the flag.
    pub fn new(plan: &TlsPlan, protocols: &[&str]) -> Result<Self, ConfigError> {
        let provider = Arc::new(ring::default_provider());
        let verifier = verifier(plan, &provider)?;
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = versions.map_err(|e| ConfigError::new(format!("TLS cannot be set up: {e}")))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match (&plan.certificate, &plan.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates("--client-certificate", certificate)?;
                builder.with_client_auth_cert(chain, private_key(key)?).map_err(|e| {
                    let (certificate, key) = (certificate.display(), key.display());
                    ConfigError::new(format!(
                        "--client-certificate {certificate} and --client-key {key} cannot be used together: {e}; give a \
                         certificate and the key that it was made for"
                    ))
                })?
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self { config: Arc::new(config) })
    }

    /// The server that is called `host`, a name or an address.
    ///
    /// # Errors
    /// When no certificate could be for such a name.
    pub fn name(&self, host: &str) -> Result<TlsName, ConfigError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare).map_err(|_| {
            ConfigError::new(format!("--url: '{host}' is no name that a certificate could be for; check it"))
        })?;
        Ok(TlsName { config: Arc::clone(&self.config), name })
    }
}

/// A server that TLS is spoken with.
#[derive(Clone, Debug)]
pub struct TlsName {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsName {
    /// A new session with it.
    pub(crate) fn session(&self) -> Result<ClientConnection, rustls::Error> {
        ClientConnection::new(Arc::clone(&self.config), self.name.clone())
    }
}

/// Who judges the certificates of servers.
fn verifier(plan: &TlsPlan, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, ConfigError> {
    if plan.insecure {
        return Ok(Arc::new(Anyone::new(Arc::clone(provider))));
    }
    let (roots, own) = match &plan.ca {
        Some(file) => own_roots(file)?,
        None => (system_roots()?, Vec::new()),
    };
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    let inner = inner.map_err(|e| ConfigError::new(format!("TLS cannot be set up: {e}")))?;
    Ok(Arc::new(Vouched::new(inner, own)))
}

/// The certificates of the user's file, which vouch for others and for themselves.
fn own_roots(file: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), ConfigError> {
    let own = certificates("--ca-certificate", file)?;
    let mut roots = RootCertStore::empty();
    for certificate in &own {
        roots.add(certificate.clone()).map_err(|e| {
            unusable("--ca-certificate", file, e, "give certificates of those who may vouch for the server")
        })?;
    }
    Ok((roots, own))
}

/// The certificates that the system trusts.
fn system_roots() -> Result<RootCertStore, ConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A store may hold odd ones; they vouch for nobody.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(String::new, |e| format!(" ({e})"));
        return Err(ConfigError::new(format!(
            "--url begins with https://, and this system has no certificates of who may vouch for a server{why}; install \
             the package ca-certificates, or give --ca-certificate FILE or --insecure"
        )));
    }
    Ok(roots)
}

fn certificates(flag: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    const REMEDY: &str = "give a PEM file with '-----BEGIN CERTIFICATE-----' in it";
    let refuse = |e| unusable(flag, file, words(&e), REMEDY);
    let found = CertificateDer::pem_file_iter(file).map_err(refuse)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(refuse)?;
    if found.is_empty() {
        return Err(unusable(flag, file, "there is no certificate in it", REMEDY));
    }
    Ok(found)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, ConfigError> {
    let remedy = "give a PEM file with a private key that has no password";
    PrivateKeyDer::from_pem_file(file).map_err(|e| unusable("--client-key", file, words(&e), remedy))
}

fn words(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(e) => crate::connection::plain(e),
        pem::Error::NoItemsFound => "there is no such thing in it".to_owned(),
        other => other.to_string(),
    }
}

fn unusable(flag: &str, file: &Path, why: impl Display, remedy: &str) -> ConfigError {
    ConfigError::new(format!("{flag} {}: {why}; {remedy}", file.display()))
}
