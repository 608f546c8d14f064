use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use keybearer_core::{Error, Missing, Result};
use tokio::net::TcpListener;
use url::{Host, Url};

/// Free port pairs are common, so this many failures have another cause.
const ATTEMPTS: u32 = 16;

/// Listening sockets, and the redirect URI that leads to them.
#[derive(Debug)]
pub(super) struct RedirectTarget {
    pub(super) redirect_uri: Url,
    pub(super) listeners: Vec<TcpListener>,
}

impl RedirectTarget {
    /// Listens where the app's redirect URI leads, on any port unless the URI contains one. If the
    /// URI is absent or is the native-client address, `http://localhost` is used instead.
    pub(super) async fn bind(requested: Option<&Url>) -> Result<Self> {
        let redirect_uri = target(requested)?;
        let (port, listeners) = bind(&redirect_uri).await.map_err(|error| {
            let port = redirect_uri.port().map_or_else(|| "a port".into(), |p| format!("port {p}"));
            let message = format!("could not listen on {port} for the answer of the sign-in");
            Error::unavailable(Missing::UserInterface, message).with_source(error).with_hint(
                "stop the program that listens there, or register http://localhost for the app, \
                 which allows any port",
            )
        })?;
        let mut redirect_uri = redirect_uri;
        // Cannot fail, because the scheme is http.
        let _ = redirect_uri.set_port(Some(port));
        Ok(Self { redirect_uri, listeners })
    }
}

fn target(requested: Option<&Url>) -> Result<Url> {
    let requested = requested.filter(|url| !is_native_client(url));
    let Some(url) = requested else {
        return Url::parse("http://localhost/").map_err(|error| {
            Error::internal("could not parse http://localhost").with_source(error)
        });
    };
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address == Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(address)) => address == Ipv6Addr::LOCALHOST,
        None => false,
    };
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if url.scheme() == "http" && loopback && plain {
        return Ok(url.clone());
    }
    let host = url.host_str().map_or_else(String::new, |host| format!(" at {host}"));
    let message = format!(
        "could not listen for the answer of a sign-in: the redirect URI uses {}{host}",
        url.scheme()
    );
    Err(Error::invalid_request("redirect_uri", message)
        .with_hint("register http://localhost as a mobile and desktop redirect URI of the app"))
}

/// Whether this is `https://login.microsoftonline.com/common/oauth2/nativeclient` or its equivalent in
/// another cloud.
pub(crate) fn is_native_client(url: &Url) -> bool {
    let plain = url.query().is_none() && url.fragment().is_none();
    url.scheme() == "https" && url.path() == "/common/oauth2/nativeclient" && plain
}

/// Browsers resolve `localhost` to either address, so the server listens on both if the machine has
/// both. No other process can then receive the answer.
async fn bind(redirect_uri: &Url) -> io::Result<(u16, Vec<TcpListener>)> {
    let wanted = redirect_uri.port().unwrap_or(0);
    if let Some(Host::Ipv6(address)) = redirect_uri.host() {
        let listener = TcpListener::bind((address, wanted)).await?;
        return Ok((listener.local_addr()?.port(), vec![listener]));
    }
    let named = matches!(redirect_uri.host(), Some(Host::Domain(_)));
    for _ in 0..ATTEMPTS {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).await?;
        let port = first.local_addr()?.port();
        if !named {
            return Ok((port, vec![first]));
        }
        match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
            Ok(second) => return Ok((port, vec![first, second])),
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                return Ok((port, vec![first]));
            }
            Err(error) if wanted != 0 => return Err(error),
            Err(_) => {}
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_redirect_uri_is_a_loopback_address_or_refused() {
        for (requested, expected) in [
            (None, Some("http://localhost/")),
            (
                Some("https://login.microsoftonline.us/common/oauth2/nativeclient"),
                Some("http://localhost/"),
            ),
            (Some("http://localhost"), Some("http://localhost/")),
            (Some("http://localhost:8400/a/b"), Some("http://localhost:8400/a/b")),
            (Some("http://127.0.0.1/x"), Some("http://127.0.0.1/x")),
            (Some("http://[::1]:9/"), Some("http://[::1]:9/")),
            (Some("http://127.0.0.2/"), None),
            (Some("http://localhost.evil.example/"), None),
            (Some("https://localhost/"), None),
            (Some("http://u@localhost/"), None),
            (Some("http://localhost/#f"), None),
            (Some("http://0.0.0.0/"), None),
            (Some("msauth.com.example.app://auth"), None),
            (Some("urn:ietf:wg:oauth:2.0:oob"), None),
        ] {
            let requested = requested.map(|text| Url::parse(text).unwrap());
            let found = target(requested.as_ref());
            assert_eq!(found.as_ref().ok().map(Url::as_str), expected);
            if let Err(error) = found {
                assert!(error.hint().unwrap().contains("http://localhost"), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn both_loopback_addresses_are_held_and_nobody_else_can_share_the_port() {
        let place = RedirectTarget::bind(None).await.unwrap();
        let port = place.redirect_uri.port().unwrap();
        assert_eq!(place.redirect_uri.as_str(), format!("http://localhost:{port}/"));
        for listener in &place.listeners {
            assert!(listener.local_addr().unwrap().ip().is_loopback());
        }
        for address in ["0.0.0.0", "127.0.0.1", "[::]", "[::1]"] {
            let other = std::net::TcpListener::bind(format!("{address}:{port}"));
            let v4_only = place.listeners.len() == 1;
            assert!(other.is_err() || (v4_only && address.contains(':')), "{address}");
        }
        let fixed = Url::parse(&format!("http://localhost:{port}/path")).unwrap();
        let error = RedirectTarget::bind(Some(&fixed)).await.unwrap_err();
        assert!(error.message().contains(&port.to_string()), "{error}");
    }
}
