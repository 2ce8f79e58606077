//! The right way up of a picture, by the orientation that its EXIF data state.

use crate::picture_file::Colour;

/// EXIF's tag of the orientation.
const ORIENTATION: u16 = 0x0112;
/// EXIF's type of a number of two bytes.
const SHORT: u16 = 3;

/// The orientation that EXIF data (a TIFF file) state, from 1 (as it is) to 8; 1 where they state none.
pub(crate) fn orientation(exif: &[u8]) -> u16 {
    stated(exif).filter(|orientation| (1..=8).contains(orientation)).unwrap_or(1)
}

fn stated(exif: &[u8]) -> Option<u16> {
    let little = match exif.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = exif.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = exif.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = long(4)? as usize;
    let entries = 0..usize::from(short(directory)?);
    let mut at = entries.map(|n| directory + 2 + 12 * n);
    let entry = at.find(|&at| short(at) == Some(ORIENTATION) && short(at + 2) == Some(SHORT))?;
    short(entry + 8)
}

/// The picture turned and mirrored so that an orientation of 1 to 8 becomes 1.
pub(crate) fn upright(picture: &Colour, orientation: u16) -> Colour {
    let (w, h) = (picture.width, picture.height);
    let (width, height) = if orientation >= 5 { (h, w) } else { (w, h) };
    let mut rgb = Vec::with_capacity(picture.rgb.len());
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let (column, row) = match orientation {
            2 => (w - 1 - x, y),
            3 => (w - 1 - x, h - 1 - y),
            4 => (x, h - 1 - y),
            5 => (y, x),
            6 => (y, h - 1 - x),
            7 => (w - 1 - y, h - 1 - x),
            8 => (w - 1 - y, x),
            _ => (x, y),
        };
        let at = 3 * (row * w + column);
        rgb.extend_from_slice(&picture.rgb[at..at + 3]);
    }
    Colour { width, height, rgb, turned: orientation > 1 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// EXIF data with two entries, the second of which is the orientation.
    pub(crate) fn exif(orientation: u16, little: bool) -> Vec<u8> {
        let short = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let long = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let entry = |tag: u16, value: u16| [&short(tag)[..], &short(SHORT), &long(1), &short(value), &[0, 0]].concat();
        let start: &[u8] = if little { b"II*\0" } else { b"MM\0*" };
        [start, &long(8), &short(2), &entry(0x0100, 7), &entry(ORIENTATION, orientation), &long(0)].concat()
    }

    #[test]
    fn the_orientation_is_found_and_any_bytes_are_borne() {
        for little in [true, false] {
            for stated in [1, 3, 6, 8] {
                assert_eq!(orientation(&exif(stated, little)), stated, "little {little}");
            }
            for none in [0, 9, 65535] {
                assert_eq!(orientation(&exif(none, little)), 1);
            }
            let whole = exif(6, little);
            for end in 0..whole.len() {
                assert!([1, 6].contains(&orientation(&whole[..end])), "{end}");
            }
            for at in 0..whole.len() {
                let mut changed = whole.clone();
                changed[at] = 255;
                assert!((1..=8).contains(&orientation(&changed)), "{at}");
            }
        }
        assert_eq!(orientation(b"JUNK"), 1);
    }

    /// What EXIF's table says of the row 0 and the column 0 that are stored, on a picture of 2 by 3 pixels with its
    /// corners in letters: A top left, B top right, C bottom left, D bottom right when upright.
    #[test]
    fn each_orientation_is_undone() {
        let upright_picture = ["AB", "..", "CD"];
        for (number, stored) in [
            (1, &["AB", "..", "CD"][..]),
            (2, &["BA", "..", "DC"]),
            (3, &["DC", "..", "BA"]),
            (4, &["CD", "..", "AB"]),
            // Row 0 is the left side: its first pixel is the top.
            (5, &["A.C", "B.D"]),
            // Row 0 is the right side, column 0 the top.
            (6, &["B.D", "A.C"]),
            (7, &["D.B", "C.A"]),
            (8, &["C.A", "D.B"]),
        ] {
            let picture = |rows: &[&str], turned| Colour {
                width: rows[0].len(),
                height: rows.len(),
                rgb: rows.iter().flat_map(|row| row.bytes()).flat_map(|byte| [byte; 3]).collect(),
                turned,
            };
            assert_eq!(upright(&picture(stored, false), number), picture(&upright_picture, number > 1), "{number}");
        }
    }
}
