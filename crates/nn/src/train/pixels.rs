//! What a network sees of a pixel.

use crate::data::{Dataset, ImageShape};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use tenfold_kernels::pixels::PixelTable;

/// Where the numbers come from by which pixels are seen: the setting of a training.
#[derive(Clone, Debug, PartialEq)]
pub enum PixelsFrom {
    /// From whoever set them.
    Given(Pixels),
    /// From the training images, each channel by itself: then they have mean 0 and standard deviation 1.
    Standard,
}

/// What a network sees of a pixel: `(pixel / 255 - mean) / std`, with mean and deviation of its channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pixels {
    /// Subtracted from the pixel in 0..1.
    #[serde(default = "zero")]
    pub mean: PerChannel,
    /// What the difference is divided by.
    #[serde(default = "one")]
    pub std: PerChannel,
}

/// A number for all channels of images, or one for each.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PerChannel {
    /// One for all.
    All(f64),
    /// `[C]`.
    Each(Vec<f64>),
}

fn zero() -> PerChannel {
    PerChannel::All(0.0)
}

fn one() -> PerChannel {
    PerChannel::All(1.0)
}

impl Default for PixelsFrom {
    /// Pixels in 0..1.
    fn default() -> PixelsFrom {
        PixelsFrom::Given(Pixels::default())
    }
}

impl From<Pixels> for PixelsFrom {
    fn from(pixels: Pixels) -> PixelsFrom {
        PixelsFrom::Given(pixels)
    }
}

impl PixelsFrom {
    /// The numbers of a training on `train`.
    pub fn of(&self, train: &Dataset) -> Pixels {
        match self {
            PixelsFrom::Given(pixels) => pixels.clone(),
            PixelsFrom::Standard => Pixels::standard(train),
        }
    }

    /// Whether given numbers can be used ([`Pixels::check`]).
    ///
    /// # Errors
    /// Like that.
    pub fn check(&self) -> Result<(), String> {
        match self {
            PixelsFrom::Given(pixels) => pixels.check(),
            PixelsFrom::Standard => Ok(()),
        }
    }

    /// Whether given numbers are those of images of so many channels ([`Pixels::check_channels`]).
    ///
    /// # Errors
    /// Like that.
    pub fn check_channels(&self, channels: usize) -> Result<(), String> {
        match self {
            PixelsFrom::Given(pixels) => pixels.check_channels(channels),
            PixelsFrom::Standard => Ok(()),
        }
    }
}

impl Default for Pixels {
    /// Pixels in 0..1.
    fn default() -> Pixels {
        Pixels::all(0.0, 1.0)
    }
}

impl Pixels {
    /// The same for all channels.
    pub fn all(mean: f64, std: f64) -> Pixels {
        Pixels { mean: PerChannel::All(mean), std: PerChannel::All(std) }
    }

    /// Mean and standard deviation of each channel of `images`, of all their pixels in 0..1. The deviation of a channel
    /// that is the same everywhere is 1.
    ///
    /// From sums of whole numbers, so that they are the same numbers on every machine.
    pub fn standard(images: &Dataset) -> Pixels {
        let shape = images.shape();
        let plane = shape.height * shape.width;
        let mut sums = vec![(0_u64, 0_u64); shape.channels];
        for (n, pixels) in images.pixels().chunks_exact(plane).enumerate() {
            let of_plane = pixels.iter().fold((0_u64, 0_u64), |(sum, squares), &pixel| {
                (sum + u64::from(pixel), squares + u64::from(pixel) * u64::from(pixel))
            });
            let (sum, squares) = &mut sums[n % shape.channels];
            (*sum, *squares) = (*sum + of_plane.0, *squares + of_plane.1);
        }
        let count = (images.len() * plane) as u64;
        let whole = count as f64 * 255.0;
        let std = |&(sum, squares): &(u64, u64)| {
            let squared = u128::from(count) * u128::from(squares) - u128::from(sum) * u128::from(sum);
            if squared == 0 { 1.0 } else { (squared as f64).sqrt() / whole }
        };
        Pixels {
            mean: PerChannel::Each(sums.iter().map(|&(sum, _)| sum as f64 / whole).collect()),
            std: PerChannel::Each(sums.iter().map(std).collect()),
        }
    }

