//! Settings that a format has no use for: who told them expects something else.

use std::path::Path;

use super::{Background, Columns, Fit, Level, Options};
use crate::DataError;

impl Options {
    /// Refuses settings that were told and that change nothing: who told them expects something else. Those with the
    /// value that they have by themselves pass.
    pub(crate) fn refuse(&self, path: &Path, settings: &[Useless]) -> Result<(), DataError> {
        for useless in settings.iter().filter(|_| !self.lenient) {
            if let Some((name, found)) = self.told(useless.setting) {
                let reason = format!("it changes nothing: {}: {}; {}", path.display(), useless.why, useless.remedy);
                return Err(DataError::Option { name, found, reason });
            }
        }
        Ok(())
    }

    /// The name and the value of a setting as a study file writes them, if it was told.
    fn told(&self, setting: Setting) -> Option<(&'static str, String)> {
        let Columns { path, label, split, group, header } = &self.columns;
        let columns =
            [("columns.path", path), ("columns.label", label), ("columns.split", split), ("columns.group", group)];
        let quoted = |word: &str| format!("{word:?}");
        match setting {
            Setting::Fit => (self.fit != Fit::default()).then(|| ("fit", quoted(self.fit.name()))),
            Setting::Background => {
                (self.background != Background::default()).then(|| ("background", quoted(self.background.name())))
            }
            Setting::Transpose => self.transpose.map(|transpose| ("transpose", transpose.to_string())),
            Setting::Labels => (self.labels == Level::Coarse).then(|| ("labels", quoted("coarse"))),
            Setting::Group => self.group.as_ref().map(|pattern| ("group", quoted(pattern))),
            Setting::Columns => {
                let named = columns.into_iter().find_map(|(name, column)| Some((name, column.as_ref()?.to_string())));
                named.or(header.map(|header| ("columns.header", header.to_string())))
            }
            Setting::ColumnOfPaths => path.as_ref().map(|column| ("columns.path", column.to_string())),
        }
    }
}

/// A setting that not every format has a use for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Setting {
    Fit,
    Background,
    Transpose,
    Labels,
    Group,
    /// Any of the columns.
    Columns,
    ColumnOfPaths,
}

/// A setting that would change nothing, why that is, and what to do.
pub(crate) struct Useless {
    pub(crate) setting: Setting,
    pub(crate) why: &'static str,
    pub(crate) remedy: &'static str,
}

/// Labels of two levels are those of CIFAR-100.
pub(crate) const ONE_LEVEL: Useless =
    Useless { setting: Setting::Labels, why: "only CIFAR-100 has fine and coarse labels", remedy: "leave it out" };

/// Pictures are as their files say.
pub(crate) const UPRIGHT: Useless = Useless {
    setting: Setting::Transpose,
    why: "pictures lie as their files say, only arrays are turned",
    remedy: "turn the files, or leave it out",
};

/// What has no columns.
pub(crate) const NO_COLUMNS: Useless = Useless {
    setting: Setting::Columns,
    why: "only CSV files have columns",
    remedy: "name the CSV file, or leave it out",
};

/// Groups by path.
pub(crate) const NO_PATHS: Useless = Useless {
    setting: Setting::Group,
    why: "groups are named by the paths of pictures, and these images have none",
    remedy: "leave it out, or save the images as pictures, or as a CSV file with a column of groups",
};
