//! Whom storage-rest tells about entries, and how.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use model_catalog::render::Format;
use secrecy::SecretString;
use service::http_client::TlsSettings;
use service::secret::{Secret, SecretError, SecretSetting};
use service::settings::{http_url, secret};
use url::Url;

use crate::deliver::backstage::Orphans;

/// How entries are registered in Backstage.
#[derive(Debug, Clone, Args)]
pub struct BackstageSettings {
    /// Register each entry as a location in Backstage
    #[arg(
        long, env = "PUSH_TO_RHDH", value_name = "BOOL", default_value_t = false, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = clap::builder::BoolishValueParser::new(),
        help_heading = "Backstage"
    )]
    pub push_to_rhdh: bool,

    /// Where Backstage is
    #[command(flatten)]
    pub access: BackstageAccess,

    /// The location service as Backstage sees it [default: LOCATION_URL]
    #[arg(long, env = "BRIDGE_URL", value_name = "URL", value_parser = http_url, help_heading = "Backstage")]
    pub bridge_url: Option<Url>,

    /// The type of the locations in Backstage [default: `url` for CatalogInfoYamlFormat, `rhdh-rhoai-bridge` for
    /// JsonArrayFormat]
    #[arg(long, env = "BKSTG_LOCATION_TYPE", value_name = "TYPE", help_heading = "Backstage")]
    pub bkstg_location_type: Option<String>,

    /// Delete entities in Backstage that came from this bridge and that nothing emits any more (Backstage calls them
    /// orphaned)
    #[arg(
        long, env = "PRUNE_ORPHANS", value_name = "BOOL", default_value_t = false, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = clap::builder::BoolishValueParser::new(),
        help_heading = "Backstage"
    )]
    pub prune_orphans: bool,
}

/// Where Backstage is, and how it is talked to.
#[derive(Debug, Clone, Args)]
pub struct BackstageAccess {
    /// The backend of Backstage [default: the Route in POD_NAMESPACE whose label app.kubernetes.io/name contains
    /// `backstage`]
    #[arg(long, env = "BKSTG_URL", value_name = "URL", value_parser = http_url, help_heading = "Backstage")]
    pub bkstg_url: Option<Url>,

    /// A static token that Backstage accepts
    #[arg(long, env = "RHDH_TOKEN", value_name = "TOKEN", value_parser = secret, hide_env_values = true, help_heading = "Backstage")]
    pub rhdh_token: Option<SecretString>,

    /// A file with that token, read again when it rotates
    #[arg(long, env = "RHDH_TOKEN_FILE", value_name = "FILE", help_heading = "Backstage")]
    pub rhdh_token_file: Option<PathBuf>,

    /// A PEM file, or a directory of them, with certificates to trust in Backstage's, besides the system's
    #[arg(long, env = "BKSTG_CA", value_name = "FILE", help_heading = "Backstage")]
    pub bkstg_ca: Option<PathBuf>,

    /// Take any certificate of Backstage: anyone on the way can read the token
    #[arg(
        long, env = "BKSTG_INSECURE_SKIP_TLS_VERIFY", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Backstage"
    )]
    pub bkstg_insecure_skip_tls_verify: bool,
}

impl BackstageSettings {
    /// With which type locations of entries in `format` are registered.
    pub fn location_type(&self, format: Format) -> &str {
        let by_format = match format {
            Format::CatalogInfoYaml => "url",
            Format::ModelCatalogJson => "rhdh-rhoai-bridge",
        };
        self.bkstg_location_type.as_deref().map(str::trim).filter(|text| !text.is_empty()).unwrap_or(by_format)
    }

    /// What becomes of entities that nothing emits any more.
    pub fn orphans(&self) -> Orphans {
        if self.prune_orphans { Orphans::Prune } else { Orphans::Keep }
    }
}

impl BackstageAccess {
    /// The token, where one is given.
    pub fn token(&self) -> Result<Option<Secret>, SecretError> {
        Secret::from_settings(
            self.rhdh_token.as_ref(),
            self.rhdh_token_file.as_deref(),
            SecretSetting { value: "--rhdh-token / RHDH_TOKEN", file: "--rhdh-token-file / RHDH_TOKEN_FILE" },
        )
    }

    /// Whom to trust as Backstage.
    pub fn tls(&self) -> TlsSettings {
        TlsSettings {
            ca_file: self.bkstg_ca.clone(),
            insecure_skip_verify: self.bkstg_insecure_skip_tls_verify,
            ..TlsSettings::default()
        }
    }
}
