//! A card for each filter: its kernel, what it answers to, and whether it matters.

use crate::colormap::{diverging, largest_magnitude, sequential};
use crate::feature_maps::{FeatureMap, Image, draw_tile, pixel};
use crate::filters::{
    Filter, Grid, LARGEST_AREA, MARGIN, Multiples, NAN_HEIGHT, columns, has_nan, lines_that_fit, name, sees_some,
};
use crate::font::Face;
use crate::format::{change_in_points, significant};
use crate::heading::{Heading, LINE, Words, wrap};
use crate::legend;
use crate::picture::{ALARM, Align, FRAME, INK, Picture, SOFT_INK};

/// What is known of one filter.
#[derive(Clone, PartialEq, Debug)]
pub struct Card {
    /// The kernel.
    pub filter: Filter,
    /// Balanced accuracy lost without it (1 is all), the class that suffers most and the recall it loses; none if not
    /// measured.
    pub matters: Option<Matters>,
    /// Its largest response before ReLU.
    pub largest: f32,
    /// Share of its responses that ReLU cuts off; none where no ReLU follows.
    pub cut: Option<f64>,
    /// Whether it never answers.
    pub dead: bool,
    /// The filter that answers alike.
    pub duplicate_of: Option<usize>,
    /// Its response to the image that all cards share.
    pub response: Option<FeatureMap>,
    /// The patches that excite it most, the strongest first, each as large as what the filter sees.
    pub patches: Vec<Patch>,
}

/// What silencing a filter costs.
#[derive(Clone, PartialEq, Debug)]
pub struct Matters {
    /// Balanced accuracy lost, 1 being all.
    pub lost: f64,
    /// The class that suffers most, as it is to be printed.
    pub suffers: String,
    /// The recall that it loses, 1 being all.
    pub suffers_lost: f64,
}

/// A part of a training image.
#[derive(Clone, PartialEq, Debug)]
pub struct Patch {
    /// The pixels; grey (or transparent padding as black) where the filter sees beyond the image.
    pub image: Image,
    /// Which training image, as it is to be printed.
    pub of: String,
    /// The response before ReLU.
    pub value: f32,
}

/// What all cards of a picture share.
#[derive(Clone, PartialEq, Debug)]
pub struct Sheet {
    /// The title: `conv1 of cnn2 seed 1`.
    pub title: String,
    /// Filters that the layer has; the cards may be some of them.
    pub of: usize,
    /// The largest magnitude of the layer's weights: one scale for all.
    pub limit: f32,
    /// The image whose response the cards show.
    pub image: Option<Image>,
    /// The cards, in the order in which they are to be shown.
    pub cards: Vec<Card>,
}

/// All or some filters of a layer with what it costs to silence them, as a PNG file.
pub fn filters(sheet: &Sheet) -> Vec<u8> {
    filters_picture(sheet).png()
}

/// Like [`filters()`], as a [`Picture`]. Of more filters than a picture can hold only the first are shown, and it says
/// so.
///
/// # Panics
/// If a filter's `weights` are not `channels * height * width` long.
pub fn filters_picture(sheet: &Sheet) -> Picture {
    let grid = Grid {
        title: &sheet.title,
        items: sheet.cards.iter().map(|card| (&card.filter, caption(card))).collect(),
        limit: sheet.limit,
        has_nan: sheet.cards.iter().any(|card| has_nan(&card.filter)),
        largest_area: LARGEST_AREA,
    };
    let mut notes = vec![format!("{} of {} filters shown, all on one scale.", grid.shown(), sheet.of)];
    notes.extend(sees_some(sheet.cards.iter().map(|card| &card.filter)));
    if sheet.cards.iter().any(|card| card.matters.is_some()) {
        notes.push(
            "Below each: what silencing it does to balanced accuracy on validation, and the class whose recall falls \
             most, in percentage points."
                .to_owned(),
        );
    }
    grid.draw(&notes)
}

/// A card for each filter, as a PNG file.
pub fn cards(sheet: &Sheet) -> Vec<u8> {
    cards_picture(sheet).png()
}

