//! Tables: columns described once, rows from documents.
//!
//! Each row is one line, however narrow the terminal: what is broken into pieces can neither be
//! copied nor found by `grep`.

use comfy_table::{CellAlignment, Color, Table, presets};
use serde_json::Value;

use super::screen::Screen;
use super::text;

/// What a word tells at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Doubtful,
    Bad,
}

/// A value in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
    number: bool,
}

/// A column: its header, and how a row's document fills it.
pub(super) type Column = (&'static str, fn(&Value) -> Cell);

impl Cell {
    /// A text, which must be clean.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            tone: Tone::Plain,
            number: false,
        }
    }

    /// The value at `pointer`.
    pub(super) fn at(document: &Value, pointer: &str) -> Self {
        Self::new(text::plain(document.pointer(pointer)))
    }

    /// A number: stands on the right.
    pub(super) fn number(text: impl Into<String>) -> Self {
        Self {
            number: true,
            ..Self::new(text)
        }
    }

    /// The number at `pointer`.
    pub(super) fn count(document: &Value, pointer: &str) -> Self {
        Self::number(text::plain(document.pointer(pointer)))
    }

    /// Milliseconds at `pointer`.
    pub(super) fn ms(document: &Value, pointer: &str) -> Self {
        Self::number(text::milliseconds(document.pointer(pointer)))
    }

    /// The moment at `pointer`.
    pub(super) fn time(document: &Value, pointer: &str) -> Self {
        Self::new(text::time(document.pointer(pointer)))
    }

    /// The state of a circuit at `pointer`.
    pub(super) fn circuit(document: &Value, pointer: &str) -> Self {
        let tone = match text::string(document, pointer) {
            "closed" => Tone::Good,
            "half_open" => Tone::Doubtful,
            "open" => Tone::Bad,
            _ => Tone::Plain,
        };
        Self::at(document, pointer).toned(tone)
    }

    /// Yes or no at `pointer`.
    pub(super) fn truth(document: &Value, pointer: &str) -> Self {
        Self::new(match document.pointer(pointer) {
            Some(Value::Bool(true)) => "yes",
            Some(Value::Bool(false)) => "no",
            _ => text::NONE,
        })
    }

    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The same in another tone.
    pub(super) fn toned(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    fn drawn(&self) -> comfy_table::Cell {
        let cell = comfy_table::Cell::new(&self.text);
        let cell = match self.number {
            true => cell.set_alignment(CellAlignment::Right),
            false => cell,
        };
        match self.tone {
            Tone::Plain => cell,
            Tone::Good => cell.fg(Color::DarkGreen),
            Tone::Doubtful => cell.fg(Color::DarkYellow),
            Tone::Bad => cell.fg(Color::DarkRed),
        }
    }
}

/// One line of cells per document.
pub(super) fn of<'a>(
    columns: &[Column],
    rows: impl IntoIterator<Item = &'a Value>,
    screen: &Screen,
) -> String {
    let header: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    let rows = rows.into_iter();
    let rows = rows.map(|row| columns.iter().map(|(_, cell)| cell(row)).collect());
    draw(&header, rows, screen)
}

/// Rows under a header.
pub(super) fn draw(
    header: &[&str],
    rows: impl Iterator<Item = Vec<Cell>>,
    screen: &Screen,
) -> String {
    let mut table = empty(screen);
    table.set_header(header);
    for row in rows {
        table.add_row(row.iter().map(Cell::drawn));
    }
    finish(table)
}

/// Names and values, one pair per line.
pub(super) fn facts(
    facts: impl IntoIterator<Item = (&'static str, Cell)>,
    screen: &Screen,
) -> String {
    let mut table = empty(screen);
    for (name, cell) in facts {
        // Numbers below texts read better from the left.
        let cell = Cell {
            number: false,
            ..cell
        };
        table.add_row([comfy_table::Cell::new(name), cell.drawn()]);
    }
    finish(table)
}

fn empty(screen: &Screen) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    if screen.colours {
        table.enforce_styling().style_text_only();
    }
    table
}

fn finish(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[
        ("name", |row| Cell::at(row, "/name")),
        ("state", |row| Cell::circuit(row, "/state")),
        ("n", |row| Cell::count(row, "/n")),
    ];

    #[test]
    fn words_have_colours_only_where_they_may() {
        let rows = [json!({"name": "long ".repeat(60), "state": "open", "n": 7})];
        let plain = of(COLUMNS, &rows, &Screen::default());
        assert_eq!(plain.lines().count(), 2);
        assert!(plain.ends_with("long   open   7"), "{plain}");
        let colours = Screen {
            terminal: true,
            colours: true,
        };
        let coloured = of(COLUMNS, &rows, &colours);
        assert!(coloured.contains("\u{1b}["), "{coloured}");
        assert_eq!(coloured.lines().count(), 2);
    }
}
