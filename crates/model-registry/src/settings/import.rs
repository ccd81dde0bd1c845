//! What `import` can be told.

use std::path::PathBuf;

use bearer::Token;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use secrecy::SecretString;
use service::http_client::TlsSettings;
use service::secret::SecretError;
use service::settings::{http_url, secret};
use url::Url;

use super::{MigrateSettings, peer};
use crate::import::{Changes, Invalid, Rules, Target};

/// What `import` can be told.
#[derive(Debug, Clone, Args)]
pub struct ImportSettings {
    /// The file to read, which `export` wrote; `-` is standard input
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    pub file: Option<PathBuf>,

    /// The registry to read, over its REST API
    #[command(flatten)]
    pub source: SourceSettings,

    /// Where the registry is kept, and what is logged
    #[command(flatten)]
    pub common: MigrateSettings,
}

/// Another registry, and how it is moved in from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "From another registry")]
pub struct SourceSettings {
    /// The registry to read, over its REST API: http://host:port, or up to the version of the API
    #[arg(long, env = "MR_FROM", value_name = "URL", value_parser = http_url)]
    pub from: Option<Url>,

    /// The bearer token to send to it
    #[arg(long, env = "MR_TOKEN", value_name = "TOKEN", hide_env_values = true, value_parser = secret, requires = "from")]
    pub token: Option<SecretString>,

    /// A file with that token
    #[arg(long, env = "MR_TOKEN_FILE", value_name = "FILE", requires = "from")]
    pub token_file: Option<PathBuf>,

    /// A PEM file, or a directory of them, with certificates to trust in it, besides the system's
    #[arg(long, env = "MR_CA", value_name = "FILE", requires = "from")]
    pub ca: Option<PathBuf>,

    /// Take any certificate of it: anyone on the way can read the token
    #[arg(
        long, env = "MR_INSECURE_SKIP_TLS_VERIFY", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    pub insecure_skip_tls_verify: bool,

    /// A file to write, which must not be there yet: for each resource a line of JSON with its `kind`, the id that it has
    /// there (`from`) and the one that it has here (`to`)
    #[arg(long, env = "MR_ID_MAP", value_name = "FILE", requires = "from")]
    pub id_map: Option<PathBuf>,

    /// Leave out what can't be taken in, and what belongs to it, after naming it
    #[arg(
        long, env = "MR_SKIP_INVALID", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    pub skip_invalid: bool,

    /// Import beside what the database holds already; everything gets a new id
    #[arg(
        long, env = "MR_ADD", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    pub add: bool,

    /// Take a registry that is changed while it is read: some of it may be as it was before
    #[arg(
        long, env = "MR_LIVE", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    pub live: bool,
}

impl SourceSettings {
    /// What is all right.
    pub const fn rules(&self) -> Rules {
        Rules {
            target: if self.add { Target::Any } else { Target::Empty },
            invalid: if self.skip_invalid { Invalid::Skip } else { Invalid::Refuse },
            changes: if self.live { Changes::Take } else { Changes::Refuse },
        }
    }

    /// Whom to trust.
    pub fn tls(&self) -> TlsSettings {
        TlsSettings {
            ca_file: self.ca.clone(),
            insecure_skip_verify: self.insecure_skip_tls_verify,
            ..TlsSettings::default()
        }
    }

    /// The token to send, if any.
    pub fn token(&self) -> Result<Token, SecretError> {
        peer::token(self.token.as_ref(), self.token_file.as_deref())
    }
}