    /// Whether the numbers can be used.
    ///
    /// # Errors
    /// A sentence if mean or std is not a number, or so far from usual ones that f32 could not hold a pixel's value.
    pub fn check(&self) -> Result<(), String> {
        let (mean, std) = (&self.mean, &self.std);
        // Far from where f32 would overflow or vanish.
        if mean.numbers().iter().all(|mean| mean.abs() <= 1e6)
            && std.numbers().iter().all(|std| (1e-6..=1e6).contains(std))
        {
            return Ok(());
        }
        Err(format!("the pixels' mean is {mean} and std {std}, expected at most 1e6 from 0, and 1e-6 to 1e6"))
    }

    /// Whether there is a number for each of so many channels, or one for all.
    ///
    /// # Errors
    /// A sentence if there are more or fewer.
    pub fn check_channels(&self, channels: usize) -> Result<(), String> {
        for (name, numbers) in [("mean", &self.mean), ("std", &self.std)] {
            if let PerChannel::Each(numbers) = numbers
                && numbers.len() != channels
            {
                let plural = |n: usize| if n == 1 { "" } else { "s" };
                let (found, of_found, of_channels) = (numbers.len(), plural(numbers.len()), plural(channels));
                return Err(format!(
                    "the pixels' {name} is a list of {found} number{of_found}, and the images have {channels} \
                     channel{of_channels}; expected one number for each channel, or a single one without brackets"
                ));
            }
        }
        Ok(())
    }

    /// Value of each pixel value of images of this shape.
    pub(crate) fn table(&self, shape: ImageShape) -> PixelTable {
        // Rounded to f32 after each operation, as PyTorch's ToTensor and Normalize do.
        let of = |channel| (self.mean.of(channel) as f32, self.std.of(channel) as f32);
        PixelTable::per_channel((0..shape.channels).map(of), shape.height * shape.width)
    }
}

impl PerChannel {
    /// That of channel `channel`.
    ///
    /// # Panics
    /// If there is none.
    pub fn of(&self, channel: usize) -> f64 {
        match self {
            PerChannel::All(number) => *number,
            PerChannel::Each(numbers) => numbers[channel],
        }
    }

    fn numbers(&self) -> &[f64] {
        match self {
            PerChannel::All(number) => std::slice::from_ref(number),
            PerChannel::Each(numbers) => numbers,
        }
    }
}

impl fmt::Display for PerChannel {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            PerChannel::All(number) => write!(f, "{number}"),
            PerChannel::Each(numbers) => write!(f, "{numbers:?}"),
        }
    }
}

/// The words that stand for numbers.
const WORDS: [&str; 2] = ["unit", "standard"];

/// What is given is written as its numbers.
impl Serialize for PixelsFrom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            PixelsFrom::Given(pixels) => pixels.serialize(serializer),
            PixelsFrom::Standard => serializer.serialize_str("standard"),
        }
    }
}

