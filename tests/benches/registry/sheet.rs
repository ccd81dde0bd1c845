//! Figures of several servers, side by side.

/// A table with a column for each server.
#[derive(Default)]
pub(crate) struct Sheet {
    servers: Vec<&'static str>,
    rows: Vec<Row>,
}

struct Row {
    what: String,
    aim: &'static str,
    /// With the place of the server.
    measured: Vec<(usize, String)>,
}

impl Sheet {
    /// Goes on with another server.
    pub(crate) fn begin(&mut self, server: &'static str) {
        self.servers.push(server);
        eprintln!("{server}");
    }

    /// What was measured of the last server.
    pub(crate) fn add(&mut self, what: &str, aim: &'static str, measured: impl Into<String>) {
        let measured = (self.servers.len() - 1, measured.into());
        eprintln!("  {what}: {}", measured.1);
        match self.rows.iter_mut().find(|row| row.what == what) {
            Some(row) => row.measured.push(measured),
            None => self.rows.push(Row { what: what.to_owned(), aim, measured: vec![measured] }),
        }
    }

    /// As Markdown, for `docs/performance.md`.
    pub(crate) fn shown(&self) -> String {
        let head = ["what", "aim"].into_iter().chain(self.servers.iter().copied()).map(str::to_owned).collect();
        let cell = |row: &Row, server: usize| {
            row.measured.iter().find(|(of, _)| *of == server).map_or_else(String::new, |(_, measured)| measured.clone())
        };
        let line = |row: &Row| {
            let cells = (0..self.servers.len()).map(|server| cell(row, server));
            [row.what.clone(), row.aim.to_owned()].into_iter().chain(cells).collect()
        };
        let lines: Vec<Vec<String>> = std::iter::once(head).chain(self.rows.iter().map(line)).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..self.servers.len() + 2).map(width).collect();
        let cells = |line: &Vec<String>| {
            let cell = |(column, (cell, width)): (usize, (&String, &usize))| match column {
                0 | 1 => format!(" {cell:<width$} "),
                _ => format!(" {cell:>width$} "),
            };
            line.iter().zip(&widths).enumerate().map(cell).collect::<Vec<_>>()
        };
        let rule = |(column, width): (usize, &usize)| "-".repeat(width + 1) + if column < 2 { "-" } else { ":" };
        let mut shown: Vec<Vec<String>> = lines.iter().map(cells).collect();
        shown.insert(1, widths.iter().enumerate().map(rule).collect());
        let shown: Vec<_> = shown.iter().map(|line| format!("|{}|", line.join("|"))).collect();
        shown.join("\n")
    }
}
