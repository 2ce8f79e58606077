//! CSV files: of pixels, one image in a row, or of the paths of pictures.

mod besides;
mod columns;
mod growing;
mod header;
mod one_field;
mod parts;
mod paths;
mod pixel_names;
mod pixels;
mod table;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::DataError;
use crate::arrays::Images;
use crate::collection::{Found, Role, listed};
use crate::options::Options;
use crate::progress::Watch;
use crate::walk::{Item, Listing};
use table::Table;

/// Fewer numbers in a row are no image.
const FEWEST_PIXELS: usize = 16;

/// Reads a CSV file.
pub(crate) fn read(path: &Path, options: &Options, watch: &mut Watch) -> Result<Found, DataError> {
    let table = Table::open(path)?;
    let mut found = Found::default();
    match images(&table) {
        Some(images) => {
            let parts = images.read(table, Some(Role::Train), options, &mut found, watch)?;
            crate::arrays::add(path, parts, options, &mut found)?;
        }
        None => paths::read(table, Some(Role::Train), options, &mut found, watch)?,
    }
    Ok(found)
}

/// Reads a folder with a CSV file of pixels for each part, as `train.csv` and `test.csv`; none if it holds none of
/// these.
pub(crate) fn read_folder(
    path: &Path,
    listing: &Listing,
    options: &Options,
    watch: &mut Watch,
) -> Result<Option<Found>, DataError> {
    let is_csv = |item: &&Item| [".csv", ".csv.gz", ".tsv"].iter().any(|end| item.name.ends_with(end));
    let parts: Vec<(&Item, Role)> =
        listing.files.iter().filter(is_csv).filter_map(|item| Some((item, Role::within(&item.name)?))).collect();
    if parts.iter().all(|(_, role)| *role != Role::Train) {
        return Ok(None);
    }
    let mut found = Found::default();
    let (mut of_pixels, mut others) = (Vec::new(), Vec::new());
    for (item, role) in &parts {
        let table = Table::open(&item.path)?;
        match images(&table) {
            Some(images) => of_pixels.extend(images.read(table, Some(*role), options, &mut found, watch)?),
            None => others.push(item.name.clone()),
        }
    }
    if of_pixels.is_empty() {
        // They may name the pictures in the folders beside them, but each is then to be named by itself.
        return Ok(None);
    }
    if !others.is_empty() {
        found.notes.push(format!("CSV files without pixels are passed over: {}", listed(&others)));
    }
    crate::arrays::add(path, of_pixels, options, &mut found)?;
    Ok(Some(found))
}

/// Where the pixels of an image are.
#[derive(Clone, Copy)]
enum Pixels {
    /// Each in a field of its own.
    Fields,
    /// All in this column.
    Column(usize),
}

/// Where rows hold pixels, if they do: many numbers.
fn images(table: &Table) -> Option<Pixels> {
    let row = table.sample.get(1).or(table.sample.first())?;
    if row.iter().filter(|field| field.parse::<f32>().is_ok()).count() >= FEWEST_PIXELS {
        return Some(Pixels::Fields);
    }
    one_field::column(table).map(Pixels::Column)
}

impl Pixels {
    fn read(
        self,
        table: Table,
        role: Option<Role>,
        options: &Options,
        found: &mut Found,
        watch: &mut Watch,
    ) -> Result<Vec<Images>, DataError> {
        match self {
            Pixels::Fields => pixels::read(table, role, options, found, watch),
            Pixels::Column(column) => one_field::read(table, column, role, options, found, watch),
        }
    }
}
