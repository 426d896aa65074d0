//! TLS of pages that are read over https: whom the client trusts, and what it shows of itself.

use inferometer_plugin_sdk::types::{Error, ErrorKind, Result};
use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::{ClientConfig, RootCertStore};
use std::{fs, path::Path, path::PathBuf, sync::Arc};

/// How TLS is spoken.
#[derive(Debug, Default)]
pub(super) struct Tls {
    /// Who may vouch for the server, in place of those whom the system trusts.
    pub(super) ca_certificate: Option<PathBuf>,
    pub(super) client_certificate: Option<PathBuf>,
    pub(super) client_key: Option<PathBuf>,
    /// Any certificate of the server is taken.
    pub(super) insecure: bool,
}

impl Tls {
    /// A client that never will: reading whom the system trusts takes longer than all else that it does.
    pub(super) fn without(builder: ClientBuilder) -> Result<ClientBuilder> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|e| Error::new(ErrorKind::OTHER, format!("no client of TLS can be made: {e}")))?;
        let trusts_nobody = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        Ok(builder.tls_backend_preconfigured(trusts_nobody))
    }

    /// A client that speaks it.
    ///
    /// # Errors
    /// When a file cannot be read, or holds nothing of the kind: it names the option and the file.
    pub(super) fn apply(&self, mut builder: ClientBuilder) -> Result<ClientBuilder> {
        // Another provider that is there already will do as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        builder = builder.tls_backend_rustls().tls_danger_accept_invalid_certs(self.insecure);
        if let Some(file) = &self.ca_certificate {
            let wrong = |why: &str| unfit("ca_certificate", file, why);
            let certificates = Certificate::from_pem_bundle(&read("ca_certificate", file)?);
            let certificates = certificates.map_err(|e| wrong(&e.to_string()))?;
            if certificates.is_empty() {
                return Err(wrong("there is no certificate in it"));
            }
            builder = builder.tls_certs_only(certificates);
        }
        match (&self.client_certificate, &self.client_key) {
            (Some(certificate), Some(key)) => {
                let mut pem = read("client_key", key)?;
                pem.push(b'\n');
                pem.extend(read("client_certificate", certificate)?);
                let identity = Identity::from_pem(&pem);
                Ok(builder.identity(identity.map_err(|e| unfit("client_certificate", certificate, &e.to_string()))?))
            }
            (None, None) => Ok(builder),
            _ => Err(Error::config("the options 'client_certificate' and 'client_key' go together; give both")),
        }
    }
}

fn read(option: &str, file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|e| unfit(option, file, &e.to_string()))
}

fn unfit(option: &str, file: &Path, why: &str) -> Error {
    let file = file.display();
    Error::config(format!("the option '{option}': {file}: {why}; give a PEM file that this user may read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_tls_is_said_by_option_and_file() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        fs::write(&empty, "no certificate\n").unwrap();
        let missing = Some(folder.path().join("missing.pem"));
        for (tls, words) in [
            (Tls { ca_certificate: Some(empty.clone()), ..Tls::default() }, ["ca_certificate", "empty.pem"]),
            (Tls { ca_certificate: missing.clone(), ..Tls::default() }, ["ca_certificate", "missing.pem"]),
            (Tls { client_key: missing, ..Tls::default() }, ["client_certificate", "client_key"]),
            (
                Tls { client_key: Some(empty.clone()), client_certificate: Some(empty), ..Tls::default() },
                ["client_certificate", "empty.pem"],
            ),
        ] {
            let error = tls.apply(ClientBuilder::new()).err().unwrap();
            assert!(words.iter().all(|word| error.message.contains(word)), "{error}");
        }
    }
}
