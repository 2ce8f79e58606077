//! CSV of pixels: one image in a row, its label before or behind it, or none.

use super::besides::Besides;
use super::columns::{Columns, GROUP, LABEL, NUMBER, SPLIT};
use super::growing::number;
use super::header;
use super::parts::{self, Parts, part_of};
use super::pixel_names::{self, Order};
use super::table::{Rows, Table};
use crate::arrays::{Images, Layout, flat_shape};
use crate::collection::{Found, MAX_PIXEL_BYTES, Names, Role, listed};
use crate::options::{ONE_LEVEL, Options, Setting, Useless};
use crate::progress::Watch;
use crate::{DataError, ImageShape, MAX_CLASSES};

/// Reads the images of a file; `role` is that of all of them where no column says which each has.
pub(crate) fn read(
    table: Table,
    role: Option<Role>,
    options: &Options,
    found: &mut Found,
    watch: &mut Watch,
) -> Result<Vec<Images>, DataError> {
    let path = &table.path;
    options.refuse(path, &[ONE_LEVEL, NO_PATHS, NO_COLUMN_OF_PATHS])?;
    let first = &table.sample[0];
    let header = header::of_pixels(&table, options.columns.header)?.then_some(&first[..]);
    let columns = Columns { path, header, width: first.len() };
    let mut plan = Plan::new(&columns, &table.sample, options)?;
    let mut rows = table.rows()?;
    if header.is_some() {
        rows.next_row()?;
    }
    let mut parts = Parts::new();
    while row(&mut rows, &columns, &plan, role, &mut parts, found)? {
        watch(rows.progress());
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if plan.undecided {
        plan.decide(path, &mut parts, &mut found.names)?;
    }
    let holds = plan.besides.words(&columns);
    let with = if header.is_some() { "with a header" } else { "without a header" };
    let shape = plan.shape;
    found.notes.push(format!("{file}: pixels parted by {}, {with}, {shape} in a row, {holds}", table.delimiter.name()));
    if !plan.unused.is_empty() {
        found.notes.push(format!("{file}: passed over: {}", listed(&plan.unused)));
    }
    let (order, words) = match (shape.channels, plan.order) {
        (3, Order::Pixels) => (Layout::Last, Some("red, green and blue of each pixel side by side")),
        (3, Order::Planes) => (Layout::First, Some("all of red, then all of green, then all of blue")),
        _ => (Layout::First, None),
    };
    found.notes.extend(words.map(|words| format!("{file}: {words}")));
    let labelled = plan.besides.label.is_some();
    Ok(parts::images(parts, &file, shape, order, labelled))
}

pub(super) const NO_PATHS: Useless = Useless {
    setting: Setting::Group,
    why: "it holds pixels, and groups are named by the paths of pictures",
    remedy: "say which column holds the groups: columns.group = \"name\"",
};

pub(super) const NO_COLUMN_OF_PATHS: Useless = Useless {
    setting: Setting::ColumnOfPaths,
    why: "it holds pixels, not the paths of pictures",
    remedy: "leave it out, or name another file",
};

/// What each column is.
struct Plan {
    besides: Besides,
    is_pixel: Vec<bool>,
    shape: ImageShape,
    order: Order,
    /// Whether the label is the first or the last column, all of which were read as pixels.
    undecided: bool,
    unused: Vec<String>,
}

impl Plan {
    fn new(columns: &Columns, sample: &[Vec<String>], options: &Options) -> Result<Plan, DataError> {
        let told = &options.columns;
        let width = columns.width;
        let mut label = columns.find("columns.label", told.label.as_ref(), LABEL)?;
        let split = columns.find("columns.split", told.split.as_ref(), SPLIT)?;
        let group = columns.find("columns.group", told.group.as_ref(), GROUP)?;
        let mut is_pixel = vec![true; width];
        let mut unused = Vec::new();
        for column in [label, split, group].into_iter().flatten() {
            is_pixel[column] = false;
        }
        let mut undecided = false;
        if let Some(header) = columns.header {
            let mut others = Vec::new();
            for column in (0..width).filter(|&column| is_pixel[column]).collect::<Vec<_>>() {
                let name = header[column].to_lowercase();
                if NUMBER.contains(&name.as_str()) {
                    is_pixel[column] = false;
                    unused.push(columns.name(column));
                } else if !name.bytes().any(|byte| byte.is_ascii_digit()) {
                    // Names of pixels have numbers.
                    is_pixel[column] = false;
                    others.push(column);
                }
            }
            match (label, &others[..]) {
                (None, &[only]) => label = Some(only),
                (None, []) => {}
                (None, [..]) => {
                    let names: Vec<String> = others.iter().map(|&column| header[column].clone()).collect();
                    let what =
                        format!("has no column with a usual name of labels; it may be one of {}", listed(&names));
                    return Err(DataError::contents(columns.path, what, Some("say which: columns.label = \"name\"")));
                }
                (Some(_), others) => unused.extend(others.iter().map(|&column| columns.name(column))),
            }
        } else if label.is_none() {
            // A word among numbers.
            let words = |column: usize| {
                sample.iter().any(|row| row.get(column).is_some_and(|field| field.parse::<f32>().is_err()))
            };
            label = [0, width - 1].into_iter().find(|&column| words(column));
            if let Some(column) = label {
                is_pixel[column] = false;
            }
            let pixels = is_pixel.iter().filter(|is| **is).count();
            let all_pixels = label.or(split).or(group).is_none();
            undecided =
                all_pixels && flat_shape(pixels, options).is_none() && flat_shape(pixels - 1, options).is_some();
        }
        let pixels = is_pixel.iter().filter(|is| **is).count() - usize::from(undecided);
        let colours =
            || flat_shape(pixels / 3, options).filter(|_| pixels.is_multiple_of(3) && columns.header.is_some());
        let shape = flat_shape(pixels, options).or_else(|| colours().map(|shape| ImageShape { channels: 3, ..shape }));
        let Some(shape) = shape else {
            let what = format!("has {pixels} columns of pixels, which are no square image, grey or in three colours");
            return Err(DataError::contents(
                columns.path,
                what,
                Some("say size = [height, width], and which column is not a pixel: columns.label"),
            ));
        };
        let order = pixel_names::order(columns, &is_pixel)?;
        Ok(Plan { besides: Besides { label, split, group }, is_pixel, shape, order, undecided, unused })
    }

    /// Takes the label out of the images: the first column or the last, whichever alone can be one.
    fn decide(&mut self, path: &std::path::Path, parts: &mut Parts, names: &mut Names) -> Result<(), DataError> {
        let width = self.is_pixel.len();
        let Some(part) = parts.values_mut().next() else { return Ok(()) };
        // Whole numbers, a few of them. Where both are, a guess may learn to tell a pixel.
        let may_be_label = |column: usize| {
            let mut seen = std::collections::BTreeSet::new();
            for value in part.values.column(column, width) {
                if value.fract() != 0.0 || !(0.0..65536.0).contains(&value) {
                    return false;
                }
                seen.insert(value as u32);
            }
            (2..=MAX_CLASSES).contains(&seen.len())
        };
        let column = match (may_be_label(0), may_be_label(width - 1)) {
            (true, false) => 0,
            (false, true) => width - 1,
            _ => {
                let what = format!("has no header, and the label may be column 1 or column {width}");
                let hint = format!("say which: columns.label = 1 or columns.label = {width}");
                return Err(DataError::contents(path, what, Some(&hint)));
            }
        };
        part.labels =
            part.values.take_column(column, width).map(|value| names.number(&(value as u32).to_string())).collect();
        self.besides.label = Some(column);
        Ok(())
    }
}

/// Adds the next row to its part, if there is one.
fn row(
    rows: &mut Rows,
    columns: &Columns,
    plan: &Plan,
    role: Option<Role>,
    parts: &mut Parts,
    found: &mut Found,
) -> Result<bool, DataError> {
    let Some((line, row)) = rows.next_of(columns.width)? else { return Ok(false) };
    let bad = |what: String, hint: &str| DataError::contents(columns.path, format!("line {line}: {what}"), Some(hint));
    let says = plan.besides.of(columns, line, row, role)?;
    let part = part_of(parts, &says, &plan.besides, found);
    for (column, field) in row.iter().enumerate().filter(|(column, _)| plan.is_pixel[*column]) {
        let value = number(field).ok_or_else(|| {
            let what = format!("{} is {:?}, expected a number", columns.name(column), String::from_utf8_lossy(field));
            bad(what, "write brightnesses from 0 (black) on")
        })?;
        part.values.push(value);
    }
    if part.values.bytes() > MAX_PIXEL_BYTES {
        return Err(bad(format!("images are more than {MAX_PIXEL_BYTES} bytes by now"), "take fewer rows"));
    }
    Ok(true)
}
