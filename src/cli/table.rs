//! Tables: the one place that knows how wide the screen is.
//!
//! Without a terminal, a row is one line. A terminal gets cells that wrap between words, never
//! inside one: half a word can neither be copied nor found.

use comfy_table::{
    CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width, presets,
};

use super::screen::{Screen, Tone};

/// Shown where there is no value.
pub(super) const NONE: &str = "-";

/// Spaces between two columns.
const GAP: usize = 2;

/// A value in a table. Its text must be clean: a terminal obeys control characters.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// A name and the values below it.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Empty where there is no head.
    pub(super) name: String,
    pub(super) cells: Vec<Cell>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            tone: Tone::Plain,
        }
    }
}

impl Column {
    pub(super) fn new(name: &str, cells: impl IntoIterator<Item = impl Into<Cell>>) -> Self {
        Self {
            name: name.to_owned(),
            cells: cells.into_iter().map(Into::into).collect(),
        }
    }

    /// Whether no cell has a value.
    pub(super) fn is_empty(&self) -> bool {
        self.cells.iter().all(|cell| cell.text == NONE)
    }

    /// Numbers are aligned to the right.
    fn is_numeric(&self) -> bool {
        let part = |c: char| c.is_ascii_digit() || ".-+%".contains(c);
        let is = |text: &str| text.chars().all(part) && text.matches('.').count() < 2;
        !self.name.is_empty() && self.cells.iter().all(|cell| is(&cell.text))
    }

    /// The longest word, and the gap behind it.
    fn least_width(&self) -> usize {
        let texts = self.cells.iter().map(|cell| &cell.text);
        let words = texts.chain([&self.name]).flat_map(|text| text.split(' '));
        let longest = words.map(|word| word.chars().count()).max();
        longest.unwrap_or_default() + GAP
    }
}

/// As [`draw`]; where that is too wide for a terminal, without the widest columns, which are named.
/// The first one stays: it names what a row is about.
pub(super) fn fit(mut columns: Vec<Column>, screen: &Screen) -> String {
    let width = |columns: &[Column]| columns.iter().map(Column::least_width).sum::<usize>();
    let room = screen.width.map(|room| usize::from(room) + GAP);
    let room = room.unwrap_or(usize::MAX);
    let mut hidden = Vec::new();
    while columns.len() > 1 && width(&columns) > room {
        let widest = (1..columns.len()).max_by_key(|at| columns.get(*at).map(Column::least_width));
        hidden.push(columns.remove(widest.unwrap_or(1)).name);
    }
    let table = draw(columns, screen);
    match hidden.join(", ").as_str() {
        "" => table,
        names => format!("{table}\n(no room for {names}; --json has all)"),
    }
}

/// Columns beside each other, under their names if they have any.
pub(super) fn draw(columns: Vec<Column>, screen: &Screen) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    if screen.colours {
        table.enforce_styling().style_text_only();
    }
    if let Some(width) = screen.width {
        // The last gap may hang over.
        table.set_width(width.saturating_add(2));
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    if columns.iter().any(|column| !column.name.is_empty()) {
        table.set_header(columns.iter().map(|column| &column.name));
    }
    for row in 0..columns.first().map_or(0, |column| column.cells.len()) {
        let cells = columns.iter().filter_map(|column| column.cells.get(row));
        table.add_row(cells.map(drawn));
    }
    for (column, shape) in columns.iter().zip(table.column_iter_mut()) {
        let least = u16::try_from(column.least_width()).unwrap_or(u16::MAX);
        shape.set_padding((0, 2));
        shape.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
        if column.is_numeric() {
            shape.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

fn drawn(cell: &Cell) -> comfy_table::Cell {
    let drawn = comfy_table::Cell::new(&cell.text);
    match cell.tone {
        Tone::Plain => drawn,
        tone => drawn.fg(Color::AnsiValue(tone as u8)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        let bad = Cell {
            tone: Tone::Bad,
            ..Cell::from("open")
        };
        vec![
            Column::new("name", ["a", "long-name"]),
            Column::new("n", ["7", "1234"]),
            Column::new("why", [Cell::from("words that may wrap"), bad]),
        ]
    }

    fn at(width: u16) -> String {
        let screen = Screen {
            width: Some(width),
            ..Screen::plain()
        };
        fit(columns(), &screen)
    }

    #[test]
    fn a_row_is_one_line_where_nobody_looks_and_numbers_are_aligned() {
        assert_eq!(
            draw(columns(), &Screen::plain()),
            "name          n  why\n\
             a             7  words that may wrap\n\
             long-name  1234  open"
        );
    }

    #[test]
    fn cells_wrap_between_words_and_what_has_no_room_is_named() {
        assert_eq!(at(36), draw(columns(), &Screen::plain()));
        assert_eq!(
            at(28),
            "name          n  why\n\
             a             7  words that\n                 may wrap\n\
             long-name  1234  open"
        );
        assert_eq!(
            at(20),
            "name          n\n\
             a             7\n\
             long-name  1234\n\
             (no room for why; --json has all)"
        );
        assert!(
            at(3).starts_with("name\na\nlong-name\n(no room for why, n;"),
            "{}",
            at(3)
        );
    }

    #[test]
    fn words_have_colours_only_where_they_may() {
        let screen = Screen {
            colours: true,
            ..Screen::plain()
        };
        assert!(draw(columns(), &screen).contains("\u{1b}["));
    }
}
