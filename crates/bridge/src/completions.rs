//! `completions` and `man`: what shells complete, and manual pages, from the command line's own definition.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use crate::programs;

/// For which shell.
#[derive(Debug, Clone, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Where to put the files.
#[derive(Debug, Clone, Args)]
pub(crate) struct ManualArgs {
    /// The directory to write to, made when it is missing
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// The shells that files are written for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Prints what a shell needs to complete this command.
pub(crate) fn print<T: CommandFactory>(args: &CompletionsArgs) -> anyhow::Result<()> {
    std::io::stdout().write_all(&completions(&T::command(), args.shell))?;
    Ok(())
}

/// Writes completions and manual pages of all programs.
pub(crate) fn write_all<T: CommandFactory>(args: &ManualArgs) -> anyhow::Result<()> {
    let (completions_directory, manual_directory) = (args.directory.join("completions"), args.directory.join("man1"));
    for directory in [&completions_directory, &manual_directory] {
        std::fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    let mut written = 0;
    for command in programs::all::<T>() {
        for shell in SHELLS {
            let path = completions_directory.join(file_name(&command, shell));
            std::fs::write(&path, completions(&command, shell))
                .with_context(|| format!("{} cannot be written", path.display()))?;
            written += 1;
        }
        clap_mangen::generate_to(plain(command), &manual_directory)
            .with_context(|| format!("{} cannot be written to", manual_directory.display()))?;
    }
    println!("{written} completions in {}", completions_directory.display());
    println!("manual pages in {}", manual_directory.display());
    Ok(())
}

fn completions(command: &Command, shell: Shell) -> Vec<u8> {
    let (mut text, mut command) = (Vec::new(), plain(command.clone()));
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut text);
    text
}

/// Under what name shells look for completions.
fn file_name(command: &Command, shell: Shell) -> String {
    use clap_complete::Generator as _;
    shell.file_name(command.get_name())
}

/// Without the values of this environment.
fn plain(command: Command) -> Command {
    command.mut_args(|argument| argument.hide_env_values(true)).mut_subcommands(plain)
}
