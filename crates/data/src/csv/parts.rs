//! The images of the parts of a CSV file of pixels, as its rows come.

use std::collections::BTreeMap;

use super::besides::{Besides, RowSays};
use super::growing::Growing;
use crate::ImageShape;
use crate::arrays::{Images, Layout};
use crate::collection::{Found, Role};

/// The images of a part.
#[derive(Default)]
pub(super) struct Part {
    pub(super) values: Growing,
    pub(super) labels: Vec<u32>,
    pub(super) groups: Vec<u32>,
}

/// By role.
pub(super) type Parts = BTreeMap<Option<Role>, Part>;

/// The part of a row, with its label and its group; the pixels are to follow.
pub(super) fn part_of<'a>(parts: &'a mut Parts, says: &RowSays, besides: &Besides, found: &mut Found) -> &'a mut Part {
    let part = parts.entry(says.role).or_default();
    part.labels.extend(besides.label.map(|_| found.names.number(&says.label)));
    part.groups.extend(besides.group.map(|_| found.groups.number(&says.group)));
    part
}

/// The parts as arrays of images; `file` is what errors call them, and where no row has a label they have no role.
pub(super) fn images(parts: Parts, file: &str, shape: ImageShape, layout: Layout, labelled: bool) -> Vec<Images> {
    let of_part = |(role, part): (Option<Role>, Part)| Images {
        role: role.filter(|_| labelled),
        name: file.to_owned(),
        shape,
        layout,
        values: part.values.into_values(),
        labels: part.labels,
        groups: part.groups,
        on_side: false,
    };
    parts.into_iter().map(of_part).collect()
}
