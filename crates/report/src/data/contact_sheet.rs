//! The contact sheet: images of each class in a row below its name.

use super::Class;
use crate::feature_maps::pixel;
use crate::font::{Face, draws};
use crate::format::count;
use crate::heading::Heading;
use crate::look::image_trace::cut;
use crate::picture::{Align, FRAME, INK, Picture, SOFT_INK};

const MARGIN: usize = 24;
/// Between images.
pub(super) const GAP: usize = 4;
/// What an image takes besides its own height: the name above it, and the space below.
pub(super) const ABOVE: usize = NAME + BELOW;
const NAME: usize = 18;
const BELOW: usize = 12;
/// Between classes that stand side by side.
const BETWEEN: usize = 28;
/// For the shortest of names.
const LOWEST_BAND: usize = 140;
const WIDTH: usize = 1480;
/// The height is at most so many times the width, where classes can stand side by side.
const TALL: usize = 4;
/// Images are enlarged by whole pixels up to this side, in pictures of no more pixels than this.
const IMAGE_PX: usize = 64;
const ENLARGED_PIXELS: usize = 8_000_000;

/// The contact sheet of `classes`, as a PNG file. The same input gives the same bytes.
pub fn contact_sheet(title: &str, notes: &[String], classes: &[Class]) -> Vec<u8> {
    draw(title, notes, classes).png()
}

/// Like [`contact_sheet`], as a [`Picture`]. Names are cut where they are too long; of one with signs that the font does
/// not have, these are question marks, and its number among the classes stands before it, from 1 on.
pub fn draw(title: &str, notes: &[String], classes: &[Class]) -> Picture {
    let examples = || classes.iter().flat_map(|class| &class.examples);
    let [height, width] = examples().next().map_or([1, 1], |example| [example.image.height, example.image.width]);
    let most = classes.iter().map(|class| class.examples.len()).max().unwrap_or(0).max(1);
    let largest = (IMAGE_PX / height.max(width).max(1)).clamp(1, 3);
    let area = |scale: usize| classes.len() * most * (scale * height + ABOVE) * (scale * width + GAP);
    let scale = (2..=largest).rev().find(|&scale| area(scale) <= ENLARGED_PIXELS).unwrap_or(1);
    let (cell_height, cell_width) = (scale * height, scale * width);

    let band = (most * (cell_width + GAP) - GAP).max(LOWEST_BAND);
    let line = cell_height + ABOVE;
    let lines = |columns: usize| classes.len().div_ceil(columns);
    let across = |columns: usize| columns * (band + BETWEEN) - BETWEEN;
    let mut columns = ((WIDTH - 2 * MARGIN + BETWEEN) / (band + BETWEEN)).max(1);
    while lines(columns) * line > TALL * across(columns) {
        columns += 1;
    }
    let columns = columns.min(classes.len().max(1));

    let mut notes = notes.to_vec();
    if classes.iter().any(|class| !drawable(&class.name)) {
        notes.push(
            "Names with signs that this picture cannot draw have question marks; the page beside it has them whole, by \
             these numbers."
                .to_owned(),
        );
    }
    let title = if drawable(title) { title.to_owned() } else { marked(title) };
    let heading = Heading::new(&title, &notes, across(columns));
    let top = MARGIN + heading.height();
    let full = across(columns).max(heading.width()) + 2 * MARGIN;
    let mut picture = Picture::new(full, top + lines(columns) * line + MARGIN - BELOW);
    heading.draw(&mut picture, (MARGIN, MARGIN));
    for (n, class) in classes.iter().enumerate() {
        // Down a column first, as one reads a list.
        let (column, row) = (n / lines(columns), n % lines(columns));
        let (left, y) = (MARGIN + column * (band + BETWEEN), top + row * line);
        name(&mut picture, (left, y), n, class, band);
        for (place, example) in class.examples.iter().enumerate() {
            let (x, y) = (left + place * (cell_width + GAP), y + NAME);
            let image = &example.image;
            picture.tile((x, y), (image.width, image.height), scale, |row, column| pixel(image, row, column));
            picture.frame(x, y, cell_width, cell_height, FRAME);
        }
    }
    picture
}

/// The name of a class and how many images it has, cut to `width` pixels.
fn name(picture: &mut Picture, (x, y): (usize, usize), n: usize, class: &Class, width: usize) {
    let name = if drawable(&class.name) {
        class.name.clone()
    } else if class.name.chars().any(|sign| draws(sign) && sign.is_alphanumeric()) {
        format!("class {}: {}", n + 1, marked(&class.name))
    } else {
        format!("class {}", n + 1)
    };
    let of = count(class.of);
    let room = (width / Face::Bold.width()).saturating_sub(of.len() + 2).max(4);
    let name = cut(&name, room);
    picture.text((x, y), Align::Left, Face::Bold, INK, &name);
    let behind = x + Face::Bold.text_width(&name) + 2 * Face::Bold.width();
    picture.text((behind, y), Align::Left, Face::Regular, SOFT_INK, &of);
}

/// Whether the font has all signs of a name.
pub(super) fn drawable(name: &str) -> bool {
    name.chars().all(draws)
}

/// The name with a question mark for each sign that the font does not have.
fn marked(name: &str) -> String {
    name.chars().map(|sign| if draws(sign) { sign } else { '?' }).collect()
}
