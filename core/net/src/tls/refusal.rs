//! Why TLS failed, in words that tell what to do.

use crate::connection::plain;
use inferometer_model::{Failure, FailureKind};
use rustls::{AlertDescription, CertificateError, Error, OtherError};
use std::io;

/// What begins a record of TLS that is an alert: its type, and the first half of the version.
const ALERT: [u8; 2] = [0x15, 0x03];

/// Why TLS could not be agreed upon with the server called `authority`.
pub(crate) fn refusal(error: &io::Error, authority: &str) -> Failure {
    let why = match within(error) {
        Some(error) => words(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection; if it does not speak TLS, write --url as http://".to_owned()
        }
        None => format!("{}; if it does not speak TLS, write --url as http://", plain(error)),
    };
    Failure::new(FailureKind::Tls, format!("{authority}: {why}"))
}

/// What TLS says of a connection that had been agreed upon and broke; nothing if it was not TLS that broke. With TLS 1.3
/// a server judges the client only then.
pub(crate) fn broken(error: &io::Error) -> Option<Failure> {
    Some(Failure::new(FailureKind::Tls, words(within(error)?)))
}

/// What an answer says that is none of HTTP but one of TLS; nothing if it is not.
pub(crate) fn unasked(answer: &[u8]) -> Option<Failure> {
    let text = "the server speaks TLS; write --url as https://";
    answer.starts_with(&ALERT).then(|| Failure::new(FailureKind::Tls, text))
}

fn within(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn words(error: &Error) -> String {
    match error {
        Error::InvalidMessage(_) => "it does not speak TLS; write --url as http://".to_owned(),
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::NoCertificatesPresented => "it shows no certificate".to_owned(),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::PeerIncompatible(why) => {
            format!("nothing that both speak: {why:?}; it may know old versions of TLS alone")
        }
        other => other.to_string(),
    }
}

fn of_certificate(why: &CertificateError) -> String {
    const REMEDY: &str = "give the certificate of who does by --ca-certificate FILE, or take any by --insecure";
    match why {
        CertificateError::UnknownIssuer => format!("nobody who is known here vouches for its certificate; {REMEDY}"),
        CertificateError::ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / 86_400;
            format!(
                "its certificate expired {days} days ago, by this machine's clock; renew it, or take any by --insecure"
            )
        }
        CertificateError::Expired => "its certificate has expired; renew it, or take any by --insecure".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet, by this machine's clock; set that, or take any by --insecure".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            let expected = expected.to_str();
            format!(
                "its certificate is not for {expected} but for {names}; write --url with that, or take any by --insecure"
            )
        }
        // The rules for certificates say more than the kinds above. Most often: who vouches for others, as a certificate that
        // vouches for itself may by accident, is no server.
        CertificateError::Other(OtherError(why)) => {
            format!(
                "its certificate is refused ({why}); give it by --ca-certificate FILE if you know it, or take any by --insecure"
            )
        }
        other => format!("its certificate is refused ({other:?}); renew it, or take any by --insecure"),
    }
}

fn of_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "it wants a certificate of the client; give --client-certificate and --client-key".to_owned()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => {
            format!("it does not take the client's certificate ({alert:?}); check --client-certificate")
        }
        AlertDescription::HandshakeFailure => {
            "it refuses (HandshakeFailure); it may want a certificate of the client (--client-certificate, --client-key), \
             or speak nothing that is known here"
                .to_owned()
        }
        AlertDescription::NoApplicationProtocol => {
            "it does not speak the version of HTTP that was offered; choose another by --http-version".to_owned()
        }
        AlertDescription::UnrecognisedName => {
            "it has no certificate for this name; write --url with the name that it goes by".to_owned()
        }
        AlertDescription::ProtocolVersion => "it speaks neither TLS 1.2 nor 1.3".to_owned(),
        other => format!("it refuses ({other:?})"),
    }
}

/// `name` of `DnsName("name")`, or of whatever kind.
fn bare(name: &str) -> &str {
    name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')')).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: Error) -> String {
        let failure = refusal(&io::Error::new(io::ErrorKind::InvalidData, error), "h:443");
        assert_eq!(failure.kind, FailureKind::Tls);
        failure.message.into_owned()
    }

    #[test]
    fn an_alert_says_which_flag_helps() {
        for (alert, word) in [
            (AlertDescription::CertificateRequired, "--client-certificate"),
            (AlertDescription::HandshakeFailure, "--client-certificate"),
            (AlertDescription::UnknownCA, "check --client-certificate"),
            (AlertDescription::NoApplicationProtocol, "--http-version"),
        ] {
            let said = said(Error::AlertReceived(alert));
            assert!(said.starts_with("h:443") && said.contains(word), "{said}");
        }
    }

    #[test]
    fn names_of_certificates_are_shown_as_they_are_written() {
        assert_eq!(bare("DnsName(\"*.example.org\")"), "*.example.org");
        assert_eq!(bare("IpAddress(192.0.2.1)"), "192.0.2.1");
        assert_eq!(bare("odd"), "odd");
    }

    #[test]
    fn an_answer_of_tls_is_told_from_one_of_http() {
        assert!(unasked(b"\x15\x03\x01\x00\x02\x02\x46").unwrap().message.contains("https://"));
        assert_eq!(unasked(b"HTTP/1.1 400 Bad Request\r\n"), None);
    }

    #[test]
    fn what_is_not_tls_that_broke_is_left_to_others() {
        assert_eq!(broken(&io::ErrorKind::ConnectionReset.into()), None);
    }
}
