//! Whether the first row of a CSV file of pixels names the columns.

use super::columns::{GROUP, LABEL, NUMBER, SPLIT};
use super::table::Table;
use crate::DataError;

/// What is told, else whether it is no row of numbers, or counts the columns as pandas does that have no names: 0, 1,
/// 2, ..., perhaps behind one or two of its own, or of labels. Such a row may be an image too: the rows below it decide.
///
/// # Errors
/// If they do not.
pub(super) fn of_pixels(table: &Table, told: Option<bool>) -> Result<bool, DataError> {
    let (first, below) = (&table.sample[0], &table.sample[1..]);
    let is_word = |field: &str| field.parse::<f32>().is_err();
    if told.is_some() || first.iter().filter(|field| is_word(field)).count() > first.len() / 2 {
        return Ok(told.unwrap_or(true));
    }
    let counts = |offset: usize| {
        let is_its_number = |(column, field): &(usize, &String)| {
            (column + 1).checked_sub(offset).is_some_and(|number| field.parse() == Ok(number))
        };
        first.iter().enumerate().skip(1).filter(is_its_number).count()
    };
    if !(0..=3).any(|offset| counts(offset) + 3 >= first.len()) {
        return Ok(false);
    }
    let beneath = |column: usize| below.iter().filter_map(move |row| row.get(column));
    let is_name = |(column, name): (usize, &String)| {
        let usual = [LABEL, SPLIT, GROUP, NUMBER].iter().any(|usual| usual.contains(&name.to_lowercase().as_str()));
        is_word(name) && (usual || beneath(column).any(|field| !is_word(field)))
    };
    // Brighter than all images below it, in most of its pixels, is no image.
    let number = |field: &String| field.parse::<f32>().ok();
    let is_above = |(column, field): &(usize, &String)| {
        number(field).is_some_and(|n| beneath(*column).filter_map(number).all(|other| other < n))
    };
    if first.iter().enumerate().any(is_name) || first.iter().enumerate().filter(is_above).count() > first.len() / 2 {
        return Ok(true);
    }
    let what = "line 1 counts the columns: it may be their header, or an image";
    let hint = "say which: columns.header = true or columns.header = false";
    Err(DataError::contents(&table.path, what, Some(hint)))
}