const GAP: usize = 20;
const PADDING: usize = 14;
/// Between the parts of a card: kernel, responses, patches.
const PART_GAP: usize = 14;
const KERNEL_PX: usize = 176;
const MAP_PX: usize = 140;
const PATCHES_PX: usize = 176;
const PATCH_GAP: usize = 4;
/// Patches are shown in a square of so many a side.
const PATCH_COLUMNS: usize = 3;
const IMAGE_PX: usize = 84;
const HEADING_HEIGHT: usize = 20;

/// Like [`cards()`], as a [`Picture`]. Of more cards than a picture can hold only the first are shown, and it says so.
///
/// # Panics
/// If weights, pixels or responses are not as long as their shapes say, or an image has neither 1 nor 3 channels.
pub fn cards_picture(sheet: &Sheet) -> Picture {
    let layout = Layout::of(&sheet.cards);
    let columns = columns(sheet.cards.len(), layout.width, GAP);
    let grid_width = (columns * (layout.width + GAP)).saturating_sub(GAP);
    let band = Band::of(sheet);
    let lines = lines_that_fit(LARGEST_AREA, grid_width.max(band.width()), layout.height + GAP);
    let cards = &sheet.cards[..sheet.cards.len().min(lines * columns)];

    let heading = Heading::new(&sheet.title, &notes(sheet, cards), grid_width.max(band.width()));
    let width = grid_width.max(heading.width()).max(band.width()) + 2 * MARGIN;
    let band_y = MARGIN + heading.height();
    let grid_y = band_y + band.height() + GAP;
    let height = match cards.len().div_ceil(columns) {
        0 => band_y + LINE + MARGIN,
        lines => grid_y + lines * (layout.height + GAP) - GAP + MARGIN,
    };
    let mut picture = Picture::new(width, height);
    heading.draw(&mut picture, (MARGIN, MARGIN));
    if cards.is_empty() {
        picture.text((MARGIN, band_y), Align::Left, Face::Regular, SOFT_INK, "no filters");
        return picture;
    }
    band.draw(&mut picture, (MARGIN, band_y));
    for (n, card) in cards.iter().enumerate() {
        let x = MARGIN + n % columns * (layout.width + GAP);
        let y = grid_y + n / columns * (layout.height + GAP);
        picture.frame(x, y, layout.width, layout.height, FRAME);
        layout.draw(&mut picture, (x + PADDING, y + PADDING), card, &band);
    }
    picture
}

fn notes(sheet: &Sheet, shown: &[Card]) -> Vec<String> {
    let mut notes = vec![format!("{} of {} filters shown, all on the same scales.", shown.len(), sheet.of)];
    if shown.is_empty() {
        return notes;
    }
    let mut parts = vec!["its kernel".to_owned()];
    if shown.iter().any(|card| card.response.is_some()) {
        parts.push("its response to one image".to_owned());
    }
    if let Some(most) = shown.iter().map(|card| card.patches.len()).max().filter(|most| *most > 0) {
        parts.push(format!("the {most} parts of training images that excite it most, the strongest first"));
    }
    notes.push(format!(
        "For each filter {}.",
        crate::format::listed(&parts.iter().map(String::as_str).collect::<Vec<_>>())
    ));
    notes.extend(sees_some(shown.iter().map(|card| &card.filter)));
    if shown.iter().any(|card| card.matters.is_some()) {
        notes.push("Silenced: how the network changes on validation without it, in percentage points.".to_owned());
    }
    notes
}

/// `filter 12, dead, like 5`, what is amiss with it in the colour of warnings.
fn marked(card: &Card) -> Words {
    let mut text = name(&card.filter);
    if card.dead {
        text.push_str(", dead");
    }
    if let Some(other) = card.duplicate_of {
        text.push_str(&format!(", like {other}"));
    }
    (Face::Bold, if card.dead || card.duplicate_of.is_some() { ALARM } else { INK }, text)
}

/// Characters of a line below a filter at most.
const CAPTION_COLUMNS: usize = 32;

