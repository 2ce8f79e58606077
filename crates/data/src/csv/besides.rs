//! What a row says of its image besides the pixels.

use ::csv::ByteRecord;

use super::columns::Columns;
use crate::DataError;
use crate::collection::Role;

/// The columns of it, where they are there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Besides {
    pub(super) label: Option<usize>,
    pub(super) split: Option<usize>,
    pub(super) group: Option<usize>,
}

/// What one row says.
pub(super) struct RowSays {
    pub(super) role: Option<Role>,
    /// Empty where there is no such column.
    pub(super) label: String,
    pub(super) group: String,
}

impl Besides {
    /// What the row in this line says; `role` is its part where no column says so.
    pub(super) fn of(
        &self,
        columns: &Columns,
        line: u64,
        row: &ByteRecord,
        role: Option<Role>,
    ) -> Result<RowSays, DataError> {
        let bad =
            |what: String, hint: &str| DataError::contents(columns.path, format!("line {line}: {what}"), Some(hint));
        let text = |column: Option<usize>| -> Result<String, DataError> {
            let Some(column) = column else { return Ok(String::new()) };
            let field = std::str::from_utf8(&row[column]).ok().filter(|field| !field.is_empty());
            field.map(str::to_owned).ok_or_else(|| {
                bad(format!("{} is empty or not UTF-8", columns.name(column)), "fill it, and save the file as UTF-8")
            })
        };
        let role = match self.split {
            None => role,
            Some(column) => {
                let word = text(Some(column))?;
                Some(Role::of(&word).ok_or_else(|| {
                    bad(
                        format!("{} is {word:?}, expected train, valid or test", columns.name(column)),
                        "write one of these",
                    )
                })?)
            }
        };
        Ok(RowSays { role, label: text(self.label)?, group: text(self.group)? })
    }

    /// Which columns these are, in words.
    pub(super) fn words(&self, columns: &Columns) -> String {
        let mut holds = match self.label {
            Some(column) => format!("the label in {}", columns.name(column)),
            None => "no labels".to_owned(),
        };
        for (what, column) in [("the part", self.split), ("the group", self.group)] {
            if let Some(column) = column {
                holds.push_str(&format!(", {what} in {}", columns.name(column)));
            }
        }
        holds
    }
}
