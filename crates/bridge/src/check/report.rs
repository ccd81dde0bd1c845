//! What was found, and how it is told.

use std::fmt::Write as _;

use serde::Serialize;

use crate::color::{Palette, Tone};

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// It holds.
    Ok,
    /// It was not looked at, because the settings do without it.
    Skipped,
    /// The bridge runs, and something is missing or will be.
    Warning,
    /// The bridge can't do its work.
    Failure,
}

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) check: String,
    pub(crate) level: Level,
    /// What was seen.
    pub(crate) message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<String>,
}

impl Finding {
    pub(crate) fn ok(check: impl Into<String>, message: impl Into<String>) -> Self {
        Self { check: check.into(), level: Level::Ok, message: message.into(), advice: None }
    }

    pub(crate) fn skipped(check: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: Level::Skipped, ..Self::ok(check, message) }
    }

    pub(crate) fn warning(check: impl Into<String>, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warning, advice: Some(advice.into()), ..Self::ok(check, message) }
    }

    pub(crate) fn failure(check: impl Into<String>, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Failure, ..Self::warning(check, message, advice) }
    }
}

/// What belongs together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) checks: Vec<Finding>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) worst: Level,
    pub(crate) sections: Vec<Section>,
}

impl Report {
    pub(crate) fn of(sections: Vec<Section>) -> Self {
        let levels = sections.iter().flat_map(|section| &section.checks).map(|finding| finding.level);
        let worst = levels.filter(|level| *level != Level::Skipped).max().unwrap_or(Level::Ok);
        Self { worst, sections }
    }

    fn count(&self, level: Level) -> usize {
        self.sections.iter().flat_map(|section| &section.checks).filter(|finding| finding.level == level).count()
    }

    /// For people.
    pub(crate) fn text(&self, palette: Palette) -> String {
        let mut text = String::new();
        for section in self.sections.iter().filter(|section| !section.checks.is_empty()) {
            let _ = writeln!(text, "{}", palette.paint(Tone::Heading, section.name));
            for finding in &section.checks {
                let (word, tone) = match finding.level {
                    Level::Ok => ("ok     ", Tone::Good),
                    Level::Skipped => ("skipped", Tone::Faint),
                    Level::Warning => ("warning", Tone::Doubtful),
                    Level::Failure => ("FAILURE", Tone::Bad),
                };
                let _ = writeln!(text, "  {}  {}: {}", palette.paint(tone, word), finding.check, finding.message);
                if let Some(advice) = &finding.advice {
                    let _ = writeln!(text, "           -> {advice}");
                }
            }
        }
        let counts = format!(
            "{} ok, {} skipped, {} warnings, {} failures",
            self.count(Level::Ok),
            self.count(Level::Skipped),
            self.count(Level::Warning),
            self.count(Level::Failure)
        );
        let _ = writeln!(text, "{counts}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts_and_what_was_skipped_does_not() {
        let report = |checks| Report::of(vec![Section { name: "Cluster", checks }]);
        assert_eq!(report(vec![Finding::ok("a", "b"), Finding::skipped("a", "b")]).worst, Level::Ok);
        let worse = report(vec![Finding::failure("a", "b", "c"), Finding::warning("a", "b", "c")]);
        assert_eq!(worse.worst, Level::Failure);
        let text = worse.text(Palette::Plain);
        assert!(text.contains("  FAILURE  a: b\n           -> c\n"), "{text}");
        assert!(text.ends_with("0 ok, 0 skipped, 1 warnings, 1 failures\n"), "{text}");
        assert!(worse.text(Palette::Colored).contains('\u{1b}'));
    }
}