/// The words below a filter among many.
fn caption(card: &Card) -> Vec<Words> {
    let cost = card.matters.as_ref().map(|matters| {
        let cost = format!("{} points", change_in_points(-matters.lost, 2));
        match suffering(matters) {
            Some(suffers) => format!("{cost}, {suffers}"),
            None => cost,
        }
    });
    let cost = cost.iter().flat_map(|text| wrap(text, CAPTION_COLUMNS)).map(|text| (Face::Regular, INK, text));
    std::iter::once(marked(card)).chain(cost).collect()
}

/// The class that suffers and what it loses, if one does.
fn suffering(matters: &Matters) -> Option<String> {
    (matters.suffers_lost > 0.0).then(|| format!("{} {}", matters.suffers, change_in_points(-matters.suffers_lost, 1)))
}

/// A response, as people read it.
fn response(value: f32) -> String {
    if value < 0.0 { format!("-{}", significant(value)) } else { significant(value) }
}

/// What a card says in words.
fn words(card: &Card) -> Vec<String> {
    let cost = match &card.matters {
        Some(matters) => {
            let cost = format!("silenced: balanced accuracy {} points", change_in_points(-matters.lost, 2));
            match suffering(matters) {
                Some(suffers) => format!("{cost}, recall of {suffers}"),
                None => cost,
            }
        }
        None => "silenced: not measured".to_owned(),
    };
    let of = card.patches.first().map(|patch| format!(" ({})", patch.of)).unwrap_or_default();
    let largest = format!("largest response {}{of}", response(card.largest));
    let largest = match card.cut {
        Some(share) if share.is_finite() => format!("{largest}, ReLU cuts off {:.1}% of all", share * 100.0),
        _ => largest,
    };
    vec![cost, largest]
}

/// The parts of a card, equal on all cards of a picture.
struct Layout {
    kernel: (usize, usize),
    /// Whether responses before and after ReLU are shown, and how.
    maps: Option<Maps>,
    patches: (usize, usize),
    lines: usize,
    width: usize,
    height: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Maps {
    /// Tiles, or numbers where a response is a single one.
    side: usize,
    /// Whether ReLU follows, so that there are two.
    rectified: bool,
}

impl Layout {
    fn of(cards: &[Card]) -> Layout {
        let kernels = cards.iter().map(|card| Multiples::fit(&card.filter, KERNEL_PX).size());
        let kernel = kernels.fold((LABEL_WIDTH, 0), larger);
        let responses = || cards.iter().filter_map(|card| card.response.as_ref());
        let side = responses().map(map_side).max();
        let maps = side.map(|side| Maps { side, rectified: cards.iter().any(|card| card.cut.is_some()) });
        let all_patches = cards.iter().filter(|card| !card.patches.is_empty());
        let patches = all_patches.map(|card| patches_size(&card.patches)).fold((0, 0), larger);
        let patches = if patches.0 == 0 { patches } else { larger(patches, (Face::Regular.text_width(PATCHES), 0)) };

        let maps_width = maps.map_or(0, |maps| (1 + usize::from(maps.rectified)) * (maps.side + PART_GAP));
        let patches_width = if patches.0 == 0 { 0 } else { patches.0 + PART_GAP };
        let heads = cards.iter().map(|card| Face::Bold.text_width(&marked(card).2)).max().unwrap_or(0);
        let inner = (kernel.0 + maps_width + patches_width).max(heads).max(LOWEST_WORDS);
        let lines = cards.iter().map(|card| broken(card, inner).len()).max().unwrap_or(0);
        let parts_height = kernel.1.max(maps.map_or(0, |maps| maps.side)).max(patches.1);
        let height = HEADING_HEIGHT + lines * LINE + 8 + parts_height + 6 + Face::Regular.height();
        Layout { kernel, maps, patches, lines, width: inner + 2 * PADDING, height: height + 2 * PADDING }
    }

