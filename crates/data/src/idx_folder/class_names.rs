//! A list of class names beside IDX files: `classes.txt` or `labels.txt`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Read;

use crate::DataError;
use crate::arrays::Images;
use crate::collection::{Found, Names, Order};
use crate::read::open;
use crate::walk::Listing;

const FILES: [&str; 2] = ["classes.txt", "labels.txt"];

/// The longest list.
const MOST_BYTES: u64 = 256 << 10;

/// Calls the classes by their names in the list, where there is one, and puts them in the order of their labels; says
/// whether it did. A list that does not name every label is passed over with a note.
pub(super) fn apply(listing: &Listing, parts: &mut [Images], found: &mut Found) -> Result<bool, DataError> {
    let is = |name: &str| listing.files.iter().find(|item| item.name.eq_ignore_ascii_case(name));
    let Some(item) = FILES.into_iter().find_map(is) else { return Ok(false) };
    let mut bytes = Vec::new();
    let file = open(&item.path)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|reason| DataError::io(&item.path, reason))?;
    // In the order of the classes, and the number that each had until now.
    let mut labels: Vec<(i64, usize)> = Vec::new();
    for (number, label) in found.names.list.iter().enumerate() {
        let Ok(label) = label.parse() else { return Ok(false) };
        labels.push((label, number));
    }
    labels.sort_unstable();
    match named(bytes, &labels) {
        Ok((names, how)) => {
            found.notes.push(format!("classes are called as in {}, {how}", item.name));
            let mut new = vec![0; labels.len()];
            (0_u32..).zip(&labels).for_each(|(class, &(_, number))| new[number] = class);
            parts.iter_mut().flat_map(|part| &mut part.labels).for_each(|label| *label = new[*label as usize]);
            (found.names, found.order) = (names, Order::Listed);
            Ok(true)
        }
        Err(why) => {
            found.notes.push(format!("{} {why} and is passed over", item.name));
            Ok(false)
        }
    }
}

/// The names of these labels, in this order, and how the list is understood; or why it is of no use.
fn named(bytes: Vec<u8>, labels: &[(i64, usize)]) -> Result<(Names, &'static str), String> {
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("has more than {MOST_BYTES} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').trim_end().lines().map(str::trim).collect();
    let smallest = labels.first().map_or(0, |&(label, _)| label);
    let (list, how) = if let Some(list) = numbered(&lines) {
        (list, "each name behind its label")
    } else {
        // As many lines as labels that count from 1 leave nothing to name 0.
        let from = i64::from(smallest == 1 && labels.last().is_some_and(|&(last, _)| last == lines.len() as i64));
        let list = (from..).zip(lines.iter().copied()).collect();
        (list, if from == 0 { "whose first line names label 0" } else { "whose first line names label 1" })
    };
    let mut names = Names::default();
    for (class, (label, _)) in labels.iter().enumerate() {
        let name =
            list.get(label).filter(|name| !name.is_empty()).ok_or_else(|| format!("does not name label {label}"))?;
        if names.number(name) as usize != class {
            return Err(format!("has {name:?} twice"));
        }
    }
    Ok((names, how))
}

/// Lines such as `3 bird`, each with another number.
fn numbered<'a>(lines: &[&'a str]) -> Option<BTreeMap<i64, &'a str>> {
    let mut list = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.is_empty()) {
        let (number, name) = line.split_once(char::is_whitespace)?;
        if list.insert(number.parse().ok()?, name.trim()).is_some() {
            return None;
        }
    }
    Some(list)
}
