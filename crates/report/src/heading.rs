//! The words above a picture: its title and sentences about it, broken into lines where the picture is narrow.

use crate::font::Face;
use crate::picture::{Align, INK, Picture, Rgb, SOFT_INK};

/// One line of text: its face, colour and words.
pub(crate) type Words = (Face, Rgb, String);

/// From one line of labels to the next, in pixels.
pub(crate) const LINE: usize = 17;

/// Sentences are not broken before they are this wide, however narrow the picture.
const LOWEST_ROOM: usize = 720;
const TITLE_LINE: usize = 19;

/// Title and sentences, as they lie.
pub(crate) struct Heading {
    title: Vec<String>,
    notes: Vec<String>,
}

impl Heading {
    /// A heading for a picture whose rest is `room` pixels wide.
    pub(crate) fn new(title: &str, notes: &[String], room: usize) -> Heading {
        let room = room.max(LOWEST_ROOM);
        let notes = notes.iter().flat_map(|note| wrap(note, room / Face::Regular.width())).collect();
        Heading { title: wrap(title, room / Face::Title.width()), notes }
    }

    /// Width in pixels.
    pub(crate) fn width(&self) -> usize {
        let title = self.title.iter().map(|line| Face::Title.text_width(line));
        title.chain(self.notes.iter().map(|line| Face::Regular.text_width(line))).max().unwrap_or(0)
    }

    /// Height in pixels, with the space below.
    pub(crate) fn height(&self) -> usize {
        TITLE_LINE * self.title.len() + LINE * self.notes.len() + 15
    }

    /// Draws it with its top left corner at (`x`, `y`).
    pub(crate) fn draw(&self, picture: &mut Picture, (x, y): (usize, usize)) {
        for (n, line) in self.title.iter().enumerate() {
            picture.text((x, y + n * TITLE_LINE), Align::Left, Face::Title, INK, line);
        }
        let y = y + self.title.len() * TITLE_LINE + 5;
        for (n, line) in self.notes.iter().enumerate() {
            picture.text((x, y + n * LINE), Align::Left, Face::Regular, SOFT_INK, line);
        }
    }
}

/// Text in lines of at most `columns` (at least one) characters, broken at spaces and after hyphens of words; a part
/// that is longer than a line is cut where it must be. A no-break space (U+00A0) stays.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let (mut lines, mut line, mut length) = (Vec::new(), String::new(), 0);
    for part in parts(text) {
        let part_length = part.trim_end_matches(' ').chars().count();
        if length > 0 && length + part_length > columns {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        for character in part.chars() {
            if length >= columns && character != ' ' {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            line.push(character);
            length += 1;
        }
    }
    lines.push(line);
    lines.iter().map(|line| line.trim_end_matches(' ').to_owned()).collect()
}

/// The parts of a text that stay together, each with what separates it from the next.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut before) = (Vec::new(), 0, ' ');
    for (at, character) in text.char_indices() {
        // A hyphen after something else is a sign: -0.4 is not broken.
        if character == ' ' || character == '-' && before.is_alphanumeric() {
            parts.push(&text[start..at + 1]);
            start = at + 1;
        }
        before = character;
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_hyphens_and_else_where_they_must() {
        let cases: [(&str, usize, &[&str]); 8] = [
            ("filters of conv1", 16, &["filters of conv1"]),
            ("filters of conv1", 15, &["filters of", "conv1"]),
            ("cnn2-dropout-b50 seed 1", 13, &["cnn2-dropout-", "b50 seed 1"]),
            ("loss of -0.42", 9, &["loss of", "-0.42"]),
            ("abcdefgh ij", 3, &["abc", "def", "gh", "ij"]),
            ("abc def", 3, &["abc", "def"]),
            ("", 5, &[""]),
            ("a\u{a0}b c", 3, &["a\u{a0}b", "c"]),
        ];
        for (text, columns, expected) in cases {
            assert_eq!(wrap(text, columns), expected, "{text:?} in {columns}");
        }
        assert_eq!(wrap("ab", 0), ["a", "b"]);
    }

    #[test]
    fn a_heading_is_as_large_as_it_says() {
        let heading = Heading::new(&"word ".repeat(50), &["note ".repeat(60)], 0);
        assert!(heading.width() <= LOWEST_ROOM, "{}", heading.width());
        let mut picture = Picture::new(heading.width() + 40, heading.height() + 40);
        heading.draw(&mut picture, (20, 20));
        for y in 0..picture.height() {
            for x in 0..picture.width() {
                let inside = (20..20 + heading.width()).contains(&x) && (20..20 + heading.height()).contains(&y);
                assert!(inside || picture.pixel(x, y) == crate::picture::WHITE, "ink at {x},{y}");
            }
        }
    }
}