    fn draw(&self, picture: &mut Picture, (x, y): (usize, usize), card: &Card, band: &Band) {
        let (face, color, text) = marked(card);
        picture.text((x, y), Align::Left, face, color, &text);
        for (n, line) in broken(card, self.width - 2 * PADDING).iter().enumerate() {
            picture.text((x, y + HEADING_HEIGHT + n * LINE), Align::Left, Face::Regular, INK, line);
        }
        let y = y + HEADING_HEIGHT + self.lines * LINE + 8;
        let label = |picture: &mut Picture, x: usize, (width, height): (usize, usize), text: &str| {
            picture.text((x + width / 2, y + height + 6), Align::Center, Face::Regular, SOFT_INK, text);
        };

        let multiples = Multiples::fit(&card.filter, KERNEL_PX);
        multiples.draw(picture, (x + (self.kernel.0 - multiples.size().0) / 2, y), &card.filter, band.kernel);
        label(picture, x, self.kernel, "kernel");
        let mut x = x + self.kernel.0 + PART_GAP;
        if let (Some(maps), Some(map)) = (self.maps, &card.response) {
            let before = |value| diverging(value, band.before);
            draw_response(picture, (x, y), maps.side, map, &map.before_relu, before);
            label(picture, x, (maps.side, maps.side), if maps.rectified { "before ReLU" } else { "response" });
            if maps.rectified {
                let x = x + maps.side + PART_GAP;
                draw_response(picture, (x, y), maps.side, map, &map.after_relu, |value| sequential(value, band.after));
                label(picture, x, (maps.side, maps.side), "after ReLU");
            }
        }
        x += self.maps.map_or(0, |maps| (1 + usize::from(maps.rectified)) * (maps.side + PART_GAP));
        if !card.patches.is_empty() {
            let (side, tile) = (patches_side(&card.patches), patch_px(&card.patches));
            let inset = (self.patches.0 - patches_size(&card.patches).0) / 2;
            for (n, patch) in card.patches.iter().take(PATCH_COLUMNS * PATCH_COLUMNS).enumerate() {
                let left = x + inset + n % PATCH_COLUMNS * (tile + PATCH_GAP);
                let top = y + n / PATCH_COLUMNS * (tile + PATCH_GAP);
                draw_image(picture, (left, top), tile, side, &patch.image);
            }
            label(picture, x, self.patches, PATCHES);
        }
    }
}

const PATCHES: &str = "excites it most";
/// Room for the longest label below a kernel or a map.
const LABEL_WIDTH: usize = 11 * 7;
/// Sentences are not broken before they are this wide, however narrow a card's parts.
const LOWEST_WORDS: usize = 320;

fn larger(a: (usize, usize), b: (usize, usize)) -> (usize, usize) {
    (a.0.max(b.0), a.1.max(b.1))
}

/// The words of a card in lines of at most `width` pixels.
fn broken(card: &Card, width: usize) -> Vec<String> {
    words(card).iter().flat_map(|line| wrap(line, width / Face::Regular.width())).collect()
}

/// Side of the square in which a response is drawn; one that is a number needs room for its label alone.
fn map_side(map: &FeatureMap) -> usize {
    let side = map.height.max(map.width);
    if side <= 1 { LABEL_WIDTH } else { MAP_PX.max(side) }
}

fn draw_response(
    picture: &mut Picture,
    (x, y): (usize, usize),
    side: usize,
    map: &FeatureMap,
    values: &[f32],
    color: impl Fn(f32) -> [u8; 3],
) {
    assert_eq!(values.len(), map.height * map.width, "the response of filter {} is [height, width]", map.filter);
    match values {
        [value] => {
            let at = (x + side / 2, y + side / 2 - Face::Title.height() / 2);
            picture.text(at, Align::Center, Face::Title, INK, &response(*value));
        }
        _ => draw_tile(picture, (x, y), side, (map.width, map.height), |row, column| {
            color(values[row * map.width + column])
        }),
    }
}

/// The longest side of the patches, in pixels of the image.
fn patches_side(patches: &[Patch]) -> usize {
    patches.iter().map(|patch| patch.image.height.max(patch.image.width)).max().unwrap_or(1).max(1)
}

/// Side of a patch as it is drawn.
fn patch_px(patches: &[Patch]) -> usize {
    let side = patches_side(patches);
    ((PATCHES_PX - (PATCH_COLUMNS - 1) * PATCH_GAP) / PATCH_COLUMNS / side).max(1) * side
}

fn patches_size(patches: &[Patch]) -> (usize, usize) {
    let length = |count: usize| (count * (patch_px(patches) + PATCH_GAP)).saturating_sub(PATCH_GAP);
    let rows = patches.len().div_ceil(PATCH_COLUMNS).min(PATCH_COLUMNS);
    (length(patches.len().min(PATCH_COLUMNS)), length(rows))
}

/// An image enlarged so that `side` of its pixels would fill the square of `px`.
fn draw_image(picture: &mut Picture, at: (usize, usize), px: usize, side: usize, image: &Image) {
    assert!(matches!(image.channels, 1 | 3), "an image has 1 or 3 channels, not {}", image.channels);
    let len = image.channels * image.height * image.width;
    assert_eq!(image.pixels.len(), len, "the pixels of an image are [channels, height, width]");
    let room = px / side.max(1) * image.height.max(image.width);
    let inset = px.saturating_sub(room) / 2;
    draw_tile(picture, (at.0 + inset, at.1 + inset), room, (image.width, image.height), |y, x| pixel(image, y, x));
}

/// What stands above the cards: the image whose response they show, and all scales.
struct Band<'a> {
    image: Option<&'a Image>,
    /// Limits of the three scales.
    kernel: f32,
    before: f32,
    after: f32,
    /// Whether responses are drawn in colours, and whether those after ReLU are.
    maps: bool,
    rectified: bool,
    has_nan: bool,
}

