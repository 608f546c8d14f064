//! Which certificates are trusted, and what is said about the others. `SSL_CERT_FILE` is read
//! from the environment of a process, so a child process asks.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use keybearer_engine::Http;
use keybearer_host::{Environment, HttpClient};
use keybearer_protocol::Body;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const TARGET: &str = "KEYBEARER_TEST_URL";

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Serves `hi` over TLS with a certificate for this name.
    async fn server(&self, name: &str, last_year: i32) -> SocketAddr {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(last_year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let _ = stream.read(&mut [0; 4096]).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            }
        });
        address
    }
}

/// What a process with these variables says about `https://localhost:PORT`.
async fn asked(server: SocketAddr, variables: &[(&str, &std::path::Path)]) -> String {
    let url = format!("https://localhost:{}/", server.port());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "asking_process", "--nocapture"]).env(TARGET, url);
    command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    command.envs(variables.iter().copied());
    let run = move || command.output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn an_unknown_authority_is_refused_unless_ssl_cert_file_or_dir_names_it() {
    let authority = Authority::new();
    let server = authority.server("localhost", 4000).await;
    let temporary = tempfile::tempdir().unwrap();
    let pem = temporary.path().join("ca.pem");
    std::fs::write(&pem, &authority.pem).unwrap();

    let refused = asked(server, &[]).await;
    for text in [
        "Unavailable(Network)",
        "could not connect to localhost: its certificate is from an authority \
         that this machine does not trust",
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
    ] {
        assert!(refused.contains(text), "{text}: {refused}");
    }
    let by_file = asked(server, &[("SSL_CERT_FILE", &pem)]).await;
    assert!(by_file.contains("answer 200 hi"), "{by_file}");
    let by_dir = asked(server, &[("SSL_CERT_DIR", temporary.path())]).await;
    assert!(by_dir.contains("answer 200 hi"), "{by_dir}");
}

#[tokio::test]
async fn a_certificate_that_is_expired_or_for_another_name_is_called_that() {
    let authority = Authority::new();
    let temporary = tempfile::tempdir().unwrap();
    let pem = temporary.path().join("ca.pem");
    std::fs::write(&pem, &authority.pem).unwrap();
    for (name, last_year, problem) in [
        ("localhost", 2001, "its certificate has expired"),
        ("other.example", 4000, "its certificate is for another name"),
    ] {
        let server = authority.server(name, last_year).await;
        let refused = asked(server, &[("SSL_CERT_FILE", &pem)]).await;
        assert!(refused.contains(problem) && refused.contains("Unavailable(Network)"), "{refused}");
    }
}

/// Run by [`asked`] in a child process.
#[tokio::test]
async fn asking_process() {
    let Ok(url) = std::env::var(TARGET) else { return };
    let client = HttpClient::new(&Environment::default());
    match client.send(http::Request::get(url).body(Body::default()).unwrap()).await {
        Ok(response) => {
            let text = String::from_utf8_lossy(response.body().expose()).into_owned();
            println!("answer {} {text}", response.status().as_u16());
        }
        Err(error) => println!("{:?}: {error}", error.kind()),
    }
}
