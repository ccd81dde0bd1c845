//! The programs that there are: what is written about them follows from their definitions.

use clap::{Command, CommandFactory};

/// Those that run, one line each; the settings of every one are in `docs/configuration.md`.
pub(crate) fn servers() -> Vec<Command> {
    vec![
        normalizer::Settings::command(),
        storage_rest::Settings::command(),
        location::Settings::command(),
        model_registry::settings::Cli::command(),
        storage_initializer::settings::Settings::command(),
    ]
}

/// All, `T` being this one: with completions and manual pages.
pub(crate) fn all<T: CommandFactory>() -> Vec<Command> {
    let mut programs = vec![T::command()];
    programs.extend(servers());
    programs
}
