//! `docs/images/session.svg`: a recorded session as a terminal that types, one line after the other.

use std::fmt::Write;

use super::{file, settle};

const SESSION: &str = "docs/sessions/an-extension-fails.md";
const PICTURE: &str = "docs/images/session.svg";
/// Lines of the session that are shown, and characters of each.
const LINES: usize = 16;
const COLUMNS: usize = 132;
/// Between two lines, in pixels, and how long until the next one appears, in seconds.
const HEIGHT: usize = 19;
const PAUSE: f64 = 0.25;

#[test]
fn the_picture_shows_the_recorded_session() {
    draw();
}

/// Compares the picture with the session, or writes it, also after the session was written anew.
pub(crate) fn draw() {
    let session = std::fs::read_to_string(file(SESSION)).unwrap();
    settle(PICTURE, &picture(&session));
}

fn picture(session: &str) -> String {
    let (mut lines, mut inside) = (Vec::new(), false);
    for line in session.lines() {
        match line.starts_with("```") {
            true => inside = !inside,
            false if inside => lines.push(line),
            false => {}
        }
    }
    lines.truncate(LINES);
    let height = (lines.len() + 2) * HEIGHT;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 980 {height}\" role=\"img\" \
         aria-label=\"A terminal: beamline-registry health names the version that fails\">\n\
         <style>text{{font:12px ui-monospace,monospace;white-space:pre;fill:#e6edf3}}\
         .typed{{fill:#7ee787}}text{{opacity:0;animation:show .1s forwards}}\
         @keyframes show{{to{{opacity:1}}}}</style>\n\
         <rect width=\"980\" height=\"{height}\" rx=\"8\" fill=\"#0d1117\"/>\n"
    );
    for (row, line) in lines.iter().enumerate() {
        let class = match line.starts_with("$ ") {
            true => " class=\"typed\"",
            false => "",
        };
        let shown: String = line.chars().take(COLUMNS).collect();
        let shown = shown.replace('&', "&amp;").replace('<', "&lt;");
        let (y, delay) = ((row + 2) * HEIGHT - 6, row as f64 * PAUSE);
        writeln!(
            out,
            "<text x=\"16\" y=\"{y}\"{class} style=\"animation-delay:{delay:.2}s\" \
             xml:space=\"preserve\">{shown}</text>"
        )
        .unwrap();
    }
    out + "</svg>\n"
}
