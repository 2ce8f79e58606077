//! Groups by name: which pictures belong together, by a part of their paths.

use std::path::Path;

use regex_lite::Regex;

use crate::DataError;

/// A regular expression with one capture.
pub(crate) struct GroupPattern(Regex);

impl GroupPattern {
    pub(crate) fn new(pattern: &str) -> Result<GroupPattern, DataError> {
        let regex = Regex::new(pattern).map_err(|reason| DataError::Option {
            name: "group",
            found: format!("{pattern:?}"),
            reason: reason.to_string(),
        })?;
        // One for the whole match.
        match regex.captures_len() - 1 {
            1 => Ok(GroupPattern(regex)),
            n => {
                let reason = format!("it has {n} captures, expected one: the part in parentheses is the group");
                Err(DataError::Option { name: "group", found: format!("{pattern:?}"), reason })
            }
        }
    }

    /// The group of a picture; `shown` is its path below the data set.
    pub(crate) fn group<'a>(&self, path: &Path, shown: &'a str) -> Result<&'a str, DataError> {
        let capture = self.0.captures(shown).and_then(|captures| captures.get(1));
        capture.map(|capture| capture.as_str()).ok_or_else(|| {
            let what =
                format!("{shown} does not match group = {:?}, expected a group for each picture", self.0.as_str());
            DataError::contents(path, what, Some("a pattern that matches every path, or none"))
        })
    }
}
