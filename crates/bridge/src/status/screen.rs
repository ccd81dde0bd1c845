//! The live view: drawn anew at each look and each change of the terminal's size; q ends it.

use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row as Cells, Table, Wrap};
use tokio::sync::mpsc;

use super::look;
use super::snapshot::{Row, SERVICES, SOURCES, Snapshot, State};
use crate::peers::Peer;

/// How long the terminal is listened to before it is seen whether anyone still wants to know.
const LISTEN: Duration = Duration::from_millis(200);

/// What the terminal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Quit,
    LookAgain,
    Redraw,
}

/// Shows it until someone has seen enough.
pub(super) async fn run(peers: &[Peer; 3], interval: Duration) -> anyhow::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, peers, interval).await;
    ratatui::restore();
    shown
}

async fn show(terminal: &mut ratatui::DefaultTerminal, peers: &[Peer; 3], interval: Duration) -> anyhow::Result<()> {
    let (sender, mut said) = mpsc::channel(16);
    // Reading keys blocks, so it has a thread of its own, which ends with the channel.
    std::thread::spawn(move || listen(&sender));
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut snapshot = Snapshot::default();
    loop {
        terminal.draw(|frame| draw(frame, &snapshot, interval))?;
        tokio::select! {
            heard = said.recv() => match heard {
                Some(Said::Redraw) => {}
                Some(Said::LookAgain) => snapshot = look(peers).await,
                Some(Said::Quit) | None => return Ok(()),
            },
            _ = ticks.tick() => snapshot = look(peers).await,
        }
    }
}

fn listen(sender: &mpsc::Sender<Said>) {
    while !sender.is_closed() {
        let said = match event::poll(LISTEN) {
            Ok(false) => continue,
            Ok(true) => event::read().ok().and_then(|event| meaning(&event)),
            Err(_) => Some(Said::Quit),
        };
        if let Some(said) = said
            && sender.blocking_send(said).is_err()
        {
            return;
        }
    }
}

fn meaning(event: &Event) -> Option<Said> {
    match event {
        Event::Resize(..) => Some(Said::Redraw),
        Event::Key(key) if key.kind != KeyEventKind::Press => None,
        Event::Key(key) => match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Said::Quit),
            KeyCode::Char('q') | KeyCode::Esc => Some(Said::Quit),
            KeyCode::Char('r') => Some(Said::LookAgain),
            _ => None,
        },
        _ => None,
    }
}

fn draw(frame: &mut Frame<'_>, snapshot: &Snapshot, interval: Duration) {
    let lines = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).saturating_add(3);
    let [services, sources, queues, problems, help] = Layout::vertical([
        Constraint::Length(lines(snapshot.services.len())),
        Constraint::Length(lines(snapshot.sources.len())),
        Constraint::Length(lines(snapshot.queues.len()).saturating_sub(1)),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    table(frame, services, "Services", SERVICES, &snapshot.services);
    table(frame, sources, "Sources", SOURCES, &snapshot.sources);
    texts(frame, queues, "Waiting", &snapshot.queues);
    texts(frame, problems, "Problems", &snapshot.problems);
    let every = service::settings::GoDuration(interval);
    frame.render_widget(Line::from(format!("q quit  r look again  (every {every})")), help);
}

fn table(frame: &mut Frame<'_>, area: Rect, title: &'static str, head: [&'static str; 5], rows: &[Row]) {
    let cells = rows.iter().map(|row| {
        let color = if row.state == State::Well { Color::Green } else { Color::Red };
        Cells::new(row.cells.clone()).style(Style::default().fg(color))
    });
    let widths = [
        Constraint::Fill(3),
        Constraint::Length(9),
        Constraint::Length(7),
        Constraint::Length(21),
        Constraint::Fill(4),
    ];
    let head = Cells::new(head).style(Style::default().add_modifier(Modifier::BOLD));
    frame.render_widget(Table::new(cells, widths).header(head).block(Block::bordered().title(title)), area);
}

fn texts(frame: &mut Frame<'_>, area: Rect, title: &'static str, texts: &[String]) {
    let shown = if texts.is_empty() { "none".to_owned() } else { texts.join("\n") };
    let paragraph = Paragraph::new(shown).wrap(Wrap { trim: false }).block(Block::bordered().title(title));
    frame.render_widget(paragraph, area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::KeyEvent;

    use super::super::snapshot::tests::sample;
    use super::*;

    fn drawn(width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &sample(), Duration::from_secs(2))).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn services_sources_queues_and_problems_are_on_the_screen() {
        let screen = drawn(120, 30);
        for text in [
            "storage-rest",
            "silent",
            "registry:other",
            "failing",
            "2 entries to be delivered to location",
            "12 removals",
            "401 Unauthorized",
            "q quit",
            "every 2s",
        ] {
            assert!(screen.contains(text), "no {text} in\n{screen}");
        }
    }

    #[test]
    fn a_small_terminal_shows_what_fits() {
        for (width, height) in [(1, 1), (10, 4), (40, 10), (300, 100)] {
            drawn(width, height);
        }
    }

    #[test]
    fn keys_mean_what_the_last_line_says() {
        let key = |code, modifiers| meaning(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(Said::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Said::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(key(KeyCode::Char('r'), KeyModifiers::NONE), Some(Said::LookAgain));
        assert_eq!(meaning(&Event::Resize(1, 1)), Some(Said::Redraw));
    }
}
