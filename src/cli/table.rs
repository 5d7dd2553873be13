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

/// A cell that is wider is shown in one line at a terminal, too: comfy-table counts in 16 bits, the
/// gaps included.
const WIDEST: usize = u16::MAX as usize - 4;

/// Heads of columns without which a row says nothing.
const NAMES: [&str; 3] = ["instance", "id", "action"];

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

    /// Whether a cell shows that something is wrong.
    fn is_alarming(&self) -> bool {
        let wrong = |tone| matches!(tone, Tone::Bad | Tone::Doubtful);
        self.cells.iter().any(|cell| wrong(cell.tone))
    }

    /// Numbers are aligned to the right.
    fn is_numeric(&self) -> bool {
        let part = |c: char| c.is_ascii_digit() || ".-+%".contains(c);
        let is = |text: &str| text.chars().all(part) && text.matches('.').count() < 2;
        !self.name.is_empty() && self.cells.iter().all(|cell| is(&cell.text))
    }

    /// All of it, its name first.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let texts = self.cells.iter().map(|cell| cell.text.as_str());
        std::iter::once(self.name.as_str()).chain(texts)
    }

    /// The longest word, and the gap behind it.
    fn least_width(&self) -> usize {
        let words = self.texts().flat_map(|text| text.split(' '));
        let longest = words.map(width).max();
        longest.unwrap_or_default().saturating_add(GAP)
    }
}

/// Like [`draw`], but leaves out the widest columns where the terminal is too narrow, and names
/// them. Columns that show a fault are left out later, then the first one, then what names a row.
pub(super) fn fit(columns: Vec<Column>, screen: &Screen) -> String {
    let Some(room) = screen.width else {
        return draw(columns, screen);
    };
    let room = usize::from(room) + GAP;
    let measured = columns.into_iter();
    let measured = measured.map(|column| (column.least_width(), column));
    let mut columns: Vec<(usize, Column)> = measured.collect();
    let total = |columns: &[(usize, Column)]| {
        let widths = columns.iter().map(|(width, _)| *width);
        widths.fold(0_usize, usize::saturating_add)
    };
    let mut hidden = Vec::new();
    while columns.len() > 1 && total(&columns) > room {
        let ranked = columns.iter().enumerate().map(|(at, (width, column))| {
            let is_name = NAMES.contains(&column.name.as_str());
            let rank = (!is_name, at > 0, !column.is_alarming(), *width);
            (rank, at)
        });
        let (_, at) = ranked.max().unwrap_or_default();
        let (_, column) = columns.remove(at);
        hidden.push(column.name);
    }
    let columns = columns.into_iter().map(|(_, column)| column);
    let table = draw(columns.collect(), screen);
    match hidden.join(", ").as_str() {
        "" => table,
        names => format!("{table}\n(no room for {names}; --json has all)"),
    }
}

/// Columns beside each other, under their names if they have any.
pub(super) fn draw(columns: Vec<Column>, screen: &Screen) -> String {
    let mut texts = columns.iter().flat_map(Column::texts);
    match screen.width {
        Some(room) if texts.all(|text| width(text) <= WIDEST) => wrapped(&columns, room, screen),
        _ => unwrapped(&columns, screen),
    }
}

fn has_heads(columns: &[Column]) -> bool {
    columns.iter().any(|column| !column.name.is_empty())
}

/// A line for each row, however long. A cell that no screen has room for makes its own line longer
/// and no other.
fn unwrapped(columns: &[Column], screen: &Screen) -> String {
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let mut lines = vec![String::new(); rows + 1];
    let gap = " ".repeat(GAP);
    for column in columns {
        let widths: Vec<_> = column.texts().map(width).collect();
        let room = widths.iter().copied().filter(|width| *width <= WIDEST);
        let room = room.max().unwrap_or_default().max(1);
        let (head, is_numeric) = (Cell::from(column.name.as_str()), column.is_numeric());
        let cells = std::iter::once(&head).chain(&column.cells).zip(widths);
        for (line, (cell, width)) in lines.iter_mut().zip(cells) {
            let text = screen.painted(&cell.text, cell.tone);
            let rest = " ".repeat(room.saturating_sub(width));
            match is_numeric {
                true => line.extend([rest, text]),
                false => line.extend([text, rest]),
            }
            line.push_str(&gap);
        }
    }
    let lines = lines.iter().skip(usize::from(!has_heads(columns)));
    let lines: Vec<_> = lines.map(|line| line.trim_end()).collect();
    lines.join("\n")
}

