//! What the names of columns of pixels say of their order.

use std::collections::HashMap;

use super::columns::Columns;
use crate::DataError;

/// How the colours of an image follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// Red, green and blue of each pixel side by side, as far as the names say.
    Pixels,
    /// All of red, then all of green, then all of blue.
    Planes,
}

/// The order of the columns of pixels, whose numbers must ascend: tools that sort names put pixel10 before pixel2, and
/// pictures of shuffled pixels teach little.
pub(crate) fn order(columns: &Columns, is_pixel: &[bool]) -> Result<Order, DataError> {
    let Some(header) = columns.header else { return Ok(Order::Pixels) };
    // Names without their numbers, in the order in which they come; and how many runs of them there are.
    let mut kinds: Vec<String> = Vec::new();
    let mut runs = 0;
    let mut before: HashMap<String, (&str, Vec<u64>)> = HashMap::new();
    let mut last_kind = None;
    // Names may say row and column, in either order.
    let (mut ascends, mut ascends_backwards) = (true, true);
    let mut fault = None;
    for (name, _) in header.iter().zip(is_pixel).filter(|(_, is_pixel)| **is_pixel) {
        let (kind, numbers) = parts(name);
        if last_kind.as_ref() != Some(&kind) {
            runs += 1;
            last_kind = Some(kind.clone());
        }
        match before.insert(kind.clone(), (name, numbers.clone())) {
            None => kinds.push(kind),
            Some((name_before, numbers_before)) => {
                ascends &= numbers_before < numbers;
                ascends_backwards &= numbers_before.iter().rev().lt(numbers.iter().rev());
                if !ascends && !ascends_backwards && fault.is_none() {
                    fault = Some((name_before, name));
                }
            }
        }
    }
    if let Some((one, next)) = fault {
        let what = format!("column {one} comes before column {next}: the numbers of the pixels do not ascend");
        let hint = "sort the columns by their numbers, not as words: row by row, from the top left";
        return Err(DataError::contents(columns.path, what, Some(hint)));
    }
    let first_letters: String = kinds.iter().filter_map(|kind| kind.chars().next()).collect();
    let mut letters: Vec<char> = first_letters.chars().collect();
    letters.sort_unstable();
    if letters != ['b', 'g', 'r'] {
        return Ok(Order::Pixels);
    }
    if first_letters != "rgb" {
        let what = format!("its columns of colours come in the order {}, expected red, green, blue", kinds.join(", "));
        let hint = "put the columns in this order";
        return Err(DataError::contents(columns.path, what, Some(hint)));
    }
    Ok(if runs == 3 { Order::Planes } else { Order::Pixels })
}

/// A name without digits, in small letters, and the numbers in it.
fn parts(name: &str) -> (String, Vec<u64>) {
    let kind = name.to_lowercase().chars().filter(|c| !c.is_ascii_digit()).collect();
    let digits = name.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    (kind, digits.map(|digits| digits.parse().unwrap_or(u64::MAX)).collect())
}
