//! [`tunnel`]: how a proxy is asked for a connection to a server (RFC 9110, section 9.3.6). Requests that a proxy forwards
//! itself are made in [`Head`](crate::Head).

use crate::{channel::Channel, connection::plain, destination::Proxy};
use inferometer_model::{Failure, FailureKind};
use std::{future::poll_fn, io};

/// Longest answer of a proxy that is read, in bytes.
const LONGEST_ANSWER: usize = 16 << 10;

/// Has `proxy`, which `channel` leads to, connect to `target`; what goes over the channel then goes there.
pub(crate) async fn tunnel(channel: &mut Channel, proxy: &Proxy, target: &str) -> Result<(), Failure> {
    let refused = |why: &str| {
        let name = &proxy.name;
        Failure::new(FailureKind::Connect, format!("the proxy {name} does not connect to {target}: {why}"))
    };
    let mut asked = request(proxy, target);
    let (status, reason) = loop {
        let answer = ask(channel, &asked).await.map_err(|e| refused(&plain(&e)))?;
        match status(&answer).ok_or_else(|| refused("its answer is not HTTP/1.1"))? {
            // The answer is still to come.
            (100..=199, _) => asked.clear(),
            answered => break answered,
        }
    };
    match status {
        200..=299 => Ok(()),
        407 if proxy.authorization.is_none() => Err(refused(
            "407, it wants to know who asks; give user and password: --proxy http://user:password@host:port",
        )),
        407 => Err(refused("407, it does not take the user and password; check those in --proxy")),
        _ => Err(refused(format!("{status} {reason}").trim_end())),
    }
}

fn request(proxy: &Proxy, target: &str) -> Vec<u8> {
    let authorization = proxy.authorization.as_ref();
    let authorization =
        authorization.map_or_else(String::new, |value| format!("Proxy-Authorization: {}\r\n", value.reveal()));
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n").into_bytes()
}

/// Sends `request` and reads the head of the answer.
async fn ask(channel: &mut Channel, mut request: &[u8]) -> io::Result<Vec<u8>> {
    while !request.is_empty() {
        match channel.try_write(request) {
            Ok(count) => request = &request[count..],
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                poll_fn(|context| channel.poll_writable(context)).await?;
            }
            Err(e) => return Err(e),
        }
    }
    let mut answer = Vec::new();
    while !(answer.ends_with(b"\r\n\r\n") || answer.ends_with(b"\n\n")) {
        if answer.len() == LONGEST_ANSWER {
            return Err(io::Error::other("its answer does not end"));
        }
        // Byte by byte, since what follows the head is the server's.
        let mut byte = [0];
        match channel.try_read(&mut byte) {
            Ok(received) if received.count == 0 => return Err(io::Error::other("it closed the connection")),
            Ok(_) => answer.push(byte[0]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                poll_fn(|context| channel.poll_readable(context)).await?;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(answer)
}

/// Status and reason of an answer's head.
fn status(answer: &[u8]) -> Option<(u16, String)> {
    let mut headers = [httparse::EMPTY_HEADER; 256];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(answer).ok()?;
    Some((response.code?, response.reason.unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_model::secret::Secret;

    #[test]
    fn a_proxy_is_told_the_server_and_who_asks() {
        let authorization = Some(Secret::new("Basic YTpi"));
        let proxy = Proxy { name: "p".into(), addresses: Vec::new(), authorization, tunnel: None };
        assert_eq!(
            String::from_utf8(request(&proxy, "[::1]:443")).unwrap(),
            "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nProxy-Authorization: Basic YTpi\r\n\r\n"
        );
    }
}
