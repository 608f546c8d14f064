//! The emulator's own certificate authority and its server certificate.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::server::error::Error;
use crate::server::host_names::HostNames;

/// The certificates of one run: P-256, for `localhost`, `127.0.0.1`, `::1`, and the requested names.
pub(crate) struct Certificates {
    pub(crate) ca_pem: String,
    /// The server's certificate, then the authority's.
    pub(crate) server_pem: String,
    pub(crate) server_key_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Certificates {
    pub(crate) fn generate(names: HostNames) -> Result<Self, Error> {
        Self::try_generate(names).map_err(|error| Error::Certificates(error.to_string()))
    }

    /// The TLS configuration of an HTTP/1.1 listener.
    pub(crate) fn server_config(&self) -> Result<Arc<ServerConfig>, Error> {
        let failed = |error: rustls::Error| Error::Certificates(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(failed)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn try_generate(names: HostNames) -> Result<Self, rcgen::Error> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::default();
        ca.distinguished_name
            .push(DnType::CommonName, "Keybearer emulator, not to be trusted elsewhere");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_certificate = ca.self_signed(&ca_key)?;

        let key = KeyPair::generate()?;
        let own = ["localhost", "127.0.0.1", "::1"].iter().chain(names.certified());
        let own: Vec<String> = own.map(|name| (*name).to_owned()).collect();
        let mut leaf = CertificateParams::new(own)?;
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key))?;

        Ok(Self {
            ca_pem: ca_certificate.pem(),
            server_pem: format!("{}{}", leaf.pem(), ca_certificate.pem()),
            server_key_pem: key.serialize_pem(),
            chain: vec![leaf.der().clone(), ca_certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }
}
