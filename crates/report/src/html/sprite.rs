//! Many small images in one picture, of which each place in the page shows its part.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use crate::picture::Picture;

/// Images in a row of the picture.
const COLUMNS: usize = 24;

/// The images of a section.
pub(crate) struct Sprite {
    /// Which images, in ascending order.
    numbers: Vec<usize>,
    height: usize,
    width: usize,
    /// How many times as large an image is shown.
    scale: usize,
    url: String,
}

impl Sprite {
    /// `image` gives `[channels, height, width]` of an image: three channels are red, green and blue, of others the
    /// first is grey. An image is enlarged by whole pixels up to `side`, three times at most.
    pub(crate) fn new(numbers: &[usize], shape: [usize; 3], side: usize, image: &dyn Fn(usize) -> Vec<u8>) -> Sprite {
        let mut numbers = numbers.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        let [channels, height, width] = shape;
        let rows = numbers.len().div_ceil(COLUMNS).max(1);
        let mut picture = Picture::new(COLUMNS.min(numbers.len()).max(1) * width, rows * height);
        for (place, &number) in numbers.iter().enumerate() {
            let pixels = image(number);
            let (left, top) = (place % COLUMNS * width, place / COLUMNS * height);
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let channel = |c: usize| pixels.get((c * height + y) * width + x).copied().unwrap_or(0);
                let color = if channels == 3 { [channel(0), channel(1), channel(2)] } else { [channel(0); 3] };
                picture.fill(left + x, top + y, 1, 1, color);
            }
        }
        let scale = (side / height.max(width).max(1)).clamp(1, 3);
        Sprite { numbers, height, width, scale, url: url(&picture.png()) }
    }

    /// The rule that every part shares: the picture is in the page once.
    pub(crate) fn style(&self, class: &str) -> String {
        let columns = COLUMNS.min(self.numbers.len()).max(1);
        let Sprite { height, width, scale, url, .. } = self;
        format!(
            ".{class}{{width:{}px;height:{}px;background-image:url({url});background-size:{}px auto}}",
            scale * width,
            scale * height,
            scale * width * columns
        )
    }

    pub(crate) fn has(&self, number: usize) -> bool {
        self.numbers.binary_search(&number).is_ok()
    }

    /// One image.
    pub(crate) fn tile(&self, class: &str, number: usize, alternative: &str) -> Markup {
        let place = self.numbers.binary_search(&number).unwrap_or(0);
        let (x, y) = (place % COLUMNS * self.width * self.scale, place / COLUMNS * self.height * self.scale);
        html! {
            span class={ "tile " (class) } role="img" aria-label=(alternative)
                style={ "background-position:-" (x) "px -" (y) "px" } {}
        }
    }
}

/// A PNG as an address.
pub(crate) fn url(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}
