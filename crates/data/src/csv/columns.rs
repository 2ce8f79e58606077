//! Which column holds what.

use crate::DataError;
use crate::collection::listed;

/// The usual names of columns.
pub(crate) const LABEL: &[&str] =
    &["label", "labels", "class", "class_name", "classname", "category", "target", "emotion", "y"];
pub(crate) const SPLIT: &[&str] = &["split", "set", "subset", "partition", "usage"];
pub(crate) const GROUP: &[&str] =
    &["group", "groups", "patient", "patient_id", "patientid", "subject", "subject_id", "writer"];
pub(crate) const PATH: &[&str] = &[
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image",
    "image_path",
    "image_name",
    "image_id",
    "id",
    "name",
];
/// Columns that count rows.
pub(crate) const NUMBER: &[&str] = &["", "unnamed: 0", "id", "imageid", "image_id", "index", "row", "row_id"];

/// The header of a table, or how many columns it has.
pub(crate) struct Columns<'a> {
    pub(crate) path: &'a std::path::Path,
    /// The names in the header.
    pub(crate) header: Option<&'a [String]>,
    pub(crate) width: usize,
}

impl Columns<'_> {
    /// The column that was told by name or number (from 1 on), else the first with a usual name.
    pub(crate) fn find(
        &self,
        what: &'static str,
        told: Option<&str>,
        usual: &[&str],
    ) -> Result<Option<usize>, DataError> {
        let header = self.header.unwrap_or_default();
        let Some(told) = told else {
            return Ok(header.iter().position(|name| usual.contains(&name.trim().to_lowercase().as_str())));
        };
        if let Some(column) = header.iter().position(|name| name == told) {
            return Ok(Some(column));
        }
        match told.parse::<usize>() {
            Ok(number) if (1..=self.width).contains(&number) => Ok(Some(number - 1)),
            _ => {
                let there = match self.header {
                    Some(header) => format!("one of {}", listed(header)),
                    None => format!("a number from 1 to {}: there is no header", self.width),
                };
                let reason = format!("{} has no such column, expected {there}", self.path.display());
                Err(DataError::Option { name: what, found: told.to_owned(), reason })
            }
        }
    }

    /// What people call a column.
    pub(crate) fn name(&self, column: usize) -> String {
        match self.header.and_then(|header| header.get(column)) {
            // A number would be taken for the column's place.
            Some(name) if name.parse::<u64>().is_ok() => format!("column {}, called {name:?}", column + 1),
            Some(name) if !name.is_empty() => format!("column {name}"),
            _ => format!("column {}", column + 1),
        }
    }
}
