//! Pictures as planes of samples: their colours, and their size.

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma};

use crate::options::Fit;

/// A picture of any size; samples of 8 or of 16 bits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    /// `[C, H, W]`.
    pub(crate) samples: Vec<u16>,
}

impl Picture {
    /// The luma of ITU-R BT.601, as most programs make grey of colours; of equal colours these themselves.
    pub(crate) fn into_grey(self) -> Picture {
        if self.channels != 3 {
            return self;
        }
        let size = self.width * self.height;
        let samples = (0..size)
            .map(|n| {
                let [red, green, blue] = [0, size, 2 * size].map(|plane| u32::from(self.samples[plane + n]));
                ((299 * red + 587 * green + 114 * blue + 500) / 1000) as u16
            })
            .collect();
        Picture { channels: 1, samples, ..self }
    }

    /// Grey as three equal colours.
    pub(crate) fn into_rgb(self) -> Picture {
        if self.channels != 1 {
            return self;
        }
        Picture { channels: 3, samples: self.samples.repeat(3), ..self }
    }

    /// Whether any pixel has a colour.
    pub(crate) fn has_colour(&self) -> bool {
        let size = self.width * self.height;
        self.channels == 3 && {
            let (red, others) = self.samples.split_at(size);
            red != &others[..size] || red != &others[size..]
        }
    }

    /// The picture in another size, `[height, width]`; what it does not cover is `paper`.
    ///
    /// Scaled by a triangle as wide as the pixels of the smaller picture: smaller without moire, larger linearly.
    pub(crate) fn fitted(self, [height, width]: [usize; 2], fit: Fit, paper: u16) -> Picture {
        if (self.width, self.height) == (width, height) {
            return self;
        }
        match fit {
            Fit::Stretch => self.scaled(width, height),
            Fit::Crop => {
                let (w, h) = (self.width, self.height);
                // The largest part of the middle that has the proportions asked for.
                let (part_w, part_h) = if w * height > h * width {
                    (((2 * h * width + height) / (2 * height)).clamp(1, w), h)
                } else {
                    (w, ((2 * w * height + width) / (2 * width)).clamp(1, h))
                };
                self.cut((w - part_w) / 2, (h - part_h) / 2, part_w, part_h).scaled(width, height)
            }
            Fit::Pad => {
                let (w, h) = (self.width, self.height);
                let (inner_w, inner_h) = if w * height > h * width {
                    (width, ((2 * h * width + w) / (2 * w)).clamp(1, height))
                } else {
                    (((2 * w * height + h) / (2 * h)).clamp(1, width), height)
                };
                self.scaled(inner_w, inner_h).padded(width, height, paper)
            }
        }
    }

    fn scaled(self, width: usize, height: usize) -> Picture {
        if (self.width, self.height) == (width, height) {
            return self;
        }
        let (w, h) = (self.width as u32, self.height as u32);
        let mut samples = Vec::with_capacity(self.channels * width * height);
        for plane in self.samples.chunks_exact(self.width * self.height) {
            let plane = ImageBuffer::<Luma<u16>, &[u16]>::from_raw(w, h, plane).expect("a plane is [height, width]");
            samples.extend(imageops::resize(&plane, width as u32, height as u32, FilterType::Triangle).into_raw());
        }
        Picture { width, height, channels: self.channels, samples }
    }

    fn cut(self, left: usize, top: usize, width: usize, height: usize) -> Picture {
        let mut samples = Vec::with_capacity(self.channels * width * height);
        for plane in self.samples.chunks_exact(self.width * self.height) {
            for row in plane.chunks_exact(self.width).skip(top).take(height) {
                samples.extend_from_slice(&row[left..left + width]);
            }
        }
        Picture { width, height, channels: self.channels, samples }
    }

    /// In the middle of a larger picture.
    fn padded(self, width: usize, height: usize, paper: u16) -> Picture {
        let (left, top) = ((width - self.width) / 2, (height - self.height) / 2);
        let mut samples = vec![paper; self.channels * width * height];
        for (channel, plane) in self.samples.chunks_exact(self.width * self.height).enumerate() {
            for (y, row) in plane.chunks_exact(self.width).enumerate() {
                samples[(channel * height + top + y) * width + left..][..self.width].copy_from_slice(row);
            }
        }
        Picture { width, height, channels: self.channels, samples }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, channels: usize, samples: &[u16]) -> Picture {
        Picture { width, height, channels, samples: samples.to_vec() }
    }

    #[test]
    fn colours_become_grey_by_their_luma_and_grey_stays() {
        let colours = picture(2, 1, 3, &[255, 7, 0, 7, 0, 7]);
        assert!(colours.has_colour());
        assert_eq!(colours.into_grey().samples, [76, 7]);
        let full = picture(1, 1, 3, &[65535; 3]);
        assert!(!full.has_colour());
        assert_eq!(full.into_grey().samples, [65535]);
        assert_eq!(picture(1, 1, 1, &[9]).into_rgb(), picture(1, 1, 3, &[9, 9, 9]));
    }

    #[test]
    fn each_fit_keeps_what_it_promises() {
        // Two columns of 0, two of 100, in two rows.
        let wide = || picture(4, 2, 1, &[0, 0, 100, 100, 0, 0, 100, 100]);
        assert_eq!(wide().fitted([4, 4], Fit::Pad, 9).samples[..4], [9; 4]);
        assert_eq!(wide().fitted([4, 4], Fit::Pad, 9).samples[4..8], [0, 0, 100, 100]);
        assert_eq!(wide().fitted([2, 2], Fit::Crop, 9).samples, [0, 100, 0, 100]);
        let stretched = wide().fitted([2, 2], Fit::Stretch, 9);
        assert_eq!((stretched.width, stretched.height), (2, 2));
        assert!(stretched.samples[0] < 25 && stretched.samples[1] > 75, "{:?}", stretched.samples);
        assert_eq!(wide().fitted([2, 4], Fit::Pad, 9), wide());
    }

    #[test]
    fn the_thinnest_picture_fits_in_any_way() {
        for fit in [Fit::Pad, Fit::Crop, Fit::Stretch] {
            for (w, h) in [(1, 5000), (5000, 1)] {
                let fitted = picture(w, h, 1, &vec![70; w * h]).fitted([3, 8], fit, 70);
                assert_eq!((fitted.width, fitted.height), (8, 3));
                assert!(fitted.samples.iter().all(|&sample| sample == 70), "{fit:?} {w}x{h}: {:?}", fitted.samples);
            }
        }
    }
}
