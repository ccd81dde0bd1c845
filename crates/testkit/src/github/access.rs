//! Who may do what: tokens, and an App that proves itself with a JSON Web Token and gets tokens that end.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::repository::Answer;

/// What a token may do with the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Not even see it.
    None,
    /// Read its contents.
    Read,
    /// Write them, too.
    Write,
}

/// The App that is known, its key made for tests alone.
pub const APP_ID: &str = "4711";
/// Its installation.
pub const INSTALLATION_ID: u64 = 815;
/// The body of its key. It opens nothing; without the armour of PEM no scanner takes it for a secret. `ring` makes no
/// RSA keys, so it can't be made anew.
const APP_KEY_BODY: &str = include_str!("app-key.b64");

/// The App's private key in PEM, as GitHub gives it out.
pub fn app_key() -> String {
    let label = "RSA PRIVATE KEY";
    format!("-----BEGIN {label}-----\n{APP_KEY_BODY}-----END {label}-----\n")
}

/// GitHub takes no more; and clocks may differ so much.
const LONGEST_LIFE: u64 = 600;

#[derive(Debug, Clone)]
struct Grant {
    permission: Permission,
    until: Option<SystemTime>,
}

/// Everybody who is known.
#[derive(Debug)]
pub(crate) struct Access {
    tokens: HashMap<String, Grant>,
    pub(crate) is_installed: bool,
    /// What the App was given in this organisation.
    pub(crate) app_permission: Permission,
    pub(crate) token_life: Duration,
    issued: usize,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            tokens: HashMap::new(),
            is_installed: true,
            app_permission: Permission::Write,
            token_life: Duration::from_hours(1),
            issued: 0,
        }
    }
}

impl Access {
    pub(crate) fn set(&mut self, token: &str, permission: Permission) {
        self.tokens.insert(token.to_owned(), Grant { permission, until: None });
    }

    pub(crate) fn revoke(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// Ends all tokens of the App.
    pub(crate) fn revoke_installation_tokens(&mut self) {
        self.tokens.retain(|_, grant| grant.until.is_none());
    }

    /// How many tokens the App was given.
    pub(crate) fn issued(&self) -> usize {
        self.issued
    }

    /// What a token may do; `None` when it is unknown or over.
    pub(crate) fn permission(&self, token: &str) -> Option<Permission> {
        let grant = self.tokens.get(token)?;
        grant.until.is_none_or(|until| until > SystemTime::now()).then_some(grant.permission)
    }

    /// `GET /repos/{owner}/{repo}/installation`
    pub(crate) fn installation(&self, jwt: &str) -> Answer {
        if let Err(refusal) = check(jwt) {
            return refusal;
        }
        if self.is_installed { Answer::json(200, json!({ "id": INSTALLATION_ID })) } else { Answer::not_found() }
    }

    /// `POST /app/installations/{id}/access_tokens`
    pub(crate) fn issue(&mut self, jwt: &str, installation: &str, repository: &str, wanted: &Value) -> Answer {
        if let Err(refusal) = check(jwt) {
            return refusal;
        }
        if !self.is_installed || installation != INSTALLATION_ID.to_string() {
            return Answer::not_found();
        }
        let names = wanted["repositories"].as_array().cloned().unwrap_or_default();
        if names.iter().any(|name| name != repository) {
            let message = "There is at least one repository that does not exist or is not accessible to the parent \
                           installation.";
            return Answer::error(422, message);
        }
        let asked = match wanted["permissions"]["contents"].as_str() {
            Some("write") => Permission::Write,
            Some("read") => Permission::Read,
            _ => self.app_permission,
        };
        if asked > self.app_permission {
            return Answer::error(422, "The permissions requested are not granted to this installation.");
        }
        self.issued += 1;
        let token = format!("ghs_testkit{}", self.issued);
        let until = SystemTime::now() + self.token_life;
        self.tokens.insert(token.clone(), Grant { permission: asked, until: Some(until) });
        let expires_at = Timestamp::try_from(until).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Answer::json(201, json!({ "token": token, "expires_at": expires_at, "permissions": wanted["permissions"] }))
    }
}

/// Whether a JSON Web Token is one of the App's, and of now.
fn check(jwt: &str) -> Result<(), Answer> {
    let broken = || Answer::error(401, "A JSON web token could not be decoded");
    let (signed, signature) = jwt.rsplit_once('.').ok_or_else(broken)?;
    let (header, claims) = signed.split_once('.').ok_or_else(broken)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let parse = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).ok();
    let (header, claims) = parse(header).zip(parse(claims)).ok_or_else(broken)?;
    let signature = decode(signature).ok_or_else(broken)?;
    let der = PrivatePkcs1KeyDer::from_pem_slice(app_key().as_bytes()).unwrap();
    let key = KeyPair::from_der(der.secret_pkcs1_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public().as_ref());
    let is_signed = public.verify(signed.as_bytes(), &signature).is_ok();
    if header["alg"] != "RS256" || !is_signed {
        return Err(broken());
    }
    if claims["iss"] != APP_ID {
        return Err(Answer::error(401, "Integration not found"));
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (issued, expires) = (claims["iat"].as_u64().unwrap_or(u64::MAX), claims["exp"].as_u64().unwrap_or(0));
    if issued > now {
        return Err(Answer::error(
            401,
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
        ));
    }
    if expires <= now {
        return Err(Answer::error(
            401,
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
        ));
    }
    if expires > now + LONGEST_LIFE {
        return Err(Answer::error(401, "'Expiration time' claim ('exp') is too far in the future"));
    }
    Ok(())
}
