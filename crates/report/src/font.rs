//! Three bitmap faces from one public-domain family: crisp at their own size, no outlines, no hinting, no fallback.

mod glyphs;

/// A fixed-width bitmap face.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Face {
    /// 7 x 13 pixels, for labels.
    Regular,
    /// 7 x 13 pixels, bold, for headings.
    Bold,
    /// 9 x 15 pixels, bold, for titles.
    Title,
}

impl Face {
    /// Width of one character, in pixels.
    pub fn width(self) -> usize {
        match self {
            Face::Regular | Face::Bold => 7,
            Face::Title => 9,
        }
    }

    /// Height of one line without extra space, in pixels.
    pub fn height(self) -> usize {
        match self {
            Face::Regular | Face::Bold => 13,
            Face::Title => 15,
        }
    }

    /// Rows between the top of the cell and the baseline.
    pub fn ascent(self) -> usize {
        match self {
            Face::Regular | Face::Bold => 11,
            Face::Title => 12,
        }
    }

    /// Width of `text` in pixels, drawn at scale 1.
    pub fn text_width(self, text: &str) -> usize {
        text.chars().count() * self.width()
    }

    /// The rows of one glyph, the leftmost pixel in the highest of `width` bits. A character outside Latin-1 is a box.
    pub fn rows(self, character: char) -> &'static [u16] {
        match (self, index(character)) {
            (Face::Regular, Some(index)) => &REGULAR[index],
            (Face::Bold, Some(index)) => &BOLD[index],
            (Face::Title, Some(index)) => &TITLE[index],
            (Face::Regular | Face::Bold, None) => &MISSING,
            (Face::Title, None) => &MISSING_TITLE,
        }
    }
}

static REGULAR: [[u16; 13]; 191] = glyphs::REGULAR;
static BOLD: [[u16; 13]; 191] = glyphs::BOLD;
static TITLE: [[u16; 15]; 191] = glyphs::TITLE;
static MISSING: [u16; 13] = [0, 0, 0x7e, 0x42, 0x42, 0x42, 0x42, 0x42, 0x42, 0x42, 0x7e, 0, 0];
static MISSING_TITLE: [u16; 15] = [0, 0, 0xfe, 0x82, 0x82, 0x82, 0x82, 0x82, 0x82, 0x82, 0x82, 0xfe, 0, 0, 0];

/// Where the glyph of a character is in each face.
fn index(character: char) -> Option<usize> {
    match plain(character) as u32 {
        code @ 0x20..=0x7e => Some(code as usize - 0x20),
        code @ 0xa0..=0xff => Some(code as usize - 0xa0 + 95),
        _ => None,
    }
}

/// Whether the faces have a glyph for a character; if not, it is a box.
pub fn draws(character: char) -> bool {
    index(character).is_some()
}

/// Typographic signs with a plain twin in Latin-1.
fn plain(character: char) -> char {
    match character {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{201c}' | '\u{201d}' => '"',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACES: [Face; 3] = [Face::Regular, Face::Bold, Face::Title];

    #[test]
    fn every_glyph_stays_inside_its_cell() {
        for face in FACES {
            for code in (0x20..0x7f).chain(0xa0..0x100) {
                let character = char::from_u32(code).unwrap();
                let rows = face.rows(character);
                assert_eq!(rows.len(), face.height(), "{face:?} {character:?}");
                assert!(rows.iter().all(|row| row >> face.width() == 0), "{face:?} {character:?} is too wide");
            }
        }
    }

    #[test]
    fn printable_ascii_glyphs_differ() {
        for face in FACES {
            for a in '!'..='~' {
                assert!(face.rows(a).iter().any(|row| *row != 0), "{face:?} {a:?} is blank");
                for b in '!'..a {
                    assert_ne!(face.rows(a), face.rows(b), "{face:?}: {a:?} looks like {b:?}");
                }
            }
        }
    }

    #[test]
    fn letters_stand_on_the_baseline() {
        for face in FACES {
            let rows = face.rows('E');
            let last = rows.iter().rposition(|row| *row != 0).unwrap();
            assert_eq!(last + 1, face.ascent(), "{face:?}");
        }
    }

    #[test]
    fn unknown_characters_are_a_box_and_typographic_signs_are_plain() {
        for face in FACES {
            assert_eq!(face.rows('\u{4e2d}'), face.rows('\u{1f600}'));
            assert_ne!(face.rows('\u{4e2d}'), face.rows(' '));
            assert_eq!(face.rows('\u{2212}'), face.rows('-'));
        }
        assert!(['a', 'é', '\u{2212}'].iter().all(|&sign| draws(sign)));
        assert!(!['\u{4e2d}', '\u{1f600}', '\n', '\u{80}'].iter().any(|&sign| draws(sign)));
    }
}
