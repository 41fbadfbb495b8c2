//! TLS as libpq means it: six modes, of which the verifying ones are the default for remote hosts.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// `sslmode` of libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub enum TlsMode {
    /// Never.
    Disable,
    /// Only where the server insists. Treated like [`TlsMode::Prefer`].
    Allow,
    /// Where the server offers it, unverified.
    Prefer,
    /// Always; the certificate is verified only when a root is given, as libpq does.
    Require,
    /// Always, certificate chain verified.
    VerifyCa,
    /// Always, chain and host name verified.
    VerifyFull,
}

/// Certificates and keys, PEM.
#[derive(Clone, Default)]
pub struct TlsFiles {
    /// Roots to trust instead of the system's.
    pub roots: Option<Vec<u8>>,
    /// Client certificate chain and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// What is wrong with the TLS material.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file does not hold what it should.
    #[error("the {0} is not valid PEM")]
    Pem(&'static str),
    /// No root certificate to verify the server with.
    #[error("there is no root certificate to verify the server with: give one (sslrootcert, tls.caSecretRef)")]
    NoRoots,
    /// rustls refuses the material.
    #[error("TLS set-up failed: {0}")]
    Setup(#[from] Error),
}

/// The client configuration for a mode that uses TLS.
///
/// # Errors
/// [`TlsError`] when roots or client certificate cannot be used.
pub fn client_config(mode: TlsMode, files: &TlsFiles) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let verify = match mode {
        TlsMode::VerifyFull => Verify::Full,
        TlsMode::VerifyCa => Verify::Chain,
        TlsMode::Require if files.roots.is_some() => Verify::Chain,
        TlsMode::Disable | TlsMode::Allow | TlsMode::Prefer | TlsMode::Require => Verify::Nothing,
    };
    let verifier: Arc<dyn ServerCertVerifier> = match verify {
        Verify::Nothing => Arc::new(Lenient { provider: provider.clone(), chain: None }),
        Verify::Chain => Arc::new(Lenient { provider: provider.clone(), chain: Some(web_pki(files, &provider)?) }),
        Verify::Full => web_pki(files, &provider)?,
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match &files.identity {
        None => builder.with_no_client_auth(),
        Some((certificates, key)) => {
            let chain = certificates_of(certificates, "client certificate")?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Pem("client key"))?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    // PostgreSQL 17 refuses `sslnegotiation=direct` without it; the older handshake ignores it.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(config)
}

enum Verify {
    Nothing,
    Chain,
    Full,
}

fn web_pki(files: &TlsFiles, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    match &files.roots {
        Some(pem) => {
            for certificate in certificates_of(pem, "root certificate")? {
                roots.add(certificate)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|_| TlsError::NoRoots)
}

fn certificates_of(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.ok().filter(|found| !found.is_empty()).ok_or(TlsError::Pem(what))
}

/// Checks the chain but not the name (`verify-ca`), or nothing but the handshake's own signature.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
