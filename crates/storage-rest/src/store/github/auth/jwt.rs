//! The JSON Web Token of a GitHub App: RS256 over a few claims.
//!
//! This is all that we need of JWT. `jsonwebtoken` signs RS256 only with aws-lc, which we do not use, or with the `rsa`
//! crate, whose timing leaks the key (RUSTSEC-2023-0071); ring, which is here for TLS, does it well.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

/// GitHub takes ten minutes at the most; clocks differ.
const LIFE: Duration = Duration::from_mins(9);
const CLOCK_SKEW: Duration = Duration::from_mins(1);

/// A key that can't sign.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JwtError {
    /// It is not PEM.
    #[error("it is no private key in PEM: {0}")]
    Pem(String),
    /// It is some other key.
    #[error("it is no RSA key that can sign: {0}")]
    Key(String),
    /// Signing failed.
    #[error("signing failed")]
    Signing,
}

/// A token that says who it is from, signed.
pub(super) fn sign(issuer: &str, pem: &SecretString, now: SystemTime) -> Result<SecretString, JwtError> {
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({ "iat": seconds(now - CLOCK_SKEW), "exp": seconds(now + LIFE), "iss": issuer });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let key = key_pair(pem)?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| JwtError::Signing)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
}

/// GitHub gives out keys in PKCS#1; people convert them to PKCS#8.
fn key_pair(pem: &SecretString) -> Result<KeyPair, JwtError> {
    let der = PrivateKeyDer::from_pem_slice(pem.expose_secret().as_bytes());
    let pair = match der.map_err(|error| JwtError::Pem(error.to_string()))? {
        PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
        _ => return Err(JwtError::Key("it is of another kind".to_owned())),
    };
    pair.map_err(|error| JwtError::Key(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_rsa_key_is_an_error_that_does_not_show_it() {
        for pem in ["", "planted", "-----BEGIN PRIVATE KEY-----\ncGxhbnRlZA==\n-----END PRIVATE KEY-----\n"] {
            let error = sign("1", &pem.to_owned().into(), SystemTime::now()).unwrap_err().to_string();
            assert!(!error.contains("planted") && !error.contains("cGxhbnRlZA"), "{error}");
        }
    }
}