/// The columns of a terminal that `text` takes, as comfy-table measures it.
fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let mut table = Table::new();
    let widths = table.add_row([text]).column_max_content_widths();
    match widths.first() {
        Some(width) if *width < u16::MAX => usize::from(*width),
        // It counts no further.
        _ => usize::MAX,
    }
}

/// Cells that wrap in the `room` of a line.
fn wrapped(columns: &[Column], room: u16, screen: &Screen) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    if screen.colours {
        table.enforce_styling().style_text_only();
    }
    // The last gap may hang over.
    table.set_width(room.saturating_add(2));
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if has_heads(columns) {
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

    fn at(width: u16, columns: Vec<Column>) -> String {
        let screen = Screen {
            width: Some(width),
            ..Screen::plain()
        };
        fit(columns, &screen)
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
        let calm = || {
            let mut columns = columns();
            let cells = columns.iter_mut().flat_map(|column| &mut column.cells);
            cells.for_each(|cell| cell.tone = Tone::Plain);
            columns
        };
        assert_eq!(at(36, calm()), draw(columns(), &Screen::plain()));
        assert_eq!(
            at(28, calm()),
            "name          n  why\n\
             a             7  words that\n                 may wrap\n\
             long-name  1234  open"
        );
        assert_eq!(
            at(20, calm()),
            "name          n\n\
             a             7\n\
             long-name  1234\n\
             (no room for why; --json has all)"
        );
        let narrow = at(3, calm());
        assert!(
            narrow.starts_with("name\na\nlong-name\n(no room for why, n;"),
            "{narrow}"
        );
        // What is wrong has room for as long as anything has.
        let alarming = at(20, columns());
        assert!(
            alarming.contains("open\n(no room for n; --json has all)"),
            "{alarming}"
        );
        let narrow = at(3, columns());
        assert!(narrow.contains("(no room for n, why;"), "{narrow}");
    }

    /// As of `config` in `get`, or of a thousand ids.
    #[test]
    fn a_cell_may_be_wider_than_any_screen() {
        let columns = |long: &str| {
            vec![
                Column::new("id", ["a", "b"]),
                Column::new("config", [long, "-"]),
                Column::new("n", ["1", "20"]),
            ]
        };
        let terminal = Screen {
            width: Some(80),
            ..Screen::plain()
        };
        for screen in [Screen::plain(), terminal] {
            for count in [WIDEST, WIDEST + 1, 65_534, 65_535] {
                let text = draw(columns(&"x".repeat(count)), &screen);
                assert_eq!(text.matches('x').count(), count);
            }
            let long = "x".repeat(70_000);
            let text = format!("id  config   n\na   {long}   1\nb   -       20");
            assert!(draw(columns(&long), &screen) == text);
            let wide = "\u{8868}".repeat(35_000);
            assert!(draw(columns(&wide), &screen) == text.replace(&long, &wide));
        }
    }

    #[test]
    fn a_letter_of_two_columns_is_two_columns_wide() {
        let columns = vec![
            Column::new("name", ["\u{8868}\u{8868}\u{8868}", "ab"]),
            Column::new("b", ["x", "y"]),
        ];
        assert_eq!(
            draw(columns, &Screen::plain()),
            "name    b\n\u{8868}\u{8868}\u{8868}  x\nab      y"
        );
    }

    #[test]
    fn a_word_of_wide_letters_is_not_broken() {
        let wide = "\u{8868}".repeat(30);
        let columns = || {
            vec![
                Column::new("id", ["a"]),
                Column::new("why", [wide.as_str()]),
            ]
        };
        let narrow = Screen {
            width: Some(20),
            ..Screen::plain()
        };
        let whole = format!("id  why\na   {wide}");
        assert_eq!(draw(columns(), &narrow), whole);
        assert_eq!(at(64, columns()), whole);
        let hidden = "id\na\n(no room for why; --json has all)";
        assert_eq!(at(63, columns()), hidden);
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
