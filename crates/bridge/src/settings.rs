//! Settings of the services, made from flags: so the same parsing, environment variables and errors as theirs hold.

use std::ffi::OsString;

use anyhow::Context as _;
use clap::Parser;

/// The settings of a service from `flags`, which count before the environment.
pub(crate) fn from_flags<T: Parser>(service: &str, flags: Vec<OsString>) -> anyhow::Result<T> {
    let args = std::iter::once(OsString::from(service)).chain(flags);
    service::settings::try_parse_from(args, |name| std::env::var_os(name))
        .with_context(|| format!("the settings of {service}"))
}

/// `--name=value`, as one flag.
pub(crate) fn flag(name: &str, value: impl std::fmt::Display) -> OsString {
    format!("--{name}={value}").into()
}