const BAR_WIDTH: usize = legend::SIGNED_WIDTH + 2 * legend::OVERHANG;

impl Band<'_> {
    fn of(sheet: &Sheet) -> Band<'_> {
        let maps = || sheet.cards.iter().filter_map(|card| card.response.as_ref());
        let nan_kernel = sheet.cards.iter().any(|card| has_nan(&card.filter));
        let is_map = |map: &&FeatureMap| map.height * map.width > 1;
        let drawn = || maps().filter(is_map);
        let nan_map = drawn().any(|map| map.before_relu.iter().chain(&map.after_relu).any(|value| value.is_nan()));
        Band {
            image: sheet.image.as_ref().filter(|_| maps().next().is_some()),
            kernel: sheet.limit,
            before: largest_magnitude(drawn().flat_map(|map| &map.before_relu)),
            after: largest_magnitude(drawn().flat_map(|map| &map.after_relu)),
            maps: drawn().next().is_some(),
            rectified: sheet.cards.iter().any(|card| card.cut.is_some()),
            has_nan: nan_kernel || nan_map,
        }
    }

    fn image_px(&self) -> usize {
        self.image.map_or(0, |image| {
            let side = image.height.max(image.width).max(1);
            (IMAGE_PX / side).max(1) * side
        })
    }

    fn image_width(&self) -> usize {
        if self.image.is_some() { self.image_px().max(LABEL_WIDTH) + PART_GAP } else { 0 }
    }

    fn bars(&self) -> usize {
        1 + usize::from(self.maps) + usize::from(self.maps && self.rectified)
    }

    fn width(&self) -> usize {
        self.image_width() + self.bars() * BAR_WIDTH
    }

    fn height(&self) -> usize {
        let nan_height = if self.has_nan { NAN_HEIGHT } else { 0 };
        let image_height = if self.image.is_some() { self.image_px() + 6 + Face::Regular.height() } else { 0 };
        image_height.max(HEADING_HEIGHT + legend::HEIGHT + nan_height)
    }

    fn draw(&self, picture: &mut Picture, (x, y): (usize, usize)) {
        if let Some(image) = self.image {
            let px = self.image_px();
            let inset = (self.image_width() - PART_GAP - px) / 2;
            draw_image(picture, (x + inset, y), px, image.height.max(image.width), image);
            picture.text((x + inset + px / 2, y + px + 6), Align::Center, Face::Regular, SOFT_INK, "the image");
        }
        let mut x = x + self.image_width();
        let nan_y = y + HEADING_HEIGHT + legend::HEIGHT + NAN_HEIGHT - 14;
        if self.has_nan {
            legend::not_a_number(picture, (x + legend::OVERHANG, nan_y));
        }
        let mut bar = |picture: &mut Picture, name: &str, draw: &dyn Fn(&mut Picture, (usize, usize))| {
            picture.text((x + legend::OVERHANG, y), Align::Left, Face::Bold, INK, name);
            draw(picture, (x + legend::OVERHANG, y + HEADING_HEIGHT));
            x += BAR_WIDTH;
        };
        bar(picture, "kernel", &|picture, at| legend::signed_bar(picture, at, self.kernel));
        if self.maps {
            let name = if self.rectified { "before ReLU" } else { "response" };
            bar(picture, name, &|picture, at| legend::signed_bar(picture, at, self.before));
        }
        if self.maps && self.rectified {
            bar(picture, "after ReLU", &|picture, at| legend::positive_bar(picture, at, self.after));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::LARGEST_WIDTH;
    use crate::picture::{fingerprint, has_margin};

    fn image(side: usize, seed: usize) -> Image {
        let pixels = (0..side * side).map(|n| (n * 7 + seed * 31) as u8).collect();
        Image { channels: 1, height: side, width: side, pixels }
    }

    /// A card of a layer whose kernels, responses and patches have these sides.
    fn card(number: usize, channels: usize, [kernel, map, patch]: [usize; 3]) -> Card {
        let value = |n: usize| ((n * 37 + number * 11) % 41) as f32 / 20.0 - 1.0;
        let before_relu: Vec<f32> = (0..map * map).map(value).collect();
        let after_relu = before_relu.iter().map(|value| value.max(0.0)).collect();
        let weights = (0..channels * kernel * kernel).map(value).collect();
        let patch = |n: usize| Patch {
            image: image(patch, n),
            of: format!("training image {}", 1234 * n),
            value: 9.5 - n as f32,
        };
        Card {
            filter: Filter { number, channels, first_channel: None, height: kernel, width: kernel, weights },
            matters: Some(Matters {
                lost: 0.0042 - number as f64 * 0.0004,
                suffers: "7".to_owned(),
                suffers_lost: 0.031 - number as f64 * 0.002,
            }),
            largest: 9.5,
            cut: Some(0.731),
            dead: number == 3,
            duplicate_of: (number == 5).then_some(1),
            response: Some(FeatureMap { filter: number, height: map, width: map, before_relu, after_relu }),
            patches: (0..9).map(patch).collect(),
        }
    }

    const CONV1: [usize; 3] = [5, 28, 5];
    const CONV2: [usize; 3] = [5, 14, 14];
    const LINEAR: [usize; 3] = [28, 1, 28];

    fn sheet(count: usize, channels: usize, sides: [usize; 3]) -> Sheet {
        Sheet {
            title: "Filters of conv1 of cnn2 seed 1".to_owned(),
            of: 64,
            limit: 1.0,
            image: Some(image(28, 0)),
            cards: (0..count).map(|number| card(number, channels, sides)).collect(),
        }
    }

    #[test]
    fn dead_and_duplicate_filters_are_marked_in_words() {
        let captions = |number| caption(&card(number, 1, CONV1)).into_iter().map(|words| words.2).collect::<Vec<_>>();
        assert_eq!(captions(0), ["filter 0", "-0.42 points, 7 -3.1"]);
        assert_eq!(captions(3), ["filter 3, dead", "-0.30 points, 7 -2.5"]);
        assert_eq!(captions(5), ["filter 5, like 1", "-0.22 points, 7 -2.1"]);
        assert_eq!(captions(20)[1], "+0.38 points");
    }

    #[test]
    fn filters_that_see_some_channels_name_them() {
        let mut grouped = sheet(6, 8, CONV2);
        for (n, card) in grouped.cards.iter_mut().enumerate() {
            card.filter.first_channel = Some(n / 2 * 8);
        }
        let names = |sheet: &Sheet| sheet.cards.iter().map(|card| marked(card).2).collect::<Vec<_>>();
        assert_eq!(names(&grouped)[..2], ["filter 0, channels 0 to 7", "filter 1, channels 0 to 7"]);
        assert_eq!(
            names(&grouped)[3..],
            ["filter 3, channels 8 to 15, dead", "filter 4, channels 16 to 23", "filter 5, channels 16 to 23, like 1"]
        );
        let said = notes(&grouped, &grouped.cards);
        assert!(
            said.iter().any(|note| note.starts_with("Each sees only the input channels that are named with it")),
            "{said:?}"
        );
        assert!(filters_picture(&grouped).width() <= LARGEST_WIDTH && cards_picture(&grouped).width() <= LARGEST_WIDTH);
        grouped.cards[0].filter = Filter { channels: 1, weights: vec![0.5; 25], ..grouped.cards[0].filter.clone() };
        assert_eq!(names(&grouped)[0], "filter 0, channel 0");
        assert_eq!(
            notes(&sheet(6, 8, CONV2), &sheet(6, 8, CONV2).cards).len(),
            said.len() - 1,
            "nothing where all are seen"
        );
    }

    #[test]
    fn sixteen_filters_with_32_channels_fit_the_page() {
        let picture = filters_picture(&sheet(16, 32, CONV2));
        assert!(
            picture.width() <= LARGEST_WIDTH && picture.height() < 1100,
            "{} {}",
            picture.width(),
            picture.height()
        );
        for sides in [CONV1, CONV2, LINEAR] {
            let picture = cards_picture(&sheet(4, if sides == CONV2 { 32 } else { 1 }, sides));
            assert!(picture.width() <= LARGEST_WIDTH, "{sides:?}: {}", picture.width());
        }
    }

    #[test]
    fn what_is_too_much_is_left_out() {
        let many = sheet(1100, 1, CONV1);
        for picture in [filters_picture(&many), cards_picture(&many)] {
            assert!(picture.width() * picture.height() <= LARGEST_AREA, "{} {}", picture.width(), picture.height());
        }
    }

    #[test]
    fn the_pictures_are_pinned() {
        let pictures = [
            filters_picture(&sheet(10, 1, CONV1)),
            filters_picture(&sheet(7, 32, CONV2)),
            cards_picture(&sheet(3, 1, CONV1)),
            cards_picture(&sheet(2, 32, CONV2)),
            cards_picture(&sheet(2, 1, LINEAR)),
        ];
        let pins = pictures.each_ref().map(fingerprint);
        let looked_at =
            [1738819704201041802, 3344075365019074426, 17333786809227116352, 8768704608560857369, 3622962466751272985];
        assert_eq!(pins, looked_at, "looked at and found good? then pin the new values");
        let sheet = sheet(10, 1, CONV1);
        assert_eq!(filters(&sheet), filters_picture(&sheet).png());
        assert_eq!(cards(&sheet), cards_picture(&sheet).png());
    }

    #[test]
    fn odd_sheets_are_drawn_and_nothing_is_cut_off() {
        for channels in [1, 3, 32] {
            let mut odd = sheet(6, channels, CONV1);
            odd.title = "a-very-long-recipe-name-of-many-characters ".repeat(4);
            odd.cards[0].filter.weights[3] = f32::NAN;
            odd.cards[0].matters = None;
            odd.cards[1].response = None;
            odd.cards[1].patches.clear();
            odd.cards[2].cut = None;
            odd.cards[2].largest = f32::NAN;
            let matters = Matters { lost: f64::NAN, suffers: "a class of many words".to_owned(), suffers_lost: 0.5 };
            odd.cards[3].matters = Some(matters);
            odd.cards[4].patches[2].image = Image { channels: 3, height: 2, width: 4, pixels: vec![9; 24] };
            odd.cards[5].filter =
                Filter { number: 5, channels: 0, first_channel: None, height: 0, width: 0, weights: Vec::new() };
            for picture in [filters_picture(&odd), cards_picture(&odd)] {
                assert!(has_margin(&picture, MARGIN - 4), "{channels} channels");
            }
        }
        let mut bare = sheet(1, 1, CONV1);
        bare.image = None;
        bare.limit = f32::NAN;
        bare.cards[0].response = None;
        bare.cards[0].patches.clear();
        for sheet in [sheet(0, 1, CONV1), sheet(1, 1, CONV1), sheet(3, 1, [0, 0, 0]), bare] {
            for picture in [filters_picture(&sheet), cards_picture(&sheet)] {
                assert!(has_margin(&picture, MARGIN - 4), "{} cards", sheet.cards.len());
            }
        }
    }
}