impl<'de> Deserialize<'de> for PixelsFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PixelsFrom, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = PixelsFrom;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("\"unit\", \"standard\" or { mean = ..., std = ... }")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<PixelsFrom, E> {
                match word {
                    "unit" => Ok(PixelsFrom::default()),
                    "standard" => Ok(PixelsFrom::Standard),
                    other => Err(E::unknown_variant(other, &WORDS)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PixelsFrom, A::Error> {
                Pixels::deserialize(MapAccessDeserializer::new(map)).map(PixelsFrom::Given)
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl<'de> Deserialize<'de> for PerChannel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PerChannel, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = PerChannel;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a number, or a list of one for each channel")
            }

            fn visit_f64<E>(self, number: f64) -> Result<PerChannel, E> {
                Ok(PerChannel::All(number))
            }

            fn visit_i64<E>(self, number: i64) -> Result<PerChannel, E> {
                Ok(PerChannel::All(number as f64))
            }

            fn visit_u64<E>(self, number: u64) -> Result<PerChannel, E> {
                Ok(PerChannel::All(number as f64))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<PerChannel, A::Error> {
                let mut numbers = Vec::new();
                while let Some(number) = seq.next_element()? {
                    numbers.push(number);
                }
                Ok(PerChannel::Each(numbers))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn standard_pixels_have_mean_zero_and_deviation_one_in_each_channel() {
        // Two images of three channels of four pixels; the last channel is the same everywhere.
        let shape = ImageShape { channels: 3, height: 2, width: 2 };
        let pixels = vec![0, 255, 255, 0, 1, 2, 3, 4, 9, 9, 9, 9, 255, 255, 0, 0, 5, 6, 7, 8, 9, 9, 9, 9];
        let images = Dataset::new(pixels, vec![0, 1], shape, 2).expect("whole");
        let found = PixelsFrom::Standard.of(&images);
        // The numbers 1 to 8 have the mean 4.5 and the variance 5.25.
        let std = 5.25_f64.sqrt() / 255.0;
        let PerChannel::Each(stds) = &found.std else { panic!("one for each channel") };
        assert_eq!(found.mean, PerChannel::Each(vec![0.5, 4.5 / 255.0, 9.0 / 255.0]));
        assert!(stds[0] == 0.5 && (stds[1] - std).abs() < 1e-17 && stds[2] == 1.0, "{stds:?}, expected {std}");
        let table = found.table(shape);
        for channel in 0..3 {
            let places = (0..24).filter(|at| at / 4 % 3 == channel);
            let seen: Vec<f64> = places.map(|at| f64::from(table.at(at % 12, images.pixels()[at]))).collect();
            let mean = seen.iter().sum::<f64>() / 8.0;
            let variance = seen.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 8.0;
            let expected = if channel == 2 { 0.0 } else { 1.0 };
            assert!(mean.abs() < 1e-6 && (variance - expected).abs() < 1e-6, "{channel}: {mean}, {variance}");
        }
        assert_eq!((found.check(), found.check_channels(3)), (Ok(()), Ok(())));
    }

    #[test]
    fn what_is_written_reads_back_and_words_stand_for_numbers() {
        let of = |value: serde_json::Value| serde_json::from_value::<PixelsFrom>(value).map_err(|e| e.to_string());
        for (value, written) in [
            (json!("unit"), json!({ "mean": 0.0, "std": 1.0 })),
            (json!({}), json!({ "mean": 0.0, "std": 1.0 })),
            (json!({ "mean": 1, "std": 0.25 }), json!({ "mean": 1.0, "std": 0.25 })),
            (json!({ "mean": [0, 0.5] }), json!({ "mean": [0.0, 0.5], "std": 1.0 })),
            (json!("standard"), json!("standard")),
        ] {
            let pixels = of(value).expect("it can be read");
            assert_eq!(serde_json::to_value(&pixels).expect("plain values"), written);
            assert_eq!(of(written), Ok(pixels));
        }
        for (value, message) in [
            (json!("standart"), "unknown variant `standart`, expected `unit` or `standard`"),
            (json!(3), "expected \"unit\", \"standard\" or { mean = ..., std = ... }"),
            (json!({ "means": 1 }), "unknown field `means`, expected `mean` or `std`"),
            (json!({ "mean": "x" }), "expected a number, or a list of one for each channel"),
            (json!({ "mean": [[1]] }), "expected f64"),
        ] {
            let error = of(value).expect_err("it is refused");
            assert!(error.contains(message), "{error}, expected {message}");
        }
    }

    #[test]
    fn lists_are_of_the_images_channels() {
        let lists = |mean: &[f64], std: &[f64]| Pixels {
            mean: PerChannel::Each(mean.to_vec()),
            std: PerChannel::Each(std.to_vec()),
        };
        assert_eq!(lists(&[0.5; 3], &[0.5; 3]).check_channels(3), Ok(()));
        assert_eq!(Pixels::all(0.5, 0.5).check_channels(3), Ok(()));
        let error = lists(&[0.5], &[0.5; 2]).check_channels(1).expect_err("too many");
        assert!(
            error.starts_with("the pixels' std is a list of 2 numbers, and the images have 1 channel; "),
            "{error}"
        );
        assert!(lists(&[], &[]).check_channels(1).is_err());
        let error = lists(&[0.5, 0.4], &[0.5, 0.0]).check().expect_err("a deviation of 0");
        assert!(error.starts_with("the pixels' mean is [0.5, 0.4] and std [0.5, 0.0], expected"), "{error}");
        assert!(lists(&[f64::NAN], &[1.0]).check().is_err());
    }
}
