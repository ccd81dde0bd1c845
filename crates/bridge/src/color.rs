//! Colours on terminals, and nowhere else.

use std::fmt;
use std::io::IsTerminal as _;

use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};

/// When to colour what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Colours, or the lack of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Palette {
    /// As a terminal shows them.
    Colored,
    /// None.
    Plain,
}

/// What is said by a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Doubtful,
    Bad,
    Faint,
    Heading,
}

impl ColorChoice {
    /// For standard output.
    pub(crate) fn palette(self) -> Palette {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            Self::Always => Palette::Colored,
            Self::Auto if !no_color && std::io::stdout().is_terminal() => Palette::Colored,
            Self::Auto | Self::Never => Palette::Plain,
        }
    }
}

impl Palette {
    /// A text in a tone.
    pub(crate) fn paint(self, tone: Tone, text: impl fmt::Display) -> String {
        if self == Self::Plain {
            return text.to_string();
        }
        let style = match tone {
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Doubtful => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Faint => Style::new().dimmed(),
            Tone::Heading => Style::new().bold(),
        };
        format!("{style}{text}{style:#}")
    }
}
