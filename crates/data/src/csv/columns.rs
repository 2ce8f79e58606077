//! Which column holds what.

use crate::collection::listed;
use crate::{Column, DataError};

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
    /// The column that was told, else the first with a usual name.
    pub(crate) fn find(
        &self,
        what: &'static str,
        told: Option<&Column>,
        usual: &[&str],
    ) -> Result<Option<usize>, DataError> {
        let header = self.header.unwrap_or_default();
        let Some(told) = told else {
            return Ok(header.iter().position(|name| usual.contains(&name.trim().to_lowercase().as_str())));
        };
        let place = |number: usize| number.checked_sub(1).filter(|&column| column < self.width);
        let column = match told {
            Column::Name(name) if self.header.is_some() => header.iter().position(|other| other == name),
            // Without a header there are no names: a number in quotes can only be a place. Records of before numbers
            // were told from names have them so.
            Column::Name(name) => name.parse().ok().and_then(place),
            &Column::Number(number) => place(number),
        };
        if column.is_some() {
            return Ok(column);
        }
        let numbers = || format!("a number from 1 to {}", self.width);
        let there = match (told, self.header) {
            (Column::Name(_), Some(header)) => format!("one of {}", listed(header)),
            (Column::Name(_), None) => format!("{}: there is no header", numbers()),
            (Column::Number(_), _) => numbers(),
        };
        let mut reason = format!("{} has no such column, expected {there}", self.path.display());
        // Who quotes a number may mean the place.
        if let Column::Name(name) = told
            && let Some(number) = name.parse().ok().filter(|number| (1..=self.width).contains(number))
        {
            reason.push_str(&format!("; without quotes, {what} = {number} is the column of that number"));
        }
        Err(DataError::Option { name: what, found: told.to_string(), reason })
    }

    /// What people call a column.
    pub(crate) fn name(&self, column: usize) -> String {
        match self.header.and_then(|header| header.get(column)) {
            // By itself such a name would be read as the column's place.
            Some(name) if name.parse::<u64>().is_ok() => format!("column {}, called {name:?}", column + 1),
            Some(name) if !name.is_empty() => format!("column {name}"),
            _ => format!("column {}", column + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_place_and_a_string_a_name() {
        let header = ["2", "1", "breed"].map(str::to_owned);
        let columns = Columns { path: "a.csv".as_ref(), header: Some(&header), width: 3 };
        let find = |told: Column| columns.find("columns.label", Some(&told), LABEL).map_err(|error| error.to_string());
        let name = |name: &str| Column::Name(name.to_owned());
        assert_eq!((find(name("1")), find(Column::Number(1))), (Ok(Some(1)), Ok(Some(0))));
        let known = "expected one of 2, 1, breed";
        let quoted = "without quotes, columns.label = 3 is the column of that number";
        let cases = [
            (name("3"), format!("columns.label = \"3\": a.csv has no such column, {known}; {quoted}")),
            (name("bread"), format!("columns.label = \"bread\": a.csv has no such column, {known}")),
            (
                Column::Number(4),
                "columns.label = 4: a.csv has no such column, expected a number from 1 to 3".to_owned(),
            ),
            (
                Column::Number(0),
                "columns.label = 0: a.csv has no such column, expected a number from 1 to 3".to_owned(),
            ),
        ];
        for (told, message) in cases {
            assert_eq!(find(told), Err(message));
        }
    }
}
