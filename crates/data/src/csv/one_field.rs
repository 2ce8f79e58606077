//! CSV with all pixels of an image in one field, blanks between them: `emotion,pixels,Usage`, as FER2013 has it.

use super::FEWEST_PIXELS;
use super::besides::Besides;
use super::columns::{Columns, GROUP, LABEL, NUMBER, SPLIT};
use super::growing::number;
use super::parts::{self, Parts, part_of};
use super::pixels::{NO_COLUMN_OF_PATHS, NO_PATHS};
use super::table::Table;
use crate::DataError;
use crate::arrays::{Images, Layout, flat_shape};
use crate::collection::{Found, MAX_PIXEL_BYTES, Role, listed};
use crate::options::{ONE_LEVEL, Options};
use crate::progress::Watch;

/// The column that holds them.
pub(super) fn column(table: &Table) -> Option<usize> {
    let row = table.sample.get(1).or(table.sample.first())?;
    let are_pixels = |field: &String| {
        let mut numbers = field.split_whitespace();
        numbers.clone().count() >= FEWEST_PIXELS && numbers.all(|word| word.parse::<f32>().is_ok())
    };
    // A header may be shorter.
    row.iter().position(are_pixels).filter(|&column| column < table.sample[0].len())
}

/// Reads the images of a file, which are in `column`; `role` is that of all of them where no column says which each has.
pub(super) fn read(
    table: Table,
    column: usize,
    role: Option<Role>,
    options: &Options,
    found: &mut Found,
    watch: &mut Watch,
) -> Result<Vec<Images>, DataError> {
    let path = &table.path;
    options.refuse(path, &[ONE_LEVEL, NO_PATHS, NO_COLUMN_OF_PATHS])?;
    let first = &table.sample[0];
    let named = || first[column].split_whitespace().any(|word| word.parse::<f32>().is_err());
    let header = options.columns.header.unwrap_or_else(named).then_some(&first[..]);
    let columns = Columns { path, header, width: first.len() };
    let besides = besides(&columns, column, options)?;
    let mut rows = table.rows()?;
    if header.is_some() {
        rows.next_row()?;
    }
    let mut parts = Parts::new();
    let mut pixels = None;
    while let Some((line, row)) = rows.next_of(columns.width)? {
        let bad = |what: String, hint: &str| DataError::contents(path, format!("line {line}: {what}"), Some(hint));
        let says = besides.of(&columns, line, row, role)?;
        let part = part_of(&mut parts, &says, &besides, found);
        let mut n = 0;
        for field in row[column].split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()) {
            let value = number(field).ok_or_else(|| {
                let word = String::from_utf8_lossy(field);
                let what = format!("number {} of {} is {word:?}, expected a number", n + 1, columns.name(column));
                bad(what, "write brightnesses from 0 (black) on")
            })?;
            part.values.push(value);
            n += 1;
        }
        let expected = *pixels.get_or_insert(n);
        if n != expected {
            let what = format!("{} holds {n} pixels, expected {expected} as in the first row", columns.name(column));
            return Err(bad(what, "copy or write the file again"));
        }
        if part.values.bytes() > MAX_PIXEL_BYTES {
            return Err(bad(format!("images are more than {MAX_PIXEL_BYTES} bytes by now"), "take fewer rows"));
        }
        watch(rows.progress());
    }
    let Some(shape) = flat_shape(pixels.unwrap_or(0), options) else {
        let what = format!("has {} pixels in {}, which are no square image", pixels.unwrap_or(0), columns.name(column));
        return Err(DataError::contents(path, what, Some("say size = [height, width]")));
    };
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let holds = besides.words(&columns);
    found.notes.push(format!("{file}: {shape} pixels parted by blanks in {}, {holds}", columns.name(column)));
    Ok(parts::images(parts, &file, shape, Layout::First, besides.label.is_some()))
}

/// The columns with usual names or those that were told; the label is the only one left where none is called so.
fn besides(columns: &Columns, pixels: usize, options: &Options) -> Result<Besides, DataError> {
    let told = &options.columns;
    let label = columns.find("columns.label", told.label.as_ref(), LABEL)?;
    let split = columns.find("columns.split", told.split.as_ref(), SPLIT)?;
    let group = columns.find("columns.group", told.group.as_ref(), GROUP)?;
    let counts_rows = |column: usize| {
        columns.header.is_some_and(|header| NUMBER.contains(&header[column].trim().to_lowercase().as_str()))
    };
    let known = [Some(pixels), split, group];
    let others: Vec<usize> =
        (0..columns.width).filter(|&column| !known.contains(&Some(column)) && !counts_rows(column)).collect();
    let label = match (label, &others[..]) {
        (Some(label), _) => Some(label),
        (None, []) => None,
        (None, &[only]) => Some(only),
        (None, _) => {
            let names: Vec<String> = others.iter().map(|&column| columns.name(column)).collect();
            let what = format!("has no column with a usual name of labels; it may be one of {}", listed(&names));
            return Err(DataError::contents(columns.path, what, Some("say which: columns.label = \"name\"")));
        }
    };
    Ok(Besides { label, split, group })
}
